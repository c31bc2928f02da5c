//! A core table behind the lock, found by Python keys: the lock rule is kept here.

use std::collections::HashMap;

use penstock_core::{Cache, Clock, Evictions};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::ffi::{GilLock, is_equal};
use crate::key::{Match, Probe};

/// A core table of Python keys.
pub type Table<V> = Cache<Py<PyAny>, V>;

/// What left such a table.
pub type Gone<V> = Evictions<Py<PyAny>, V>;

/// How often a look-up may meet new keys that only their `__eq__` can tell from the one asked for.
const PATIENCE: usize = 1000;

/// A table that many threads may use.
pub struct Store<V>(GilLock<Table<V>>);

/// What is known of the stored keys of one hash beyond what a comparison under the lock tells.
///
/// They are told apart by their addresses, which nothing else can have while they are held here.
#[derive(Default)]
struct Known<'py> {
    equal: Option<Bound<'py, PyAny>>,
    different: HashMap<usize, Bound<'py, PyAny>>,
    /// Those that are still to be asked.
    unsure: Vec<Bound<'py, PyAny>>,
}

impl<'py> Known<'py> {
    /// Whether a stored key is known to be equal; one that is not known at all is to be asked.
    #[cold]
    fn is_equal(this: &mut Option<Box<Self>>, stored: &Bound<'py, PyAny>) -> bool {
        let this = this.get_or_insert_default();
        if this.equal.as_ref().is_some_and(|equal| equal.is(stored)) {
            return true;
        }
        if !this.different.contains_key(&stored.as_ptr().addr()) {
            this.unsure.push(stored.clone());
        }
        false
    }

    #[cold]
    fn is_settled(&self) -> bool {
        self.unsure.is_empty()
    }

    /// Asks until one is equal.
    fn settle(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        for stored in std::mem::take(&mut self.unsure) {
            if is_equal(&stored, object)? {
                self.equal = Some(stored);
                break;
            }
            self.different.insert(stored.as_ptr().addr(), stored);
        }
        Ok(())
    }
}

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
        let mut known = None;
        if let Some(done) = self.attempt(py, key, &mut known, &mut act)? {
            return Ok(done);
        }
        self.ask(py, key, known.unwrap_or_default(), act)
    }

    /// Does the work if every key of this hash is known to be equal or not, else collects the others.
    #[inline]
    fn attempt<'py, R>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        known: &mut Option<Box<Known<'py>>>,
        act: &mut Option<impl FnOnce(&mut Table<V>, Option<u32>) -> R>,
    ) -> PyResult<Option<R>> {
        self.0.with(py, |table| {
            let at = table.find(key.hash(), |stored| {
                let stored = stored.bind(py);
                match key.compare(stored) {
                    Match::Equal => true,
                    Match::Different => false,
                    Match::Unknown => Known::is_equal(known, stored),
                }
            });
            if at.is_none() && known.as_ref().is_some_and(|known| !known.is_settled()) {
                return None;
            }
            act.take().map(|act| act(table, at))
        })
    }

    /// Asks the keys' `__eq__`, unlocked, until every one of this hash is known to be equal or not.
    #[cold]
    fn ask<'py, R>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        known: Box<Known<'py>>,
        mut act: Option<impl FnOnce(&mut Table<V>, Option<u32>) -> R>,
    ) -> PyResult<R> {
        let object = key.object(py)?;
        let mut known = Some(known);
        for _ in 0..PATIENCE {
            known.get_or_insert_default().settle(&object)?;
            if let Some(done) = self.attempt(py, key, &mut known, &mut act)? {
                return Ok(done);
            }
        }
        Err(PyRuntimeError::new_err(
            "the cache kept changing while keys were compared",
        ))
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
