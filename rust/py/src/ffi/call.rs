//! Two things that calls need which safe `PyO3` does not give.

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Runs `f` with `PyO3` knowing that the thread is attached, so that dropping a `Py` is immediate.
///
/// `Python::attach` does the same, but panics while the interpreter shuts down.
pub fn attached<R>(_py: Python<'_>, f: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    // SAFETY: the token is the proof that the interpreter runs and that this thread is attached.
    unsafe { Python::attach_unchecked(f) }
}

/// Runs `f`, which may come back here, as one level of the interpreter's recursion limit.
pub fn recursive<R>(py: Python<'_>, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            // SAFETY: made only after a successful enter, dropped on the same thread.
            unsafe { ffi::Py_LeaveRecursiveCall() }
        }
    }
    // SAFETY: the token proves that the thread is attached; the text is a C string.
    if unsafe { ffi::Py_EnterRecursiveCall(c" in a cached function".as_ptr()) } != 0 {
        let unknown = || PyRecursionError::new_err("maximum recursion depth exceeded");
        return Err(PyErr::take(py).unwrap_or_else(unknown));
    }
    let _leave = Leave;
    f()
}
