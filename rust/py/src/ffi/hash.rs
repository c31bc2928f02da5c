//! Hashes that are known already.

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
    Ok(object.hash()?.cast_unsigned() as u64)
}
