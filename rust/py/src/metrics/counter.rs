//! `Counter`: a number that only grows.

use std::ffi::CStr;

use penstock_core::metrics::{Exemplar, Kind};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::amount::Amount;
use super::family::{Naming, PyFamily, empty_like};
use super::hooks::{self, to_python, unix_time};
use crate::convert::Maybe;
use crate::ffi::{Args, FastMethod, GilLock, Installed};

/// A number that only grows.
#[pyclass(name = "Counter", module = "penstock._native", extends = PyFamily, subclass, frozen)]
pub struct PyCounter {
    cell: GilLock<Cell>,
}

#[derive(Clone, Default)]
pub struct Cell {
    observable: bool,
    /// Integers are summed apart from fractions: floats stop counting single events at 2^53.
    whole: u64,
    fraction: f64,
    pub created: f64,
    pub exemplar: Option<Box<Exemplar>>,
}

impl Cell {
    fn new() -> Self {
        Self {
            observable: true,
            created: unix_time(),
            ..Self::default()
        }
    }

    #[inline]
    fn add(&mut self, amount: Amount) -> bool {
        match amount {
            Amount::Whole(amount) => self.whole = self.whole.saturating_add(amount),
            Amount::Fraction(amount) => self.fraction += amount,
        }
        self.observable
    }

    #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
    pub fn value(&self) -> f64 {
        self.whole as f64 + self.fraction
    }
}

impl PyCounter {
    /// What was counted so far, if it can be.
    pub fn read(slf: &Bound<'_, Self>) -> PyResult<Cell> {
        let cell = slf.get().cell.with(slf.py(), |cell| cell.clone())?;
        if cell.observable {
            Ok(cell)
        } else {
            Err(slf.as_super().get().unobservable())
        }
    }
}

pub fn child<'py>(parent: &Bound<'py, PyFamily>) -> PyResult<Bound<'py, PyFamily>> {
    let child = empty_like::<PyCounter>(parent)?.cast_into::<PyCounter>()?;
    child
        .get()
        .cell
        .with(parent.py(), |cell| *cell = Cell::new())?;
    Ok(child.into_super())
}

/// `Counter.inc`.
pub struct Inc;

impl FastMethod for Inc {
    type Class = PyCounter;
    const METHOD: &'static CStr = c"inc";
    const METHOD_DOC: &'static CStr =
        c"inc($self, amount=1, exemplar=None)\n--\n\nCount *amount*, which is not negative.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyCounter>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let amount = match (args.len(), args.get(0)) {
            (0, _) => Amount::Whole(1),
            (1, Some(given)) if args.positional() == 1 => Amount::plain(given)?,
            _ => return None,
        };
        // What has no cell of its own yet is told so by the method itself.
        let counted = this
            .get()
            .cell
            .with(py, |cell| cell.observable && cell.add(amount));
        match counted {
            Ok(true) => Some(Ok(py.None().into_bound(py))),
            _ => None,
        }
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

#[pymethods]
impl PyCounter {
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
            .name(Kind::Counter, naming, Vec::new())?
        {
            let cell = &slf.get().cell;
            cell.with(slf.py(), |cell| *cell = Cell::new())?;
        }
        Ok(())
    }

    /// Count *amount*, which is not negative.
    #[pyo3(signature = (amount=Maybe::Missing, exemplar=None), text_signature = "(self, amount=1, exemplar=None)")]
    fn inc<'py>(
        slf: &Bound<'py, Self>,
        amount: Maybe<'py>,
        exemplar: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        Self::read(slf)?;
        let (amount, value) = match amount.given() {
            Some(amount) => Amount::of(amount.as_borrowed())?,
            None => (Amount::Whole(1), 1.0),
        };
        if value.is_nan() {
            slf.as_super().get().refuse_nan();
        }
        if value.is_nan() || value < 0.0 {
            return Err(PyValueError::new_err(
                "Counters can only be incremented by non-negative amounts.",
            ));
        }
        let exemplar = hooks::exemplar(exemplar.as_ref(), value)?;
        slf.get().cell.with(py, |cell| {
            cell.add(amount);
            if exemplar.is_some() {
                cell.exemplar = exemplar;
            }
        })
    }

    /// Start at zero again, as a process that restarts does.
    fn reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::read(slf)?;
        let now = unix_time();
        slf.get().cell.with(slf.py(), |cell| {
            (cell.whole, cell.fraction, cell.created) = (0, 0.0, now);
        })
    }

    fn _read<'py>(slf: &Bound<'py, Self>) -> PyResult<(f64, f64, Option<Bound<'py, PyTuple>>)> {
        let cell = Self::read(slf)?;
        let exemplar = cell.exemplar.as_ref();
        let exemplar = exemplar.map(|exemplar| to_python(slf.py(), exemplar));
        Ok((cell.value(), cell.created, exemplar.transpose()?))
    }
}
