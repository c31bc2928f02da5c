//! The generic cell rate algorithm: a rate with a burst, in one number.

/// A limit of so many per second, of which some may come at once.
///
/// Source: ITU-T I.371, in its virtual scheduling form.
#[derive(Debug)]
pub struct Gcra {
    /// Nanoseconds between two at the steady rate.
    interval: u64,
    burst: u64,
    /// When the next one would be due if all came at the steady rate: a low rate and a large burst
    /// reach further than 64 bits.
    arrival: u128,
    last: u64,
}

impl Gcra {
    /// One per `interval` nanoseconds, and `burst` at once after a while of none.
    pub fn new(interval: u64, burst: u64) -> Self {
        Self {
            interval: interval.max(1),
            burst: burst.max(1),
            arrival: 0,
            last: 0,
        }
    }

    /// How many may come at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    fn advance(&mut self, now: u64) -> u64 {
        self.last = self.last.max(now);
        self.last
    }

    /// Lets `weight` through at `now`, or says after how many nanoseconds that could be.
    #[inline]
    pub fn take(&mut self, weight: u64, now: u64) -> Result<(), u64> {
        let now = u128::from(self.advance(now));
        let interval = u128::from(self.interval);
        let base = self.arrival.max(now);
        let next = base.saturating_add(u128::from(weight) * interval);
        let latest = now + u128::from(self.burst) * interval;
        if next > latest {
            return Err(u64::try_from(next - latest).unwrap_or(u64::MAX));
        }
        self.arrival = next;
        Ok(())
    }

    /// How many could come at once at `now`.
    pub fn available(&mut self, now: u64) -> u64 {
        let now = u128::from(self.advance(now));
        let debt = self.arrival.saturating_sub(now);
        let debt = debt.div_ceil(u128::from(self.interval));
        self.burst
            .saturating_sub(u64::try_from(debt).unwrap_or(u64::MAX))
    }

    /// Changes rate and burst; what was let through ahead of its time counts as many as before.
    pub fn change(&mut self, interval: u64, burst: u64, now: u64) {
        let now = u128::from(self.advance(now));
        let interval = interval.max(1);
        let ahead = self.arrival.saturating_sub(now);
        let (new, old) = (u128::from(interval), u128::from(self.interval));
        // In two steps, whole ones and the rest of one, neither of which overflows.
        let ahead = (ahead / old).saturating_mul(new) + ahead % old * new / old;
        self.arrival = now.saturating_add(ahead);
        self.interval = interval;
        self.burst = burst.max(1);
    }
}
