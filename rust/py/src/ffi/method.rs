//! The two calls of a mapping that are made most, without PyO3's argument parsing and attach counting.
//!
//! Objects dropped as `Py` in here would be dropped at some later time: fast paths use `Bound`.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

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

/// A class with a fast way to do `this[key] = value`; in abi3 builds nobody takes it.
#[cfg_attr(Py_LIMITED_API, allow(dead_code))]
pub trait FastSetItem: PyClass {
    /// The common case; nothing leaves the call to the method that `PyO3` made.
    fn set_item<'py>(
        this: Borrowed<'_, 'py, Self>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> Option<PyResult<()>>;

    /// Keeps the slot that `PyO3` made.
    fn original() -> &'static OnceLock<ffi::objobjargproc>;
}

#[cfg_attr(Py_LIMITED_API, allow(dead_code))]
unsafe extern "C" fn set_item<T: FastSetItem>(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls the slot with the GIL held and a T in the place of `this`; `value` is null
    // for `del this[key]`.
    let (py, done) = unsafe {
        let py = Python::assume_attached();
        let this = Borrowed::from_ptr(py, this).cast_unchecked::<T>();
        let key = Borrowed::from_ptr(py, key);
        let set = || T::set_item(this, &key, &*Borrowed::from_ptr_or_opt(py, value)?);
        (py, catch_unwind(AssertUnwindSafe(set)))
    };
    match done {
        Ok(Some(Ok(()))) => 0,
        Ok(Some(Err(error))) => {
            error.restore(py);
            -1
        }
        Ok(None) => match T::original().get() {
            // SAFETY: the function that this one stands in for, with its own arguments.
            Some(original) => unsafe { original(this, key, value) },
            None => -1,
        },
        Err(_) => {
            PyRuntimeError::new_err("penstock panicked").restore(py);
            -1
        }
    }
}

/// Puts the fast way in the place of the slot that `PyO3` made; abi3 builds keep that.
#[cfg_attr(Py_LIMITED_API, allow(unused_variables))]
pub fn install_set_item<T: FastSetItem>(py: Python<'_>) {
    #[cfg(not(Py_LIMITED_API))]
    // SAFETY: T's heap type is ours and not in use yet; the new slot has the old one's signature.
    unsafe {
        let mapping = (*T::type_object_raw(py)).tp_as_mapping;
        if let Some(original) = (*mapping).mp_ass_subscript
            && T::original().set(original).is_ok()
        {
            (*mapping).mp_ass_subscript = Some(set_item::<T>);
        }
    }
}
