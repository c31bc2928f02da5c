//! The event loop that the futures of a ring are of.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::wrap_pyfunction;

use super::State;
use crate::ffi::{GilLock, call0, running_token};

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
    pub ambient: Py<PyAny>,
    running: Py<PyAny>,
    /// Whether `running` is asyncio's own, which knows no more than this thread does.
    is_asyncio: bool,
    known: Option<Known>,
}

/// What a thread had for the loop that it runs, when asyncio was last asked.
struct Known {
    token: Py<PyAny>,
    forks: u64,
    here: Here,
}

/// Which loop runs here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Here {
    Own,
    Other,
    None,
}

impl Bond {
    pub fn new(
        event_loop: Bound<'_, PyAny>,
        create_future: Bound<'_, PyAny>,
        running: Bound<'_, PyAny>,
        ambient: Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let asyncio = running.py().import("asyncio.events")?;
        let is_asyncio = running.is(&asyncio.getattr("_get_running_loop")?);
        Ok(Self {
            event_loop: event_loop.unbind(),
            create_future: create_future.unbind(),
            ambient: ambient.unbind(),
            running: running.unbind(),
            is_asyncio,
            known: None,
        })
    }

    pub fn parts(&self) -> impl Iterator<Item = &Py<PyAny>> {
        let known = self.known.as_ref().map(|known| &known.token);
        [
            &self.event_loop,
            &self.create_future,
            &self.ambient,
            &self.running,
        ]
        .into_iter()
        .chain(known)
    }

    /// Which loop runs in a thread that has this, as far as that is known without asking.
    #[inline]
    fn knows(&self, token: Option<&Bound<'_, PyAny>>) -> Option<Here> {
        let Some(token) = token else {
            // Where asyncio would keep something in the thread, it has never run a loop there.
            return (self.is_asyncio && !cfg!(any(Py_LIMITED_API, Py_3_13))).then_some(Here::None);
        };
        let known = self.known.as_ref()?;
        let is_same = known.token.is(token) && known.forks == FORKS.load(Ordering::Relaxed);
        (is_same && self.is_asyncio).then_some(known.here)
    }

    /// Whether something may be put without asking or telling anybody.
    #[inline]
    pub fn needs_nobody(&self, token: Option<&Bound<'_, PyAny>>) -> bool {
        matches!(self.knows(token), Some(Here::Own | Here::None))
    }
}

/// Returns which loop runs here, or nothing if the ring is bound to none.
#[inline]
pub fn locate(py: Python<'_>, state: &GilLock<State>) -> PyResult<Option<Here>> {
    let token = running_token(py);
    let known = state.with(py, |state| {
        let bond = state.bound.as_ref()?;
        Some(bond.knows(token.as_ref()))
    })?;
    match known {
        None => Ok(None),
        Some(Some(here)) => Ok(Some(here)),
        Some(None) => ask(py, state, token).map(Some),
    }
}

/// Asks asyncio, and notes the answer.
#[cold]
fn ask(py: Python<'_>, state: &GilLock<State>, token: Option<Bound<'_, PyAny>>) -> PyResult<Here> {
    let forks = FORKS.load(Ordering::Relaxed);
    let running = state.with(py, |state| {
        let bond = state.bound.as_ref();
        bond.map(|bond| (bond.running.clone_ref(py), bond.event_loop.clone_ref(py)))
    })?;
    let Some((running, event_loop)) = running else {
        return Ok(Here::None);
    };
    let event_loop = event_loop.into_bound(py);
    let current = call0(&running.into_bound(py))?;
    let here = if current.is(&event_loop) {
        Here::Own
    } else if current.is_none() {
        Here::None
    } else {
        Here::Other
    };
    let mut known = token.map(|token| Known {
        token: token.unbind(),
        forks,
        here,
    });
    let known = state.with(py, |state| {
        if let Some(bond) = &mut state.bound
            && bond.event_loop.is(&event_loop)
        {
            std::mem::swap(&mut bond.known, &mut known);
        }
        known
    })?;
    // As a `Bound`, which is dropped at once wherever this runs.
    drop(known.map(|known| known.token.into_bound(py)));
    Ok(here)
}
