//! Latencies of those who held permits, summed up window by window.

/// How what somebody did with a permit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its latency counts.
    Success,
    /// Its latency counts, and it is a sign of overload.
    Dropped,
    /// It says nothing about the load.
    Ignored,
}

/// Latencies that are kept of one window, for its percentiles.
const MOST: usize = 4096;

/// What one window was like; durations in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many were sampled.
    pub count: u64,
    /// How many of them were dropped.
    pub dropped: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// Sum of all latencies.
    pub sum: u64,
    /// Shortest latency.
    pub minimum: u64,
    /// Most permits in use at a time.
    pub peak: u64,
    /// Length of the window.
    pub length: u64,
}

/// Notes when permits are taken and what became of it.
pub struct Sampler {
    interval: u64,
    samples: u64,
    /// Who holds permits since when, in the order in which they were taken.
    starts: Vec<(usize, u64)>,
    window: Option<Window>,
    /// The memory of the last window, to be used again.
    spare: Vec<u64>,
}

struct Window {
    began: u64,
    latencies: Vec<u64>,
    count: u64,
    dropped: u64,
    sum: u64,
    minimum: u64,
    peak: u64,
}

impl Sampler {
    /// A window ends with the first sample after `interval` nanoseconds that is at least the
    /// `samples`-th.
    pub fn new(interval: u64, samples: u64) -> Self {
        Self {
            interval,
            samples: samples.max(1),
            starts: Vec::new(),
            window: None,
            spare: Vec::new(),
        }
    }

    /// Notes that `key` holds permits from now on, with which `in_use` are held in all.
    #[inline]
    pub fn begin(&mut self, key: usize, now: u64, in_use: u64) {
        self.starts.push((key, now));
        let spare = &mut self.spare;
        let window = self.window.get_or_insert_with(|| Window {
            began: now,
            latencies: std::mem::take(spare),
            count: 0,
            dropped: 0,
            sum: 0,
            minimum: u64::MAX,
            peak: 0,
        });
        window.peak = window.peak.max(in_use);
    }

    /// Notes that `key` gave back what it took last; the summary of the window if it is over.
    ///
    /// A key that took nothing stands for somebody else's permits: what was noted first is forgotten,
    /// so that no more is noted than is held, of which `in_use` are left.
    #[inline]
    pub fn end(&mut self, key: usize, now: u64, outcome: Outcome, in_use: u64) -> Option<Summary> {
        let summary = self.end_of(key, now, outcome);
        // What was taken one by one may be given back together.
        let held = usize::try_from(in_use).unwrap_or(usize::MAX);
        if self.starts.len() > held {
            self.starts.drain(..self.starts.len() - held);
        }
        summary
    }

    #[inline]
    fn end_of(&mut self, key: usize, now: u64, outcome: Outcome) -> Option<Summary> {
        let Some(at) = self.starts.iter().rposition(|(owner, _)| *owner == key) else {
            if !self.starts.is_empty() {
                self.starts.remove(0);
            }
            return None;
        };
        let (_, start) = self.starts.remove(at);
        let window = self.window.as_mut()?;
        if outcome == Outcome::Ignored {
            return None;
        }
        let latency = now.saturating_sub(start);
        window.count += 1;
        window.dropped += u64::from(outcome == Outcome::Dropped);
        window.sum = window.sum.saturating_add(latency);
        window.minimum = window.minimum.min(latency);
        if window.latencies.len() < MOST {
            window.latencies.push(latency);
        }
        let length = now.saturating_sub(window.began);
        if window.count < self.samples || length < self.interval {
            return None;
        }
        let mut window = self.window.take()?;
        let summary = window.sum_up(length);
        window.latencies.clear();
        self.spare = window.latencies;
        Some(summary)
    }
}

impl Window {
    #[cold]
    fn sum_up(&mut self, length: u64) -> Summary {
        self.latencies.sort_unstable();
        let rank = |tenths: usize| {
            let nearest = (self.latencies.len() * tenths).div_ceil(10).max(1) - 1;
            self.latencies.get(nearest).copied().unwrap_or(0)
        };
        Summary {
            count: self.count,
            dropped: self.dropped,
            p50: rank(5),
            p90: rank(9),
            sum: self.sum,
            minimum: self.minimum,
            peak: self.peak,
            length,
        }
    }
}
