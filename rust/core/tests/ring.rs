//! The ring against a plain list.

use penstock_core::{Pushed, Ring};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Push {
        weight: u64,
        force: bool,
    },
    Pop {
        count: usize,
    },
    Remove {
        modulo: u64,
    },
    Listen {
        items: Option<usize>,
        weight: Option<u64>,
    },
    ListenAgain,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..5_u64, any::<bool>()).prop_map(|(weight, force)| Step::Push { weight, force }),
        4 => (0..4_usize).prop_map(|count| Step::Pop { count }),
        1 => (1..4_u64).prop_map(|modulo| Step::Remove { modulo }),
        2 => (proptest::option::of(1..6_usize), proptest::option::of(0..9_u64))
            .prop_map(|(items, weight)| Step::Listen { items, weight }),
        1 => Just(Step::ListenAgain),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn a_ring_is_a_list(capacity in 0..6_usize, steps in prop::collection::vec(step(), 0..200)) {
        let mut ring = Ring::new(capacity);
        let mut list: Vec<(u64, u64)> = Vec::new();
        let (mut pushed, mut closed) = (0, false);
        let mut levels = Some((Some(1), None));
        let reach = |list: &[(u64, u64)], levels: &mut Option<(Option<usize>, Option<u64>)>| {
            let Some((items, weight)) = *levels else { return false };
            let total: u64 = list.iter().map(|entry| entry.1).sum();
            let reached = items.is_some_and(|items| list.len() >= items)
                || weight.is_some_and(|weight| total >= weight);
            if reached {
                *levels = None;
            }
            reached
        };
        for (at, step) in (0_u64..).zip(steps) {
            match step {
                Step::Push { weight, force } => {
                    let fits = !closed && (force || list.len() < capacity);
                    let outcome = ring.push(at, weight, at, force);
                    if fits {
                        list.push((pushed, weight));
                        pushed += 1;
                        let reached = reach(&list, &mut levels);
                        prop_assert_eq!(outcome, Pushed::In { reached });
                    } else {
                        prop_assert_eq!(outcome, Pushed::Refused(at));
                    }
                }
                Step::Pop { count } => {
                    let popped = ring.pop(count);
                    let expected: Vec<_> = list.drain(..count.min(list.len())).collect();
                    let popped: Vec<_> = popped.iter().map(|entry| (entry.number, entry.weight)).collect();
                    prop_assert_eq!(popped, expected);
                }
                Step::Remove { modulo } => {
                    let left = ring.remove(|number| number % modulo == 0);
                    let numbers: Vec<_> = left.iter().map(|entry| entry.number).collect();
                    let (gone, stay) = list.into_iter().partition(|entry| entry.0 % modulo == 0);
                    let gone: Vec<(u64, u64)> = gone;
                    list = stay;
                    prop_assert_eq!(numbers, gone.iter().map(|entry| entry.0).collect::<Vec<_>>());
                }
                Step::Listen { items, weight } => {
                    levels = Some((items, weight));
                    let reached = reach(&list, &mut levels);
                    prop_assert_eq!(ring.listen(items, weight), reached);
                }
                Step::ListenAgain => {
                    levels = Some((Some(1), None));
                    ring.listen_again();
                }
                Step::Close => {
                    closed = at % 7 == 0 || closed;
                    if closed {
                        ring.close();
                    }
                }
            }
            prop_assert_eq!(ring.len(), list.len());
            prop_assert_eq!(ring.pushed(), pushed);
            prop_assert_eq!(ring.removed(), pushed - list.len() as u64);
            prop_assert_eq!(ring.is_full(), list.len() >= capacity);
            let total: u64 = list.iter().map(|entry| entry.1).sum();
            prop_assert_eq!(ring.weight(), u128::from(total));
            prop_assert_eq!(ring.front().map(|entry| entry.number), list.first().map(|entry| entry.0));
        }
    }
}
