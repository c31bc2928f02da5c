//! Exclusive access under the GIL.

use std::cell::{Cell, UnsafeCell};

use pyo3::exceptions::PyRuntimeError;
use pyo3::{PyResult, PyVisit, Python};

#[cfg(Py_GIL_DISABLED)]
compile_error!("penstock's extension needs the GIL; use the pure backend on free-threaded builds");

/// State that one piece of code at a time may change.
///
/// The GIL keeps other threads out, so that this costs a plain load and store instead of an atomic
/// operation. The flag catches what the GIL does not: Python code that was run inside [`GilLock::with`],
/// against the lock rule, and came back here gets a `RuntimeError`, not a deadlock.
pub struct GilLock<T> {
    busy: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `busy` and `value` are only touched with proof that this thread holds the GIL (a `Python`
// token, or a collector's visitor, which runs under it), hence by one thread at a time and with the
// GIL's ordering; `busy` makes the access exclusive within and across threads even if the GIL is
// handed over in between. `T: Send` because every thread may end up dropping or moving the value.
unsafe impl<T: Send> Sync for GilLock<T> {}

struct Open<'a>(&'a Cell<bool>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<T> GilLock<T> {
    pub const fn new(value: T) -> Self {
        Self {
            busy: Cell::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `f` on the value. `f` must neither run Python code nor drop a Python object.
    #[inline]
    pub fn with<R>(&self, _py: Python<'_>, f: impl FnOnce(&mut T) -> R) -> PyResult<R> {
        if self.busy.replace(true) {
            return Err(PyRuntimeError::new_err(
                "penstock's internal state was re-entered",
            ));
        }
        let _open = Open(&self.busy);
        // SAFETY: the token proves the GIL and the flag was clear, so no other reference exists;
        // `_open` clears it when `f` returns or unwinds.
        Ok(f(unsafe { &mut *self.value.get() }))
    }

    /// Reads the value for the garbage collector; nothing when it is in use.
    pub fn visit<R>(&self, _visit: &PyVisit<'_>, f: impl FnOnce(&T) -> R) -> Option<R> {
        if self.busy.replace(true) {
            return None;
        }
        let _open = Open(&self.busy);
        // SAFETY: a collector runs its visitors with the GIL held, and the flag was clear.
        Some(f(unsafe { &*self.value.get() }))
    }
}
