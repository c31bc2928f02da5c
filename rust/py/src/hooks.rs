//! The user's callbacks of a cache: called unlocked, owned where the collector can clear them.

use penstock_core::{Cause, NEVER};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::clock::Moment;
use crate::convert;
use crate::ffi::{self, GilLock};
use crate::store::Gone;

#[derive(Default)]
struct Callbacks {
    weigher: Option<Py<PyAny>>,
    on_evict: Option<Py<PyAny>>,
    timer: Option<Py<PyAny>>,
    /// The timer's highest reading.
    latest: u64,
}

/// The callbacks, and which of them there were from the start.
pub struct Hooks {
    callbacks: GilLock<Callbacks>,
    weighs: bool,
    reports: bool,
    own_timer: bool,
}

impl Hooks {
    pub fn new(
        weigher: Option<Py<PyAny>>,
        on_evict: Option<Py<PyAny>>,
        timer: Option<Py<PyAny>>,
    ) -> Self {
        Self {
            weighs: weigher.is_some(),
            reports: on_evict.is_some(),
            own_timer: timer.is_some(),
            callbacks: GilLock::new(Callbacks {
                weigher,
                on_evict,
                timer,
                latest: 0,
            }),
        }
    }

    /// Whether there is any callback.
    pub fn any(&self) -> bool {
        self.weighs || self.reports || self.own_timer
    }

    pub fn weighs(&self) -> bool {
        self.weighs
    }

    /// The weight of an entry, 1 without a weigher.
    pub fn weight(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        if !self.weighs {
            return Ok(1);
        }
        let clone = |callbacks: &mut Callbacks| clone(py, callbacks.weigher.as_ref());
        match self.callbacks.with(py, clone)? {
            Some(weigher) => convert::weight(&ffi::call(&weigher, (key, value))?),
            None => Ok(1),
        }
    }

    /// Now, for an operation that needs it only if `timed` says so.
    #[inline]
    pub fn moment(&self, py: Python<'_>, timed: impl FnOnce() -> bool) -> PyResult<Moment> {
        if !self.own_timer {
            return Ok(Moment::System);
        }
        if timed() {
            self.read_timer(py)
        } else {
            Ok(Moment::Read(0))
        }
    }

    fn read_timer(&self, py: Python<'_>) -> PyResult<Moment> {
        let clone = |callbacks: &mut Callbacks| clone(py, callbacks.timer.as_ref());
        let Some(timer) = self.callbacks.with(py, clone)? else {
            return Ok(Moment::Read(0));
        };
        let reading = convert::reading(&ffi::call0(&timer)?)?;
        self.callbacks.with(py, |callbacks| {
            callbacks.latest = callbacks.latest.max(reading);
            Moment::Read(callbacks.latest)
        })
    }

    /// Drops what an operation threw out, and tells `on_evict` about it.
    #[inline]
    pub fn finish(&self, py: Python<'_>, gone: Gone<Py<PyAny>>) -> PyResult<()> {
        if gone.is_empty() {
            return Ok(());
        }
        if self.reports {
            return self.report(py, gone);
        }
        gone.for_each(|entry| {
            drop(entry.key.into_bound(py));
            drop(entry.value.into_bound(py));
        });
        Ok(())
    }

    #[cold]
    fn report(&self, py: Python<'_>, gone: Gone<Py<PyAny>>) -> PyResult<()> {
        let clone = |callbacks: &mut Callbacks| clone(py, callbacks.on_evict.as_ref());
        let on_evict = self.callbacks.with(py, clone)?;
        let mut first: PyResult<()> = Ok(());
        gone.for_each(|entry| {
            let (key, value) = (entry.key.into_bound(py), entry.value.into_bound(py));
            let cause = match entry.cause {
                Cause::Size => "size",
                Cause::Expired => "expired",
                Cause::Replaced => "replaced",
                Cause::Deleted => "deleted",
            };
            // Only a cache that the collector has cleared has lost it.
            let Some(on_evict) = &on_evict else { return };
            if let Err(error) = ffi::call(on_evict, (key, value, cause)) {
                keep(py, &mut first, error, on_evict);
            }
        });
        first
    }

    pub fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let each = |callbacks: &Callbacks| {
            visit.call(&callbacks.weigher)?;
            visit.call(&callbacks.on_evict)?;
            visit.call(&callbacks.timer)
        };
        self.callbacks.visit(visit, each).unwrap_or(Ok(()))
    }

    pub fn clear(&self, py: Python<'_>) {
        drop(self.callbacks.with(py, std::mem::take));
    }
}

/// A reference that is dropped at once wherever it is dropped.
fn clone<'py>(py: Python<'py>, callback: Option<&Py<PyAny>>) -> Option<Bound<'py, PyAny>> {
    callback.map(|callback| callback.bind(py).clone())
}

/// Keeps the error that the caller is to get: the first, but Ctrl-C and its like before any other.
/// The others go to `sys.unraisablehook`.
fn keep(py: Python<'_>, first: &mut PyResult<()>, error: PyErr, on_evict: &Bound<'_, PyAny>) {
    let ordinary = |error: &PyErr| error.is_instance_of::<PyException>(py);
    let lost = match first {
        Ok(()) => {
            *first = Err(error);
            return;
        }
        Err(kept) if ordinary(kept) && !ordinary(&error) => std::mem::replace(kept, error),
        Err(_) => error,
    };
    lost.write_unraisable(py, Some(on_evict));
}

/// The deadline of something that starts to live `now`.
pub fn deadline(now: u64, ttl: Option<u64>) -> u64 {
    ttl.map_or(NEVER, |ttl| now.saturating_add(ttl).min(NEVER - 1))
}
