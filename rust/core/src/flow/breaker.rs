//! A circuit breaker: calls go through while few of them fail, then none, then some on trial.

mod leases;
mod window;

use crate::Clock;
use leases::Leases;
pub use window::Window;

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All do.
    Closed,
    /// None does.
    Open,
    /// A few do, on trial.
    HalfOpen,
}

/// When to open, for how long, and when to close again; durations in nanoseconds.
pub struct Config {
    /// Which calls are looked at.
    pub window: Window,
    /// How many there must be before anything is concluded.
    pub min_calls: u64,
    /// Opens from this share of failures on.
    pub failure_rate: f64,
    /// Opens from this share of slow calls on.
    pub slow_rate: f64,
    /// Longer calls are slow; None: none is.
    pub slow_after: Option<u64>,
    /// How many go through at a time on trial, and have to succeed.
    pub trial_calls: u64,
    /// After this time a trial call does not count any more.
    pub lease: u64,
    /// How long it stays open the first time; twice as long after each failed trial.
    pub open: u64,
    /// Longest time that it stays open.
    pub max_open: u64,
    /// Part of that time which is random.
    pub jitter: f64,
    /// Where the randomness begins.
    pub seed: u64,
}

/// Whether a call may go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may; its result is reported under this number.
    Lease(u32),
    /// Not before so many nanoseconds have passed.
    Refused(u64),
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// It says nothing about what was called.
    Ignored,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls whose result was recorded.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that took too long.
    pub slow: u64,
    /// Calls that were refused.
    pub rejected: u64,
    /// How often it opened.
    pub opened: u64,
}

/// A change of state: from, to.
pub type Change = Option<(State, State)>;

/// The state machine; its owner says what time it is and makes the calls.
///
/// Each state has a generation, and a result that belongs to an older one is ignored. A trial call
/// holds its place for a limited time only, so that one that never ends does not keep it half open.
pub struct Breaker {
    config: Config,
    state: State,
    generation: u64,
    leases: Leases,
    /// Calls without a lease of this generation, and of older ones.
    plain: u64,
    stale: u64,
    plain_generation: u64,
    /// The leases on trial, oldest first.
    trials: Vec<u32>,
    successes: u64,
    /// How often in a row it opened again after a trial.
    reopened: u32,
    until: u64,
    last: u64,
    tally: Tally,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            state: State::Closed,
            generation: 1,
            leases: Leases::default(),
            plain: 0,
            stale: 0,
            plain_generation: 1,
            trials: Vec::new(),
            successes: 0,
            reopened: 0,
            until: 0,
            last: 0,
            tally: Tally::default(),
        }
    }

    fn now(&mut self, clock: &impl Clock) -> u64 {
        self.last = self.last.max(clock.now());
        self.last
    }

    /// The state at this time; an open one whose time is over is said to be half open.
    pub fn state(&mut self, clock: &impl Clock) -> State {
        if self.state == State::Open && self.now(clock) >= self.until {
            return State::HalfOpen;
        }
        self.state
    }

    /// Nanoseconds for which it stays open.
    pub fn wait(&mut self, clock: &impl Clock) -> u64 {
        if self.state != State::Open {
            return 0;
        }
        let now = self.now(clock);
        self.until.saturating_sub(now)
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Calls, failures and slow calls in the window.
    pub fn window(&mut self, clock: &impl Clock) -> (u64, u64, u64) {
        let now = if self.config.window.is_timed() {
            self.now(clock)
        } else {
            0
        };
        self.config.window.totals(now)
    }

    /// Asks whether a call may go through.
    #[inline]
    pub fn begin(&mut self, clock: &impl Clock) -> (Admission, Change) {
        if self.state == State::Closed {
            let start = match self.config.slow_after {
                Some(_) => self.now(clock),
                None => 0,
            };
            return (
                Admission::Lease(self.leases.open(self.generation, start)),
                None,
            );
        }
        self.begin_trial(clock)
    }

    fn begin_trial(&mut self, clock: &impl Clock) -> (Admission, Change) {
        let now = self.now(clock);
        let mut change = None;
        if self.state == State::Open {
            if now < self.until {
                self.tally.rejected += 1;
                return (Admission::Refused(self.until - now), None);
            }
            change = self.turn(State::HalfOpen);
        }
        self.forget_stuck(now);
        if self.trials.len() as u64 >= self.config.trial_calls {
            self.tally.rejected += 1;
            let oldest = self.trials.first().and_then(|&at| self.leases.get(at));
            let expiry = oldest.map_or(now, |lease| lease.start.saturating_add(self.config.lease));
            return (Admission::Refused(expiry.saturating_sub(now)), change);
        }
        let lease = self.leases.open(self.generation, now);
        self.trials.push(lease);
        (Admission::Lease(lease), change)
    }

    /// Takes their places from trial calls that did not end in time.
    fn forget_stuck(&mut self, now: u64) {
        while let Some(&at) = self.trials.first()
            && let Some(lease) = self.leases.get(at)
            && lease.start.saturating_add(self.config.lease) <= now
        {
            self.leases.void(at);
            self.trials.remove(0);
        }
    }

    /// Reports how the call under this lease went.
    #[inline]
    pub fn end(&mut self, at: u32, verdict: Verdict, clock: &impl Clock) -> Change {
        let lease = self.leases.close(at)?;
        if lease.generation != self.generation {
            return None;
        }
        if self.state == State::HalfOpen {
            self.trials.retain(|&trial| trial != at);
        }
        self.record(lease.start, verdict, clock)
    }

    /// Asks whether a call may go through that is told from no other; not, if it must be.
    #[inline]
    pub fn begin_plain(&mut self) -> bool {
        self.forget_plain();
        let plain = self.state == State::Closed && self.config.slow_after.is_none();
        let plain = plain && self.stale == 0;
        self.plain += u64::from(plain);
        plain
    }

    /// Whether such a call has not ended yet.
    pub fn has_plain(&self) -> bool {
        self.plain + self.stale > 0
    }

    /// Reports how one of those calls went.
    #[inline]
    pub fn end_plain(&mut self, verdict: Verdict, clock: &impl Clock) -> Change {
        self.forget_plain();
        if self.stale > 0 {
            self.stale -= 1;
            return None;
        }
        self.plain = self.plain.checked_sub(1)?;
        self.record(0, verdict, clock)
    }

    /// The calls that began in another state belong to it.
    #[inline]
    fn forget_plain(&mut self) {
        if self.plain_generation != self.generation {
            self.plain_generation = self.generation;
            self.stale += std::mem::take(&mut self.plain);
        }
    }

    #[inline]
    fn record(&mut self, start: u64, verdict: Verdict, clock: &impl Clock) -> Change {
        if verdict == Verdict::Ignored {
            return None;
        }
        let failed = verdict == Verdict::Failure;
        let timed = self.config.slow_after.is_some() || self.config.window.is_timed();
        let now = if timed { self.now(clock) } else { 0 };
        let took = now.saturating_sub(start);
        let slow = self.config.slow_after.is_some_and(|after| took > after);
        self.tally.calls += 1;
        self.tally.failures += u64::from(failed);
        self.tally.slow += u64::from(slow);
        match self.state {
            State::Closed => {
                self.config.window.record(now, failed, slow);
                self.judge(now, clock)
            }
            State::HalfOpen => self.end_trial(failed || slow, clock),
            State::Open => None,
        }
    }

    #[inline]
    fn judge(&mut self, now: u64, clock: &impl Clock) -> Change {
        let (calls, failures, slow) = self.config.window.totals(now);
        if calls < self.config.min_calls {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share of calls")]
        let share = |part: u64| part as f64 / calls.max(1) as f64;
        let failing = share(failures) >= self.config.failure_rate;
        let slowing = self.config.slow_after.is_some() && share(slow) >= self.config.slow_rate;
        if !failing && !slowing {
            return None;
        }
        self.open(None, clock)
    }

    fn end_trial(&mut self, bad: bool, clock: &impl Clock) -> Change {
        if bad {
            self.reopened = self.reopened.saturating_add(1);
            return self.open(None, clock);
        }
        self.successes += 1;
        if self.successes < self.config.trial_calls {
            return None;
        }
        self.reset()
    }

    fn open(&mut self, duration: Option<u64>, clock: &impl Clock) -> Change {
        let duration = duration.unwrap_or_else(|| self.open_time());
        let now = self.now(clock);
        self.until = now.saturating_add(duration);
        self.tally.opened += u64::from(self.state != State::Open);
        self.turn(State::Open)
    }

    fn open_time(&mut self) -> u64 {
        let factor = 1_u64.checked_shl(self.reopened).unwrap_or(u64::MAX);
        let time = self.config.open.saturating_mul(factor);
        let time = time.min(self.config.max_open);
        let jitter = self.config.jitter;
        if jitter <= 0.0 {
            return time;
        }
        let factor = 1.0 - jitter + 2.0 * jitter * self.random();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a duration, not negative, times a factor near one"
        )]
        let time = (time as f64 * factor) as u64;
        time
    }

    /// A number in 0..1. Source: splitmix64 by S. Vigna.
    fn random(&mut self) -> f64 {
        let seed = self.config.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.config.seed = seed;
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bits = (mixed ^ (mixed >> 31)) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = bits as f64 / (1_u64 << 53) as f64;
        fraction
    }

    /// Opens now, for so many nanoseconds or for as long as it would by itself.
    pub fn trip(&mut self, duration: Option<u64>, clock: &impl Clock) -> Change {
        self.open(duration, clock)
    }

    /// Closes now, and forgets what went wrong.
    pub fn reset(&mut self) -> Change {
        self.config.window.clear();
        self.reopened = 0;
        self.turn(State::Closed)
    }

    fn turn(&mut self, to: State) -> Change {
        let from = std::mem::replace(&mut self.state, to);
        if from == to {
            return None;
        }
        self.generation += 1;
        self.successes = 0;
        self.trials.clear();
        Some((from, to))
    }
}
