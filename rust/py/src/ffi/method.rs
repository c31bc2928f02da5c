//! A method that is called without PyO3's argument parsing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::PyClass;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::args::{Args, finish};

/// A class with one method that is worth it.
pub trait FastMethod: PyClass {
    const METHOD: &'static std::ffi::CStr;
    /// Signature and docstring, as `__text_signature__` wants them.
    const METHOD_DOC: &'static std::ffi::CStr;

    /// The common calls; nothing leaves the call to the method that `PyO3` made.
    fn call<'py>(
        this: Borrowed<'_, 'py, Self>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>>;

    /// Keeps the method that `PyO3` made.
    fn original() -> &'static PyOnceLock<Py<PyAny>>;
}

unsafe extern "C" fn trampoline<T: FastMethod>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held; the method descriptor has checked that `this` is
    // a T; the arguments are laid out as by the vectorcall protocol.
    let (py, called) = unsafe {
        let py = Python::assume_attached();
        let this = Borrowed::from_ptr(py, this).cast_unchecked::<T>();
        let args = Args::from_raw(py, args, positional.cast_unsigned(), kwnames);
        let call = || T::call(this, &args).unwrap_or_else(|| slow::<T>(this, &args));
        (py, catch_unwind(AssertUnwindSafe(call)))
    };
    finish(
        py,
        called.unwrap_or_else(|_| Err(PyRuntimeError::new_err("penstock panicked"))),
    )
}

#[cold]
fn slow<'py, T: FastMethod>(
    this: Borrowed<'_, 'py, T>,
    args: &Args<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let missing = || PyRuntimeError::new_err("method is not installed");
    let original = T::original().get(py).ok_or_else(missing)?.bind(py);
    args.prepend(this.as_any(), |args| args.call(original))
}

/// Puts the fast method in the place of the one that `PyO3` made.
pub fn install_method<T: FastMethod>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<T>();
    let name = T::METHOD.to_string_lossy();
    let original = class.getattr(name.as_ref())?.unbind();
    if T::original().set(py, original).is_err() {
        return Ok(());
    }
    let method = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: T::METHOD.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: trampoline::<T>,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: T::METHOD_DOC.as_ptr(),
    }));
    // SAFETY: the definition is leaked, once, so that it outlives the type; the trampoline has the
    // signature that its flags say.
    let descriptor = unsafe {
        let descriptor = ffi::PyDescr_NewMethod(class.as_ptr().cast(), method);
        Bound::from_owned_ptr_or_err(py, descriptor)?
    };
    class.setattr(name.as_ref(), descriptor)
}
