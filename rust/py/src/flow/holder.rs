//! Who runs now: a task of asyncio, or a thread.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::ffi::{call, call0};

/// A number that stands for the running task, or for the thread where none runs, while it lives.
#[inline]
pub fn holder(py: Python<'_>) -> PyResult<usize> {
    static ASYNCIO: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    let (running_loop, current_task) = ASYNCIO.get_or_try_init(py, || {
        let get = |module, name| py.import(module)?.getattr(name).map(Bound::unbind);
        let running_loop = get("asyncio.events", "_get_running_loop")?;
        get("asyncio.tasks", "current_task").map(|current_task| (running_loop, current_task))
    })?;
    // Asked first: where no loop runs, `current_task` would raise an error, which is slow, and which
    // a fast method, that `PyO3` does not know of, would not even drop before another one is called.
    let running_loop = call0(running_loop.bind(py))?;
    if running_loop.is_none() {
        return Ok(thread());
    }
    let task = call(current_task.bind(py), (running_loop,))?;
    Ok(if task.is_none() {
        thread()
    } else {
        task.as_ptr() as usize
    })
}

/// The address of something that each thread has for itself.
fn thread() -> usize {
    thread_local! {
        static PLACE: u8 = const { 0 };
    }
    PLACE.with(|place| std::ptr::from_ref(place) as usize)
}
