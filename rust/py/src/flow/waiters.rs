//! `WaiterQueue`: permits, and those who wait for some.

mod fast;
mod told;

pub use fast::{Acquire, Enter, Exit, Release, TryAcquire};

use penstock_core::Clock;
use penstock_core::flow::{Enqueued, NotHeld, Order, Outcome, Sampler, Waiters};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use self::told::Told;
use super::holder::holder;
use crate::clock::{Moment, Timer};
use crate::convert::{self, Maybe};
use crate::ffi::{GilLock, call, ready};

/// Permits, and a queue of those who wait for some.
#[pyclass(name = "WaiterQueue", module = "penstock._native", subclass, frozen)]
pub struct PyWaiterQueue {
    state: GilLock<State>,
    timer: Timer,
}

struct State {
    waiters: Waiters<Py<PyAny>>,
    sampler: Option<Box<Sampler>>,
    max_weight: u64,
}

fn outcome(name: &Bound<'_, PyAny>) -> PyResult<Outcome> {
    match name.extract::<&str>() {
        Ok("success") => Ok(Outcome::Success),
        Ok("dropped") => Ok(Outcome::Dropped),
        Ok("ignored") => Ok(Outcome::Ignored),
        _ => Err(PyValueError::new_err(format!(
            "outcome must be 'success', 'dropped' or 'ignored', got {}",
            name.repr()?
        ))),
    }
}

impl PyWaiterQueue {
    /// Takes permits if they are there and nobody waits for some.
    #[inline]
    fn take(&self, py: Python<'_>, weight: u64) -> PyResult<bool> {
        let plain = self.state.with(py, |state| {
            (state.sampler.is_none()).then(|| state.waiters.try_acquire(weight))
        })?;
        match plain {
            Some(taken) => Ok(taken),
            None => self.take_sampled(py, weight),
        }
    }

    fn take_sampled(&self, py: Python<'_>, weight: u64) -> PyResult<bool> {
        let (key, moment) = (holder(py)?, self.timer.moment(py)?);
        self.state.with(py, |state| {
            let taken = state.waiters.try_acquire(weight);
            if taken && let Some(sampler) = &mut state.sampler {
                sampler.begin(key, moment.now(), state.waiters.in_use());
            }
            taken
        })
    }

    /// Gives permits back that nobody waits for and nobody samples; whether that was so.
    #[inline]
    fn give_back_plain(&self, py: Python<'_>, weight: u64) -> PyResult<bool> {
        self.state.with(py, |state| {
            state.sampler.is_none()
                && state.waiters.waiting() == 0
                && state.waiters.release(weight, || 0, &mut Vec::new()).is_ok()
        })
    }

    fn give_back(slf: &Bound<'_, Self>, weight: u64, outcome: Outcome) -> PyResult<()> {
        let moment = slf.get().timer.moment(slf.py())?;
        Self::give_back_at(slf, weight, outcome, moment)
    }

    fn give_back_at(
        slf: &Bound<'_, Self>,
        weight: u64,
        outcome: Outcome,
        moment: Moment,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let sampled = this.state.with(py, |state| state.sampler.is_some())?;
        let key = if sampled { holder(py)? } else { 0 };
        let told = this.state.with(py, |state| {
            let mut told = Told::default();
            let now = || moment.now();
            state.waiters.release(weight, now, &mut told.granted)?;
            if let Some(sampler) = &mut state.sampler {
                let left = state.waiters.in_use();
                told.summary = sampler.end(key, moment.now(), outcome, left);
            }
            Ok(told)
        })?;
        let told =
            told.map_err(|NotHeld| PyRuntimeError::new_err("release() without acquire()"))?;
        told.tell(slf)
    }

    fn weight(&self, weight: &Maybe<'_>) -> PyResult<u64> {
        match weight.given() {
            Some(weight) => {
                let most = self.state.with(weight.py(), |state| state.max_weight)?;
                convert::permits(weight, most)
            }
            None => Ok(1),
        }
    }

    /// What the subclass says of a block that raised.
    fn outcome_of(slf: &Bound<'_, Self>, kind: &Bound<'_, PyAny>) -> PyResult<Outcome> {
        if kind.is_none() {
            return Ok(Outcome::Success);
        }
        let method = slf.getattr(intern!(slf.py(), "_outcome"))?;
        outcome(&call(&method, (kind,))?)
    }

    fn enter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().take(py, 1)? {
            return ready(py.None().into_bound(py));
        }
        call(&slf.getattr(intern!(py, "_wait"))?, (1, 0, py.None()))
    }

    fn exit(slf: &Bound<'_, Self>, kind: &Bound<'_, PyAny>) -> PyResult<()> {
        if kind.is_none() && slf.get().give_back_plain(slf.py(), 1)? {
            return Ok(());
        }
        // Whatever `_outcome` and the timer do, the permit goes back.
        let outcome = Self::outcome_of(slf, kind);
        let moment = slf.get().timer.moment(slf.py());
        let (outcome_known, when) = match (&outcome, &moment) {
            (Ok(outcome), Ok(moment)) => (*outcome, *moment),
            (Err(_), Ok(moment)) => (Outcome::Ignored, *moment),
            (_, Err(_)) => (Outcome::Ignored, Moment::Read(0)),
        };
        let given = Self::give_back_at(slf, 1, outcome_known, when);
        moment.and(outcome).and(given)
    }
}

#[pymethods]
impl PyWaiterQueue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: GilLock::new(State {
                waiters: Waiters::new(0, Order::Fifo, None),
                sampler: None,
                max_weight: u64::MAX,
            }),
            timer: Timer::new(None),
        }
    }

    #[pyo3(signature = (limit, order="fifo", max_waiting=None, timer=None))]
    fn _init(
        &self,
        py: Python<'_>,
        limit: u64,
        order: &str,
        max_waiting: Option<usize>,
        timer: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let order = match order {
            "lifo" => Order::Lifo,
            "priority" => Order::Priority,
            _ => Order::Fifo,
        };
        let waiters = Waiters::new(limit, order, max_waiting);
        let replace = |state: &mut State| std::mem::replace(&mut state.waiters, waiters);
        drop(self.state.with(py, replace)?);
        self.timer.replace(py, timer)
    }

    /// Refuse what is heavier than *n* from now on.
    fn _set_max_weight(&self, py: Python<'_>, n: Option<u64>) -> PyResult<()> {
        let set = |state: &mut State| state.max_weight = n.unwrap_or(u64::MAX);
        self.state.with(py, set)
    }

    /// Measure latencies from now on, in windows of *interval* seconds and *samples* at least.
    fn _sample(&self, py: Python<'_>, interval: f64, samples: u64) -> PyResult<()> {
        let new = Box::new(Sampler::new(convert::nanoseconds(interval), samples));
        let replace = |state: &mut State| state.sampler.replace(new);
        self.state.with(py, replace).map(drop)
    }

    /// Note that the running task or thread holds what it was granted from now on.
    fn _begin(&self, py: Python<'_>) -> PyResult<()> {
        if self.state.with(py, |state| state.sampler.is_none())? {
            return Ok(());
        }
        let (key, moment) = (holder(py)?, self.timer.moment(py)?);
        self.state.with(py, |state| {
            if let Some(sampler) = &mut state.sampler {
                sampler.begin(key, moment.now(), state.waiters.in_use());
            }
        })
    }

    /// Take permits if they are there and nobody waits for some.
    #[pyo3(signature = (weight=Maybe::Missing), text_signature = "(self, weight=1)")]
    fn try_acquire(&self, py: Python<'_>, weight: Maybe<'_>) -> PyResult<bool> {
        self.take(py, self.weight(&weight)?)
    }

    /// Take permits, or wait for them.
    #[pyo3(
        signature = (weight=Maybe::Missing, *, priority=Maybe::Missing, deadline=None),
        text_signature = "(self, weight=1, *, priority=0, deadline=None)"
    )]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        weight: Maybe<'py>,
        priority: Maybe<'py>,
        deadline: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let weight = slf.get().weight(&weight)?;
        let priority = priority.given().map_or(Ok(0), convert::priority)?;
        if slf.get().take(py, weight)? {
            return ready(py.None().into_bound(py));
        }
        let wait = slf.getattr(intern!(py, "_wait"))?;
        call(&wait, (weight, priority, deadline))
    }

    /// Give permits back.
    #[pyo3(
        signature = (weight=Maybe::Missing, *, outcome=Maybe::Missing),
        text_signature = "(self, weight=1, *, outcome='success')"
    )]
    fn release(slf: &Bound<'_, Self>, weight: Maybe<'_>, outcome: Maybe<'_>) -> PyResult<()> {
        let weight = match weight.given() {
            Some(weight) => convert::permits(weight, u64::MAX)?,
            None => 1,
        };
        let outcome = outcome
            .given()
            .map_or(Ok(Outcome::Success), self::outcome)?;
        Self::give_back(slf, weight, outcome)
    }

    /// Take a permit, or wait for one.
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::enter(slf)
    }

    /// Give the permit back.
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        kind: Bound<'py, PyAny>,
        _error: Bound<'py, PyAny>,
        _traceback: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::exit(slf, &kind)?;
        ready(slf.py().None().into_bound(slf.py()))
    }

    /// Take a permit, or wait for one in this thread.
    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().take(py, 1)? {
            return Ok(());
        }
        let block = slf.getattr(intern!(py, "_block"))?;
        call(&block, (1, 0, py.None())).map(drop)
    }

    /// Give the permit back.
    fn __exit__<'py>(
        slf: &Bound<'py, Self>,
        kind: Bound<'py, PyAny>,
        _error: Bound<'py, PyAny>,
        _traceback: Bound<'py, PyAny>,
    ) -> PyResult<()> {
        Self::exit(slf, &kind)
    }

    /// Change how many permits there are; those held stay held.
    fn resize(slf: &Bound<'_, Self>, limit: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let limit = convert::limit(&limit)?;
        let now = slf.get().timer.moment(py)?.now();
        let granted = slf.get().state.with(py, |state| {
            let mut granted = Vec::new();
            state.waiters.resize(limit, now, &mut granted);
            granted
        })?;
        Told::of(granted).tell(slf)
    }

    /// Take permits now (0), or get in line (a ticket), unless it is full (-1).
    fn _enqueue(
        &self,
        py: Python<'_>,
        waiter: Py<PyAny>,
        weight: u64,
        priority: i64,
    ) -> PyResult<i64> {
        let now = self.timer.moment(py)?.now();
        let enqueue = |state: &mut State| state.waiters.enqueue(waiter, weight, priority, now);
        Ok(match self.state.with(py, enqueue)? {
            Enqueued::Granted(_) => 0,
            Enqueued::Full(_) => -1,
            Enqueued::Waiting(ticket) => ticket.cast_signed(),
        })
    }

    /// Leave the line; False if there is nobody with this ticket in it.
    fn _withdraw(slf: &Bound<'_, Self>, ticket: i64, expired: bool) -> PyResult<bool> {
        let py = slf.py();
        let now = slf.get().timer.moment(py)?.now();
        let (left, granted) = slf.get().state.with(py, |state| {
            let mut granted = Vec::new();
            let ticket = ticket.cast_unsigned();
            let left = state.waiters.withdraw(ticket, expired, now, &mut granted);
            (left, granted)
        })?;
        Told::of(granted).tell(slf)?;
        Ok(left.is_some())
    }

    /// How many permits there are.
    #[getter]
    fn limit(&self, py: Python<'_>) -> PyResult<u64> {
        self.state.with(py, |state| state.waiters.limit())
    }

    /// How many are held.
    #[getter]
    fn in_use(&self, py: Python<'_>) -> PyResult<u64> {
        self.state.with(py, |state| state.waiters.in_use())
    }

    /// How many wait.
    #[getter]
    fn waiting(&self, py: Python<'_>) -> PyResult<usize> {
        self.state.with(py, |state| state.waiters.waiting())
    }

    /// How many are free.
    #[getter]
    fn available(&self, py: Python<'_>) -> PyResult<u64> {
        let free = |state: &mut State| state.waiters.limit().saturating_sub(state.waiters.in_use());
        self.state.with(py, free)
    }

    fn _stats(&self, py: Python<'_>) -> PyResult<Stats> {
        self.state.with(py, |state| {
            let tally = state.waiters.tally();
            (
                state.waiters.limit(),
                state.waiters.in_use(),
                state.waiters.waiting(),
                tally.acquired,
                tally.waited,
                tally.rejected,
                tally.timeouts,
                tally.cancelled,
                convert::to_seconds(tally.wait),
            )
        })
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.timer.traverse(&visit)?;
        let each = |state: &State| {
            let mut waiters = state.waiters.waiters();
            waiters.try_for_each(|waiter| visit.call(waiter))
        };
        self.state.visit(&visit, each).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            self.timer.clear(py);
            let none = Waiters::new(0, Order::Fifo, None);
            let replace = |state: &mut State| std::mem::replace(&mut state.waiters, none);
            drop(self.state.with(py, replace));
        });
    }
}

/// Limit, in use, waiting, acquired, waited, rejected, timeouts, cancelled, seconds waited.
type Stats = (u64, u64, usize, u64, u64, u64, u64, u64, f64);
