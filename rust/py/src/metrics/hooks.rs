//! What only Python knows: the rules for exemplars, and how functions are decorated.

use penstock_core::metrics::Exemplar;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::ffi::GilLock;

struct Hooks {
    exemplar: Py<PyAny>,
    decorate: Py<PyAny>,
}

static HOOKS: PyOnceLock<GilLock<Option<Hooks>>> = PyOnceLock::new();

/// Set what checks the labels of an exemplar, and what decorates a function with a timer.
#[pyfunction]
pub fn set_metric_hooks(py: Python<'_>, exemplar: Py<PyAny>, decorate: Py<PyAny>) -> PyResult<()> {
    let cell = HOOKS.get_or_init(py, || GilLock::new(None));
    let hooks = Hooks { exemplar, decorate };
    drop(cell.with(py, |current| current.replace(hooks))?);
    Ok(())
}

fn hook(py: Python<'_>, which: impl Fn(&Hooks) -> &Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let pick = |hooks: &mut Option<Hooks>| {
        hooks
            .as_ref()
            .map(|hooks| which(hooks).clone_ref(py).into_bound(py))
    };
    let cell = HOOKS.get(py).map(|cell| cell.with(py, pick)).transpose()?;
    cell.flatten()
        .ok_or_else(|| PyRuntimeError::new_err("penstock.metrics is not imported"))
}

/// `decorate(timer, function)`.
pub fn decorate<'py>(
    timer: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    hook(timer.py(), |hooks| &hooks.decorate)?.call1((timer, function))
}

/// The exemplar given with an amount; an empty one is none.
pub fn exemplar(given: Option<&Bound<'_, PyAny>>, value: f64) -> PyResult<Option<Box<Exemplar>>> {
    let Some(given) = given else { return Ok(None) };
    if !given.is_truthy()? {
        return Ok(None);
    }
    let checked = hook(given.py(), |hooks| &hooks.exemplar)?.call1((given,))?;
    let mut labels = Vec::new();
    for pair in checked.try_iter()? {
        let pair = pair?;
        let part = |at: usize| text(pair.get_item(at)?.cast()?);
        labels.push((part(0)?, part(1)?));
    }
    Ok(Some(Box::new(Exemplar {
        labels,
        value,
        timestamp: unix_time(),
    })))
}

/// The text of a str; each surrogate, which no page can carry, becomes U+FFFD.
pub fn text(value: &Bound<'_, PyString>) -> PyResult<String> {
    if let Ok(text) = value.to_str() {
        return Ok(text.to_owned());
    }
    // UTF-8 but for surrogates, which are ED A0..BF and one more byte.
    let encoded = value.call_method1("encode", ("utf-8", "surrogatepass"))?;
    let mut bytes: Vec<u8> = encoded.extract()?;
    for at in 1..bytes.len().saturating_sub(1) {
        if let Some([first @ 0xED, second @ 0xA0..=0xBF, third]) = bytes.get_mut(at - 1..=at + 1) {
            (*first, *second, *third) = (0xEF, 0xBF, 0xBD);
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// An exemplar as a tuple of label dict, value and timestamp.
pub fn to_python<'py>(py: Python<'py>, exemplar: &Exemplar) -> PyResult<Bound<'py, PyTuple>> {
    let labels = PyDict::new(py);
    for (name, value) in &exemplar.labels {
        labels.set_item(name, value)?;
    }
    (labels, exemplar.value, exemplar.timestamp).into_pyobject(py)
}

/// Seconds since the epoch.
pub fn unix_time() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
