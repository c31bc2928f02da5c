//! A hierarchical timing wheel, exact to the nanosecond.
//!
//! Eleven levels of 64 slots cover all 64 bits of a deadline. An entry sits on the level of the
//! highest six-bit digit in which its deadline differs from the time the wheel has reached, in the
//! slot of that digit. When time enters a slot its entries move to lower levels, at most ten times in
//! their life; on level 0 a slot holds one single deadline. So scheduling and cancelling are O(1),
//! expiry is O(1) amortised, and entries come out in order of (deadline, when it was assigned).
//!
//! Source: Varghese and Lauck, "Hashed and hierarchical timing wheels" (SOSP 1987). It differs in
//! having no tick: a bitmap per level finds the next occupied slot directly.

use crate::list::{Link, Links, List};

/// The deadline of what never expires.
pub const NEVER: u64 = u64::MAX;

const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
const LEVELS: usize = 11;

struct Node {
    deadline: u64,
    link: Link,
}

struct Nodes(Vec<Node>);

impl Links for Nodes {
    fn link(&self, at: u32) -> Link {
        self.0[at as usize].link
    }

    fn link_mut(&mut self, at: u32) -> &mut Link {
        &mut self.0[at as usize].link
    }
}

/// Deadlines of numbered entries.
pub struct Wheel {
    nodes: Nodes,
    slots: Box<[[List; SLOTS]; LEVELS]>,
    occupied: [u64; LEVELS],
    /// The time up to which slots have been emptied.
    elapsed: u64,
    /// No deadline is earlier than this.
    soonest: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            nodes: Nodes(Vec::new()),
            slots: Box::new([[List::EMPTY; SLOTS]; LEVELS]),
            occupied: [0; LEVELS],
            elapsed: 0,
            soonest: NEVER,
        }
    }
}

impl Wheel {
    /// The deadline of entry `at`, [`NEVER`] if it has none.
    #[inline]
    pub fn deadline(&self, at: u32) -> u64 {
        self.nodes
            .0
            .get(at as usize)
            .map_or(NEVER, |node| node.deadline)
    }

    /// Gives entry `at` a deadline, in place of the one it had.
    pub fn schedule(&mut self, at: u32, deadline: u64) {
        self.cancel(at);
        if deadline == NEVER {
            return;
        }
        let size = at as usize + 1;
        if self.nodes.0.len() < size {
            self.nodes.0.resize_with(size, || Node {
                deadline: NEVER,
                link: Link::LOOSE,
            });
        }
        // What is overdue already belongs to the slot that is emptied next.
        let deadline = deadline.max(self.elapsed);
        self.nodes.0[at as usize].deadline = deadline;
        self.soonest = self.soonest.min(deadline);
        self.link(at, deadline);
    }

    /// Takes entry `at` off the wheel.
    pub fn cancel(&mut self, at: u32) {
        let deadline = self.deadline(at);
        if deadline == NEVER {
            return;
        }
        let (level, slot) = self.place(deadline);
        let list = &mut self.slots[level][slot];
        list.unlink(&mut self.nodes, at);
        if list.is_empty() {
            self.occupied[level] &= !(1 << slot);
        }
        self.nodes.0[at as usize].deadline = NEVER;
    }

    /// Whether something may be due: false is certain, true is worth a [`Wheel::pop_due`].
    #[inline]
    pub const fn may_be_due(&self, now: u64) -> bool {
        self.soonest <= now
    }

    /// No deadline is earlier than this.
    #[inline]
    pub const fn soonest(&self) -> u64 {
        self.soonest
    }

    /// Takes off the wheel the entry that is due first, if its deadline has come.
    pub fn pop_due(&mut self, now: u64) -> Option<u32> {
        while self.may_be_due(now) {
            let Some((level, slot)) = self.earliest() else {
                self.soonest = NEVER;
                break;
            };
            let start = self.start(level, slot);
            if start > now {
                self.soonest = start;
                break;
            }
            self.elapsed = self.elapsed.max(start);
            if level == 0 {
                let at = self.slots[0][slot].head;
                self.cancel(at);
                return Some(at);
            }
            self.cascade(level, slot);
        }
        None
    }

    fn cascade(&mut self, level: usize, slot: usize) {
        let mut list = std::mem::replace(&mut self.slots[level][slot], List::EMPTY);
        self.occupied[level] &= !(1 << slot);
        while !list.is_empty() {
            let at = list.head;
            list.unlink(&mut self.nodes, at);
            self.link(at, self.nodes.0[at as usize].deadline);
        }
    }

    fn link(&mut self, at: u32, deadline: u64) {
        let (level, slot) = self.place(deadline);
        self.slots[level][slot].push_back(&mut self.nodes, at);
        self.occupied[level] |= 1 << slot;
    }

    /// Level and slot of a deadline; the same for as long as time has not entered the slot.
    fn place(&self, deadline: u64) -> (usize, usize) {
        let differing = (self.elapsed ^ deadline) | 1;
        let level = differing.ilog2() / DIGIT;
        let slot = (deadline >> (level * DIGIT)) & (SLOTS as u64 - 1);
        (level as usize, usize::try_from(slot).unwrap_or(0))
    }

    fn earliest(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The first moment that belongs to a slot.
    fn start(&self, level: usize, slot: usize) -> u64 {
        let shift = DIGIT * u32::try_from(level).unwrap_or(0);
        let above = u64::MAX.checked_shl(shift + DIGIT).unwrap_or(0);
        (self.elapsed & above) | ((slot as u64) << shift)
    }
}
