//! The calls of `WaiterQueue` that are made most.

use std::ffi::CStr;

use pyo3::prelude::*;

use super::PyWaiterQueue;
use crate::ffi::{Args, FastMethod, Installed, ready};

/// `WaiterQueue.__aenter__`.
pub struct Enter;

impl FastMethod for Enter {
    type Class = PyWaiterQueue;
    const METHOD: &'static CStr = c"__aenter__";
    const METHOD_DOC: &'static CStr = c"__aenter__($self)\n--\n\nTake a permit, or wait for one.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyWaiterQueue>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        (args.len() == 0).then(|| PyWaiterQueue::enter(&this))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `WaiterQueue.__aexit__`.
pub struct Exit;

impl FastMethod for Exit {
    type Class = PyWaiterQueue;
    const METHOD: &'static CStr = c"__aexit__";
    const METHOD_DOC: &'static CStr =
        c"__aexit__($self, kind, error, traceback)\n--\n\nGive the permit back.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyWaiterQueue>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let kind = args.get(0)?;
        let exit = || {
            PyWaiterQueue::exit(&this, &kind)?;
            ready(py.None().into_bound(py))
        };
        (args.len() == 3 && args.positional() == 3).then(exit)
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `WaiterQueue.acquire`.
pub struct Acquire;

impl FastMethod for Acquire {
    type Class = PyWaiterQueue;
    const METHOD: &'static CStr = c"acquire";
    const METHOD_DOC: &'static CStr = c"acquire($self, weight=1, *, priority=0, deadline=None)\n--\n\nTake permits, or wait for them.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyWaiterQueue>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        (args.len() == 0).then(|| PyWaiterQueue::enter(&this))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `WaiterQueue.try_acquire`.
pub struct TryAcquire;

impl FastMethod for TryAcquire {
    type Class = PyWaiterQueue;
    const METHOD: &'static CStr = c"try_acquire";
    const METHOD_DOC: &'static CStr = c"try_acquire($self, weight=1)\n--\n\nTake permits if they are there and nobody waits for some.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyWaiterQueue>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let take = || {
            let taken = this.get().take(py, 1)?;
            Ok(taken.into_pyobject(py)?.to_owned().into_any())
        };
        (args.len() == 0).then(take)
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `WaiterQueue.release`.
pub struct Release;

impl FastMethod for Release {
    type Class = PyWaiterQueue;
    const METHOD: &'static CStr = c"release";
    const METHOD_DOC: &'static CStr =
        c"release($self, weight=1, *, outcome='success')\n--\n\nGive permits back.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyWaiterQueue>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        if args.len() != 0 {
            return None;
        }
        match this.get().give_back_plain(py, 1) {
            Ok(true) => Some(Ok(py.None().into_bound(py))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}
