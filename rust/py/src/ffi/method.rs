//! The calls that are made most, without PyO3's argument parsing and attach counting.
//!
//! Objects dropped as `Py` in here would be dropped at some later time: fast paths use `Bound`.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::PyClass;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::args::{Args, finish};

/// One method that is worth it.
pub trait FastMethod: 'static {
    type Class: PyClass;
    const METHOD: &'static CStr;
    /// Signature and docstring, as `__text_signature__` wants them.
    const METHOD_DOC: &'static CStr;

    /// The common calls; nothing leaves the call to the method that `PyO3` made.
    fn call<'py>(
        this: Borrowed<'_, 'py, Self::Class>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>>;

    /// Keeps what was there before, and what is there now.
    fn installed() -> &'static Installed;
}

/// The method that `PyO3` made, and the definition of the one in its place.
pub struct Installed {
    original: PyOnceLock<Py<PyAny>>,
    definition: OnceLock<Definition>,
}

impl Installed {
    pub const fn new() -> Self {
        Self {
            original: PyOnceLock::new(),
            definition: OnceLock::new(),
        }
    }
}

struct Definition(ffi::PyMethodDef);

// SAFETY: it holds pointers to static strings and a function, and never changes; CPython only reads it.
unsafe impl Send for Definition {}
// SAFETY: as above.
unsafe impl Sync for Definition {}

unsafe extern "C" fn trampoline<M: FastMethod>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held; the method descriptor has checked that `this` is
    // an instance of the class or of the subclass that it was made for; the arguments are laid out as
    // by the vectorcall protocol.
    let (py, called) = unsafe {
        let py = Python::assume_attached();
        let this = Borrowed::from_ptr(py, this).cast_unchecked::<M::Class>();
        let args = Args::from_raw(py, args, positional.cast_unsigned(), kwnames);
        let call = || M::call(this, &args).unwrap_or_else(|| slow::<M>(this, &args));
        (py, catch_unwind(AssertUnwindSafe(call)))
    };
    finish(
        py,
        called.unwrap_or_else(|_| Err(PyRuntimeError::new_err("penstock panicked"))),
    )
}

#[cold]
fn slow<'py, M: FastMethod>(
    this: Borrowed<'_, 'py, M::Class>,
    args: &Args<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let missing = || PyRuntimeError::new_err("method is not installed");
    let original = M::installed().original.get(py).ok_or_else(missing)?;
    args.prepend(this.as_any(), |args| args.call(original.bind(py)))
}

/// Puts the fast method in the place of the one that `PyO3` made.
pub fn install_method<M: FastMethod>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<M::Class>();
    let original = class.getattr(name::<M>().as_ref())?.unbind();
    if M::installed().original.set(py, original).is_err() {
        return Ok(());
    }
    put::<M>(&class)
}

/// Gives a direct subclass the fast method as its own, unless it overrides it: the interpreter calls
/// methods of an object's very class faster than inherited ones. Classes below inherit it: a copy of
/// theirs could hide what another base of them overrides.
pub fn inherit_method<M: FastMethod>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let base = py.get_type::<M::Class>();
    if !class.is_subclass(&base)? {
        return Ok(());
    }
    let name = name::<M>();
    for ancestor in class.mro() {
        if ancestor.getattr("__dict__")?.contains(name.as_ref())? {
            return if ancestor.is(&base) {
                put::<M>(class)
            } else {
                Ok(())
            };
        }
    }
    Ok(())
}

fn name<M: FastMethod>() -> Cow<'static, str> {
    M::METHOD.to_string_lossy()
}

fn put<M: FastMethod>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let definition = M::installed().definition.get_or_init(|| {
        Definition(ffi::PyMethodDef {
            ml_name: M::METHOD.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: trampoline::<M>,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: M::METHOD_DOC.as_ptr(),
        })
    });
    // SAFETY: the definition is in a static, where it stays and is only read; the trampoline has the
    // signature that its flags say; `class` is M::Class or a subclass of it.
    let descriptor = unsafe {
        let definition = std::ptr::from_ref(&definition.0).cast_mut();
        let descriptor = ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        Bound::from_owned_ptr_or_err(class.py(), descriptor)?
    };
    class.setattr(name::<M>().as_ref(), descriptor)
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
