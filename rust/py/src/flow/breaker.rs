//! `Breaker`: calls go through while few of them fail, then none, then some on trial.

mod fast;

pub use fast::{Begin, End, Enter, Exit};

use penstock_core::flow::{Admission, Breaker, Change, Config, State, Verdict, Window};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::holder::holder;
use crate::clock::{Moment, Timer};
use crate::convert;
use crate::ffi::{GilLock, call, ready};

/// Calls go through while few of them fail, then none, then some on trial.
#[pyclass(name = "Breaker", module = "penstock._native", subclass, frozen)]
pub struct PyBreaker {
    state: GilLock<Inner>,
    timer: Timer,
}

struct Inner {
    /// There once it is initialised.
    breaker: Option<Box<Breaker>>,
    /// The leases of the `with` blocks that are being run, and who runs them.
    ///
    /// Blocks need no lease while all is well: finding out who runs them costs more than the rest.
    blocks: Vec<(usize, u32)>,
}

fn verdict(name: &Bound<'_, PyAny>) -> PyResult<Verdict> {
    match name.extract::<&str>() {
        Ok("success") => Ok(Verdict::Success),
        Ok("failure") => Ok(Verdict::Failure),
        Ok("ignored") => Ok(Verdict::Ignored),
        _ => Err(PyValueError::new_err(format!(
            "outcome must be 'success', 'failure' or 'ignored', got {}",
            name.repr()?
        ))),
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
    }
}

#[cold]
fn not_initialised() -> PyErr {
    PyRuntimeError::new_err("circuit breaker is not initialised")
}

impl PyBreaker {
    #[inline]
    fn with<R>(&self, py: Python<'_>, f: impl FnOnce(&mut Breaker, Moment) -> R) -> PyResult<R> {
        let moment = self.timer.moment(py)?;
        self.state
            .with(py, |inner| inner.breaker.as_mut().map(|own| f(own, moment)))?
            .ok_or_else(not_initialised)
    }

    /// Tells the subclass of a change of state.
    #[inline]
    fn tell(slf: &Bound<'_, Self>, change: Change) -> PyResult<()> {
        match change {
            Some((from, to)) => {
                let changed = slf.getattr(intern!(slf.py(), "_changed"))?;
                call(&changed, (name(from), name(to))).map(drop)
            }
            None => Ok(()),
        }
    }

    /// A lease, or what `_refuse` returned.
    #[inline]
    fn begin<'py>(slf: &Bound<'py, Self>) -> PyResult<Result<u32, Bound<'py, PyAny>>> {
        let py = slf.py();
        let begin = |breaker: &mut Breaker, moment: Moment| breaker.begin(&moment);
        let (admission, change) = slf.get().with(py, begin)?;
        let told = Self::tell(slf, change);
        match admission {
            Admission::Lease(lease) => {
                if let Err(error) = told {
                    Self::end(slf, lease, Verdict::Ignored)?;
                    return Err(error);
                }
                Ok(Ok(lease))
            }
            Admission::Refused(wait) => {
                told?;
                let refuse = slf.getattr(intern!(py, "_refuse"))?;
                call(&refuse, (convert::to_seconds(wait),)).map(Err)
            }
        }
    }

    #[inline]
    fn end(slf: &Bound<'_, Self>, lease: u32, verdict: Verdict) -> PyResult<()> {
        let end = |breaker: &mut Breaker, moment: Moment| breaker.end(lease, verdict, &moment);
        Self::tell(slf, slf.get().with(slf.py(), end)?)
    }

    #[inline]
    fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().with(py, |breaker, _| breaker.begin_plain())? {
            return Ok(());
        }
        let key = holder(py)?;
        match Self::begin(slf)? {
            Ok(lease) => slf
                .get()
                .state
                .with(py, |inner| inner.blocks.push((key, lease))),
            Err(_) => Err(PyRuntimeError::new_err("_refuse() did not raise")),
        }
    }

    #[inline]
    fn exit(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let lease = Self::lease_of_block(slf)?;
        let verdict = Self::verdict_of(slf, kind, error);
        let moment = slf.get().timer.moment(py);
        // Whatever `_outcome` and the timer do, the call ends.
        let (known, when) = match (&verdict, &moment) {
            (Ok(verdict), Ok(moment)) => (*verdict, *moment),
            (Err(_), Ok(moment)) => (Verdict::Ignored, *moment),
            (_, Err(_)) => (Verdict::Ignored, Moment::Read(0)),
        };
        let end = |breaker: &mut Box<Breaker>| match lease {
            Some(lease) => breaker.end(lease, known, &when),
            None => breaker.end_plain(known, &when),
        };
        let state = &slf.get().state;
        let change = state.with(py, |inner| inner.breaker.as_mut().map(end))?;
        let ended = Self::tell(slf, change.ok_or_else(not_initialised)?);
        moment.and(verdict).and(ended)
    }

    /// What the subclass says of a block that raised.
    #[inline]
    fn verdict_of(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
    ) -> PyResult<Verdict> {
        if kind.is_none() {
            return Ok(Verdict::Success);
        }
        let method = slf.getattr(intern!(slf.py(), "_outcome"))?;
        verdict(&call(&method, (error,))?)
    }

    /// The lease of the block that the running task or thread entered last, if it has one.
    ///
    /// A block can be left by somebody else: the first one ends when there is no other to end.
    #[inline]
    fn lease_of_block(slf: &Bound<'_, Self>) -> PyResult<Option<u32>> {
        let py = slf.py();
        let state = &slf.get().state;
        if state.with(py, |inner| inner.blocks.is_empty())? {
            return Ok(None);
        }
        let key = holder(py)?;
        state.with(py, |inner| {
            let mut blocks = inner.blocks.iter();
            let own = blocks.rposition(|(owner, _)| *owner == key);
            let plain = inner.breaker.as_ref().is_some_and(|own| own.has_plain());
            let at = own.or_else(|| (!plain && !inner.blocks.is_empty()).then_some(0))?;
            Some(inner.blocks.remove(at).1)
        })
    }
}

#[pymethods]
impl PyBreaker {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: GilLock::new(Inner {
                breaker: None,
                blocks: Vec::new(),
            }),
            timer: Timer::new(None),
        }
    }

    #[pyo3(signature = (*, count, seconds, min_calls, failure_rate, slow_rate, slow_after, trial_calls, lease, open_seconds, max_open_seconds, jitter, seed, timer=None))]
    #[expect(clippy::too_many_arguments, reason = "all of them have names")]
    fn _init(
        &self,
        py: Python<'_>,
        count: Option<usize>,
        seconds: Option<f64>,
        min_calls: u64,
        failure_rate: f64,
        slow_rate: f64,
        slow_after: Option<f64>,
        trial_calls: u64,
        lease: f64,
        open_seconds: f64,
        max_open_seconds: f64,
        jitter: f64,
        seed: u64,
        timer: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let window = match (count, seconds) {
            (Some(count), _) => Window::count(count),
            (None, seconds) => Window::time(convert::nanoseconds(seconds.unwrap_or(0.0))),
        };
        let breaker = Box::new(Breaker::new(Config {
            window,
            min_calls,
            failure_rate,
            slow_rate,
            slow_after: slow_after.map(convert::nanoseconds),
            trial_calls,
            lease: convert::nanoseconds(lease),
            open: convert::nanoseconds(open_seconds),
            max_open: convert::nanoseconds(max_open_seconds),
            jitter,
            seed,
        }));
        self.timer.replace(py, timer)?;
        let replace = |inner: &mut Inner| inner.breaker.replace(breaker);
        self.state.with(py, replace).map(drop)
    }

    /// Ask whether a call may go through: a lease for it, or whatever `_refuse` does.
    fn _begin<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match Self::begin(slf)? {
            Ok(lease) => Ok(lease.into_pyobject(slf.py())?.into_any()),
            Err(returned) => Ok(returned),
        }
    }

    /// Report how the call under *lease* went: "success", "failure" or "ignored".
    fn _end(slf: &Bound<'_, Self>, lease: u32, outcome: Bound<'_, PyAny>) -> PyResult<()> {
        Self::end(slf, lease, verdict(&outcome)?)
    }

    /// Ask whether the block may run.
    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::enter(slf)
    }

    /// Report how the block went.
    fn __exit__(
        slf: &Bound<'_, Self>,
        kind: Bound<'_, PyAny>,
        error: Bound<'_, PyAny>,
        _traceback: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::exit(slf, &kind, &error)
    }

    /// Ask whether the block may run.
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::enter(slf)?;
        ready(slf.py().None().into_bound(slf.py()))
    }

    /// Report how the block went.
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        kind: Bound<'py, PyAny>,
        error: Bound<'py, PyAny>,
        _traceback: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::exit(slf, &kind, &error)?;
        ready(slf.py().None().into_bound(slf.py()))
    }

    /// "closed", "open" or "half_open".
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |breaker, moment| name(breaker.state(&moment)))
    }

    /// Seconds until a call may go through again.
    #[getter]
    fn retry_after(&self, py: Python<'_>) -> PyResult<f64> {
        self.with(py, |breaker, moment| {
            convert::to_seconds(breaker.wait(&moment))
        })
    }

    /// Open now, for *seconds* or for as long as it would by itself.
    #[pyo3(signature = (seconds=None))]
    fn trip(slf: &Bound<'_, Self>, seconds: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let seconds = seconds.map(|value| convert::duration("seconds", &value));
        let seconds = seconds.transpose()?;
        let trip = |breaker: &mut Breaker, moment: Moment| breaker.trip(seconds, &moment);
        Self::tell(slf, slf.get().with(slf.py(), trip)?)
    }

    /// Close now, and forget what went wrong.
    fn reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        let reset = |breaker: &mut Breaker, _: Moment| breaker.reset();
        Self::tell(slf, slf.get().with(slf.py(), reset)?)
    }

    fn _stats(&self, py: Python<'_>) -> PyResult<Stats> {
        self.with(py, |breaker, moment| {
            let tally = breaker.tally();
            let window = breaker.window(&moment);
            (
                name(breaker.state(&moment)),
                tally.calls,
                tally.failures,
                tally.slow,
                window.0,
                window.1,
                window.2,
                tally.rejected,
                tally.opened,
            )
        })
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.timer.traverse(&visit)
    }

    fn __clear__(&self) {
        Python::attach(|py| self.timer.clear(py));
    }
}

/// State, calls, failures, slow ones, the same three of the window, rejected, opened.
type Stats = (&'static str, u64, u64, u64, u64, u64, u64, u64, u64);
