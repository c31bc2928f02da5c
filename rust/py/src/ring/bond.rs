//! The event loop that the futures of a ring are of.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::wrap_pyfunction;

use crate::ffi::{call0, running_token};

/// How often this process was forked off another: what ran in the thread that did so runs no more.
static FORKS: AtomicU64 = AtomicU64::new(0);

#[pyfunction]
fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Counts forks from now on.
pub fn count_forks(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    if let Ok(register) = os.getattr("register_at_fork") {
        let after = pyo3::types::PyDict::new(py);
        after.set_item("after_in_child", wrap_pyfunction!(forked, &os)?)?;
        register.call((), Some(&after))?;
    }
    Ok(())
}

/// An event loop, and what is asked of it.
pub struct Bond {
    pub event_loop: Py<PyAny>,
    pub create_future: Py<PyAny>,
    pub running: Py<PyAny>,
    pub ambient: Py<PyAny>,
    /// What this thread had for the loop when it was last seen running, and the forks until then.
    pub seen: Option<(Py<PyAny>, u64)>,
}

impl Bond {
    pub fn parts(&self) -> impl Iterator<Item = &Py<PyAny>> {
        let seen = self.seen.as_ref().map(|(token, _)| token);
        [
            &self.event_loop,
            &self.create_future,
            &self.running,
            &self.ambient,
        ]
        .into_iter()
        .chain(seen)
    }

    /// Whether the loop runs here, as far as that is known without asking asyncio.
    #[inline]
    pub fn is_seen(&self, token: Option<&Bound<'_, PyAny>>) -> bool {
        match (&self.seen, token) {
            (Some((seen, forks)), Some(token)) => {
                seen.is(token) && *forks == FORKS.load(Ordering::Relaxed)
            }
            _ => false,
        }
    }
}

/// Whether `event_loop` runs here, as asyncio says; and what to know it by next time.
pub fn ask<'py>(
    running: &Bound<'py, PyAny>,
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Option<(Py<PyAny>, u64)>> {
    let forks = FORKS.load(Ordering::Relaxed);
    if !call0(running)?.is(event_loop) {
        return Ok(None);
    }
    let py = running.py();
    let token = running_token(py).unwrap_or_else(|| py.None().into_bound(py));
    Ok(Some((token.unbind(), forks)))
}
