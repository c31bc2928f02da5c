//! The queue of waiters against a list that is searched from end to end.

use penstock_core::flow::{Enqueued, NotHeld, Order, Waiters};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Try(u64),
    Enqueue(u64, i64),
    Withdraw(usize),
    Release(usize),
    Resize(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..4_u64).prop_map(Step::Try),
        5 => ((1..6_u64), -1..3_i64).prop_map(|(weight, priority)| Step::Enqueue(weight, priority)),
        3 => any::<usize>().prop_map(Step::Withdraw),
        5 => any::<usize>().prop_map(Step::Release),
        1 => (1..8_u64).prop_map(Step::Resize),
    ];
    prop::collection::vec(step, 0..200)
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Priority)]
}

/// One that waits: ticket, weight, priority. The model looks at all of them each time.
type Waiting = (u64, u64, i64);

struct Model {
    order: Order,
    limit: u64,
    held: Vec<u64>,
    line: Vec<Waiting>,
}

impl Model {
    fn in_use(&self) -> u64 {
        self.held.iter().sum()
    }

    fn fits(&self, weight: u64) -> bool {
        self.held.is_empty() || self.in_use() + weight <= self.limit
    }

    fn first(&self) -> Option<Waiting> {
        let waiting = self.line.iter().copied();
        match self.order {
            Order::Fifo => waiting.min_by_key(|(ticket, _, _)| *ticket),
            Order::Lifo => waiting.max_by_key(|(ticket, _, _)| *ticket),
            Order::Priority => waiting.min_by_key(|(ticket, _, priority)| (*priority, *ticket)),
        }
    }

    fn grant(&mut self) -> Vec<u64> {
        let mut granted = Vec::new();
        while let Some((ticket, weight, _)) = self.first()
            && self.fits(weight)
        {
            self.line.retain(|(other, _, _)| *other != ticket);
            self.held.push(weight);
            granted.push(ticket);
        }
        granted
    }
}

proptest! {
    #[test]
    fn behaves_as_the_model(order in orders(), steps in steps()) {
        let mut waiters: Waiters<u64> = Waiters::new(3, order, Some(20));
        let mut model = Model { order, limit: 3, held: Vec::new(), line: Vec::new() };
        let mut next = 1;
        for step in steps {
            let mut granted = Vec::new();
            let mut expected = Vec::new();
            match step {
                Step::Try(weight) => {
                    let free = model.line.is_empty() && model.fits(weight);
                    prop_assert_eq!(waiters.try_acquire(weight), free);
                    if free {
                        model.held.push(weight);
                    }
                }
                Step::Enqueue(weight, priority) => {
                    let leads = match order {
                        Order::Fifo => model.line.is_empty(),
                        Order::Lifo => true,
                        Order::Priority => model.line.iter().all(|(_, _, other)| priority < *other),
                    };
                    let free = leads && model.fits(weight);
                    match waiters.enqueue(next, weight, priority, 0) {
                        Enqueued::Granted(who) => {
                            prop_assert!(free);
                            prop_assert_eq!(who, next);
                            model.held.push(weight);
                        }
                        Enqueued::Full(_) => prop_assert!(!free && model.line.len() == 20),
                        Enqueued::Waiting(ticket) => {
                            prop_assert!(!free);
                            prop_assert_eq!(ticket, next);
                            model.line.push((ticket, weight, priority));
                            next += 1;
                        }
                    }
                }
                Step::Withdraw(which) => {
                    let ticket = match model.line.len() {
                        0 => next + 7,
                        len => model.line[which % len].0,
                    };
                    let known = model.line.iter().any(|(other, _, _)| *other == ticket);
                    model.line.retain(|(other, _, _)| *other != ticket);
                    expected = model.grant();
                    let left = waiters.withdraw(ticket, false, 0, &mut granted);
                    prop_assert_eq!(left.is_some(), known);
                    prop_assert_eq!(waiters.withdraw(ticket, false, 0, &mut granted), None);
                }
                Step::Release(which) => {
                    if model.held.is_empty() {
                        prop_assert_eq!(waiters.release(1, || 0, &mut granted), Err(NotHeld));
                    } else {
                        let weight = model.held.swap_remove(which % model.held.len());
                        prop_assert_eq!(waiters.release(weight, || 0, &mut granted), Ok(()));
                        expected = model.grant();
                    }
                }
                Step::Resize(limit) => {
                    model.limit = limit;
                    expected = model.grant();
                    waiters.resize(limit, 0, &mut granted);
                }
            }
            prop_assert_eq!(granted, expected);
            prop_assert_eq!(waiters.in_use(), model.in_use());
            prop_assert_eq!(waiters.waiting(), model.line.len());
            // Nobody is forgotten: whoever is first in line does not fit.
            prop_assert!(model.first().is_none_or(|(_, weight, _)| !model.fits(weight)));
        }
    }
}
