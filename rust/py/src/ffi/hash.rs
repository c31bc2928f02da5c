//! Hashes that are known already, and comparisons that call nothing.

use pyo3::prelude::*;

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
