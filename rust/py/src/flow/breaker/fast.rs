//! The calls of `Breaker` that are made most.

use std::ffi::CStr;

use penstock_core::flow::Verdict;
use pyo3::prelude::*;

use super::PyBreaker;
use crate::ffi::{Args, FastMethod, Installed, small_int};

/// `Breaker._begin`.
pub struct Begin;

impl FastMethod for Begin {
    type Class = PyBreaker;
    const METHOD: &'static CStr = c"_begin";
    const METHOD_DOC: &'static CStr = c"_begin($self)\n--\n\nAsk whether a call may go through: a lease for it, or whatever `_refuse` does.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyBreaker>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        (args.len() == 0).then(|| PyBreaker::_begin(&this))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Breaker._end`.
pub struct End;

impl FastMethod for End {
    type Class = PyBreaker;
    const METHOD: &'static CStr = c"_end";
    const METHOD_DOC: &'static CStr = c"_end($self, lease, outcome)\n--\n\nReport how the call under *lease* went: \"success\", \"failure\" or \"ignored\".";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyBreaker>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let (lease, outcome) = (args.get(0)?, args.get(1)?);
        if args.len() != 2 || args.positional() != 2 || !is_success(&outcome) {
            return None;
        }
        let lease = u32::try_from(small_int(lease)?).ok()?;
        let end = || PyBreaker::end(&this, lease, Verdict::Success);
        Some(end().map(|()| py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

fn is_success(outcome: &Bound<'_, PyAny>) -> bool {
    let success = pyo3::intern!(outcome.py(), "success");
    outcome.is(success)
}

/// `Breaker.__enter__`.
pub struct Enter;

impl FastMethod for Enter {
    type Class = PyBreaker;
    const METHOD: &'static CStr = c"__enter__";
    const METHOD_DOC: &'static CStr = c"__enter__($self)\n--\n\nAsk whether the block may run.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyBreaker>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let enter = || PyBreaker::enter(&this);
        (args.len() == 0).then(|| enter().map(|()| py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// `Breaker.__exit__`.
pub struct Exit;

impl FastMethod for Exit {
    type Class = PyBreaker;
    const METHOD: &'static CStr = c"__exit__";
    const METHOD_DOC: &'static CStr =
        c"__exit__($self, kind, error, traceback)\n--\n\nReport how the block went.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyBreaker>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let py = args.py();
        let (kind, error) = (args.get(0)?, args.get(1)?);
        let exit = || PyBreaker::exit(&this, &kind, &error);
        let plain = args.len() == 3 && args.positional() == 3;
        plain.then(|| exit().map(|()| py.None().into_bound(py)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}
