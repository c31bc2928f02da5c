//! `Parker`: how a thread sleeps, and is woken.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::ffi::detached;

const NOTHING: u8 = 0;
const WOKEN: u8 = 1;
const ASLEEP: u8 = 2;

/// For how long a thread stays awake when it has nothing to do: about as long as it takes to wake
/// one that sleeps on another processor.
const AWAKE: Duration = Duration::from_micros(50);
/// The same where the last time was not long either, and where it was.
const LONG: Duration = Duration::from_micros(200);
const SHORT: Duration = Duration::from_micros(20);

/// How often a thread that may be interrupted looks whether it was.
const SLICE: Duration = Duration::from_millis(50);

/// Something for one thread to sleep on.
#[pyclass(name = "Parker", module = "penstock._native", frozen)]
pub struct PyParker {
    state: AtomicU8,
    lock: Mutex<()>,
    bell: Condvar,
    /// Whether the last sleep was a short one.
    was_short: AtomicBool,
}

impl PyParker {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> bool {
        let taken =
            self.state
                .compare_exchange(WOKEN, NOTHING, Ordering::AcqRel, Ordering::Relaxed);
        taken.is_ok()
    }

    /// Lets others run for a while, and looks in between.
    fn stay_awake(&self, limit: Duration) -> bool {
        let start = Instant::now();
        while !self.take() {
            if start.elapsed() >= limit {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    /// Sleeps until it is woken, or until the time is over.
    fn doze(&self, time: Option<Duration>) -> bool {
        let mut guard = self.lock();
        let asleep =
            self.state
                .compare_exchange(NOTHING, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        if asleep.is_err() {
            return self.take();
        }
        let end = time.map(|time| Instant::now() + time);
        while !self.take() {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            guard = match left {
                Some(left) if left.is_zero() => {
                    let woken = self.state.swap(NOTHING, Ordering::AcqRel);
                    return woken == WOKEN;
                }
                Some(left) => {
                    let waited = self.bell.wait_timeout(guard, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.bell.wait(guard);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        true
    }
}

#[pymethods]
impl PyParker {
    #[new]
    fn new() -> Self {
        Self {
            state: AtomicU8::new(NOTHING),
            lock: Mutex::new(()),
            bell: Condvar::new(),
            was_short: AtomicBool::new(true),
        }
    }

    /// Let the one who sleeps here go on, or who will.
    fn wake(&self, py: Python<'_>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == ASLEEP {
            // Without the GIL, for which the one who is woken would have to wait at once.
            detached(py, || {
                drop(self.lock());
                self.bell.notify_one();
            });
        }
    }

    /// Sleep until somebody wakes it; nothing interrupts that.
    fn sleep(&self, py: Python<'_>) {
        detached(py, || {
            let start = Instant::now();
            let was_short = self.was_short.load(Ordering::Relaxed);
            let awake = if was_short { LONG } else { SHORT };
            let _ = self.stay_awake(awake) || self.doze(None);
            let is_short = start.elapsed() < LONG;
            self.was_short.store(is_short, Ordering::Relaxed);
        });
    }

    /// Sleep until somebody wakes it or *seconds* have passed; a negative number is for ever.
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let limit = Duration::try_from_secs_f64(seconds).ok();
        let start = Instant::now();
        let awake = limit.map_or(AWAKE, |limit| limit.min(AWAKE));
        if detached(py, || self.stay_awake(awake)) {
            return Ok(true);
        }
        loop {
            let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            if detached(py, || self.doze(Some(slice))) {
                return Ok(true);
            }
            py.check_signals()?;
            if left.is_some_and(|left| left <= slice) {
                return Ok(self.take());
            }
        }
    }
}
