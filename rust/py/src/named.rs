//! Objects with a name make themselves known, so that metrics can show them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::ffi::{GilLock, call};

static HOOK: PyOnceLock<GilLock<Option<Py<PyAny>>>> = PyOnceLock::new();

/// Set what is called with each new object that has a name.
#[pyfunction]
pub fn set_named(py: Python<'_>, hook: Py<PyAny>) -> PyResult<()> {
    let cell = HOOK.get_or_init(py, || GilLock::new(None));
    drop(cell.with(py, |current| current.replace(hook))?);
    Ok(())
}

/// Makes a new object known, if anybody asked for it.
pub fn enter(object: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = object.py();
    let Some(cell) = HOOK.get(py) else {
        return Ok(());
    };
    let hook = cell.with(py, |hook| hook.as_ref().map(|hook| hook.clone_ref(py)))?;
    match hook {
        Some(hook) => call(&hook.into_bound(py), (object,)).map(drop),
        None => Ok(()),
    }
}
