//! `Summary`: the count and the sum of observations.

use std::ffi::CStr;

use penstock_core::metrics::Kind;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::amount::{float, plain};
use super::family::{Naming, PyFamily, empty_like};
use super::hooks::unix_time;
use super::timer::PyTimer;
use crate::ffi::{Args, FastMethod, GilLock, Installed};

/// The count and the sum of observations.
#[pyclass(name = "Summary", module = "penstock._native", extends = PyFamily, subclass, frozen)]
pub struct PySummary {
    cell: GilLock<Cell>,
}

#[derive(Clone, Copy, Default)]
pub struct Cell {
    observable: bool,
    pub count: u64,
    pub sum: f64,
    pub created: f64,
}

impl Cell {
    fn new() -> Self {
        Self {
            observable: true,
            created: unix_time(),
            ..Self::default()
        }
    }
}

impl PySummary {
    /// What was observed so far, if it can be.
    pub fn read(slf: &Bound<'_, Self>) -> PyResult<Cell> {
        let cell = slf.get().cell.with(slf.py(), |cell| *cell)?;
        if cell.observable {
            Ok(cell)
        } else {
            Err(slf.as_super().get().unobservable())
        }
    }

    /// Whether it could be counted: not without label values.
    #[inline]
    fn count(slf: Borrowed<'_, '_, Self>, amount: f64) -> PyResult<bool> {
        if amount.is_nan() {
            slf.as_super().get().refuse_nan();
        }
        slf.get().cell.with(slf.py(), |cell| {
            if cell.observable && !amount.is_nan() {
                cell.count += 1;
                cell.sum += amount;
            }
            cell.observable
        })
    }
}

pub fn child<'py>(parent: &Bound<'py, PyFamily>) -> PyResult<Bound<'py, PyFamily>> {
    let child = empty_like::<PySummary>(parent)?.cast_into::<PySummary>()?;
    let cell = &child.get().cell;
    cell.with(parent.py(), |cell| *cell = Cell::new())?;
    Ok(child.into_super())
}

/// `Summary.observe`.
pub struct Observe;

impl FastMethod for Observe {
    type Class = PySummary;
    const METHOD: &'static CStr = c"observe";
    const METHOD_DOC: &'static CStr = c"observe($self, amount)\n--\n\nCount an observation.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PySummary>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let given = args
            .get(0)
            .filter(|_| args.len() == 1 && args.positional() == 1)?;
        let amount = plain(given).filter(|amount| !amount.is_nan())?;
        let counted = PySummary::count(this, amount).ok()?;
        counted.then(|| Ok(py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

#[pymethods]
impl PySummary {
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
    ) -> PyResult<()> {
        let naming: Naming<'_> = (name, documentation, unit, labelnames, max_series);
        if slf
            .as_super()
            .get()
            .name(Kind::Summary, naming, Vec::new())?
        {
            let cell = &slf.get().cell;
            cell.with(slf.py(), |cell| *cell = Cell::new())?;
        }
        Ok(())
    }

    /// Count an observation.
    fn observe(slf: &Bound<'_, Self>, amount: Bound<'_, PyAny>) -> PyResult<()> {
        Self::read(slf)?;
        Self::count(slf.as_borrowed(), float(amount.as_borrowed())?)?;
        Ok(())
    }

    /// Return a timer that observes the seconds a block or a function took.
    fn time(slf: Bound<'_, Self>) -> PyResult<PyTimer> {
        PyTimer::of(slf.into_any())
    }

    fn _read(slf: &Bound<'_, Self>) -> PyResult<(u64, f64, f64)> {
        let cell = Self::read(slf)?;
        Ok((cell.count, cell.sum, cell.created))
    }
}
