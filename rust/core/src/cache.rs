//! A bounded table with expiry and an eviction policy.
//!
//! Keys are found by the owner's hash and the owner's notion of equality: [`Cache::find`] turns them
//! into a place, every other operation takes that place. What an operation throws out it returns, so
//! that the owner can drop it wherever dropping is safe.

use hashbrown::HashTable;

use crate::Clock;
use crate::evictions::{Cause, Evicted, Evictions};
use crate::policy::{Lru, Policy};
use crate::slab::Slab;
use crate::wheel::{NEVER, Wheel};

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads that found a live entry.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Loads that returned a value.
    pub loads: u64,
    /// Loads that failed.
    pub load_failures: u64,
    /// Nanoseconds spent in both.
    pub load_ns: u64,
    /// Entries that left to make room.
    pub evictions: u64,
    /// Entries that left because their deadline had come.
    pub expirations: u64,
}

/// Every place of the table is taken; what was to be stored is among the evictions.
#[derive(Debug)]
pub struct Full;

/// The answer to a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<'a, K, V> {
    /// A live value and its deadline.
    Hit(&'a V, u64),
    /// No live entry; an expired one was found and taken out.
    Miss(Option<Evicted<K, V>>),
}

/// Due entries that one write takes out beside its own work: enough to keep ahead of what writes bring in.
const RECLAIM: usize = 8;

/// See the module.
pub struct Cache<K, V, P = Lru> {
    slab: Slab<K, V>,
    index: HashTable<u32>,
    policy: P,
    wheel: Option<Box<Wheel>>,
    /// Weight of each place; absent when every entry weighs one.
    weights: Option<Vec<u64>>,
    /// Deadline of each place from its ttl alone; present with `tti`, where reads move the other one.
    fixed: Vec<u64>,
    tti: Option<u64>,
    capacity: u64,
    weight: u128,
    seed: u64,
    /// What has happened so far.
    pub counters: Counters,
}

impl<K, V, P: Policy> Cache<K, V, P> {
    /// An empty table for entries of at most `capacity` weight; `seed` spreads the hashes.
    pub fn new(capacity: u64, weighted: bool, tti: Option<u64>, seed: u64) -> Self {
        Self {
            slab: Slab::new(),
            index: HashTable::new(),
            policy: P::default(),
            wheel: tti.map(|_| Box::default()),
            weights: weighted.then(Vec::new),
            fixed: Vec::new(),
            tti,
            capacity,
            weight: 0,
            seed,
            counters: Counters::default(),
        }
    }

    /// Number of entries, expired ones not yet taken out among them.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Number of entries that have not expired; O(n) when some may have.
    pub fn live(&self, clock: &impl Clock) -> usize {
        match &self.wheel {
            Some(wheel) if wheel.may_be_due(clock.now()) => {
                let mut next = self.policy.victim();
                let places = std::iter::from_fn(|| {
                    let at = next?;
                    next = self.policy.after(&self.slab, at);
                    Some(at)
                });
                places.filter(|at| !self.is_due(*at, clock)).count()
            }
            _ => self.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Sum of the weights.
    pub fn weight(&self) -> u128 {
        self.weight
    }

    /// Largest sum of weights.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The place of the entry whose key has this hash and satisfies `equal`.
    #[inline]
    pub fn find(&self, hash: u64, mut equal: impl FnMut(&K) -> bool) -> Option<u32> {
        self.find_pair(hash, |key, _| equal(key))
    }

    /// The place of the entry that has this hash and satisfies `matches`.
    #[inline]
    pub fn find_pair(&self, hash: u64, mut matches: impl FnMut(&K, &V) -> bool) -> Option<u32> {
        let slab = &self.slab;
        self.index
            .find(self.spread(hash), |&at| {
                slab.hash(at) == hash
                    && slab
                        .pair(at)
                        .is_some_and(|(key, value)| matches(key, value))
            })
            .copied()
    }

    /// The entries that have this hash.
    pub fn of_hash(&self, hash: u64) -> impl Iterator<Item = &(K, V)> {
        let places = self.index.iter_hash(self.spread(hash));
        places
            .filter(move |&&at| self.slab.hash(at) == hash)
            .filter_map(|&at| self.slab.pair(at))
    }

    /// The hash and key of the live entry that goes first; O(expired ones before it).
    pub fn first(&self, clock: &impl Clock) -> Option<(u64, &K)> {
        let mut at = self.policy.victim()?;
        while self.is_due(at, clock) {
            at = self.policy.after(&self.slab, at)?;
        }
        Some((self.slab.hash(at), &self.slab.pair(at)?.0))
    }

    /// Reads the entry at `at` as a use of it: counts, refreshes its recency and its idle deadline.
    #[inline]
    pub fn get(&mut self, at: Option<u32>, clock: &impl Clock) -> Lookup<'_, K, V> {
        let Some(at) = at else {
            self.counters.misses += 1;
            return Lookup::Miss(None);
        };
        if self.is_due(at, clock) {
            self.counters.misses += 1;
            return Lookup::Miss(self.take(at, Cause::Expired));
        }
        self.counters.hits += 1;
        self.policy.accessed(&mut self.slab, at);
        if self.tti.is_some() {
            self.assign(at, self.fixed[at as usize], clock.now());
        }
        let deadline = self.deadline(at);
        match self.slab.pair(at) {
            Some((_, value)) => Lookup::Hit(value, deadline),
            None => Lookup::Miss(None),
        }
    }

    /// The live value at `at` and its deadline, without any effect.
    pub fn peek(&self, at: Option<u32>, clock: &impl Clock) -> Option<(&V, u64)> {
        let at = at.filter(|at| !self.is_due(*at, clock))?;
        let (_, value) = self.slab.pair(at)?;
        Some((value, self.deadline(at)))
    }

    /// Stores a value at `at`, or in a new place, as the most recently used entry.
    ///
    /// `deadline` comes from the ttl; `now` is when the idle time starts. `weight` must not exceed the
    /// capacity.
    #[expect(clippy::too_many_arguments, reason = "an entry has this many parts")]
    pub fn set(
        &mut self,
        at: Option<u32>,
        hash: u64,
        key: K,
        value: V,
        weight: u64,
        deadline: u64,
        now: u64,
        out: &mut Evictions<K, V>,
    ) -> Result<(), Full> {
        let at = match at {
            Some(at) if self.is_due(at, &now) => {
                self.expel(at, Cause::Expired, out);
                None
            }
            found => found,
        };
        if let Some(at) = at {
            if let Some(old) = self.slab.value_mut(at) {
                out.push(Evicted {
                    key,
                    value: std::mem::replace(old, value),
                    cause: Cause::Replaced,
                });
            }
            self.weight -= u128::from(self.weight_of(at));
            self.weigh(at, weight);
            self.policy.accessed(&mut self.slab, at);
            self.assign(at, deadline, now);
            self.make_room(0, now, out);
            return Ok(());
        }
        self.make_room(weight, now, out);
        let at = match self.slab.insert(hash, key, value) {
            Ok(at) => at,
            Err((key, value)) => {
                let cause = Cause::Size;
                out.push(Evicted { key, value, cause });
                return Err(Full);
            }
        };
        let (seed, slab) = (self.seed, &self.slab);
        self.index
            .insert_unique(spread(hash, seed), at, |&at| spread(slab.hash(at), seed));
        self.weigh(at, weight);
        self.policy.inserted(&mut self.slab, at);
        self.assign(at, deadline, now);
        Ok(())
    }

    /// Restarts the life of the entry at `at`; false when there is no live one.
    pub fn touch(
        &mut self,
        at: Option<u32>,
        deadline: u64,
        now: u64,
        out: &mut Evictions<K, V>,
    ) -> bool {
        match at {
            Some(at) if self.is_due(at, &now) => {
                self.expel(at, Cause::Expired, out);
                false
            }
            Some(at) => {
                self.policy.accessed(&mut self.slab, at);
                self.assign(at, deadline, now);
                true
            }
            None => false,
        }
    }

    /// Takes out the entry at `at`, as deleted, or as expired when it was.
    pub fn remove(&mut self, at: Option<u32>, clock: &impl Clock) -> Option<Evicted<K, V>> {
        let at = at?;
        let cause = if self.is_due(at, clock) {
            Cause::Expired
        } else {
            Cause::Deleted
        };
        self.take(at, cause)
    }

    /// Takes out the entry that the policy gives up first.
    pub fn remove_first(&mut self) -> Option<Evicted<K, V>> {
        let at = self.policy.victim()?;
        self.take(at, Cause::Deleted)
    }

    /// Takes out a few due entries: what every write does before its own work.
    #[inline]
    pub fn reclaim(&mut self, clock: &impl Clock, out: &mut Evictions<K, V>) {
        let due = |wheel: &Wheel| wheel.soonest() != NEVER && clock.reached(wheel.soonest());
        if self.wheel.as_deref().is_some_and(due) {
            let now = clock.now();
            for _ in 0..RECLAIM {
                if !self.expire_one(now, out) {
                    break;
                }
            }
        }
    }

    /// Takes out every due entry.
    pub fn expire(&mut self, clock: &impl Clock, out: &mut Evictions<K, V>) {
        if self.wheel.is_some() {
            let now = clock.now();
            while self.expire_one(now, out) {}
        }
    }

    /// Changes the capacity and takes out what no longer fits.
    pub fn resize(&mut self, capacity: u64, now: u64, out: &mut Evictions<K, V>) {
        self.capacity = capacity;
        self.make_room(0, now, out);
    }

    /// Takes out everything, in the order of eviction, and gives the memory back.
    pub fn clear(&mut self, out: &mut Evictions<K, V>) {
        out.reserve(self.len());
        while let Some(evicted) = self.remove_first() {
            out.push(evicted);
        }
        let counters = self.counters;
        *self = Self {
            counters,
            wheel: self.wheel.take().map(|_| Box::default()),
            ..Self::new(self.capacity, self.weights.is_some(), self.tti, self.seed)
        };
    }

    /// The entries in the order of eviction.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        let mut next = self.policy.victim();
        std::iter::from_fn(move || {
            let at = next?;
            next = self.policy.after(&self.slab, at);
            self.slab.pair(at)
        })
    }

    /// The entries in no order, cheaply.
    pub fn entries(&self) -> impl Iterator<Item = &(K, V)> {
        self.slab.pairs()
    }

    #[inline]
    fn deadline(&self, at: u32) -> u64 {
        self.wheel
            .as_ref()
            .map_or(NEVER, |wheel| wheel.deadline(at))
    }

    #[inline]
    fn is_due(&self, at: u32, clock: &impl Clock) -> bool {
        let deadline = self.deadline(at);
        deadline != NEVER && clock.reached(deadline)
    }

    fn weight_of(&self, at: u32) -> u64 {
        self.weights
            .as_ref()
            .map_or(1, |weights| weights[at as usize])
    }

    fn weigh(&mut self, at: u32, weight: u64) {
        self.weight += u128::from(weight);
        if let Some(weights) = &mut self.weights {
            put(weights, at, weight, 0);
        }
    }

    /// Gives an entry its deadlines: `fixed` from its ttl, and the nearer of that and its idle time.
    #[inline]
    fn assign(&mut self, at: u32, fixed: u64, now: u64) {
        if fixed != NEVER || self.wheel.is_some() {
            self.schedule(at, fixed, now);
        }
    }

    fn schedule(&mut self, at: u32, fixed: u64, now: u64) {
        let mut deadline = fixed;
        if let Some(tti) = self.tti {
            put(&mut self.fixed, at, fixed, NEVER);
            deadline = deadline.min(now.saturating_add(tti));
        }
        self.wheel.get_or_insert_default().schedule(at, deadline);
    }

    /// Makes room for `weight` more; expired entries go before live ones.
    #[inline]
    fn make_room(&mut self, weight: u64, now: u64, out: &mut Evictions<K, V>) {
        while self.weight + u128::from(weight) > u128::from(self.capacity) {
            if self.expire_one(now, out) {
                continue;
            }
            let Some(at) = self.policy.victim() else {
                break;
            };
            self.expel(at, Cause::Size, out);
        }
    }

    #[inline]
    fn expire_one(&mut self, now: u64, out: &mut Evictions<K, V>) -> bool {
        let due = self.wheel.as_mut().and_then(|wheel| wheel.pop_due(now));
        if let Some(at) = due {
            self.expel(at, Cause::Expired, out);
        }
        due.is_some()
    }

    fn expel(&mut self, at: u32, cause: Cause, out: &mut Evictions<K, V>) {
        if let Some(evicted) = self.take(at, cause) {
            out.push(evicted);
        }
    }

    fn take(&mut self, at: u32, cause: Cause) -> Option<Evicted<K, V>> {
        let hash = self.spread(self.slab.hash(at));
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == at) {
            entry.remove();
        }
        self.policy.removed(&mut self.slab, at);
        if let Some(wheel) = &mut self.wheel {
            wheel.cancel(at);
        }
        self.weight -= u128::from(self.weight_of(at));
        match cause {
            Cause::Size => self.counters.evictions += 1,
            Cause::Expired => self.counters.expirations += 1,
            Cause::Replaced | Cause::Deleted => {}
        }
        let (key, value) = self.slab.remove(at)?;
        Some(Evicted { key, value, cause })
    }

    #[inline]
    fn spread(&self, hash: u64) -> u64 {
        spread(hash, self.seed)
    }
}

fn put(column: &mut Vec<u64>, at: u32, value: u64, blank: u64) {
    let at = at as usize;
    if column.len() <= at {
        column.resize(at + 1, blank);
    }
    column[at] = value;
}

/// Spreads a hash over all bits: Python's hash of a small int is the int itself.
#[inline]
fn spread(hash: u64, seed: u64) -> u64 {
    let product = u128::from(hash ^ seed) * u128::from(0x9E37_79B9_7F4A_7C15_u64);
    #[expect(clippy::cast_possible_truncation, reason = "folding both halves")]
    {
        (product >> 64) as u64 ^ product as u64
    }
}
