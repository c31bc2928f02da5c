//! The calls that a breaker looks at: the last so many, or those of the last so many seconds.

/// Parts of a window of time, each of which is forgotten at once.
const BUCKETS: usize = 10;

const FAILED: u8 = 1;
const SLOW: u8 = 2;

/// Counts of calls that forget the oldest ones.
pub enum Window {
    /// The last so many calls.
    Count(Count),
    /// The calls of some time.
    Time(Box<Time>),
}

/// A ring of results.
pub struct Count {
    size: usize,
    results: Vec<u8>,
    next: usize,
    failures: u64,
    slow: u64,
}

/// Counts in buckets, each with the number of its time.
pub struct Time {
    bucket: u64,
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    number: u64,
    calls: u64,
    failures: u64,
    slow: u64,
}

impl Window {
    /// The last `size` calls.
    pub fn count(size: usize) -> Self {
        Self::Count(Count {
            size: size.max(1),
            results: Vec::new(),
            next: 0,
            failures: 0,
            slow: 0,
        })
    }

    /// The calls of the last `length` nanoseconds, give or take a tenth.
    pub fn time(length: u64) -> Self {
        Self::Time(Box::new(Time {
            bucket: (length / BUCKETS as u64).max(1),
            buckets: [Bucket::default(); BUCKETS],
        }))
    }

    /// Whether it needs to know the time.
    #[inline]
    pub fn is_timed(&self) -> bool {
        matches!(self, Self::Time(_))
    }

    /// Adds a call that ended now.
    #[inline]
    pub fn record(&mut self, now: u64, failed: bool, slow: bool) {
        match self {
            Self::Count(window) => window.record(failed, slow),
            Self::Time(window) => window.record(now, failed, slow),
        }
    }

    /// Calls, failures, slow calls.
    #[inline]
    pub fn totals(&self, now: u64) -> (u64, u64, u64) {
        match self {
            Self::Count(window) => (window.results.len() as u64, window.failures, window.slow),
            Self::Time(window) => window.totals(now),
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = match self {
            Self::Count(window) => Self::count(window.size),
            Self::Time(window) => Self::Time(Box::new(Time {
                bucket: window.bucket,
                buckets: [Bucket::default(); BUCKETS],
            })),
        };
    }
}

impl Count {
    #[inline]
    fn record(&mut self, failed: bool, slow: bool) {
        let result = u8::from(failed) * FAILED + u8::from(slow) * SLOW;
        if self.results.len() < self.size {
            self.results.push(result);
        } else if let Some(oldest) = self.results.get_mut(self.next) {
            let gone = std::mem::replace(oldest, result);
            self.failures -= u64::from(gone & FAILED != 0);
            self.slow -= u64::from(gone & SLOW != 0);
            self.next = if self.next + 1 == self.size {
                0
            } else {
                self.next + 1
            };
        }
        self.failures += u64::from(failed);
        self.slow += u64::from(slow);
    }
}

impl Time {
    fn record(&mut self, now: u64, failed: bool, slow: bool) {
        let number = now / self.bucket;
        let at = usize::try_from(number % BUCKETS as u64).unwrap_or(0);
        if let Some(bucket) = self.buckets.get_mut(at) {
            if bucket.number != number {
                *bucket = Bucket {
                    number,
                    ..Bucket::default()
                };
            }
            bucket.calls += 1;
            bucket.failures += u64::from(failed);
            bucket.slow += u64::from(slow);
        }
    }

    fn totals(&self, now: u64) -> (u64, u64, u64) {
        let number = now / self.bucket;
        let live = |bucket: &&Bucket| bucket.number + BUCKETS as u64 > number;
        let add = |(calls, failures, slow), bucket: &Bucket| {
            (
                calls + bucket.calls,
                failures + bucket.failures,
                slow + bucket.slow,
            )
        };
        self.buckets.iter().filter(live).fold((0, 0, 0), add)
    }
}
