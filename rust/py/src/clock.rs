//! Time for the core: integer nanoseconds, read as late and as cheaply as possible.

use penstock_core::Clock;
use pyo3::prelude::*;

use crate::convert;
use crate::ffi::{GilLock, call0};

/// What one operation takes for "now".
#[derive(Clone, Copy)]
pub enum Moment {
    /// The system's monotonic clock, read when asked.
    System,
    /// The same, where the coarse clock was read already.
    Near(u64),
    /// A user's timer, read before the lock was taken.
    Read(u64),
}

impl Moment {
    /// The same for an operation that compares with several deadlines.
    #[inline]
    pub fn near(self) -> Self {
        match self {
            Self::System => Self::Near(system::coarse()),
            other => other,
        }
    }
}

/// Whether a deadline is over on the system's clock, of which the coarse one is read already.
#[inline]
fn is_over(deadline: u64, coarse: u64) -> bool {
    deadline <= coarse.saturating_add(system::LAG) && deadline <= system::precise()
}

impl Clock for Moment {
    fn now(&self) -> u64 {
        match self {
            Self::System | Self::Near(_) => system::precise(),
            Self::Read(now) => *now,
        }
    }

    /// On the system clock a deadline that is not near costs a reading of the coarse clock only.
    #[inline]
    fn reached(&self, deadline: u64) -> bool {
        match self {
            Self::System => is_over(deadline, system::coarse()),
            Self::Near(coarse) => is_over(deadline, *coarse),
            Self::Read(now) => deadline <= *now,
        }
    }
}

/// Where an object takes the time from: a callable that returns seconds, or the system.
pub struct Timer(GilLock<Option<Py<PyAny>>>);

impl Timer {
    pub const fn new(timer: Option<Py<PyAny>>) -> Self {
        Self(GilLock::new(timer))
    }

    /// Now; the caller holds no lock.
    #[inline]
    pub fn moment(&self, py: Python<'_>) -> PyResult<Moment> {
        match self.get(py)? {
            Some(timer) => convert::reading(&call0(&timer.into_bound(py))?).map(Moment::Read),
            None => Ok(Moment::System),
        }
    }

    #[inline]
    pub fn get(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let clone = |timer: &Py<PyAny>| timer.clone_ref(py);
        self.0.with(py, |timer| timer.as_ref().map(clone))
    }

    pub fn replace(&self, py: Python<'_>, timer: Option<Py<PyAny>>) -> PyResult<()> {
        self.0
            .with(py, |own| std::mem::replace(own, timer))
            .map(drop)
    }

    pub fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let visited = self.0.visit(visit, |timer| visit.call(timer));
        visited.unwrap_or(Ok(()))
    }

    pub fn clear(&self, py: Python<'_>) {
        drop(self.replace(py, None));
    }
}

/// The system's clock for those who ask so often that reading it is what they pay most for.
pub struct Stamp {
    /// What the coarse clock said when the other was read.
    tick: u64,
    now: u64,
    /// How often that was good enough since.
    reused: u8,
}

impl Stamp {
    pub const fn new() -> Self {
        Self {
            tick: 0,
            now: 0,
            reused: 0,
        }
    }

    /// Now, or if that will do what it was a moment ago: in the same tick of the coarse clock, and at
    /// most fifteen readings ago.
    #[inline]
    pub fn now(&mut self, exact: bool) -> u64 {
        let tick = system::coarse();
        if exact || tick != self.tick || self.reused == 15 {
            self.now = system::precise();
            self.tick = tick;
            self.reused = 0;
        } else {
            self.reused += 1;
        }
        self.now
    }
}

/// The system's monotonic clock, late by up to a tick.
#[inline]
pub fn coarse() -> u64 {
    system::coarse()
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, Timespec, clock_gettime};

    /// The kernel advances the coarse clock at every tick, at least 100 times a second; a tick may be
    /// late on a machine whose processors are shared.
    pub const LAG: u64 = 100_000_000;

    fn nanoseconds(time: Timespec) -> u64 {
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    }

    pub fn precise() -> u64 {
        nanoseconds(clock_gettime(ClockId::Monotonic))
    }

    #[inline]
    pub fn coarse() -> u64 {
        nanoseconds(clock_gettime(ClockId::MonotonicCoarse))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::OnceLock;
    use std::time::Instant;

    pub const LAG: u64 = 0;

    pub fn precise() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    pub fn coarse() -> u64 {
        precise()
    }
}
