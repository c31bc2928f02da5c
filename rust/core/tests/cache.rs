//! The cache against a vector in order of use.

use penstock_core::{Cache, Cause, Counters, Evictions, Lookup, NEVER};
use proptest::prelude::*;

type Gone = Vec<(u8, u32, Cause)>;

struct Entry {
    key: u8,
    value: u32,
    weight: u64,
    fixed: u64,
    deadline: u64,
    assigned: u64,
}

/// What the cache should do, in the plainest words: entries from the least to the most recently used.
struct Model {
    entries: Vec<Entry>,
    capacity: u64,
    tti: Option<u64>,
    assigned: u64,
    counters: Counters,
}

impl Model {
    fn position(&self, key: u8) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == key)
    }

    fn weight(&self) -> u64 {
        self.entries.iter().map(|entry| entry.weight).sum()
    }

    fn assign(&mut self, entry: &mut Entry, fixed: u64, now: u64) {
        self.assigned += 1;
        entry.fixed = fixed;
        entry.deadline = self.tti.map_or(fixed, |tti| fixed.min(now + tti));
        entry.assigned = self.assigned;
    }

    fn expel(&mut self, at: usize, cause: Cause, gone: &mut Gone) {
        let entry = self.entries.remove(at);
        match cause {
            Cause::Size => self.counters.evictions += 1,
            Cause::Expired => self.counters.expirations += 1,
            _ => {}
        }
        gone.push((entry.key, entry.value, cause));
    }

    fn expire_one(&mut self, now: u64, gone: &mut Gone) -> bool {
        let due = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.deadline <= now);
        let first = due.min_by_key(|(_, entry)| (entry.deadline, entry.assigned));
        let Some((at, _)) = first else { return false };
        self.expel(at, Cause::Expired, gone);
        true
    }

    fn make_room(&mut self, weight: u64, now: u64, gone: &mut Gone) {
        while self.weight() + weight > self.capacity {
            if !self.expire_one(now, gone) {
                self.expel(0, Cause::Size, gone);
            }
        }
    }

    /// The place of a live entry; an expired one is taken out.
    fn live(&mut self, key: u8, now: u64, gone: &mut Gone) -> Option<usize> {
        let at = self.position(key)?;
        if self.entries[at].deadline <= now {
            self.expel(at, Cause::Expired, gone);
            return None;
        }
        Some(at)
    }

    fn set(&mut self, key: u8, value: u32, weight: u64, fixed: u64, now: u64) -> Gone {
        let mut gone = Gone::new();
        for _ in 0..8 {
            if !self.expire_one(now, &mut gone) {
                break;
            }
        }
        let mut entry = Entry {
            key,
            value,
            weight,
            fixed,
            deadline: NEVER,
            assigned: 0,
        };
        let replaced = self.live(key, now, &mut gone);
        if let Some(at) = replaced {
            gone.push((key, self.entries.remove(at).value, Cause::Replaced));
        }
        self.make_room(weight, now, &mut gone);
        self.assign(&mut entry, fixed, now);
        self.entries.push(entry);
        gone
    }

    fn get(&mut self, key: u8, now: u64, gone: &mut Gone) -> Option<u32> {
        let Some(at) = self.live(key, now, gone) else {
            self.counters.misses += 1;
            return None;
        };
        self.counters.hits += 1;
        let mut entry = self.entries.remove(at);
        if self.tti.is_some() {
            let fixed = entry.fixed;
            self.assign(&mut entry, fixed, now);
        }
        let value = entry.value;
        self.entries.push(entry);
        Some(value)
    }

    fn touch(&mut self, key: u8, fixed: u64, now: u64, gone: &mut Gone) -> bool {
        let Some(at) = self.live(key, now, gone) else {
            return false;
        };
        let mut entry = self.entries.remove(at);
        self.assign(&mut entry, fixed, now);
        self.entries.push(entry);
        true
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u32, u64, Option<u64>),
    Get(u8),
    Peek(u8),
    Touch(u8, Option<u64>),
    Remove(u8),
    RemoveFirst,
    Expire,
    Resize(u64),
    Clear,
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..12_u8;
    let ttl = || prop::option::of(1..50_u64);
    prop_oneof![
        6 => (key(), any::<u32>(), 0..4_u64, ttl()).prop_map(|(k, v, w, t)| Step::Set(k, v, w, t)),
        6 => key().prop_map(Step::Get),
        1 => key().prop_map(Step::Peek),
        1 => (key(), ttl()).prop_map(|(key, ttl)| Step::Touch(key, ttl)),
        1 => key().prop_map(Step::Remove),
        1 => Just(Step::RemoveFirst),
        1 => Just(Step::Expire),
        1 => (4..12_u64).prop_map(Step::Resize),
        1 => Just(Step::Clear),
        3 => (0..30_u64).prop_map(Step::Advance),
    ]
}

fn listed(evictions: Evictions<u8, u32>) -> Gone {
    let mut gone = Gone::new();
    let len = evictions.len();
    evictions.for_each(|evicted| gone.push((evicted.key, evicted.value, evicted.cause)));
    assert_eq!(len, gone.len());
    gone
}

fn deadline(now: u64, ttl: Option<u64>) -> u64 {
    ttl.map_or(NEVER, |ttl| now + ttl)
}

/// All keys of one hash: the table has to tell them apart by equality alone.
fn hash(key: u8, colliding: bool) -> u64 {
    if colliding { 7 } else { u64::from(key) << 40 }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
fn run(
    weighted: bool,
    tti: Option<u64>,
    colliding: bool,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut cache = Cache::<u8, u32>::new(8, weighted, tti, 42);
    let (entries, counters) = (Vec::new(), Counters::default());
    let mut model = Model {
        entries,
        capacity: 8,
        tti,
        assigned: 0,
        counters,
    };
    let mut now = 1_000;
    for step in steps {
        let (mut out, mut gone) = (Evictions::new(), Gone::new());
        let hash = |key| hash(key, colliding);
        let find = |cache: &Cache<u8, u32>, key| cache.find(hash(key), |other| *other == key);
        match step {
            Step::Set(key, value, weight, ttl) => {
                let weight = if weighted { weight } else { 1 };
                cache.reclaim(&now, &mut out);
                let at = find(&cache, key);
                let fixed = deadline(now, ttl);
                prop_assert!(
                    cache
                        .set(at, hash(key), key, value, weight, fixed, now, &mut out)
                        .is_ok()
                );
                gone = model.set(key, value, weight, fixed, now);
            }
            Step::Get(key) => {
                let at = find(&cache, key);
                let got = match cache.get(at, &now) {
                    Lookup::Hit(value, _) => Some(*value),
                    Lookup::Miss(evicted) => {
                        out = evicted.into();
                        None
                    }
                };
                prop_assert_eq!(got, model.get(key, now, &mut gone));
            }
            Step::Peek(key) => {
                let at = find(&cache, key);
                let peeked = cache
                    .peek(at, &now)
                    .map(|(value, deadline)| (*value, deadline));
                let at = model
                    .position(key)
                    .filter(|at| model.entries[*at].deadline > now);
                let expected = at.map(|at| (model.entries[at].value, model.entries[at].deadline));
                prop_assert_eq!(peeked, expected);
            }
            Step::Touch(key, ttl) => {
                let at = find(&cache, key);
                let fixed = deadline(now, ttl);
                let touched = cache.touch(at, fixed, now, &mut out);
                prop_assert_eq!(touched, model.touch(key, fixed, now, &mut gone));
            }
            Step::Remove(key) => {
                let at = find(&cache, key);
                out = cache.remove(at, &now).into();
                if let Some(at) = model.live(key, now, &mut gone) {
                    model.expel(at, Cause::Deleted, &mut gone);
                }
            }
            Step::RemoveFirst => {
                out = cache.remove_first().into();
                if !model.entries.is_empty() {
                    model.expel(0, Cause::Deleted, &mut gone);
                }
            }
            Step::Expire => {
                cache.expire(&now, &mut out);
                while model.expire_one(now, &mut gone) {}
            }
            Step::Resize(capacity) => {
                cache.resize(capacity, now, &mut out);
                model.capacity = capacity;
                model.make_room(0, now, &mut gone);
            }
            Step::Clear => {
                cache.clear(&mut out);
                while !model.entries.is_empty() {
                    model.expel(0, Cause::Deleted, &mut gone);
                }
            }
            Step::Advance(by) => now += by,
        }
        prop_assert_eq!(listed(out), gone);
        let pairs: Vec<_> = cache.iter().copied().collect();
        let expected: Vec<_> = model
            .entries
            .iter()
            .map(|entry| (entry.key, entry.value))
            .collect();
        prop_assert_eq!(&pairs, &expected);
        let mut unordered: Vec<_> = cache.entries().copied().collect();
        unordered.sort_unstable();
        let mut sorted = expected;
        sorted.sort_unstable();
        prop_assert_eq!(unordered, sorted);
        prop_assert_eq!(cache.len(), model.entries.len());
        prop_assert_eq!(cache.is_empty(), model.entries.is_empty());
        prop_assert_eq!(cache.weight(), u128::from(model.weight()));
        prop_assert_eq!(cache.counters, model.counters);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_cache_does_what_the_model_does(
        weighted in any::<bool>(),
        tti in prop::option::of(1..40_u64),
        colliding in any::<bool>(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        run(weighted, tti, colliding, steps)?;
    }
}

#[test]
fn expired_entries_nobody_touches_are_reclaimed_by_writes() {
    let mut cache = Cache::<u32, u32>::new(u64::MAX, false, None, 1);
    let mut out = Evictions::new();
    for key in 0..1_000 {
        let stored = cache.set(None, u64::from(key), key, 0, 1, 10, 0, &mut out);
        assert!(stored.is_ok());
    }
    for key in 1_000..1_125 {
        cache.reclaim(&20, &mut out);
        let stored = cache.set(None, u64::from(key), key, 0, 1, NEVER, 20, &mut out);
        assert!(stored.is_ok());
    }
    assert_eq!(cache.len(), 125);
    assert_eq!(cache.counters.expirations, 1_000);
}
