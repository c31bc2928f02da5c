//! A core table behind the lock, found by Python keys: the lock rule is kept here.

use penstock_core::{Cache, Clock, Evictions};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use smallvec::SmallVec;

use crate::ffi::GilLock;
use crate::key::{Match, Probe};

/// A core table of Python keys.
pub type Table<V> = Cache<Py<PyAny>, V>;

/// What left such a table.
pub type Gone<V> = Evictions<Py<PyAny>, V>;

/// How often a look-up may meet new keys that only their `__eq__` can tell from the one asked for.
const PATIENCE: usize = 1000;

/// A table that many threads may use.
pub struct Store<V>(GilLock<Table<V>>);

/// Keys of the right hash that could not be compared under the lock.
type Unsure<'py> = SmallVec<[Bound<'py, PyAny>; 1]>;

impl<V> Store<V> {
    pub fn new(table: Table<V>) -> Self {
        Self(GilLock::new(table))
    }

    /// Runs `act` on the table; `act` must not run Python code.
    #[inline]
    pub fn with<R>(&self, py: Python<'_>, act: impl FnOnce(&mut Table<V>) -> R) -> PyResult<R> {
        self.0.with(py, act)
    }

    /// Reads the table for the garbage collector.
    pub fn visit<R>(
        &self,
        visit: &pyo3::PyVisit<'_>,
        read: impl FnOnce(&Table<V>) -> R,
    ) -> Option<R> {
        self.0.visit(visit, read)
    }

    /// Runs `act` on the table and the place of `key`, if it has one.
    #[inline]
    pub fn probe<R>(
        &self,
        py: Python<'_>,
        key: &impl Probe,
        act: impl FnOnce(&mut Table<V>, Option<u32>) -> R,
    ) -> PyResult<R> {
        let mut act = Some(act);
        let mut unsure = Unsure::new();
        let done = self.0.with(py, |table| {
            let at = table.find(key.hash(), |stored| {
                let stored = stored.bind(py);
                let answer = key.compare(stored);
                if answer == Match::Unknown {
                    unsure.push(stored.clone());
                }
                answer == Match::Equal
            });
            if at.is_none() && !unsure.is_empty() {
                return None;
            }
            act.take().map(|act| act(table, at))
        })?;
        match (done, act) {
            (Some(done), _) => Ok(done),
            (None, Some(act)) => self.ask(py, key, act, unsure),
            (None, None) => Err(unsettled()),
        }
    }

    /// Asks the keys' `__eq__`, unlocked, until every key of this hash is known to be equal or not.
    #[cold]
    fn ask<'py, R>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        act: impl FnOnce(&mut Table<V>, Option<u32>) -> R,
        mut unsure: Unsure<'py>,
    ) -> PyResult<R> {
        let object = key.object(py)?;
        let mut act = Some(act);
        let mut different: Vec<Bound<'py, PyAny>> = Vec::new();
        for _ in 0..PATIENCE {
            let mut equal = None;
            for stored in unsure.drain(..) {
                if stored.eq(&object)? {
                    equal = Some(stored);
                    break;
                }
                different.push(stored);
            }
            unsure = Unsure::new();
            // A stored key is the same as long as it is the same object, wherever it is by now: it
            // is held here, so that no other object can have its address.
            let done = self.0.with(py, |table| {
                let at = table.find(key.hash(), |stored| {
                    let stored = stored.bind(py);
                    if equal.as_ref().is_some_and(|equal| equal.is(stored)) {
                        return true;
                    }
                    if different.iter().any(|other| other.is(stored)) {
                        return false;
                    }
                    let answer = key.compare(stored);
                    if answer == Match::Unknown {
                        unsure.push(stored.clone());
                    }
                    answer == Match::Equal
                });
                if at.is_none() && !unsure.is_empty() {
                    return None;
                }
                act.take().map(|act| act(table, at))
            })?;
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(unsettled())
    }

    /// Takes the entry that `matches` out, whatever its key.
    pub fn remove_where(
        &self,
        py: Python<'_>,
        hash: u64,
        clock: &impl Clock,
        mut matches: impl FnMut(&V) -> bool,
    ) -> PyResult<()> {
        let gone = self.0.with(py, |table| {
            let at = table.find_pair(hash, |_, value| matches(value));
            table.remove(at, clock)
        })?;
        drop(gone);
        Ok(())
    }
}

fn unsettled() -> PyErr {
    PyRuntimeError::new_err(format!(
        "the cache got new keys of one hash {PATIENCE} times while they were compared"
    ))
}
