//! Permits, and a queue of those who wait for some.

use std::collections::{BTreeMap, HashMap};

use crate::list::List;
use crate::slab::Slab;

/// Who of those who wait is the first in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Who came first.
    Fifo,
    /// Who came last.
    Lifo,
    /// Who has the lowest number, and came first among those.
    Priority,
}

struct Waiter<T> {
    who: T,
    weight: u64,
    priority: i64,
    since: u64,
}

/// What became of somebody who could not go on at once.
pub enum Enqueued<T> {
    /// Fitted after all: the permits are taken.
    Granted(T),
    /// Turned away: too many wait already.
    Full(T),
    /// In line, under this ticket.
    Waiting(u64),
}

/// More permits were given back than are held.
#[derive(Debug, PartialEq, Eq)]
pub struct NotHeld;

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Grants, at once or after a wait.
    pub acquired: u64,
    /// How many had to wait.
    pub waited: u64,
    /// How many were turned away.
    pub rejected: u64,
    /// How many stopped waiting because their time was over.
    pub timeouts: u64,
    /// How many stopped waiting for another reason.
    pub cancelled: u64,
    /// Nanoseconds that those waited who then were granted what they asked for.
    pub wait: u64,
}

/// Permits that are handed over to whoever waits first.
///
/// Nobody gets in before the first in line does, and only the first in line is looked at, so that what
/// is heavy is not starved by what is light. What is heavier than the limit goes alone. Whatever
/// frees permits adds those who were granted some to `granted`; they hold them from then on.
pub struct Waiters<T> {
    limit: u64,
    in_use: u64,
    order: Order,
    max_waiting: usize,
    slots: Slab<u64, Waiter<T>>,
    places: HashMap<u64, u32>,
    lines: BTreeMap<i64, List>,
    last_ticket: u64,
    tally: Tally,
}

impl<T> Waiters<T> {
    /// A queue in front of `limit` permits, in which at most `max_waiting` wait.
    pub fn new(limit: u64, order: Order, max_waiting: Option<usize>) -> Self {
        Self {
            limit,
            in_use: 0,
            order,
            max_waiting: max_waiting.unwrap_or(usize::MAX),
            slots: Slab::new(),
            places: HashMap::new(),
            lines: BTreeMap::new(),
            last_ticket: 0,
            tally: Tally::default(),
        }
    }

    /// How many permits there are.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How many are held; more than the limit after it shrank.
    pub fn in_use(&self) -> u64 {
        self.in_use
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.places.len()
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Everybody who waits, in no order.
    pub fn waiters(&self) -> impl Iterator<Item = &T> {
        self.slots.pairs().map(|(_, waiter)| &waiter.who)
    }

    #[inline]
    fn fits(&self, weight: u64) -> bool {
        self.in_use == 0 || self.in_use.saturating_add(weight) <= self.limit
    }

    #[inline]
    fn take(&mut self, weight: u64) {
        self.in_use = self.in_use.saturating_add(weight);
        self.tally.acquired += 1;
    }

    /// Takes permits if they are there and nobody waits for some.
    #[inline]
    pub fn try_acquire(&mut self, weight: u64) -> bool {
        let free = self.limit > 0 && self.places.is_empty() && self.fits(weight);
        if free {
            self.take(weight);
        }
        free
    }

    /// Takes permits, or gets in line for them.
    pub fn enqueue(&mut self, who: T, weight: u64, priority: i64, now: u64) -> Enqueued<T> {
        let priority = match self.order {
            Order::Priority => priority,
            Order::Fifo | Order::Lifo => 0,
        };
        if self.limit > 0 && self.leads(priority) && self.fits(weight) {
            self.take(weight);
            return Enqueued::Granted(who);
        }
        if self.places.len() >= self.max_waiting {
            self.tally.rejected += 1;
            return Enqueued::Full(who);
        }
        let waiter = Waiter {
            who,
            weight,
            priority,
            since: now,
        };
        let ticket = self.last_ticket + 1;
        match self.slots.insert(0, ticket, waiter) {
            Err((_, waiter)) => {
                self.tally.rejected += 1;
                Enqueued::Full(waiter.who)
            }
            Ok(at) => {
                let line = self.lines.entry(priority).or_insert(List::EMPTY);
                line.push_back(&mut self.slots, at);
                self.places.insert(ticket, at);
                self.last_ticket = ticket;
                self.tally.waited += 1;
                Enqueued::Waiting(ticket)
            }
        }
    }

    /// Takes somebody out of the line; nothing if that ticket does not wait (any more).
    pub fn withdraw(
        &mut self,
        ticket: u64,
        expired: bool,
        now: u64,
        granted: &mut Vec<T>,
    ) -> Option<T> {
        let waiter = self.remove(ticket)?;
        if expired {
            self.tally.timeouts += 1;
        } else {
            self.tally.cancelled += 1;
        }
        self.grant(now, granted);
        Some(waiter.who)
    }

    /// Gives permits back.
    #[inline]
    pub fn release(
        &mut self,
        weight: u64,
        now: impl FnOnce() -> u64,
        granted: &mut Vec<T>,
    ) -> Result<(), NotHeld> {
        self.in_use = self.in_use.checked_sub(weight).ok_or(NotHeld)?;
        if !self.places.is_empty() {
            self.grant(now(), granted);
        }
        Ok(())
    }

    /// Changes how many permits there are; those held stay held.
    pub fn resize(&mut self, limit: u64, now: u64, granted: &mut Vec<T>) {
        self.limit = limit;
        self.grant(now, granted);
    }

    /// Whether a newcomer would be the first in line.
    fn leads(&self, priority: i64) -> bool {
        match self.order {
            Order::Fifo => self.places.is_empty(),
            Order::Lifo => true,
            Order::Priority => {
                let first = self.lines.first_key_value();
                first.is_none_or(|(best, _)| priority < *best)
            }
        }
    }

    /// The place of the first in line.
    fn first(&self) -> Option<u32> {
        let (_, line) = self.lines.first_key_value()?;
        Some(match self.order {
            Order::Lifo => line.tail,
            Order::Fifo | Order::Priority => line.head,
        })
    }

    #[cold]
    fn grant(&mut self, now: u64, granted: &mut Vec<T>) {
        while self.limit > 0
            && let Some(at) = self.first()
            && let Some((ticket, waiter)) = self.slots.pair(at)
            && self.fits(waiter.weight)
        {
            let ticket = *ticket;
            let Some(waiter) = self.remove(ticket) else {
                break;
            };
            self.take(waiter.weight);
            let time = now.saturating_sub(waiter.since);
            self.tally.wait = self.tally.wait.saturating_add(time);
            granted.push(waiter.who);
        }
    }

    fn remove(&mut self, ticket: u64) -> Option<Waiter<T>> {
        let at = self.places.remove(&ticket)?;
        let (_, waiter) = self.slots.pair(at)?;
        let priority = waiter.priority;
        if let Some(line) = self.lines.get_mut(&priority) {
            line.unlink(&mut self.slots, at);
            if line.is_empty() {
                self.lines.remove(&priority);
            }
        }
        self.slots.remove(at).map(|(_, waiter)| waiter)
    }
}
