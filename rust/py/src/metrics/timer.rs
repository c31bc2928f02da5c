//! `Timer`: what `time()` returns.

use std::ffi::CStr;

use penstock_core::Clock;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::gauge::PyGauge;
use super::histogram::PyHistogram;
use super::hooks;
use crate::clock::Moment;
use crate::convert;
use crate::ffi::{Args, FastMethod, GilLock, Installed, call};

/// Measures the seconds that a `with` block or a decorated function takes.
#[pyclass(name = "Timer", module = "penstock._native", frozen)]
pub struct PyTimer {
    state: GilLock<State>,
}

struct State {
    /// There until the collector clears it.
    metric: Option<Py<PyAny>>,
    /// Whether that is a histogram on the system's clock whose `observe` is not overridden.
    plain: bool,
    /// Nanoseconds on the metric's clock.
    start: Option<u64>,
    duration: Option<f64>,
}

/// Our class of histograms and its `observe`, which timers need not call while it is in its place.
static PLAIN: PyOnceLock<(Py<PyType>, Py<PyAny>)> = PyOnceLock::new();

/// Remembers the first subclass of `Histogram` that was given `observe` as its own.
pub fn remember_plain(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    if class.is_subclass_of::<PyHistogram>()? && PLAIN.get(py).is_none() {
        let observe = class.getattr("observe")?;
        let owner = observe.getattr_opt("__objclass__")?;
        if owner.is_some_and(|owner| owner.is(class)) {
            PLAIN.get_or_init(py, || (class.clone().unbind(), observe.unbind()));
        }
    }
    Ok(())
}

/// Whether a metric is a histogram on the system's clock whose `observe` nobody has replaced.
#[inline]
fn is_plain(metric: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = metric.py();
    let Some((class, observe)) = PLAIN.get(py) else {
        return Ok(false);
    };
    if metric.get_type_ptr() != class.as_ptr().cast() {
        return Ok(false);
    }
    let current = class.bind(py).getattr(intern!(py, "observe"))?;
    let histogram = metric.cast::<PyHistogram>();
    match histogram {
        Ok(histogram) if current.is(observe) => histogram.get().is_on_system_clock(py),
        _ => Ok(false),
    }
}

#[cold]
fn cleared() -> PyErr {
    PyRuntimeError::new_err("timer was cleared by the garbage collector")
}

impl PyTimer {
    #[inline]
    pub fn of(metric: Bound<'_, PyAny>) -> PyResult<Self> {
        let plain = is_plain(&metric)?;
        Ok(Self {
            state: GilLock::new(State {
                metric: Some(metric.unbind()),
                plain,
                start: None,
                duration: None,
            }),
        })
    }

    fn metric<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let clone = |state: &mut State| state.metric.as_ref().map(|metric| metric.bind(py).clone());
        self.state.with(py, clone)?.ok_or_else(cleared)
    }

    /// Nanoseconds on the clock of its metric.
    #[inline]
    fn now(&self, py: Python<'_>) -> PyResult<u64> {
        if !self.state.with(py, |state| state.plain)?
            && let Ok(histogram) = self.metric(py)?.cast::<PyHistogram>()
        {
            return Ok(histogram.get().moment(py)?.now());
        }
        Ok(Moment::System.now())
    }

    #[inline]
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        let now = self.now(py)?;
        self.state.with(py, |state| state.start = Some(now))
    }

    #[inline]
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let now = self.now(py)?;
        let (duration, metric, plain) = self.state.with(py, |state| {
            let duration = state
                .start
                .map(|start| convert::to_seconds(now.saturating_sub(start)));
            state.duration = duration;
            let metric = state.metric.as_ref().map(|metric| metric.bind(py).clone());
            (duration, metric, state.plain)
        })?;
        let metric = metric.ok_or_else(cleared)?;
        let duration = duration.ok_or_else(|| PyRuntimeError::new_err("timer was not started"))?;
        if plain
            && let Ok(histogram) = metric.cast::<PyHistogram>()
            && PyHistogram::observe_at(histogram.as_borrowed(), duration, now)?.is_some()
        {
            return Ok(());
        }
        let method = if metric.is_instance_of::<PyGauge>() {
            "set"
        } else {
            "observe"
        };
        call(&metric.getattr(method)?, (duration,)).map(drop)
    }
}

/// `Histogram.time`.
pub struct Time;

impl FastMethod for Time {
    type Class = PyHistogram;
    const METHOD: &'static CStr = c"time";
    const METHOD_DOC: &'static CStr =
        c"time($self)\n--\n\nReturn a timer that observes the seconds a block or a function took.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyHistogram>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let timer = || PyTimer::of(this.to_owned().into_any());
        (args.len() == 0).then(|| Ok(Bound::new(args.py(), timer()?)?.into_any()))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Timer.__enter__`.
pub struct Enter;

impl FastMethod for Enter {
    type Class = PyTimer;
    const METHOD: &'static CStr = c"__enter__";
    const METHOD_DOC: &'static CStr = c"__enter__($self)\n--\n\nStart.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyTimer>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let start = || this.get().start(args.py());
        (args.len() == 0).then(|| start().map(|()| this.to_owned().into_any()))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Timer.__exit__`.
pub struct Exit;

impl FastMethod for Exit {
    type Class = PyTimer;
    const METHOD: &'static CStr = c"__exit__";
    const METHOD_DOC: &'static CStr = c"__exit__($self, *error)\n--\n\nStop, and count.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyTimer>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let stop = || this.get().stop(py);
        (args.positional() == args.len()).then(|| stop().map(|()| py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

#[pymethods]
impl PyTimer {
    /// Seconds that the last block took; None before its end.
    #[getter]
    fn duration(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        self.state.with(py, |state| state.duration)
    }

    /// Start.
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().start(slf.py())?;
        Ok(slf)
    }

    /// Stop, and count.
    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.stop(py)
    }

    /// Count in the series with these label values instead.
    #[pyo3(signature = (*args, **kw))]
    fn labels(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kw: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let child = self.metric(py)?.call_method("labels", args, kw)?.unbind();
        drop(self.state.with(py, |state| state.metric.replace(child))?);
        Ok(())
    }

    /// Decorate a function, a coroutine function or a generator function.
    fn __call__<'py>(slf: &Bound<'py, Self>, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        hooks::decorate(slf.as_any(), f)
    }

    /// A timer of the same metric.
    fn _new(&self, py: Python<'_>) -> PyResult<Self> {
        Self::of(self.metric(py)?)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let visited = self.state.visit(&visit, |state| visit.call(&state.metric));
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| drop(self.state.with(py, |state| state.metric.take())));
    }
}
