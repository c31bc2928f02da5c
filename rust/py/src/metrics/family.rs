//! `Family`: what all metrics are: a name, labels, and a table of children.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use penstock_core::Ordered;
use penstock_core::metrics::{Kind, Meta, Values};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::hooks::text;
use super::labels;
use super::{counter, gauge, histogram, summary};
use crate::ffi::GilLock;

/// What all metrics are: a name, labels, and a table of children.
#[pyclass(
    name = "Family",
    module = "penstock._native",
    subclass,
    frozen,
    weakref
)]
pub struct PyFamily {
    body: OnceLock<Body>,
}

/// What a metric is made of once it is initialised.
pub struct Body {
    pub meta: Arc<Meta>,
    /// The label values of a child.
    pub values: Values,
    /// The children of a parent.
    pub children: Option<Box<GilLock<Ordered<Py<PyFamily>>>>>,
}

/// The arguments that every `_init` takes first.
pub type Naming<'py> = (
    Bound<'py, PyString>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Vec<Bound<'py, PyString>>,
    Option<u64>,
);

/// Families that refused something, for [`drops`].
static DROPPING: Mutex<Vec<Weak<Meta>>> = Mutex::new(Vec::new());

/// The families, alive, that refused something.
pub fn dropping() -> Vec<Arc<Meta>> {
    let mut all = DROPPING.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|meta| meta.strong_count() > 0);
    all.iter().filter_map(Weak::upgrade).collect()
}

/// Counts something refused.
#[cold]
pub fn refuse(meta: &Arc<Meta>, count: impl Fn(&Meta) -> &AtomicU64) {
    let before = meta.drops();
    count(meta).fetch_add(1, Ordering::Relaxed);
    if before == (0, 0) {
        let mut all = DROPPING.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|meta| meta.strong_count() > 0);
        all.push(Arc::downgrade(meta));
    }
}

impl PyFamily {
    pub fn new_empty() -> Self {
        Self {
            body: OnceLock::new(),
        }
    }

    pub fn body(&self) -> PyResult<&Body> {
        self.body
            .get()
            .ok_or_else(|| PyRuntimeError::new_err("metric is not initialised"))
    }

    /// Gives an empty metric its name and labels; whether it can be used without label values.
    pub fn name(&self, kind: Kind, naming: Naming<'_>, bounds: Vec<f64>) -> PyResult<bool> {
        let (name, documentation, unit, labelnames, max_series) = naming;
        let labelnames: Vec<String> = labelnames
            .iter()
            .map(|name| Ok(name.to_str()?.to_owned()))
            .collect::<PyResult<_>>()?;
        let observable = labelnames.is_empty();
        let meta = Meta::new(
            kind,
            name.to_str()?.to_owned(),
            text(&documentation.str()?)?,
            text(&unit.str()?)?,
            labelnames,
            max_series,
            bounds,
        );
        self.fill(Body {
            meta: Arc::new(meta),
            values: Values::default(),
            children: (!observable).then(|| Box::new(GilLock::new(Ordered::default()))),
        })?;
        Ok(observable)
    }

    fn fill(&self, body: Body) -> PyResult<()> {
        self.body
            .set(body)
            .map_err(|_| PyRuntimeError::new_err("metric is already initialised"))
    }

    /// The error of using what still needs label values, or is no metric yet.
    #[cold]
    pub fn unobservable(&self) -> PyErr {
        match self.body() {
            Ok(body) => {
                let kind = body.meta.kind.name();
                PyValueError::new_err(format!("{kind} metric is missing label values"))
            }
            Err(error) => error,
        }
    }

    /// Counts a NaN.
    #[cold]
    pub fn refuse_nan(&self) {
        if let Some(body) = self.body.get() {
            refuse(&body.meta, |meta| &meta.invalid);
        }
    }

    /// The children, oldest first.
    pub fn children(&self, py: Python<'_>) -> PyResult<Vec<Py<Self>>> {
        match &self.body()?.children {
            Some(children) => children.with(py, |children| {
                children.iter().map(|child| child.clone_ref(py)).collect()
            }),
            None => Ok(Vec::new()),
        }
    }

    /// Takes out the children for which `leaves` holds, and lets them go unlocked.
    fn drop_children(&self, py: Python<'_>, leaves: impl Fn(&Self) -> bool) -> PyResult<()> {
        if let Some(children) = &self.body()?.children {
            drop(children.with(py, |all| all.extract(|child| leaves(child.get())))?);
        }
        Ok(())
    }
}

/// A new child of `parent` with these label values, of the same class.
pub fn new_child<'py>(
    parent: &Bound<'py, PyFamily>,
    values: Values,
) -> PyResult<Bound<'py, PyFamily>> {
    let meta = parent.get().body()?.meta.clone();
    let child = match meta.kind {
        Kind::Counter => counter::child(parent)?,
        Kind::Gauge => gauge::child(parent)?,
        Kind::Summary => summary::child(parent)?,
        Kind::Histogram => histogram::child(parent)?,
    };
    child.get().fill(Body {
        meta,
        values,
        children: None,
    })?;
    Ok(child)
}

/// An empty object of the parent's class, made by `T`'s own constructor.
pub fn empty_like<'py, T: pyo3::PyClass>(
    parent: &Bound<'py, PyFamily>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = parent.py().get_type::<T>();
    class.call_method1("__new__", (parent.get_type(),))
}

#[pymethods]
impl PyFamily {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::new_empty()
    }

    #[classmethod]
    #[pyo3(signature = (**kwargs))]
    fn __init_subclass__(
        cls: &Bound<'_, PyType>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        // Other bases may have something to do too.
        let base = cls.py().get_type::<Self>();
        let others = cls
            .py()
            .import("builtins")?
            .getattr("super")?
            .call1((base, cls))?;
        others.call_method("__init_subclass__", (), kwargs)?;
        super::inherit(cls)
    }

    #[getter]
    fn _name(&self) -> PyResult<&str> {
        Ok(&self.body()?.meta.name)
    }

    #[getter]
    fn _documentation(&self) -> PyResult<&str> {
        Ok(&self.body()?.meta.documentation)
    }

    #[getter]
    fn _unit(&self) -> PyResult<&str> {
        Ok(&self.body()?.meta.unit)
    }

    #[getter]
    fn _type(&self) -> PyResult<&'static str> {
        Ok(self.body()?.meta.kind.name())
    }

    #[getter]
    fn _max_series(&self) -> PyResult<Option<u64>> {
        Ok(self.body()?.meta.max_series)
    }

    #[getter]
    fn _labelnames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.body()?.meta.labelnames)
    }

    #[getter]
    fn _labelvalues<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.body()?.values.iter())
    }

    /// Return the series with these label values; it is made when it is not there.
    #[pyo3(signature = (*labelvalues, **labelkwargs))]
    fn labels<'py>(
        slf: &Bound<'py, Self>,
        labelvalues: &Bound<'py, PyTuple>,
        labelkwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        labels::labels(slf, labelvalues, labelkwargs)
    }

    /// Remove the series with these label values, if it is there.
    #[pyo3(signature = (*labelvalues))]
    fn remove(slf: &Bound<'_, Self>, labelvalues: &Bound<'_, PyTuple>) -> PyResult<()> {
        labels::remove(slf, labelvalues)
    }

    /// Remove all series of a metric with labels.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.drop_children(py, |_| true)
    }

    fn _children(&self, py: Python<'_>) -> PyResult<Vec<Py<Self>>> {
        self.children(py)
    }

    /// Remove the series that have these values at these positions.
    fn _remove_where<'py>(
        &self,
        py: Python<'py>,
        positions: HashMap<usize, Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let text = |(at, want): (usize, Bound<'py, PyAny>)| {
            Ok((at, labels::exact(&want)?.to_str()?.to_owned()))
        };
        let wanted: Vec<(usize, String)> =
            positions.into_iter().map(text).collect::<PyResult<_>>()?;
        self.drop_children(py, |child| {
            let own = |at| child.body.get().and_then(|body| body.values.get(at));
            wanted.iter().all(|(at, want)| own(*at) == Some(want))
        })
    }

    fn __str__(&self) -> PyResult<String> {
        let meta = &self.body()?.meta;
        Ok(format!("{}:{}", meta.kind.name(), meta.name))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let children = self.body.get().and_then(|body| body.children.as_ref());
        let visited = children.and_then(|children| {
            children.visit(&visit, |children| {
                children.iter().try_for_each(|child| visit.call(child))
            })
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        if let Some(children) = self.body.get().and_then(|body| body.children.as_ref()) {
            Python::attach(|py| drop(children.with(py, std::mem::take)));
        }
    }
}
