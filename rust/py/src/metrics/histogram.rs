//! `Histogram`: observations in buckets, and percentiles of the last while.

use std::ffi::CStr;

use penstock_core::Clock;
use penstock_core::metrics::{Exemplar, Kind, Meta, STEPS, Totals, Window};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::amount::{float, plain};
use super::family::{Naming, PyFamily, empty_like};
use super::hooks::{self, to_python, unix_time};
use super::timer::PyTimer;
use crate::clock::{self, Moment, Timer};
use crate::convert;
use crate::ffi::{Args, FastMethod, GilLock, Installed};

/// Observations in buckets, and percentiles of the last while.
#[pyclass(name = "Histogram", module = "penstock._native", extends = PyFamily, subclass, frozen)]
pub struct PyHistogram {
    cell: GilLock<Cell>,
    timer: Timer,
}

/// What was observed.
#[derive(Default)]
pub struct Cell {
    /// By bucket, not cumulative; none where label values are missing.
    pub counts: Box<[u64]>,
    pub sum: f64,
    pub created: f64,
    pub exemplars: Vec<Option<Box<Exemplar>>>,
    window: Option<Box<Window>>,
    /// Nanoseconds that the window is long.
    longest: u64,
    own_timer: bool,
}

impl Cell {
    fn new(buckets: usize, longest: u64, own_timer: bool) -> Self {
        Self {
            counts: vec![0; buckets].into_boxed_slice(),
            created: unix_time(),
            longest,
            own_timer,
            ..Self::default()
        }
    }

    /// The window, which begins with its first observation.
    #[inline]
    fn window(&mut self, now: u64) -> &mut Window {
        let step = step(self.longest);
        self.window
            .get_or_insert_with(|| Box::new(Window::new(step, now)))
    }

    /// Counts an observation, if there are buckets; which one it fell into.
    #[inline]
    fn record(&mut self, meta: &Meta, value: f64, now: u64) -> Option<usize> {
        let bucket = meta.bucket(value);
        *self.counts.get_mut(bucket)? += 1;
        self.sum += value;
        self.window(now).record(value, now);
        Some(bucket)
    }
}

impl PyHistogram {
    /// Reads what was counted, if it can be.
    pub fn read<R>(slf: &Bound<'_, Self>, read: impl FnOnce(&Cell) -> R) -> PyResult<R> {
        let cell = &slf.get().cell;
        let read = cell.with(slf.py(), |cell| {
            (!cell.counts.is_empty()).then(|| read(cell))
        })?;
        read.ok_or_else(|| slf.as_super().get().unobservable())
    }

    /// Nanoseconds on its clock; without a timer of its own as cheap as can be.
    #[inline]
    fn now(&self, py: Python<'_>) -> PyResult<u64> {
        if self.is_on_system_clock(py)? {
            return Ok(clock::coarse());
        }
        self.moment(py).map(|moment| moment.now())
    }

    /// The time on its clock, to be measured with.
    pub fn moment(&self, py: Python<'_>) -> PyResult<Moment> {
        self.timer.moment(py)
    }

    /// Counts an observation that is no NaN; nothing without label values.
    #[inline]
    pub fn observe_float(slf: Borrowed<'_, '_, Self>, value: f64) -> PyResult<Option<usize>> {
        let now = slf.get().now(slf.py())?;
        Self::observe_at(slf, value, now)
    }

    /// The same at a given time.
    #[inline]
    pub fn observe_at(
        slf: Borrowed<'_, '_, Self>,
        value: f64,
        now: u64,
    ) -> PyResult<Option<usize>> {
        let meta = &slf.as_super().get().body()?.meta;
        let cell = &slf.get().cell;
        cell.with(slf.py(), |cell| cell.record(meta, value, now))
    }

    /// Whether it has no timer of its own.
    #[inline]
    pub fn is_on_system_clock(&self, py: Python<'_>) -> PyResult<bool> {
        self.cell.with(py, |cell| !cell.own_timer)
    }

    /// Asks the window, if there has been an observation, about the last steps.
    fn ask<R>(
        slf: &Bound<'_, Self>,
        window: Option<&Bound<'_, PyAny>>,
        answer: impl FnOnce(&mut Window, u64, u64) -> R,
    ) -> PyResult<Option<R>> {
        let py = slf.py();
        let this = slf.get();
        let longest = Self::read(slf, |cell| cell.longest)?;
        let steps = window.map_or(Ok(STEPS), |window| steps(window, longest))?;
        let now = this.now(py)?;
        this.cell.with(py, |cell| {
            let window = cell.window.as_mut()?;
            Some(answer(window, now, steps))
        })
    }

    /// What was observed in a window; nothing without observations.
    fn totals(
        slf: &Bound<'_, Self>,
        window: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Totals>> {
        let totals = Self::ask(slf, window, Window::totals)?;
        Ok(totals.filter(|totals| totals.count > 0))
    }
}

/// The length of a step of a window.
fn step(longest: u64) -> u64 {
    longest.div_ceil(STEPS)
}

/// How many steps a window takes.
fn steps(window: &Bound<'_, PyAny>, longest: u64) -> PyResult<u64> {
    let asked = convert::duration("window", window)?;
    if asked > longest {
        let py = window.py();
        let longest = shown(py, convert::to_seconds(longest))?;
        let asked = shown(py, convert::to_seconds(asked))?;
        let message = format!("window must be <= {longest} seconds, got {asked}");
        return Err(PyValueError::new_err(message));
    }
    Ok(asked.div_ceil(step(longest)))
}

/// A number as `%g` shows it.
fn shown(py: Python<'_>, number: f64) -> PyResult<String> {
    PyString::new(py, "%g")
        .call_method1("__mod__", (number,))?
        .extract()
}

pub fn child<'py>(parent: &Bound<'py, PyFamily>) -> PyResult<Bound<'py, PyFamily>> {
    let py = parent.py();
    let buckets = parent.get().body()?.meta.bounds.len();
    let of = parent.cast::<PyHistogram>()?.get();
    let (longest, own_timer) = of.cell.with(py, |cell| (cell.longest, cell.own_timer))?;
    let timer = of.timer.get(py)?;
    let child = empty_like::<PyHistogram>(parent)?.cast_into::<PyHistogram>()?;
    let new = Cell::new(buckets, longest, own_timer);
    child.get().cell.with(py, |cell| *cell = new)?;
    child.get().timer.replace(py, timer)?;
    Ok(child.into_super())
}

/// `Histogram.observe`.
pub struct Observe;

impl FastMethod for Observe {
    type Class = PyHistogram;
    const METHOD: &'static CStr = c"observe";
    const METHOD_DOC: &'static CStr =
        c"observe($self, amount, exemplar=None)\n--\n\nCount an observation.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyHistogram>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let given = args
            .get(0)
            .filter(|_| args.len() == 1 && args.positional() == 1)?;
        let amount = plain(given).filter(|amount| !amount.is_nan())?;
        match PyHistogram::observe_float(this, amount) {
            Ok(Some(_)) => Some(Ok(py.None().into_bound(py))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

#[pymethods]
impl PyHistogram {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        let new = Self {
            cell: GilLock::new(Cell::default()),
            timer: Timer::new(None),
        };
        PyClassInitializer::from(PyFamily::new_empty()).add_subclass(new)
    }

    #[expect(clippy::too_many_arguments, reason = "a constructor in all but name")]
    fn _init<'py>(
        slf: &Bound<'py, Self>,
        name: Bound<'py, PyString>,
        documentation: Bound<'py, PyAny>,
        unit: Bound<'py, PyAny>,
        labelnames: Vec<Bound<'py, PyString>>,
        max_series: Option<u64>,
        bounds: Vec<f64>,
        window: &Bound<'py, PyAny>,
        timer: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let longest = convert::duration("window", window)?;
        let naming: Naming<'_> = (name, documentation, unit, labelnames, max_series);
        let buckets = bounds.len();
        let observable = slf.as_super().get().name(Kind::Histogram, naming, bounds)?;
        let new = Cell::new(
            if observable { buckets } else { 0 },
            longest,
            timer.is_some(),
        );
        slf.get().cell.with(py, |cell| *cell = new)?;
        slf.get().timer.replace(py, timer)
    }

    #[getter]
    fn _upper_bounds(slf: &Bound<'_, Self>) -> PyResult<Vec<f64>> {
        Ok(slf.as_super().get().body()?.meta.bounds.clone())
    }

    /// Count an observation.
    #[pyo3(signature = (amount, exemplar=None))]
    fn observe<'py>(
        slf: &Bound<'py, Self>,
        amount: Bound<'py, PyAny>,
        exemplar: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        Self::read(slf, |_| ())?;
        let value = float(amount.as_borrowed())?;
        if value.is_nan() {
            slf.as_super().get().refuse_nan();
            return Ok(());
        }
        let exemplar = hooks::exemplar(exemplar.as_ref(), value)?;
        let bucket = Self::observe_float(slf.as_borrowed(), value)?;
        let (Some(bucket), true) = (bucket, exemplar.is_some()) else {
            return Ok(());
        };
        slf.get().cell.with(slf.py(), |cell| {
            let buckets = cell.counts.len();
            cell.exemplars.resize(buckets, None);
            if let Some(slot) = cell.exemplars.get_mut(bucket) {
                *slot = exemplar;
            }
        })
    }

    /// Return a timer that observes the seconds a block or a function took.
    fn time(slf: Bound<'_, Self>) -> PyResult<PyTimer> {
        PyTimer::of(slf.into_any())
    }

    /// Return the *q*-quantile of the last *window* seconds; None without observations.
    #[pyo3(signature = (q, window=None))]
    fn quantile<'py>(
        slf: &Bound<'py, Self>,
        q: &Bound<'py, PyAny>,
        window: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<f64>> {
        Self::read(slf, |_| ())?;
        let rank =
            convert::number(q).ok_or_else(|| convert::wrong_type("q must be a number", q))?;
        if !(0.0..=1.0).contains(&rank) {
            let message = format!("q must be >= 0 and <= 1, got {}", q.repr()?);
            return Err(PyValueError::new_err(message));
        }
        let answer = Self::ask(slf, window, |window, now, steps| {
            window.quantile(rank, now, steps)
        })?;
        Ok(answer.flatten())
    }

    /// Return how many observations there were in the last *window* seconds.
    #[pyo3(signature = (window=None))]
    fn count<'py>(slf: &Bound<'py, Self>, window: Option<&Bound<'py, PyAny>>) -> PyResult<u64> {
        Ok(Self::totals(slf, window)?.map_or(0, |totals| totals.count))
    }

    /// Return the mean of the last *window* seconds; None without observations.
    #[pyo3(signature = (window=None))]
    #[expect(clippy::cast_precision_loss, reason = "a mean is a float")]
    fn mean<'py>(
        slf: &Bound<'py, Self>,
        window: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<f64>> {
        let totals = Self::totals(slf, window)?;
        Ok(totals.map(|totals| totals.sum / totals.count as f64))
    }

    /// Return the largest observation of the last *window* seconds; None without observations.
    #[pyo3(signature = (window=None))]
    fn max<'py>(
        slf: &Bound<'py, Self>,
        window: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<f64>> {
        Ok(Self::totals(slf, window)?.map(|totals| totals.max))
    }

    #[expect(clippy::type_complexity, reason = "a tuple for Python")]
    fn _read<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Vec<u64>, f64, f64, Vec<Option<Bound<'py, PyTuple>>>)> {
        let (counts, sum, created, mut exemplars) = Self::read(slf, |cell| {
            let exemplars = cell.exemplars.clone();
            (cell.counts.to_vec(), cell.sum, cell.created, exemplars)
        })?;
        exemplars.resize(counts.len(), None);
        let exemplars = exemplars
            .iter()
            .map(|exemplar| {
                exemplar
                    .as_ref()
                    .map(|it| to_python(slf.py(), it))
                    .transpose()
            })
            .collect::<PyResult<_>>()?;
        Ok((counts, sum, created, exemplars))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.timer.traverse(&visit)
    }

    fn __clear__(&self) {
        Python::attach(|py| self.timer.clear(py));
    }
}
