//! Who runs now: a task of asyncio, or a thread.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::ffi::call0;

/// A number that stands for the running task, or for the thread where none runs, while it lives.
#[inline]
pub fn holder(py: Python<'_>) -> PyResult<usize> {
    static CURRENT_TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let current_task = CURRENT_TASK.get_or_try_init(py, || {
        let tasks = py.import("asyncio.tasks")?;
        tasks.getattr("current_task").map(Bound::unbind)
    })?;
    match call0(current_task.bind(py)) {
        Ok(task) if task.is_none() => Ok(thread()),
        Ok(task) => Ok(task.as_ptr() as usize),
        // No loop runs here.
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(thread()),
        Err(error) => Err(error),
    }
}

/// The address of something that each thread has for itself.
fn thread() -> usize {
    thread_local! {
        static PLACE: u8 = const { 0 };
    }
    PLACE.with(|place| std::ptr::from_ref(place) as usize)
}
