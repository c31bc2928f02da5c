//! Calls by the vectorcall protocol: arguments stay in the caller's array.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::PyClass;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use smallvec::SmallVec;

#[cfg(not(Py_LIMITED_API))]
use super::call::vectorcall;

/// The arguments of one call, borrowed from the caller.
#[derive(Clone, Copy)]
pub struct Args<'a, 'py> {
    values: &'a [*mut ffi::PyObject],
    positional: usize,
    names: Option<Borrowed<'a, 'py, PyTuple>>,
    py: Python<'py>,
}

impl<'a, 'py> Args<'a, 'py> {
    /// The arguments of a call by the vectorcall protocol.
    ///
    /// # Safety
    /// `values` holds `positional` objects and one for each of the tuple `names`, or `names` is null;
    /// the caller keeps all of them alive for 'a.
    #[inline]
    pub(super) unsafe fn from_raw(
        py: Python<'py>,
        values: *const *mut ffi::PyObject,
        positional: usize,
        names: *mut ffi::PyObject,
    ) -> Self {
        // SAFETY: as promised by the caller; a null `values` comes with no arguments.
        unsafe {
            let names =
                Borrowed::from_ptr_or_opt(py, names).map(|names| names.cast_unchecked::<PyTuple>());
            let values = match positional + names.map_or(0, |names| names.len()) {
                0 => &[],
                len => std::slice::from_raw_parts(values, len),
            };
            Self {
                values,
                positional,
                names,
                py,
            }
        }
    }

    pub fn py(&self) -> Python<'py> {
        self.py
    }

    /// How many there are, positional ones first.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// How many of them are positional.
    pub fn positional(&self) -> usize {
        self.positional
    }

    /// The names of the others, in order.
    pub fn names(&self) -> impl Iterator<Item = Borrowed<'a, 'py, PyAny>> {
        let this = *self;
        (this.positional..this.len()).filter_map(move |at| this.name(at - this.positional))
    }

    #[inline]
    fn name(&self, at: usize) -> Option<Borrowed<'a, 'py, PyAny>> {
        let names = self.names?;
        // SAFETY: there is one name for each argument that is not positional; the tuple lives for
        // 'a, and its items with it.
        Some(unsafe {
            #[cfg(not(Py_LIMITED_API))]
            let name = ffi::PyTuple_GET_ITEM(names.as_ptr(), at.cast_signed());
            #[cfg(Py_LIMITED_API)]
            let name = ffi::PyTuple_GetItem(names.as_ptr(), at.cast_signed());
            Borrowed::from_ptr(self.py, name)
        })
    }

    /// The arguments in one row, named ones after `mark` and each after its name.
    #[inline]
    pub fn flatten(&self, mark: Borrowed<'a, 'py, PyAny>) -> Parts<'a, 'py> {
        let mut parts = Parts {
            values: SmallVec::new(),
            py: self.py,
            borrowed: PhantomData,
        };
        let (positional, named) = self.values.split_at(self.positional);
        parts.values.extend_from_slice(positional);
        if !named.is_empty() {
            parts.values.push(mark.as_ptr());
            for (at, value) in named.iter().enumerate() {
                if let Some(name) = self.name(at) {
                    parts.values.push(name.as_ptr());
                }
                parts.values.push(*value);
            }
        }
        parts
    }

    #[inline]
    pub fn get(&self, at: usize) -> Option<Borrowed<'a, 'py, PyAny>> {
        let value = *self.values.get(at)?;
        // SAFETY: every pointer in `values` is an object that the caller keeps alive for 'a.
        Some(unsafe { Borrowed::from_ptr(self.py, value) })
    }

    pub fn iter(&self) -> impl Iterator<Item = Borrowed<'a, 'py, PyAny>> {
        let this = *self;
        (0..self.len()).filter_map(move |at| this.get(at))
    }

    /// Calls `func` with these arguments.
    #[cfg(not(Py_LIMITED_API))]
    pub fn call(&self, func: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let names = self.names.map_or(std::ptr::null_mut(), Borrowed::as_ptr);
        // SAFETY: `values` holds `positional` objects and then one for each name.
        unsafe { vectorcall(func, self.values.as_ptr(), self.positional, names) }
    }

    /// Calls `func` with these arguments.
    #[cfg(Py_LIMITED_API)]
    pub fn call(&self, func: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (args, kwargs) = self.unpack()?;
        func.call(args, Some(&kwargs))
    }

    /// The same as a tuple and a dict.
    pub fn unpack(&self) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let args = PyTuple::new(
            self.py,
            self.iter().take(self.positional).collect::<Vec<_>>(),
        )?;
        let kwargs = PyDict::new(self.py);
        for (name, value) in self.names().zip(self.iter().skip(self.positional)) {
            kwargs.set_item(name, value)?;
        }
        Ok((args, kwargs))
    }

    /// Runs `f` on the arguments of a call that came as a tuple and a dict.
    pub fn pack<R>(
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        f: impl FnOnce(Args<'_, 'py>) -> PyResult<R>,
    ) -> PyResult<R> {
        let py = args.py();
        let mut owned: SmallVec<[Bound<'py, PyAny>; 8]> = args.iter().collect();
        let mut names = None;
        if let Some(kwargs) = kwargs.filter(|kwargs| !kwargs.is_empty()) {
            names = Some(PyTuple::new(py, kwargs.keys())?);
            owned.extend(kwargs.values().iter());
        }
        let values: SmallVec<[*mut ffi::PyObject; 8]> = owned.iter().map(Bound::as_ptr).collect();
        f(Args {
            values: &values,
            positional: args.len(),
            names: names.as_ref().map(|names| names.as_borrowed()),
            py,
        })
    }

    /// Runs `f` on these arguments with `first` in front of them.
    pub fn prepend<R>(
        &self,
        first: &Bound<'py, PyAny>,
        f: impl FnOnce(Args<'_, 'py>) -> PyResult<R>,
    ) -> PyResult<R> {
        let mut values: SmallVec<[*mut ffi::PyObject; 8]> = SmallVec::new();
        values.push(first.as_ptr());
        values.extend_from_slice(self.values);
        f(Args {
            values: &values,
            positional: self.positional + 1,
            names: self.names.map(|names| {
                // SAFETY: the same tuple, borrowed for the shorter life of `values`.
                unsafe { Borrowed::from_ptr(self.py, names.as_ptr()).cast_unchecked() }
            }),
            py: self.py,
        })
    }
}

/// Borrowed objects in a row.
pub struct Parts<'a, 'py> {
    values: SmallVec<[*mut ffi::PyObject; 8]>,
    py: Python<'py>,
    borrowed: PhantomData<&'a ()>,
}

impl<'a, 'py> Parts<'a, 'py> {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether `tuple` is a row of the very same objects; abi3 builds leave that to a closer look.
    #[inline]
    pub fn is_row_of(&self, tuple: &Bound<'_, PyTuple>) -> bool {
        #[cfg(not(Py_LIMITED_API))]
        // SAFETY: a tuple of this length has that many pointers from `ob_item` on.
        unsafe {
            let object = tuple.as_ptr().cast::<ffi::PyTupleObject>();
            let items = (&raw const (*object).ob_item).cast::<*mut ffi::PyObject>();
            *std::slice::from_raw_parts(items, tuple.len()) == *self.values
        }
        #[cfg(Py_LIMITED_API)]
        {
            let _ = tuple;
            false
        }
    }

    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>> {
        // SAFETY: all of them were borrowed for 'a.
        self.values
            .iter()
            .map(|value| unsafe { Borrowed::from_ptr(self.py, *value) })
    }
}

/// A class whose instances are called without a tuple or a dict being made.
pub trait Vectorcall: PyClass {
    fn vectorcall<'py>(
        this: Borrowed<'_, 'py, Self>,
        args: Args<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>>;
}

/// The field that the vectorcall protocol reads.
pub struct Slot(#[allow(dead_code, reason = "read by CPython")] Option<ffi::vectorcallfunc>);

impl Slot {
    pub fn of<T: Vectorcall>() -> Self {
        Self(Some(trampoline::<T>))
    }
}

/// The bit of `nargsf` that is not part of the count; abi3 builds of `PyO3` do not name it.
const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

unsafe extern "C" fn trampoline<T: Vectorcall>(
    callable: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held, `callable` being an instance of T (the slot is
    // in no other type), `args` holding nargs positional values and one for each of `kwnames`, all
    // alive until it returns.
    let (py, called) = unsafe {
        let py = Python::assume_attached();
        let positional = nargsf & !ARGUMENTS_OFFSET;
        let this = Borrowed::from_ptr(py, callable).cast_unchecked::<T>();
        let args = Args::from_raw(py, args, positional, kwnames);
        (
            py,
            catch_unwind(AssertUnwindSafe(|| T::vectorcall(this, args))),
        )
    };
    finish(
        py,
        called.unwrap_or_else(|_| Err(PyRuntimeError::new_err("penstock panicked"))),
    )
}

pub(super) fn finish(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    match result {
        Ok(value) => value.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}

/// Makes CPython call instances of T through their [`Slot`], of which `slot` is that of `sample`;
/// with `method`, also when they are looked up as methods, without binding them first.
///
/// In abi3 builds types are opaque: calls then go through `__call__`, which does the same slower.
#[cfg_attr(Py_LIMITED_API, allow(unused_variables))]
pub fn install_vectorcall<T: Vectorcall>(sample: &Bound<'_, T>, slot: &Slot, method: bool) {
    #[cfg(not(Py_LIMITED_API))]
    {
        let field = std::ptr::from_ref(slot) as isize;
        let offset = field - sample.as_ptr() as isize;
        // SAFETY: T's heap type is ours, has no subclasses and is not in use yet; every instance
        // has its Slot at the same offset and holds a valid function from birth.
        unsafe {
            let class = T::type_object_raw(sample.py());
            (*class).tp_vectorcall_offset = offset;
            (*class).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL;
            if method {
                (*class).tp_flags |= ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
            }
            ffi::PyType_Modified(class);
        }
    }
}
