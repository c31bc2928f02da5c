//! `Front`: the answer of a hit in the first tier of a cache; a subclass has all other answers.

mod entry;

use std::ffi::CStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use penstock_core::{Clock, NEVER};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::cache::PyCache;
use crate::convert;
use crate::ffi::{
    Args, FastMethod, Installed, attached, call_with, inherit_method, install_method, ready,
};
use crate::key::Key;

pub use entry::PyEntry;

/// The answers of a first tier in memory; a subclass has the hooks that give all others.
#[pyclass(name = "Front", module = "penstock._native", subclass, frozen, weakref)]
pub struct PyFront {
    /// Cycles through it are broken by the cache, which can let go of its entries.
    cache: OnceLock<Py<PyCache>>,
    epoch: AtomicI64,
}

/// The entry of a key, and its value if that may be served.
type Look<'py> = (Option<Bound<'py, PyEntry>>, Option<Bound<'py, PyAny>>);

impl PyFront {
    #[inline]
    fn look<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Look<'py>> {
        let missing = || PyRuntimeError::new_err("the front has no cache");
        let (cache, key) = (self.cache.get().ok_or_else(missing)?.get(), Key::new(key)?);
        let moment = cache.moment(py, false)?;
        let moment = if cache.is_timed() {
            moment.near()
        } else {
            moment
        };
        let Some((object, deadline)) = cache.read_at(py, &key, moment)? else {
            return Ok((None, None));
        };
        let Ok(entry) = object.cast_into_exact::<PyEntry>() else {
            return Ok((None, None));
        };
        let here = entry.get();
        let served = here.is_of(self.epoch.load(Ordering::Relaxed))
            && (deadline == NEVER || !moment.reached(deadline.saturating_sub(here.grace)));
        let value = if served { here.value(py)? } else { None };
        Ok((Some(entry), value))
    }

    #[inline]
    fn answer<'py>(
        this: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        match this.get().look(py, key)? {
            (_, Some(value)) => ready(value),
            (entry, None) => attached(py, |_| {
                let hook = this.getattr(intern!(py, "_get"))?;
                call_with(&hook, (key, default, entry), None)
            }),
        }
    }

    #[inline]
    fn answer_or_load<'py>(
        this: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        loader: &Bound<'py, PyAny>,
        options: impl FnOnce() -> PyResult<Option<Bound<'py, PyDict>>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        match this.get().look(py, key)? {
            (_, Some(value)) => ready(value),
            (entry, None) => attached(py, |_| {
                let hook = this.getattr(intern!(py, "_get_or_load"))?;
                call_with(&hook, (key, loader, entry), options()?.as_ref())
            }),
        }
    }
}

#[pymethods]
impl PyFront {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            cache: OnceLock::new(),
            epoch: AtomicI64::new(0),
        }
    }

    #[classmethod]
    fn __init_subclass__(cls: &Bound<'_, PyType>) -> PyResult<()> {
        inherit_method::<Get>(cls)?;
        inherit_method::<GetOrLoad>(cls)
    }

    /// Answer from this cache from now on.
    fn _attach(&self, cache: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(cache) = cache.cast::<PyCache>() else {
            return Err(convert::wrong_type("cache must be a Cache", cache));
        };
        self.cache
            .set(cache.clone().unbind())
            .map_err(|_| PyRuntimeError::new_err("the front has its cache already"))
    }

    /// Entries of another epoch are looked at before they are served.
    #[getter]
    fn _epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    #[setter(_epoch)]
    fn set_epoch(&self, epoch: &Bound<'_, PyAny>) -> PyResult<()> {
        self.epoch.store(entry::number(epoch)?, Ordering::Relaxed);
        Ok(())
    }

    /// Return an awaitable of the value of *key*, or of *default*.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::answer(slf, key, default)
    }

    /// Return an awaitable of the value of *key*; what is not there is loaded.
    #[pyo3(signature = (key, loader, **options))]
    fn get_or_load<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        loader: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::answer_or_load(slf, key, loader, || Ok(options.cloned()))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.cache.get().map_or(Ok(()), |cache| visit.call(cache))
    }
}

/// Puts the fast methods in their places.
pub fn install(py: Python<'_>) -> PyResult<()> {
    install_method::<Get>(py)?;
    install_method::<GetOrLoad>(py)
}

/// `Front.get`.
struct Get;

impl FastMethod for Get {
    type Class = PyFront;
    const METHOD: &'static CStr = c"get";
    const METHOD_DOC: &'static CStr =
        c"get($self, key, default=None)\n--\n\nReturn an awaitable of the value of *key*, or of *default*.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyFront>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let key = args
            .get(0)
            .filter(|_| args.positional() == args.len() && args.len() <= 2)?;
        Some(PyFront::answer(&this, &key, args.get(1).as_deref()))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Front.get_or_load`.
struct GetOrLoad;

impl FastMethod for GetOrLoad {
    type Class = PyFront;
    const METHOD: &'static CStr = c"get_or_load";
    const METHOD_DOC: &'static CStr = c"get_or_load($self, key, loader, **options)\n--\n\nReturn an awaitable of the value of *key*; what is not there is loaded.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyFront>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let (key, loader) = (args.get(0)?, args.get(1)?);
        if args.positional() != 2 {
            return None;
        }
        let clash = |name: Borrowed<'_, 'py, PyAny>| {
            ["key", "loader"]
                .iter()
                .any(|taken| name.eq(taken).unwrap_or(true))
        };
        if args.names().any(clash) {
            return None;
        }
        let options = || args.unpack().map(|(_, options)| Some(options));
        Some(PyFront::answer_or_load(&this, &key, &loader, options))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}
