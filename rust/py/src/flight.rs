//! `Flight`: a load in progress, known to the cache so that an invalidation can reach it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::ffi::{GilLock, call0};

/// A load in progress: one or more callers that compute the value of one key.
///
/// A flight that was invalidated may go on, but what it loads is not stored.
#[pyclass(module = "penstock._native", frozen)]
pub struct Flight {
    key: Py<PyAny>,
    hash: u64,
    state: GilLock<State>,
}

struct State {
    valid: bool,
    /// Callers that have not given it back.
    users: usize,
    /// The thread that loads while others wait, if there is one.
    round: Option<Arc<Round>>,
}

/// What a thread that joins a flight has to do.
pub enum Role {
    Lead(Arc<Round>),
    Wait(Arc<Round>),
}

#[pymethods]
impl Flight {
    /// Whether what it loads may still be stored.
    #[getter]
    pub fn valid(&self, py: Python<'_>) -> PyResult<bool> {
        self.state.with(py, |state| state.valid)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.key)
    }
}

impl Flight {
    pub fn new(key: Py<PyAny>, hash: u64) -> Self {
        Self {
            key,
            hash,
            state: GilLock::new(State {
                valid: true,
                users: 0,
                round: None,
            }),
        }
    }

    pub fn key(&self) -> &Py<PyAny> {
        &self.key
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn invalidate(&self, py: Python<'_>) {
        // An error would mean a broken lock rule: nobody holds a flight's state for longer than this.
        let _ = self.state.with(py, |state| state.valid = false);
    }

    /// Takes part without waiting for anybody.
    pub fn enter(&self, py: Python<'_>) -> PyResult<()> {
        self.state.with(py, |state| state.users += 1)
    }

    /// Leads with `round` unless a thread of this process leads already; those of a parent process
    /// are not here to finish.
    pub fn join(&self, py: Python<'_>, round: Arc<Round>) -> PyResult<Role> {
        self.state.with(py, |state| match &state.round {
            Some(other) if other.process == round.process => Role::Wait(other.clone()),
            _ => {
                state.users += 1;
                state.round = Some(round.clone());
                Role::Lead(round)
            }
        })
    }

    /// Ends one part; true for the last.
    pub fn leave(&self, py: Python<'_>, round: Option<&Arc<Round>>) -> PyResult<bool> {
        self.state.with(py, |state| {
            if round.is_some() && state.round.as_ref().map(Arc::as_ptr) == round.map(Arc::as_ptr) {
                state.round = None;
            }
            state.users = state.users.saturating_sub(1);
            state.users == 0
        })
    }
}

/// One thread's load of a key, for which other threads wait.
pub struct Round {
    thread: u64,
    process: u32,
    state: GilLock<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// A Python lock, held until the round is over; made by the first who waits.
    gate: Option<Py<PyAny>>,
    outcome: Option<Outcome>,
}

/// How a round ended.
enum Outcome {
    Value(Py<PyAny>),
    Error(Py<PyAny>),
    /// The thread was stopped by something that is its own business.
    Interrupted,
}

/// A thread that waits for another one's round.
struct Wait {
    waiter: u64,
    owner: u64,
    round: usize,
}

/// Who waits for whom, in rounds that are not over.
static WAITS: GilLock<Vec<Wait>> = GilLock::new(Vec::new());

/// Whether `thread`, directly or through others, waits for `me`.
///
/// A thread waits for several at once when a signal handler waits while it does.
fn closes_circle(waits: &[Wait], thread: u64, me: u64) -> bool {
    let (mut todo, mut seen) = (vec![thread], Vec::new());
    while let Some(next) = todo.pop() {
        if seen.contains(&next) {
            continue;
        }
        seen.push(next);
        for wait in waits.iter().filter(|wait| wait.waiter == next) {
            if wait.owner == me {
                return true;
            }
            todo.push(wait.owner);
        }
    }
    false
}

/// The class raised for a load that would wait for itself.
static RECURSIVE_LOAD: PyOnceLock<GilLock<Option<Py<PyType>>>> = PyOnceLock::new();

/// Set the class of the error raised by a load that would wait for itself.
#[pyfunction]
pub fn set_recursive_load(py: Python<'_>, cls: Py<PyType>) -> PyResult<()> {
    let cell = RECURSIVE_LOAD.get_or_init(py, || GilLock::new(None));
    drop(cell.with(py, |current| current.replace(cls))?);
    Ok(())
}

fn recursive_load(py: Python<'_>, message: String) -> PyErr {
    let class = RECURSIVE_LOAD
        .get(py)
        .and_then(|cell| {
            cell.with(py, |class| class.as_ref().map(|c| c.clone_ref(py)))
                .ok()
        })
        .flatten();
    match class {
        Some(class) => PyErr::from_type(class.into_bound(py), (message,)),
        None => PyRuntimeError::new_err(message),
    }
}

fn thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local!(static ID: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    ID.with(|id| *id)
}

impl Round {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: thread(),
            process: std::process::id(),
            state: GilLock::new(Waiting::default()),
        })
    }

    /// Waits until the round is over; nothing if it was interrupted.
    pub fn wait<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let me = thread();
        if self.thread == me {
            let message = format!("key {} is already being loaded by this thread", key.repr()?);
            return Err(recursive_load(py, message));
        }
        let entered = WAITS.with(py, |waits| {
            if closes_circle(waits, self.thread, me) {
                return false;
            }
            waits.push(Wait {
                waiter: me,
                owner: self.thread,
                round: self.address(),
            });
            true
        })?;
        if !entered {
            let message = format!("loading key {} would wait for itself", key.repr()?);
            return Err(recursive_load(py, message));
        }
        let passed = self.pass(py);
        let mine = self.address();
        WAITS.with(py, |waits| {
            waits.retain(|wait| (wait.waiter, wait.round) != (me, mine));
        })?;
        passed?;
        let outcome = self.state.with(py, |state| match &state.outcome {
            Some(Outcome::Value(value)) => Some(Ok(value.clone_ref(py))),
            Some(Outcome::Error(error)) => Some(Err(error.clone_ref(py))),
            Some(Outcome::Interrupted) | None => None,
        })?;
        match outcome {
            Some(Ok(value)) => Ok(Some(value.into_bound(py))),
            Some(Err(error)) => Err(PyErr::from_value(error.into_bound(py))),
            None => Ok(None),
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Waits at the gate.
    fn pass(&self, py: Python<'_>) -> PyResult<()> {
        let lock = py.import("_thread")?.call_method0("allocate_lock")?;
        lock.call_method0("acquire")?;
        let lock = lock.unbind();
        let gate = self.state.with(py, |state| {
            let open = state.outcome.is_some();
            (!open).then(|| {
                state
                    .gate
                    .get_or_insert_with(|| lock.clone_ref(py))
                    .clone_ref(py)
            })
        })?;
        if let Some(gate) = gate {
            // Waits, for as long as the program runs if need be.
            call0(&gate.bind(py).getattr("acquire")?)?;
            gate.call_method0(py, "release")?;
        }
        Ok(())
    }

    /// Ends the round and lets the waiting threads go.
    pub fn end(&self, py: Python<'_>, result: &PyResult<Bound<'_, PyAny>>) -> PyResult<()> {
        let outcome = match result {
            Ok(value) => Outcome::Value(value.clone().unbind()),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                Outcome::Error(error.value(py).clone().into_any().unbind())
            }
            Err(_) => Outcome::Interrupted,
        };
        let gate = self.state.with(py, |state| {
            state.outcome = Some(outcome);
            state.gate.take()
        })?;
        // Those who have yet to wake up wait for this thread no more.
        let over = self.address();
        WAITS.with(py, |waits| waits.retain(|wait| wait.round != over))?;
        if let Some(gate) = gate {
            gate.call_method0(py, "release")?;
        }
        Ok(())
    }
}
