//! Which event loop runs in this thread, without asking asyncio.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

/// What asyncio keeps in this thread: before 3.12 an object of its own for each time that a loop is run,
/// the loop itself in 3.12, nothing from 3.13 on.
#[inline]
pub fn running_token(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let key = intern!(py, "__asyncio_running_event_loop__");
    // SAFETY: the dict of this thread, or null without an error; looking up a str in it calls nothing
    // and does not fail.
    unsafe {
        let dict = ffi::PyThreadState_GetDict();
        if dict.is_null() {
            return None;
        }
        Bound::from_borrowed_ptr_or_opt(py, ffi::PyDict_GetItemWithError(dict, key.as_ptr()))
    }
}
