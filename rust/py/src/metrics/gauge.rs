//! `Gauge`: a number that goes up and down.

use std::ffi::CStr;

use penstock_core::metrics::Kind;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::amount::{float, parsed, plain};
use super::family::{Naming, PyFamily, empty_like};
use super::timer::PyTimer;
use crate::convert::Maybe;
use crate::ffi::{Args, FastMethod, GilLock, Installed, call0};

/// A number that goes up and down.
#[pyclass(name = "Gauge", module = "penstock._native", extends = PyFamily, subclass, frozen)]
pub struct PyGauge {
    cell: GilLock<Cell>,
}

#[derive(Default)]
struct Cell {
    observable: bool,
    most_recent: bool,
    value: f64,
    /// Computes the value instead.
    function: Option<Py<PyAny>>,
}

impl PyGauge {
    fn change(slf: &Bound<'_, Self>, change: impl FnOnce(&mut f64)) -> PyResult<()> {
        let changed = slf.get().cell.with(slf.py(), |cell| {
            if cell.observable {
                change(&mut cell.value);
            }
            cell.observable
        })?;
        if changed {
            Ok(())
        } else {
            Err(slf.as_super().get().unobservable())
        }
    }

    /// Adds `sign` times what was given, 1 by default; where only the latest set counts that is an error.
    fn add(slf: &Bound<'_, Self>, verb: &str, amount: &Maybe<'_>, sign: f64) -> PyResult<()> {
        if slf.get().cell.with(slf.py(), |cell| cell.most_recent)? {
            let message = format!("{verb} must not be used with the mostrecent mode");
            return Err(PyRuntimeError::new_err(message));
        }
        Self::change(slf, |_| {})?;
        let amount = amount
            .given()
            .map_or(Ok(1.0), |amount| float(amount.as_borrowed()))?;
        Self::change(slf, |value| *value += sign * amount)
    }

    /// The value, from the function if there is one.
    pub fn read(slf: &Bound<'_, Self>) -> PyResult<f64> {
        let py = slf.py();
        let (observable, value, function) = slf.get().cell.with(py, |cell| {
            let function = cell
                .function
                .as_ref()
                .map(|function| function.clone_ref(py));
            (cell.observable, cell.value, function)
        })?;
        if !observable {
            return Err(slf.as_super().get().unobservable());
        }
        match function {
            Some(function) => parsed(&call0(&function.into_bound(py))?),
            None => Ok(value),
        }
    }
}

pub fn child<'py>(parent: &Bound<'py, PyFamily>) -> PyResult<Bound<'py, PyFamily>> {
    let py = parent.py();
    let most_recent = parent
        .cast::<PyGauge>()?
        .get()
        .cell
        .with(py, |cell| cell.most_recent)?;
    let child = empty_like::<PyGauge>(parent)?.cast_into::<PyGauge>()?;
    child.get().cell.with(py, |cell| {
        cell.observable = true;
        cell.most_recent = most_recent;
    })?;
    Ok(child.into_super())
}

/// `Gauge.set`.
pub struct Set;

impl FastMethod for Set {
    type Class = PyGauge;
    const METHOD: &'static CStr = c"set";
    const METHOD_DOC: &'static CStr = c"set($self, value)\n--\n\nSet to *value*.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyGauge>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let given = args
            .get(0)
            .filter(|_| args.len() == 1 && args.positional() == 1)?;
        let value = plain(given)?;
        let set = this.get().cell.with(py, |cell| {
            if cell.observable {
                cell.value = value;
            }
            cell.observable
        });
        set.ok()?.then(|| Ok(py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

#[pymethods]
impl PyGauge {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        let cell = GilLock::new(Cell::default());
        PyClassInitializer::from(PyFamily::new_empty()).add_subclass(Self { cell })
    }

    fn _init<'py>(
        slf: &Bound<'py, Self>,
        name: Bound<'py, PyString>,
        documentation: Bound<'py, PyAny>,
        unit: Bound<'py, PyAny>,
        labelnames: Vec<Bound<'py, PyString>>,
        max_series: Option<u64>,
        most_recent: bool,
    ) -> PyResult<()> {
        let naming: Naming<'_> = (name, documentation, unit, labelnames, max_series);
        let observable = slf.as_super().get().name(Kind::Gauge, naming, Vec::new())?;
        slf.get().cell.with(slf.py(), |cell| {
            cell.observable = observable;
            cell.most_recent = most_recent;
        })
    }

    /// Add *amount*.
    #[pyo3(signature = (amount=Maybe::Missing), text_signature = "(self, amount=1)")]
    fn inc(slf: &Bound<'_, Self>, amount: Maybe<'_>) -> PyResult<()> {
        Self::add(slf, "inc", &amount, 1.0)
    }

    /// Subtract *amount*.
    #[pyo3(signature = (amount=Maybe::Missing), text_signature = "(self, amount=1)")]
    fn dec(slf: &Bound<'_, Self>, amount: Maybe<'_>) -> PyResult<()> {
        Self::add(slf, "dec", &amount, -1.0)
    }

    /// Set to *value*.
    fn set(slf: &Bound<'_, Self>, value: Bound<'_, PyAny>) -> PyResult<()> {
        Self::change(slf, |_| {})?;
        let new = parsed(&value)?;
        Self::change(slf, |value| *value = new)
    }

    /// Show what *f* returns, called at each scrape, instead of what was set.
    fn set_function(slf: &Bound<'_, Self>, f: Py<PyAny>) -> PyResult<()> {
        Self::change(slf, |_| {})?;
        drop(
            slf.get()
                .cell
                .with(slf.py(), |cell| cell.function.replace(f))?,
        );
        Ok(())
    }

    /// Return a timer that sets this gauge to the seconds a block or a function took.
    fn time(slf: Bound<'_, Self>) -> PyResult<PyTimer> {
        PyTimer::of(slf.into_any())
    }

    fn _read(slf: &Bound<'_, Self>) -> PyResult<f64> {
        Self::read(slf)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let visited = self.cell.visit(&visit, |cell| visit.call(&cell.function));
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| drop(self.cell.with(py, |cell| cell.function.take())));
    }
}
