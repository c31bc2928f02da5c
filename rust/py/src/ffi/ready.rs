//! `Ready`: an awaitable that is already done, as a raw heap type.
//!
//! PyO3 has no `am_send`, and its allocation and `StopIteration` cost more than the rest of a hit.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTraceback, PyTuple, PyType};

use super::lock::GilLock;

#[repr(C)]
struct Object {
    base: ffi::PyObject,
    /// The value, owned, until it has been awaited.
    value: *mut ffi::PyObject,
}

static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
const DOC: &std::ffi::CStr = c"Ready(value)\n--\n\nAn awaitable that is already done: awaiting it returns *value* at once.\n\nIt has the methods of a coroutine, and like one it can be awaited once.\n\nCost: O(1); never touches the event loop.";

/// The class, made at first use.
pub fn ready_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    TYPE.get_or_try_init(py, || make_type(py))
        .map(|class| class.bind(py))
}

/// An awaitable of `value`.
#[inline]
pub fn ready(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = value.py();
    let class = ready_type(py)?.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: `class` is the type that `make_type` made; `allocate` gives a new object of it whose
    // one field is set before anybody sees it.
    unsafe {
        let object = allocate(py, class);
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        (*object).value = value.into_ptr();
        // Like a tuple, it cannot be part of a cycle when its value cannot.
        if ffi::PyType_IS_GC(ffi::Py_TYPE((*object).value)) != 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
        Ok(Bound::from_owned_ptr(py, object.cast()))
    }
}

/// Objects that are not in use, to be used again: a hit makes one and drops it at once.
struct Spare {
    objects: [*mut ffi::PyObject; Spare::MOST],
    count: usize,
}

impl Spare {
    const MOST: usize = 32;
}

// SAFETY: dead memory belongs to no thread.
unsafe impl Send for Spare {}

static SPARE: GilLock<Spare> = GilLock::new(Spare {
    objects: [ptr::null_mut(); Spare::MOST],
    count: 0,
});

/// # Safety
/// The caller holds the GIL, sets the value and has the object tracked.
#[inline]
unsafe fn allocate(py: Python<'_>, class: *mut ffi::PyTypeObject) -> *mut Object {
    let spare = SPARE.with(py, |spare| {
        spare.count = spare.count.checked_sub(1)?;
        spare.objects.get(spare.count).copied()
    });
    // SAFETY: spare objects are untracked memory of this type's size, with a collector's head.
    unsafe {
        match spare {
            Ok(Some(object)) => ffi::PyObject_Init(object, class).cast(),
            _ => ffi::PyObject_GC_New::<Object>(class),
        }
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once for an object of our type whose last reference has gone; heap
    // types are referenced by their instances.
    unsafe {
        ffi::PyObject_GC_UnTrack(this.cast());
        let class = ffi::Py_TYPE(this);
        let mut value = take(this);
        // A chain of them is taken apart here: dropping one inside the other would use up the stack.
        while !value.is_null() && ffi::Py_TYPE(value) == class && ffi::Py_REFCNT(value) == 1 {
            let next = take(value);
            ffi::Py_DECREF(value);
            value = next;
        }
        ffi::Py_XDECREF(value);
        let kept = SPARE.with(Python::assume_attached(), |spare| {
            let place = spare.objects.get_mut(spare.count)?;
            *place = this;
            spare.count += 1;
            Some(())
        });
        if !matches!(kept, Ok(Some(()))) {
            ffi::PyObject_GC_Del(this.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

/// Moves the value out, null when it has gone.
#[inline]
unsafe fn take(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `this` is an Object; the caller holds the GIL.
    unsafe { ptr::replace(&raw mut (*this.cast::<Object>()).value, ptr::null_mut()) }
}

unsafe extern "C" fn traverse(
    this: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector on our type; it visits what the object owns: type and value.
    unsafe {
        let class = visit(ffi::Py_TYPE(this).cast(), arg);
        let value = (*this.cast::<Object>()).value;
        if class != 0 || value.is_null() {
            return class;
        }
        visit(value, arg)
    }
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: as for `take`.
    unsafe { ffi::Py_XDECREF(take(this)) };
    0
}

unsafe extern "C" fn itself(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `this` is alive for the call.
    unsafe { ffi::Py_NewRef(this) }
}

/// `am_send`: the fast way out of an `await`.
unsafe extern "C" fn send(
    this: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: `result` points to where the protocol wants an owned reference, or null with an error.
    unsafe {
        *result = take(this);
        if !(*result).is_null() {
            return ffi::PySendResult::PYGEN_RETURN;
        }
    }
    raise(|_| Err(used()));
    ffi::PySendResult::PYGEN_ERROR
}

/// `__next__`: the way out that raises `StopIteration`.
unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    raise(|py| {
        // SAFETY: called with the GIL held on our type; the value is owned from here on.
        let value = unsafe { Bound::from_owned_ptr_or_opt(py, take(this)) }.ok_or_else(used)?;
        Err(PyStopIteration::new_err((value.unbind(),)))
    })
}

unsafe extern "C" fn send_method(
    this: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe { next(this) }
}

unsafe extern "C" fn throw_method(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    raise(|py| {
        // SAFETY: METH_VARARGS: `args` is a tuple that outlives the call.
        let args = unsafe { Borrowed::from_ptr(py, args).cast_unchecked::<PyTuple>() };
        let error = to_error(&args)?;
        // SAFETY: called with the GIL held on our type; the value is dropped here.
        unsafe { Bound::from_owned_ptr_or_opt(py, take(this)) }.ok_or_else(used)?;
        Err(error)
    })
}

unsafe extern "C" fn close_method(
    this: *mut ffi::PyObject,
    _none: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called with the GIL held on our type.
    unsafe {
        ffi::Py_XDECREF(take(this));
        ffi::Py_NewRef(ffi::Py_None())
    }
}

unsafe extern "C" fn new(
    _class: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    raise(|py| {
        // SAFETY: `tp_new` gets a tuple, and a dict or null; both outlive the call.
        let (args, kwargs) = unsafe {
            let kwargs = Borrowed::from_ptr_or_opt(py, kwargs);
            (
                Borrowed::from_ptr(py, args).cast_unchecked::<PyTuple>(),
                kwargs,
            )
        };
        let named = kwargs.map_or(Ok(0), |kwargs| kwargs.len())?;
        if args.len() != 1 || named != 0 {
            return Err(PyTypeError::new_err(
                "Ready takes exactly one positional argument",
            ));
        }
        ready(args.get_item(0)?)
    })
}

/// Runs `f` where dropping objects is immediate, and hands its result or error to CPython.
fn raise(f: impl FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    // SAFETY: all callers are called by CPython with the GIL held.
    let py = unsafe { Python::assume_attached() };
    let run = || super::attached(py, |py| super::args::finish(py, f(py)));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        PyRuntimeError::new_err("penstock panicked").restore(py);
        ptr::null_mut()
    })
}

fn used() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// The error that `throw(type_or_error, value=None, traceback=None)` asks for.
fn to_error(args: &Bound<'_, PyTuple>) -> PyResult<PyErr> {
    let optional = |at| args.get_item(at).ok().filter(|value| !value.is_none());
    let (first, value, traceback) = (args.get_item(0), optional(1), optional(2));
    let first = first.map_err(|_| PyTypeError::new_err("throw() needs an exception"))?;
    let error = if first.is_instance_of::<PyBaseException>() {
        if value.is_some() {
            let message = "instance exception may not have a separate value";
            return Err(PyTypeError::new_err(message));
        }
        first
    } else {
        let base = args.py().get_type::<PyBaseException>();
        let class = first.cast::<PyType>().ok();
        if !class.is_some_and(|class| class.is_subclass(&base).unwrap_or(false)) {
            return Err(PyTypeError::new_err(format!(
                "exceptions must be classes or instances deriving from BaseException, not {}",
                first.get_type().name()?
            )));
        }
        match value {
            Some(value) if value.is_instance(&first)? => value,
            Some(value) => match value.cast::<PyTuple>() {
                Ok(arguments) => first.call1(arguments.clone())?,
                Err(_) => first.call1((value,))?,
            },
            None => first.call0()?,
        }
    };
    if let Some(traceback) = traceback {
        if !traceback.is_instance_of::<PyTraceback>() {
            let message = "throw() third argument must be a traceback object";
            return Err(PyTypeError::new_err(message));
        }
        error.setattr("__traceback__", traceback)?;
    }
    Ok(PyErr::from_value(error))
}

/// A method table that the type keeps using for ever.
struct Methods(Cell<[ffi::PyMethodDef; 4]>);

// SAFETY: only CPython touches it, with the GIL held, once the type exists.
unsafe impl Sync for Methods {}

static METHODS: Methods = Methods(Cell::new([
    ffi::PyMethodDef {
        ml_name: c"send".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: send_method,
        },
        ml_flags: ffi::METH_O,
        ml_doc: c"send($self, value, /)\n--\n\nRaise StopIteration with the value.".as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"throw".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: throw_method,
        },
        ml_flags: ffi::METH_VARARGS,
        ml_doc:
            c"throw($self, typ, val=None, tb=None, /)\n--\n\nDrop the value and raise the error."
                .as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"close".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: close_method,
        },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"close($self, /)\n--\n\nDrop the value.".as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]));

fn make_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_am_send, send as *mut c_void),
        slot(ffi::Py_tp_methods, METHODS.0.as_ptr().cast()),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"penstock._native.Ready".as_ptr(),
        basicsize: c_int::try_from(size_of::<Object>())?,
        itemsize: 0,
        flags: u32::try_from(
            ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_IMMUTABLETYPE,
        )?,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec describes Object and the functions above; CPython copies it.
    unsafe {
        let class = ffi::PyType_FromSpec(&raw mut spec);
        Ok(Bound::from_owned_ptr_or_err(py, class)?
            .cast_into::<PyType>()?
            .unbind())
    }
}
