//! Observations of the last while: a ring of sub-windows, each a sparse exponential histogram.

use super::octave::{BUCKETS, Place};

/// Sub-windows of a window.
pub const STEPS: u64 = 12;
/// Most powers of two that one sub-window tells apart.
const OCTAVES: usize = 64;

/// One power of two: how many observations each of its buckets has.
#[derive(Clone)]
struct Page {
    octave: i16,
    counts: [u32; BUCKETS],
}

/// One sub-window.
#[derive(Clone)]
struct Step {
    number: u64,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    zeros: u64,
    /// Negative and positive ones.
    infinite: [u64; 2],
    /// By octave.
    pages: Vec<Page>,
}

impl Step {
    fn new(number: u64) -> Self {
        Self {
            number,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            zeros: 0,
            infinite: [0; 2],
            pages: Vec::new(),
        }
    }

    #[inline]
    fn record(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value.is_infinite() {
            self.infinite[usize::from(value > 0.0)] += 1;
            return;
        }
        let Some(place) = Place::of(value) else {
            self.zeros += 1;
            return;
        };
        let (page, bucket) = self.place(place);
        let count = &mut self.pages[page].counts[bucket];
        *count = count.saturating_add(1);
    }

    /// The page and the bucket for a place; once there are 64 octaves, the nearest there is.
    #[inline]
    fn place(&mut self, place: Place) -> (usize, usize) {
        let bucket = usize::from(place.bucket);
        // Latencies lie in a few octaves: looking at each is faster than halving.
        if self.pages.len() <= 8
            && let Some(at) = self
                .pages
                .iter()
                .position(|page| page.octave == place.octave)
        {
            return (at, bucket);
        }
        match self
            .pages
            .binary_search_by_key(&place.octave, |page| page.octave)
        {
            Ok(at) => (at, bucket),
            Err(at) if self.pages.len() < OCTAVES => {
                let page = Page {
                    octave: place.octave,
                    counts: [0; BUCKETS],
                };
                self.pages.insert(at, page);
                (at, bucket)
            }
            Err(at) => self.nearest(at, place.octave),
        }
    }

    /// The bucket next to where an octave would be: the top of the one below or the bottom of the one above.
    #[cold]
    fn nearest(&self, at: usize, octave: i16) -> (usize, usize) {
        let below = at.checked_sub(1).map(|at| (at, self.pages[at].octave));
        let above = self.pages.get(at).map(|page| (at, page.octave));
        let (page, key, top) = match (below, above) {
            (Some((page, key)), None) => (page, key, true),
            (Some((page, key)), Some((_, other))) if octave - key <= other - octave => {
                (page, key, true)
            }
            (_, Some((page, key))) => (page, key, false),
            (None, None) => (0, octave, false),
        };
        // In negative octaves buckets with larger magnitudes hold smaller numbers.
        (page, if top == (key > 0) { BUCKETS - 1 } else { 0 })
    }
}

/// What a window held: count, sum, extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    /// Observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest, +Inf when there is none.
    pub min: f64,
    /// The largest, -Inf when there is none.
    pub max: f64,
}

/// A sliding window in [`STEPS`] steps, aligned to its first observation.
pub struct Window {
    step: u64,
    origin: u64,
    /// The number of the current step, and the time at which it ends.
    current: u64,
    end: u64,
    steps: Vec<Step>,
}

impl Window {
    /// A window whose steps are `step` nanoseconds long, from `origin` on.
    pub fn new(step: u64, origin: u64) -> Self {
        Self {
            step,
            origin,
            current: 0,
            end: origin.saturating_add(step),
            steps: Vec::new(),
        }
    }

    /// Counts an observation, which is no NaN. A clock that went back stands still.
    #[inline]
    pub fn record(&mut self, value: f64, now: u64) {
        if now >= self.end {
            self.advance(now);
        }
        let current = self.current;
        if let Some(step) = self.steps.last_mut()
            && step.number == current
        {
            return step.record(value);
        }
        self.begin(current).record(value);
    }

    #[cold]
    fn advance(&mut self, now: u64) {
        self.current = now.saturating_sub(self.origin) / self.step;
        self.end = self
            .origin
            .saturating_add((self.current + 1).saturating_mul(self.step));
    }

    #[cold]
    fn begin(&mut self, number: u64) -> &mut Step {
        self.steps.retain(|step| step.number + STEPS > number);
        self.steps.push(Step::new(number));
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    fn within(&mut self, now: u64, steps: u64) -> impl Iterator<Item = &Step> {
        if now >= self.end {
            self.advance(now);
        }
        let after = self.current;
        self.steps
            .iter()
            .filter(move |step| step.number + steps > after)
    }

    /// Count, sum and extremes of the last `steps` steps.
    pub fn totals(&mut self, now: u64, steps: u64) -> Totals {
        let empty = Totals {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        };
        self.within(now, steps).fold(empty, |all, step| Totals {
            count: all.count + step.count,
            sum: all.sum + step.sum,
            min: all.min.min(step.min),
            max: all.max.max(step.max),
        })
    }

    /// The `q`-quantile by nearest rank over the last `steps` steps, 0 <= q <= 1.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is between 1 and the count"
    )]
    pub fn quantile(&mut self, q: f64, now: u64, steps: u64) -> Option<f64> {
        let totals = self.totals(now, steps);
        if totals.count == 0 {
            return None;
        }
        let rank = ((q * totals.count as f64).ceil() as u64).clamp(1, totals.count);
        let estimate = self.ranked(rank, now, steps);
        Some(estimate.clamp(totals.min, totals.max))
    }

    fn ranked(&mut self, rank: u64, now: u64, steps: u64) -> f64 {
        let (mut seen, mut zeros) = (0, 0);
        let mut pages: Vec<&Page> = Vec::new();
        for step in self.within(now, steps) {
            seen += step.infinite[0];
            zeros += step.zeros;
            pages.extend(&step.pages);
        }
        pages.sort_by_key(|page| page.octave);
        let negative = pages.partition_point(|page| page.octave < 0);
        if seen >= rank {
            return f64::NEG_INFINITY;
        }
        for group in pages[..negative].chunk_by(|one, other| one.octave == other.octave) {
            if let Some(place) = find(group, (0..BUCKETS).rev(), rank, &mut seen) {
                return place.estimate();
            }
        }
        seen += zeros;
        if seen >= rank {
            return 0.0;
        }
        for group in pages[negative..].chunk_by(|one, other| one.octave == other.octave) {
            if let Some(place) = find(group, 0..BUCKETS, rank, &mut seen) {
                return place.estimate();
            }
        }
        f64::INFINITY
    }
}

/// The bucket that holds the observation of this rank, in pages of one octave.
fn find(
    group: &[&Page],
    buckets: impl Iterator<Item = usize>,
    rank: u64,
    seen: &mut u64,
) -> Option<Place> {
    let octave = group.first()?.octave;
    for bucket in buckets {
        let counts = group.iter().map(|page| u64::from(page.counts[bucket]));
        *seen += counts.sum::<u64>();
        if *seen >= rank {
            let bucket = u8::try_from(bucket).ok()?;
            return Some(Place { octave, bucket });
        }
    }
    None
}
