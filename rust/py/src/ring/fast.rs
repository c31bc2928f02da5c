//! The calls of `Ring` that are made most.

use std::ffi::CStr;

use pyo3::prelude::*;

use super::PyRing;
use crate::ffi::{Args, FastMethod, Installed, install_method};

/// Puts the fast methods in their places.
pub fn install(py: Python<'_>) -> PyResult<()> {
    install_method::<Put>(py)?;
    install_method::<Submit>(py)?;
    install_method::<SubmitNowait>(py)
}

/// `Ring.put_nowait`.
pub struct Put;

impl FastMethod for Put {
    type Class = PyRing;
    const METHOD: &'static CStr = c"put_nowait";
    const METHOD_DOC: &'static CStr =
        c"put_nowait($self, item)\n--\n\nPut an item in whose result nobody waits for.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyRing>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let item = args.get(0)?;
        (args.len() == 1 && args.positional() == 1).then(|| PyRing::put(&this, &item))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Ring.submit`.
pub struct Submit;

impl FastMethod for Submit {
    type Class = PyRing;
    const METHOD: &'static CStr = c"submit";
    const METHOD_DOC: &'static CStr =
        c"submit($self, item)\n--\n\nPut an item in, and return the future of its result.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyRing>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let item = args.get(0)?;
        (args.len() == 1 && args.positional() == 1)
            .then(|| PyRing::put_for_result(&this, &item, false))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Ring.submit_nowait`.
pub struct SubmitNowait;

impl FastMethod for SubmitNowait {
    type Class = PyRing;
    const METHOD: &'static CStr = c"submit_nowait";
    const METHOD_DOC: &'static CStr = c"submit_nowait($self, item)\n--\n\nPut an item in if there is room, and return the future of its result.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyRing>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let item = args.get(0)?;
        (args.len() == 1 && args.positional() == 1)
            .then(|| PyRing::put_for_result(&this, &item, true))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}
