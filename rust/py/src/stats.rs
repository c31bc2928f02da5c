//! `CacheStats`: what a cache has done so far.

use penstock_core::Counters;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::convert::to_seconds;

/// What a cache has done so far, at one moment.
///
/// Attributes:
///     hits, misses: Reads that found a live entry, and those that did not.
///     loads, load_failures: Loads that returned, and those that raised.
///     load_seconds: Time spent in both.
///     evictions: Entries that left to make room.
///     expirations: Entries that left because their time was over.
///     size, weight: Live entries, and the sum of their weights.
///     maxsize: The bound on size, or on weight with a weigher.
///     hit_ratio: hits / (hits + misses), 0.0 before the first read.
#[pyclass(name = "CacheStats", module = "penstock", frozen, get_all, eq)]
#[derive(Clone, PartialEq)]
pub struct PyCacheStats {
    hits: u64,
    misses: u64,
    loads: u64,
    load_failures: u64,
    load_seconds: f64,
    evictions: u64,
    expirations: u64,
    size: u64,
    weight: u128,
    maxsize: Option<u64>,
}

impl PyCacheStats {
    pub fn of(counters: Counters, size: u64, weight: u128, maxsize: Option<u64>) -> Self {
        Self {
            hits: counters.hits,
            misses: counters.misses,
            loads: counters.loads,
            load_failures: counters.load_failures,
            load_seconds: to_seconds(counters.load_ns),
            evictions: counters.evictions,
            expirations: counters.expirations,
            size,
            weight,
            maxsize,
        }
    }
}

#[pymethods]
impl PyCacheStats {
    #[new]
    #[pyo3(signature = (*, hits=0, misses=0, loads=0, load_failures=0, load_seconds=0.0, evictions=0, expirations=0, size=0, weight=0, maxsize=None))]
    #[expect(clippy::too_many_arguments, reason = "one for each field")]
    fn new(
        hits: u64,
        misses: u64,
        loads: u64,
        load_failures: u64,
        load_seconds: f64,
        evictions: u64,
        expirations: u64,
        size: u64,
        weight: u128,
        maxsize: Option<u64>,
    ) -> Self {
        Self {
            hits,
            misses,
            loads,
            load_failures,
            load_seconds,
            evictions,
            expirations,
            size,
            weight,
            maxsize,
        }
    }

    #[getter]
    #[expect(clippy::cast_precision_loss, reason = "a ratio is a float")]
    fn hit_ratio(&self) -> f64 {
        match u128::from(self.hits) + u128::from(self.misses) {
            0 => 0.0,
            reads => self.hits as f64 / reads as f64,
        }
    }

    /// Pickles by its fields.
    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let fields = PyDict::new(py);
        fields.set_item("hits", self.hits)?;
        fields.set_item("misses", self.misses)?;
        fields.set_item("loads", self.loads)?;
        fields.set_item("load_failures", self.load_failures)?;
        fields.set_item("load_seconds", self.load_seconds)?;
        fields.set_item("evictions", self.evictions)?;
        fields.set_item("expirations", self.expirations)?;
        fields.set_item("size", self.size)?;
        fields.set_item("weight", self.weight)?;
        fields.set_item("maxsize", self.maxsize)?;
        Ok((PyTuple::empty(py), fields))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let seconds = self.load_seconds.into_pyobject(py)?.repr()?;
        let maxsize = self
            .maxsize
            .map_or_else(|| "None".to_owned(), |size| size.to_string());
        Ok(format!(
            "CacheStats(hits={}, misses={}, loads={}, load_failures={}, load_seconds={seconds}, \
             evictions={}, expirations={}, size={}, weight={}, maxsize={maxsize})",
            self.hits,
            self.misses,
            self.loads,
            self.load_failures,
            self.evictions,
            self.expirations,
            self.size,
            self.weight,
        ))
    }

    /// Hashes like the tuple of its fields; floats make it Python's business.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.__repr__(py)?.into_pyobject(py)?.hash()
    }
}
