//! Rates, breakers and samples against what they promise.

use penstock_core::flow::{
    Admission, Breaker, Config, Gcra, Outcome, Sampler, State, Verdict, Window,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_stretch_of_time_lets_more_through_than_burst_and_rate(
        interval in 1..50_u64,
        burst in 1..6_u64,
        asks in prop::collection::vec((0..40_u64, 1..4_u64), 1..120),
    ) {
        let mut gcra = Gcra::new(interval, burst);
        let mut now = 1_000;
        let mut through: Vec<(u64, u64)> = Vec::new();
        for (wait, weight) in asks {
            now += wait;
            match gcra.take(weight, now) {
                Ok(()) => through.push((now, weight)),
                Err(after) => {
                    prop_assert!(after > 0);
                    // Exactly then it is let through, if that many may come at once at all.
                    if weight <= burst {
                        prop_assert!(gcra.take(weight, now + after - 1).is_err());
                        now += after;
                        prop_assert_eq!(gcra.take(weight, now), Ok(()));
                        through.push((now, weight));
                    }
                }
            }
        }
        for (at, (start, _)) in through.iter().enumerate() {
            let mut sum = 0;
            for (end, weight) in &through[at..] {
                sum += weight;
                prop_assert!(sum * interval <= burst * interval + (end - start));
            }
        }
    }

    #[test]
    fn a_window_of_calls_counts_the_last_ones(
        size in 1..20_usize,
        results in prop::collection::vec((any::<bool>(), any::<bool>()), 0..80),
    ) {
        let mut window = Window::count(size);
        for (failed, slow) in &results {
            window.record(0, *failed, *slow);
        }
        let last = &results[results.len().saturating_sub(size)..];
        let failures = last.iter().filter(|(failed, _)| *failed).count() as u64;
        let slow = last.iter().filter(|(_, slow)| *slow).count() as u64;
        prop_assert_eq!(window.totals(0), (last.len() as u64, failures, slow));
    }

    #[test]
    fn a_window_of_time_forgets_what_is_older(
        calls in prop::collection::vec((0..300_u64, any::<bool>()), 0..80),
    ) {
        let mut window = Window::time(1_000);
        let (mut now, mut made) = (5_000, Vec::new());
        for (wait, failed) in calls {
            now += wait;
            window.record(now, failed, false);
            made.push((now, failed));
        }
        let live: Vec<_> = made.iter().filter(|(at, _)| at / 100 + 10 > now / 100).collect();
        let failures = live.iter().filter(|(_, failed)| *failed).count() as u64;
        prop_assert_eq!(window.totals(now), (live.len() as u64, failures, 0));
    }

    #[test]
    fn percentiles_are_nearest_ranks(mut latencies in prop::collection::vec(0..1_000_u64, 1..200)) {
        let mut sampler = Sampler::new(0, latencies.len() as u64);
        let mut summary = None;
        for latency in &latencies {
            prop_assert_eq!(summary, None);
            sampler.begin(1, 10_000, 1);
            summary = sampler.end(1, 10_000 + latency, Outcome::Success, 10);
        }
        latencies.sort_unstable();
        let rank = |q: usize| latencies[(latencies.len() * q).div_ceil(10) - 1];
        let summary = summary.expect("a window of as many samples as there are");
        prop_assert_eq!((summary.p50, summary.p90), (rank(5), rank(9)));
        prop_assert_eq!(summary.minimum, latencies[0]);
        prop_assert_eq!(summary.sum, latencies.iter().sum::<u64>());
    }

    #[test]
    fn a_breaker_lets_nobody_through_while_open(
        steps in prop::collection::vec((0..30_u64, 0..4_u8, any::<prop::sample::Index>()), 0..200),
    ) {
        let mut breaker = Breaker::new(Config {
            window: Window::count(5),
            min_calls: 3,
            failure_rate: 0.5,
            slow_rate: 1.0,
            slow_after: None,
            trial_calls: 2,
            lease: 50,
            open: 100,
            max_open: 400,
            jitter: 0.0,
            seed: 1,
        });
        let (mut now, mut leases) = (1_000_u64, Vec::new());
        for (wait, what, which) in steps {
            now += wait;
            if what == 0 && !leases.is_empty() {
                let lease = leases.swap_remove(which.index(leases.len()));
                breaker.end(lease, Verdict::Failure, &now);
                // Reporting twice changes nothing.
                let state = breaker.state(&now);
                prop_assert_eq!(breaker.end(lease, Verdict::Failure, &now), None);
                prop_assert_eq!(breaker.state(&now), state);
            } else if what == 1 && !leases.is_empty() {
                let lease = leases.swap_remove(which.index(leases.len()));
                breaker.end(lease, Verdict::Success, &now);
            } else {
                let before = (breaker.state(&now), breaker.wait(&now));
                match breaker.begin(&now).0 {
                    Admission::Lease(lease) => {
                        prop_assert_ne!(before.0, State::Open);
                        prop_assert!(!leases.contains(&lease));
                        leases.push(lease);
                    }
                    Admission::Refused(wait) => {
                        prop_assert_ne!(before.0, State::Closed);
                        prop_assert!(wait > 0 && wait <= 400);
                        if before.0 == State::Open {
                            prop_assert_eq!(wait, before.1);
                        }
                    }
                }
            }
        }
    }
}
