//! `Window` against a list of all observations.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "a few small numbers, kept as they were given"
)]

use penstock_core::metrics::{STEPS, Window};
use proptest::prelude::*;

const STEP: u64 = 5_000_000_000;
const ERROR: f64 = 0.010_832;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-60.0..60.0f64).prop_map(f64::exp2),
        2 => (-60.0..60.0f64).prop_map(|exponent| -exponent.exp2()),
        1 => Just(0.0),
        1 => Just(1.0),
        1 => Just(f64::INFINITY),
    ]
}

proptest! {
    #[test]
    fn quantiles_are_off_by_no_more_than_the_layout_allows(
        observed in prop::collection::vec((value(), 0u64..8_000_000_000), 1..60),
        steps in 1..=STEPS,
        q in 0.0..=1.0f64,
    ) {
        let origin = 1_000;
        let mut now = origin;
        let mut window = Window::new(STEP, origin);
        let mut all = Vec::new();
        for (value, later) in observed {
            now += later;
            window.record(value, now);
            all.push(((now - origin) / STEP, value));
            let last = (now - origin) / STEP;
            let mut inside: Vec<f64> = all
                .iter()
                .filter(|(step, _)| step + steps > last)
                .map(|(_, value)| *value)
                .collect();
            inside.sort_by(f64::total_cmp);
            let totals = window.totals(now, steps);
            prop_assert_eq!(totals.count as usize, inside.len());
            prop_assert_eq!(totals.max, *inside.last().unwrap());
            prop_assert_eq!(totals.min, inside[0]);
            let rank = ((q * inside.len() as f64).ceil() as usize).clamp(1, inside.len());
            let exact = inside[rank - 1];
            let estimate = window.quantile(q, now, steps).unwrap();
            let close = (estimate - exact).abs() <= exact.abs() * ERROR;
            prop_assert!(close || estimate == exact, "{} for {}", estimate, exact);
        }
        prop_assert_eq!(window.quantile(q, now + STEPS * STEP, steps), None);
    }
}

#[test]
fn beyond_64_octaves_the_nearest_bucket_counts() {
    let mut window = Window::new(STEP, 0);
    for octave in 0..64 {
        window.record(1.5 * f64::from(octave).exp2(), 0);
    }
    window.record(1e-9, 0);
    let lowest = window.quantile(0.0, 0, STEPS).unwrap();
    assert!((1.0..1.02).contains(&lowest), "{lowest}");
    assert_eq!(window.totals(0, STEPS).min, 1e-9);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut window = Window::new(STEP, 0);
    window.record(1.0, 3 * STEP);
    window.record(2.0, 0);
    assert_eq!(window.totals(0, 1).count, 2);
}
