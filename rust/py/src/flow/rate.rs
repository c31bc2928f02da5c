//! `RateGate`: so many per second, some of them at once.

use std::ffi::CStr;

use penstock_core::Clock;
use penstock_core::flow::Gcra;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::clock::{Moment, Timer};
use crate::convert::{self, Maybe};
use crate::ffi::{Args, FastMethod, GilLock, Installed, call, ready};

/// So many per second, some of them at once.
#[pyclass(name = "RateGate", module = "penstock._native", subclass, frozen)]
pub struct PyRateGate {
    state: GilLock<State>,
    timer: Timer,
}

struct State {
    /// There once it is initialised.
    gcra: Option<Gcra>,
    rate: f64,
    /// How many stand in line, whom nobody may overtake.
    held: u64,
    acquired: u64,
}

impl State {
    #[inline]
    fn take(&mut self, weight: u64, moment: Moment) -> Result<(), u64> {
        let gcra = self.gcra.as_mut().ok_or(u64::MAX)?;
        gcra.take(weight, moment.now())?;
        self.acquired += 1;
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates were checked"
)]
fn interval(rate: f64) -> u64 {
    ((1e9 / rate + 0.5).min(9e18).floor() as u64).max(1)
}

impl PyRateGate {
    /// Lets `weight` through unless it is too early, or somebody stands in line.
    #[inline]
    fn pass(&self, py: Python<'_>, weight: u64) -> PyResult<bool> {
        let moment = self.timer.moment(py)?;
        self.state.with(py, |state| {
            state.held == 0 && state.take(weight, moment).is_ok()
        })
    }

    fn enter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().pass(py, 1)? {
            return ready(py.None().into_bound(py));
        }
        call(&slf.getattr(intern!(py, "_wait"))?, (1, py.None()))
    }

    fn weight(&self, weight: &Maybe<'_>) -> PyResult<u64> {
        let Some(given) = weight.given() else {
            return Ok(1);
        };
        let weight = convert::permits(given, u64::MAX)?;
        let burst = |state: &mut State| state.gcra.as_ref().map_or(u64::MAX, Gcra::burst);
        let burst = self.state.with(given.py(), burst)?;
        if weight > burst {
            let message = format!("weight must be <= burst ({burst}), got {weight}");
            return Err(PyValueError::new_err(message));
        }
        Ok(weight)
    }
}

/// `RateGate.__aenter__`.
pub struct Enter;

impl FastMethod for Enter {
    type Class = PyRateGate;
    const METHOD: &'static CStr = c"__aenter__";
    const METHOD_DOC: &'static CStr = c"__aenter__($self)\n--\n\nGo through, or wait for the time.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyRateGate>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        (args.len() == 0).then(|| PyRateGate::enter(&this))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `RateGate.__aexit__`.
pub struct Exit;

impl FastMethod for Exit {
    type Class = PyRateGate;
    const METHOD: &'static CStr = c"__aexit__";
    const METHOD_DOC: &'static CStr = c"__aexit__($self, kind, error, traceback)\n--\n\nNothing.";

    #[inline]
    fn call<'py>(
        _this: Borrowed<'_, 'py, PyRateGate>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        (args.len() == 3).then(|| ready(py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `RateGate.try_acquire`.
pub struct TryAcquire;

impl FastMethod for TryAcquire {
    type Class = PyRateGate;
    const METHOD: &'static CStr = c"try_acquire";
    const METHOD_DOC: &'static CStr =
        c"try_acquire($self, weight=1)\n--\n\nGo through if it is not too early and nobody stands in line.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyRateGate>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let pass = || {
            let passed = this.get().pass(py, 1)?;
            Ok(passed.into_pyobject(py)?.to_owned().into_any())
        };
        (args.len() == 0).then(pass)
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

#[pymethods]
impl PyRateGate {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: GilLock::new(State {
                gcra: None,
                rate: 0.0,
                held: 0,
                acquired: 0,
            }),
            timer: Timer::new(None),
        }
    }

    #[pyo3(signature = (rate, burst, timer=None))]
    fn _init(
        &self,
        py: Python<'_>,
        rate: f64,
        burst: u64,
        timer: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        self.timer.replace(py, timer)?;
        self.state.with(py, |state| {
            (state.gcra, state.rate) = (Some(Gcra::new(interval(rate), burst)), rate);
        })
    }

    /// Take *weight* now (0.0), or say after how many seconds it could be.
    #[pyo3(signature = (weight=Maybe::Missing), text_signature = "(self, weight=1)")]
    fn _take(&self, py: Python<'_>, weight: Maybe<'_>) -> PyResult<f64> {
        let weight = self.weight(&weight)?;
        let moment = self.timer.moment(py)?;
        let taken = self.state.with(py, |state| state.take(weight, moment))?;
        Ok(taken.map_or_else(convert::to_seconds, |()| 0.0))
    }

    /// Add *n* to the number of those who stand in line.
    fn _hold(&self, py: Python<'_>, n: i64) -> PyResult<()> {
        self.state
            .with(py, |state| state.held = state.held.saturating_add_signed(n))
    }

    /// Go through if it is not too early and nobody stands in line.
    #[pyo3(signature = (weight=Maybe::Missing), text_signature = "(self, weight=1)")]
    fn try_acquire(&self, py: Python<'_>, weight: Maybe<'_>) -> PyResult<bool> {
        self.pass(py, self.weight(&weight)?)
    }

    /// Go through, or wait for the time.
    #[pyo3(signature = (weight=Maybe::Missing, *, deadline=None), text_signature = "(self, weight=1, *, deadline=None)")]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        weight: Maybe<'py>,
        deadline: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let weight = slf.get().weight(&weight)?;
        if slf.get().pass(py, weight)? {
            return ready(py.None().into_bound(py));
        }
        call(&slf.getattr(intern!(py, "_wait"))?, (weight, deadline))
    }

    /// Go through, or wait for the time.
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::enter(slf)
    }

    /// Nothing.
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _kind: Bound<'py, PyAny>,
        _error: Bound<'py, PyAny>,
        _traceback: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        ready(py.None().into_bound(py))
    }

    /// Go through, or wait for the time in this thread.
    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().pass(py, 1)? {
            return Ok(());
        }
        call(&slf.getattr(intern!(py, "_block"))?, (1, py.None())).map(drop)
    }

    /// Nothing.
    fn __exit__(
        &self,
        _kind: Bound<'_, PyAny>,
        _error: Bound<'_, PyAny>,
        _traceback: Bound<'_, PyAny>,
    ) {
    }

    /// Change the rate; what went through ahead of its time counts as before.
    fn _set_rate(&self, py: Python<'_>, rate: f64, burst: u64) -> PyResult<()> {
        let moment = self.timer.moment(py)?;
        self.state.with(py, |state| {
            state.rate = rate;
            match &mut state.gcra {
                Some(gcra) => gcra.change(interval(rate), burst, moment.now()),
                none => *none = Some(Gcra::new(interval(rate), burst)),
            }
        })
    }

    /// How many go through per second.
    #[getter]
    fn rate(&self, py: Python<'_>) -> PyResult<f64> {
        self.state.with(py, |state| state.rate)
    }

    /// How many may go through at once.
    #[getter]
    fn burst(&self, py: Python<'_>) -> PyResult<u64> {
        let burst = |state: &mut State| state.gcra.as_ref().map_or(0, Gcra::burst);
        self.state.with(py, burst)
    }

    /// How many could go through at once now.
    #[getter]
    fn available(&self, py: Python<'_>) -> PyResult<u64> {
        let moment = self.timer.moment(py)?;
        self.state.with(py, |state| {
            let gcra = state.gcra.as_mut();
            gcra.map_or(0, |gcra| gcra.available(moment.now()))
        })
    }

    /// How many went through, and how many stand in line.
    fn _stats(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        self.state.with(py, |state| (state.acquired, state.held))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.timer.traverse(&visit)
    }

    fn __clear__(&self) {
        Python::attach(|py| self.timer.clear(py));
    }
}
