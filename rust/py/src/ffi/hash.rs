//! Hashes that are known already, and comparisons that call nothing.

use pyo3::prelude::*;
use pyo3::types::PyString;

/// `hash(object)`: may run Python code and raise, but for a str whose hash is known it calls nothing.
#[inline]
pub fn hash(object: &Bound<'_, PyAny>) -> PyResult<u64> {
    #[cfg(not(Py_LIMITED_API))]
    if object.is_exact_instance_of::<pyo3::types::PyString>() {
        // SAFETY: every exact str begins with a PyASCIIObject; -1 stands for a hash not yet computed.
        let known = unsafe { (*object.as_ptr().cast::<pyo3::ffi::PyASCIIObject>()).hash };
        if known != -1 {
            return Ok(known.cast_unsigned() as u64);
        }
    }
    Ok(super::call::hash(object)?.cast_unsigned() as u64)
}

/// The text of an exact str, if it can be encoded; that of ASCII without a call.
#[inline]
pub fn utf8<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a str> {
    // CPython 3.14 lays these flags out anew.
    #[cfg(not(any(Py_LIMITED_API, Py_3_14)))]
    // SAFETY: a compact ASCII str is a PyASCIIObject and, behind it, that many bytes below 128; they
    // never change, and live as long as the object.
    unsafe {
        let object = text.as_ptr();
        if pyo3::ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0 {
            let bytes = object.cast::<pyo3::ffi::PyASCIIObject>().add(1).cast();
            let length = pyo3::ffi::PyUnicode_GET_LENGTH(object).cast_unsigned();
            let bytes = std::slice::from_raw_parts(bytes, length);
            return Some(std::str::from_utf8_unchecked(bytes));
        }
    }
    text.to_str().ok()
}

/// `one == other` for two objects of one exact type among str, int and bytes.
///
/// `PyObject_RichCompare` does the same, but raises, and so allocates, at the recursion limit.
#[inline(never)]
pub fn equal(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> bool {
    // SAFETY: both are alive; the comparison of these types returns True, False or NotImplemented.
    unsafe {
        #[cfg(not(Py_LIMITED_API))]
        let compare = (*pyo3::ffi::Py_TYPE(one.as_ptr())).tp_richcompare;
        #[cfg(Py_LIMITED_API)]
        let compare: Option<pyo3::ffi::richcmpfunc> =
            std::mem::transmute(pyo3::ffi::PyType_GetSlot(
                pyo3::ffi::Py_TYPE(one.as_ptr()),
                pyo3::ffi::Py_tp_richcompare,
            ));
        let Some(compare) = compare else { return false };
        let answer = compare(one.as_ptr(), other.as_ptr(), pyo3::ffi::Py_EQ);
        let equal = answer == pyo3::ffi::Py_True();
        pyo3::ffi::Py_XDECREF(answer);
        equal
    }
}
