//! Calls into code of users, and two more things that calls need which safe `PyO3` does not give.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple};

/// Python's functions that run code of users, declared so that a thread may end inside of them.
mod python {
    use pyo3::ffi::PyObject;

    unsafe extern "C-unwind" {
        pub fn PyEval_RestoreThread(state: *mut pyo3::ffi::PyThreadState);
        pub fn PyObject_CallNoArgs(callable: *mut PyObject) -> *mut PyObject;
        pub fn PyObject_Call(
            callable: *mut PyObject,
            args: *mut PyObject,
            kwargs: *mut PyObject,
        ) -> *mut PyObject;
        #[cfg(not(Py_LIMITED_API))]
        pub fn PyObject_Vectorcall(
            callable: *mut PyObject,
            args: *const *mut PyObject,
            nargsf: usize,
            kwnames: *mut PyObject,
        ) -> *mut PyObject;
        #[cfg(not(Py_LIMITED_API))]
        pub fn PyObject_VectorcallMethod(
            name: *mut PyObject,
            args: *const *mut PyObject,
            nargsf: usize,
            kwnames: *mut PyObject,
        ) -> *mut PyObject;
        pub fn PyFloat_AsDouble(value: *mut PyObject) -> f64;
        pub fn PyObject_Str(value: *mut PyObject) -> *mut PyObject;
        pub fn PyObject_Hash(value: *mut PyObject) -> isize;
        pub fn PyObject_RichCompare(
            one: *mut PyObject,
            other: *mut PyObject,
            operation: std::ffi::c_int,
        ) -> *mut PyObject;
    }
}

/// The same behind pointers that the optimiser cannot see through: `PyO3` declares these functions as
/// never unwinding, and link-time optimisation would believe that of the declarations above too.
mod opaque {
    use std::ffi::c_int;
    use std::hint::black_box;

    use pyo3::ffi::PyObject;

    use super::python;

    type Object = *mut PyObject;

    macro_rules! opaque {
        ($name:ident, $function:ident($($argument:ty),*) -> $result:ty) => {
            #[inline]
            pub fn $name() -> unsafe extern "C-unwind" fn($($argument),*) -> $result {
                let function: unsafe extern "C-unwind" fn($($argument),*) -> $result = python::$function;
                black_box(function)
            }
        };
    }

    opaque!(
        restore_thread,
        PyEval_RestoreThread(*mut pyo3::ffi::PyThreadState) -> ()
    );
    opaque!(call0, PyObject_CallNoArgs(Object) -> Object);
    opaque!(call, PyObject_Call(Object, Object, Object) -> Object);
    #[cfg(not(Py_LIMITED_API))]
    opaque!(
        vectorcall,
        PyObject_Vectorcall(Object, *const Object, usize, Object) -> Object
    );
    #[cfg(not(Py_LIMITED_API))]
    opaque!(
        vectorcall_method,
        PyObject_VectorcallMethod(Object, *const Object, usize, Object) -> Object
    );
    opaque!(as_float, PyFloat_AsDouble(Object) -> f64);
    opaque!(to_str, PyObject_Str(Object) -> Object);
    opaque!(hash, PyObject_Hash(Object) -> isize);
    opaque!(compare, PyObject_RichCompare(Object, Object, c_int) -> Object);
}

/// Runs a call during which the interpreter may end this thread.
///
/// Before 3.14, CPython ends daemon threads that want the GIL when the program is over, by
/// `pthread_exit`, which unwinds their stack. No Rust frame but this may be unwound: the thread waits
/// for the end of the process here, as it does everywhere from 3.14 on.
#[inline]
fn until_the_end<R>(call: impl FnOnce() -> R) -> R {
    struct Wait;
    impl Drop for Wait {
        fn drop(&mut self) {
            loop {
                std::thread::park();
            }
        }
    }
    let wait = Wait;
    let result = call();
    std::mem::forget(wait);
    result
}

/// Runs `f`, which uses nothing of Python, while others may.
///
/// `Python::detach` does the same, but where the interpreter ends this thread meanwhile it aborts.
pub fn detached<R>(_py: Python<'_>, f: impl FnOnce() -> R) -> R {
    // SAFETY: the token is the proof that this thread is attached; it is again when this returns.
    let state = unsafe { ffi::PyEval_SaveThread() };
    let result = catch_unwind(AssertUnwindSafe(f));
    // SAFETY: the state that was saved above, by this thread.
    until_the_end(|| unsafe { opaque::restore_thread()(state) });
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// `func()`.
pub fn call0<'py>(func: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: a live object; the result is a new reference, or null with an error set.
    unsafe {
        let result = until_the_end(|| opaque::call0()(func.as_ptr()));
        Bound::from_owned_ptr_or_err(func.py(), result)
    }
}

/// `object.name()`.
#[inline]
pub fn call_method0<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    #[cfg(Py_LIMITED_API)]
    return call0(&object.getattr(name)?);
    // SAFETY: a live object and a str; the only argument is the object itself; the result is a new
    // reference, or null with an error set.
    #[cfg(not(Py_LIMITED_API))]
    unsafe {
        let (args, null) = ([object.as_ptr()], std::ptr::null_mut());
        let call = || opaque::vectorcall_method()(name.as_ptr(), args.as_ptr(), 1, null);
        Bound::from_owned_ptr_or_err(object.py(), until_the_end(call))
    }
}

/// `func(*args)`.
pub fn call<'py>(
    func: &Bound<'py, PyAny>,
    args: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<Bound<'py, PyAny>> {
    call_with(func, args, None)
}

/// `func(*args, **kwargs)`.
pub fn call_with<'py>(
    func: &Bound<'py, PyAny>,
    args: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let args = args.into_pyobject(func.py())?;
    // SAFETY: a live object, a tuple, and a dict or null; the result is a new reference, or null with
    // an error set.
    unsafe {
        let kwargs = kwargs.map_or(std::ptr::null_mut(), Bound::as_ptr);
        let result = until_the_end(|| opaque::call()(func.as_ptr(), args.as_ptr(), kwargs));
        Bound::from_owned_ptr_or_err(func.py(), result)
    }
}

/// `func` with arguments laid out as by the vectorcall protocol.
///
/// # Safety
///
/// `values` points to `positional` objects and one for each name in the tuple `names`, or `names` is null.
#[cfg(not(Py_LIMITED_API))]
pub(super) unsafe fn vectorcall<'py>(
    func: &Bound<'py, PyAny>,
    values: *const *mut ffi::PyObject,
    positional: usize,
    names: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: as promised by the caller; the result is a new reference, or null with an error set.
    unsafe {
        let call = || opaque::vectorcall()(func.as_ptr(), values, positional, names);
        Bound::from_owned_ptr_or_err(func.py(), until_the_end(call))
    }
}

/// The float that a number stands for.
pub fn as_float(value: Borrowed<'_, '_, PyAny>) -> PyResult<f64> {
    // SAFETY: a live object; -1 may stand for an error, which is set then.
    let float = until_the_end(|| unsafe { opaque::as_float()(value.as_ptr()) });
    if float.to_bits() == (-1.0_f64).to_bits()
        && let Some(error) = PyErr::take(value.py())
    {
        return Err(error);
    }
    Ok(float)
}

/// The value of an exact int, if it has 64 bits.
#[inline]
pub fn small_int(value: Borrowed<'_, '_, PyAny>) -> Option<i64> {
    let value = value.cast_exact::<PyInt>().ok()?;
    let mut overflow = 0;
    // SAFETY: an int; one that is too large is told by `overflow`, not by an error.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// `str(value)`.
pub fn to_str<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: a live object; the result is a new reference, or null with an error set.
    let text = unsafe {
        let text = until_the_end(|| opaque::to_str()(value.as_ptr()));
        Bound::from_owned_ptr_or_err(value.py(), text)?
    };
    Ok(text.cast_into()?)
}

/// `hash(value)`.
pub(super) fn hash(value: &Bound<'_, PyAny>) -> PyResult<isize> {
    // SAFETY: a live object; -1 stands for an error, which is set then.
    match until_the_end(|| unsafe { opaque::hash()(value.as_ptr()) }) {
        -1 => Err(PyErr::fetch(value.py())),
        hash => Ok(hash),
    }
}

/// `one == other`.
pub fn is_equal(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (first, second) = (one.as_ptr(), other.as_ptr());
    // SAFETY: live objects; the result is a new reference, or null with an error set.
    let answer = unsafe {
        let compare = || opaque::compare()(first, second, ffi::Py_EQ);
        Bound::from_owned_ptr_or_err(one.py(), until_the_end(compare))?
    };
    answer.is_truthy()
}

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

/// Refuses all but the first interpreter of the process: types and statics are shared by all of them.
pub fn only_one_interpreter() -> PyResult<()> {
    use std::sync::atomic::{AtomicI64, Ordering};
    static FIRST: AtomicI64 = AtomicI64::new(-1);
    // SAFETY: a module is being made, hence this thread is attached to an interpreter.
    let this = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match FIRST.compare_exchange(-1, this, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != this => Err(pyo3::exceptions::PyImportError::new_err(
            "penstock's extension works in one interpreter of a process only",
        )),
        _ => Ok(()),
    }
}
