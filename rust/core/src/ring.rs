//! A queue of weighted items that is bounded, and says once when there is enough in it.

use std::collections::VecDeque;

/// An item in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// What was pushed.
    pub value: T,
    /// What it weighs.
    pub weight: u64,
    /// When it was pushed.
    pub at: u64,
    /// How many were pushed before it.
    pub number: u64,
}

/// What a push did.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It is in.
    In {
        /// Whether the owner is to be woken.
        reached: bool,
    },
    /// It is not: the queue is full, or closed.
    Refused(T),
}

/// A bounded first-in-first-out queue.
///
/// The owner says how many items, or what weight, it listens for; the push that reaches one of the two
/// is told so, and no other until the owner listens again: one wake-up for a burst of pushes.
#[derive(Debug)]
pub struct Ring<T> {
    entries: VecDeque<Entry<T>>,
    weight: u128,
    capacity: usize,
    closed: bool,
    pushed: u64,
    wake_items: usize,
    wake_weight: u128,
}

const OFF_ITEMS: usize = usize::MAX;
const OFF_WEIGHT: u128 = u128::MAX;

impl<T> Ring<T> {
    /// An empty queue of at most `capacity` items, which listens for the first.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            weight: 0,
            capacity,
            closed: false,
            pushed: 0,
            wake_items: 1,
            wake_weight: OFF_WEIGHT,
        }
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether only what is forced in fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    /// The weight of all that are in it.
    #[must_use]
    pub const fn weight(&self) -> u128 {
        self.weight
    }

    /// How many were ever pushed.
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Whether it refuses whatever comes.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Refuses whatever comes from now on.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// The oldest.
    #[must_use]
    pub fn front(&self) -> Option<&Entry<T>> {
        self.entries.front()
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// Puts an item at the end, unless the queue is closed, or full and the item is not forced in.
    #[inline]
    pub fn push(&mut self, value: T, weight: u64, at: u64, force: bool) -> Pushed<T> {
        if self.closed || (!force && self.is_full()) {
            return Pushed::Refused(value);
        }
        let number = self.pushed;
        self.pushed += 1;
        self.weight += u128::from(weight);
        self.entries.push_back(Entry {
            value,
            weight,
            at,
            number,
        });
        Pushed::In {
            reached: self.reach(),
        }
    }

    /// Listens for so many items, or so much weight; whether they are there already.
    pub fn listen(&mut self, items: Option<usize>, weight: Option<u64>) -> bool {
        self.wake_items = items.unwrap_or(OFF_ITEMS);
        self.wake_weight = weight.map_or(OFF_WEIGHT, u128::from);
        self.reach()
    }

    /// Listens for the next push, whatever is there already: the owner was told, but could not hear it.
    pub const fn listen_again(&mut self) {
        self.wake_items = 1;
        self.wake_weight = OFF_WEIGHT;
    }

    /// Whether what the owner listens for is there; it listens no more then.
    #[inline]
    fn reach(&mut self) -> bool {
        let reached = self.entries.len() >= self.wake_items || self.weight >= self.wake_weight;
        if reached {
            self.wake_items = OFF_ITEMS;
            self.wake_weight = OFF_WEIGHT;
        }
        reached
    }

    /// How many were ever taken out: whoever looked at the oldest may take them if it is still the same.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.pushed - self.entries.len() as u64
    }

    /// Takes so many of the oldest, or all that there are.
    pub fn pop(&mut self, count: usize) -> Vec<Entry<T>> {
        let count = count.min(self.entries.len());
        let popped: Vec<_> = self.entries.drain(..count).collect();
        self.weight -= popped
            .iter()
            .map(|entry| u128::from(entry.weight))
            .sum::<u128>();
        popped
    }

    /// Takes out those that `leaves` chooses, by their numbers.
    pub fn remove(&mut self, leaves: impl Fn(u64) -> bool) -> Vec<Entry<T>> {
        let mut left = Vec::new();
        let mut stay = VecDeque::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            if leaves(entry.number) {
                self.weight -= u128::from(entry.weight);
                left.push(entry);
            } else {
                stay.push_back(entry);
            }
        }
        self.entries = stay;
        left
    }
}
