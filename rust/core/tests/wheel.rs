//! The wheel against a sorted map of (deadline, order of assignment).

use std::collections::{BTreeMap, HashMap};

use penstock_core::{NEVER, Wheel};
use proptest::prelude::*;

#[derive(Default)]
struct Model {
    queue: BTreeMap<(u64, u64), u32>,
    places: HashMap<u32, (u64, u64)>,
    assigned: u64,
}

impl Model {
    fn cancel(&mut self, at: u32) {
        if let Some(key) = self.places.remove(&at) {
            self.queue.remove(&key);
        }
    }

    fn schedule(&mut self, at: u32, deadline: u64) {
        self.cancel(at);
        if deadline != NEVER {
            self.assigned += 1;
            self.queue.insert((deadline, self.assigned), at);
            self.places.insert(at, (deadline, self.assigned));
        }
    }

    fn pop_due(&mut self, now: u64) -> Option<u32> {
        let (&(deadline, _), &at) = self.queue.first_key_value()?;
        (deadline <= now).then(|| {
            self.cancel(at);
            at
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
    Schedule(u32, u64),
    Cancel(u32),
    Advance(u64),
    Pop,
}

/// Distances of every size, near ones and equal ones often.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4_u64,
        0..200_u64,
        0..1_000_000_u64,
        (0..60_u32).prop_map(|bits| 1 << bits)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_u32, distance()).prop_map(|(at, later)| Step::Schedule(at, later)),
        1 => (0..40_u32).prop_map(Step::Cancel),
        2 => distance().prop_map(Step::Advance),
        4 => Just(Step::Pop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn entries_come_out_by_deadline_and_then_by_assignment(
        start in any::<u32>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let (mut wheel, mut model) = (Wheel::default(), Model::default());
        let mut now = u64::from(start);
        for step in steps {
            match step {
                Step::Schedule(at, later) => {
                    let deadline = now.saturating_add(later);
                    wheel.schedule(at, deadline);
                    model.schedule(at, deadline);
                }
                Step::Cancel(at) => {
                    wheel.cancel(at);
                    model.cancel(at);
                }
                Step::Advance(by) => now = now.saturating_add(by).min(NEVER - 1),
                Step::Pop => {
                    let due = wheel.may_be_due(now);
                    let popped = wheel.pop_due(now);
                    prop_assert_eq!(popped, model.pop_due(now));
                    prop_assert!(due || popped.is_none());
                }
            }
            for at in 0..40 {
                let expected = model.places.get(&at).map_or(NEVER, |key| key.0);
                prop_assert_eq!(wheel.deadline(at), expected);
            }
        }
    }
}

#[test]
fn a_deadline_that_is_over_when_it_is_set_is_due_at_once() {
    let mut wheel = Wheel::default();
    wheel.schedule(0, 1_000);
    assert_eq!(wheel.pop_due(1_000), Some(0));
    wheel.schedule(1, 10);
    assert_eq!(wheel.pop_due(1_000), Some(1));
}

#[test]
fn the_whole_range_of_deadlines_is_usable() {
    let mut wheel = Wheel::default();
    wheel.schedule(0, NEVER - 1);
    wheel.schedule(1, 1 << 63);
    wheel.schedule(2, 0);
    assert_eq!(wheel.pop_due(0), Some(2));
    assert_eq!(wheel.pop_due((1 << 63) - 1), None);
    assert_eq!(wheel.pop_due(1 << 63), Some(1));
    assert_eq!(wheel.pop_due(NEVER - 1), Some(0));
}
