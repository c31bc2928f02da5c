//! `Entry`: a value in the first tier of a cache.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt};

use crate::convert::{self, Maybe};
use crate::ffi::GilLock;

/// A value in the first tier, and what the tiers know of it.
///
/// Args:
///     value: What a hit gives.
///     note: Whatever the subclass of Front wants to know of it.
///     grace: Seconds before its deadline from which on it is looked at before it is served.
#[pyclass(name = "Entry", module = "penstock._native", frozen)]
pub struct PyEntry {
    parts: GilLock<Parts>,
    pub grace: u64,
    epoch: AtomicI64,
}

/// What the collector may have to clear.
struct Parts {
    value: Option<Py<PyAny>>,
    note: Option<Py<PyAny>>,
}

impl PyEntry {
    /// Whether it was looked at in this epoch.
    #[inline]
    pub fn is_of(&self, epoch: i64) -> bool {
        self.epoch.load(Ordering::Relaxed) == epoch
    }

    #[inline]
    pub fn value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.parts.with(py, |parts| {
            parts.value.as_ref().map(|value| value.bind(py).clone())
        })
    }
}

#[pymethods]
impl PyEntry {
    #[new]
    #[pyo3(signature = (value, note, grace=Maybe::Missing), text_signature = "(value, note, grace=0.0)")]
    fn new(value: Py<PyAny>, note: Py<PyAny>, grace: Maybe<'_>) -> PyResult<Self> {
        let parts = Parts {
            value: Some(value),
            note: Some(note),
        };
        Ok(Self {
            parts: GilLock::new(parts),
            grace: grace.given().map_or(Ok(0), seconds)?,
            epoch: AtomicI64::new(-1),
        })
    }

    #[getter(value)]
    fn get_value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.value(py)
    }

    #[getter]
    fn note<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.parts.with(py, |parts| {
            parts.note.as_ref().map(|note| note.bind(py).clone())
        })
    }

    #[getter]
    fn grace(&self) -> f64 {
        convert::to_seconds(self.grace)
    }

    #[getter]
    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_epoch(&self, epoch: &Bound<'_, PyAny>) -> PyResult<()> {
        self.epoch.store(number(epoch)?, Ordering::Relaxed);
        Ok(())
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let each = |parts: &Parts| {
            visit.call(&parts.value)?;
            visit.call(&parts.note)
        };
        self.parts.visit(&visit, each).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let empty = Parts {
            value: None,
            note: None,
        };
        Python::attach(|py| {
            drop(self.parts.with(py, |parts| std::mem::replace(parts, empty)));
        });
    }
}

/// A number of seconds, of which there may be none.
fn seconds(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    if convert::number(value) == Some(0.0) {
        return Ok(0);
    }
    convert::duration("grace", value)
}

/// The number of an epoch.
pub fn number(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return Err(convert::wrong_type("epoch must be an int", value));
    }
    match value.extract() {
        Ok(epoch @ -1..) => Ok(epoch),
        _ => Err(PyValueError::new_err(format!(
            "epoch must be >= -1 and <= {}, got {}",
            i64::MAX,
            value.repr()?
        ))),
    }
}
