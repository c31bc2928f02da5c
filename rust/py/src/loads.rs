//! Loads of a cache: one at a time for each key, and none that undoes an invalidation.

use std::sync::Arc;

use penstock_core::{Evictions, NEVER};
use pyo3::prelude::*;

use crate::cache::{PyCache, Write};
use crate::convert::Ttl;
use crate::ffi::is_equal;
use crate::flight::{Flight, Role, Round};
use crate::key::{Key, Match, Probe};
use crate::store::{Gone, Table};

impl PyCache {
    /// Loads the value of a key that was not found, or waits for the thread that does.
    pub fn load<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        hash: u64,
        ttl: &Ttl<'py>,
        call: impl Fn() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let probe = Key::hashed(key, hash);
        loop {
            let flight = self.flight(py, key, hash, false)?;
            match flight.get().join(py, Round::new())? {
                Role::Lead(round) => {
                    let mut gone = Evictions::new();
                    // Somebody may have finished between the look-up and here.
                    let result = match self.glance(py, &probe) {
                        Ok(None) => self.lead(py, &flight, ttl, &call, &mut gone),
                        Ok(Some(value)) => Ok(value),
                        Err(error) => Err(error),
                    };
                    let left = self.leave(py, &flight, Some(&round));
                    round.end(py, &result)?;
                    left?;
                    // What `on_evict` raises is nobody's business but this thread's.
                    self.hooks.finish(py, gone)?;
                    return result;
                }
                Role::Wait(round) => {
                    if let Some(value) = round.wait(py, key)? {
                        return Ok(value);
                    }
                }
            }
            if let Some(value) = self.glance(py, &probe)? {
                return Ok(value);
            }
        }
    }

    fn lead<'py>(
        &self,
        py: Python<'py>,
        flight: &Py<Flight>,
        ttl: &Ttl<'py>,
        call: impl Fn() -> PyResult<Bound<'py, PyAny>>,
        gone: &mut Gone<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let start = self.now(py)?;
        let result = call();
        let ns = self.now(py).map(|now| now.saturating_sub(start));
        match result {
            Ok(value) => {
                self.commit(py, flight, &value, ns?, ttl, gone)?;
                Ok(value)
            }
            Err(error) => {
                // The load's own error matters more than what a timer has to say.
                self.count_failure(py, ns.unwrap_or(0))?;
                Err(error)
            }
        }
    }

    /// Counts a load and stores its value, unless the flight was invalidated.
    pub fn commit<'py>(
        &self,
        py: Python<'py>,
        flight: &Py<Flight>,
        value: &Bound<'py, PyAny>,
        ns: u64,
        ttl: &Ttl<'py>,
        gone: &mut Gone<Py<PyAny>>,
    ) -> PyResult<bool> {
        self.entries.with(py, |table| {
            table.counters.loads += 1;
            table.counters.load_ns = table.counters.load_ns.saturating_add(ns);
        })?;
        let flight = flight.get();
        if !flight.valid(py)? {
            return Ok(false);
        }
        let object = flight.key().bind(py);
        let key = Key::hashed(object, flight.hash());
        let by = Write::Loaded(flight);
        self.store(py, &key, object, value, ttl, by, gone)
    }

    /// Ends one part in a flight; the last one takes it out of the register.
    pub fn leave(
        &self,
        py: Python<'_>,
        flight: &Py<Flight>,
        round: Option<&Arc<Round>>,
    ) -> PyResult<()> {
        if flight.get().leave(py, round)? {
            let hash = flight.get().hash();
            self.flights
                .remove_where(py, hash, &0, |other| other.is(flight))?;
        }
        Ok(())
    }

    pub fn count_failure(&self, py: Python<'_>, ns: u64) -> PyResult<()> {
        self.entries.with(py, |table| {
            table.counters.load_failures += 1;
            table.counters.load_ns = table.counters.load_ns.saturating_add(ns);
        })
    }

    /// The registered flight of a key; a new one if there is none, or if it is to be superseded.
    pub fn flight<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        hash: u64,
        supersede: bool,
    ) -> PyResult<Py<Flight>> {
        let mine = Py::new(py, Flight::new(key.clone().unbind(), hash))?;
        let mut replaced = Evictions::new();
        let probe = Key::hashed(key, hash);
        self.flights.probe(py, &probe, |table, at| {
            if let Some((other, _)) = table.peek(at, &0) {
                if !supersede && other.get().valid(py).unwrap_or(false) {
                    return other.clone_ref(py);
                }
                other.get().invalidate(py);
            }
            let (key, flight) = (key.clone().unbind(), mine.clone_ref(py));
            // There are never more flights than places.
            let _ = table.set(at, hash, key, flight, 1, NEVER, 0, &mut replaced);
            mine.clone_ref(py)
        })
    }

    /// Keys of loads in progress that have the hash of `key` and are not equal to it, as far as only
    /// their `__eq__` could tell.
    #[inline]
    pub fn strangers<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        if self.flights.with(py, |flights| flights.is_empty())? {
            return Ok(Vec::new());
        }
        self.find_strangers(py, key)
    }

    #[cold]
    #[inline(never)]
    fn find_strangers<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut strangers: Vec<Bound<'py, PyAny>> = self.flights.with(py, |flights| {
            let keys = flights.of_hash(key.hash()).map(|(other, _)| other.bind(py));
            keys.filter(|other| key.compare(other) == Match::Unknown)
                .cloned()
                .collect()
        })?;
        if !strangers.is_empty() {
            let object = key.object(py)?;
            let mut failed = Ok(());
            strangers.retain(|other| match is_equal(other, &object) {
                Ok(equal) => !equal,
                Err(error) => {
                    failed = Err(error);
                    false
                }
            });
            failed?;
        }
        Ok(strangers)
    }

    /// Keeps loads in progress from storing: those of a key, or of what may be equal to it.
    ///
    /// Runs no Python code, so that it can be one step with the change of the entry.
    #[inline]
    pub fn revoke(&self, py: Python<'_>, key: &impl Probe, strangers: &[Bound<'_, PyAny>]) {
        if !matches!(
            self.flights.with(py, |flights| flights.is_empty()),
            Ok(true)
        ) {
            self.revoke_equal(py, key, strangers);
        }
    }

    #[cold]
    #[inline(never)]
    fn revoke_equal(&self, py: Python<'_>, key: &impl Probe, strangers: &[Bound<'_, PyAny>]) {
        let revoke = |flights: &mut Table<Py<Flight>>| {
            for (other, flight) in flights.of_hash(key.hash()) {
                let other = other.bind(py);
                let equal = match key.compare(other) {
                    Match::Equal => true,
                    Match::Different => false,
                    Match::Unknown => !strangers.iter().any(|stranger| stranger.is(other)),
                };
                if equal {
                    flight.get().invalidate(py);
                }
            }
        };
        // An error would mean a broken lock rule, which the caller's own lock reports.
        let _ = self.flights.with(py, revoke);
    }

    /// The same for every key.
    pub fn revoke_all(&self, py: Python<'_>) {
        let revoke = |flights: &mut Table<Py<Flight>>| {
            for (_, flight) in flights.entries() {
                flight.get().invalidate(py);
            }
        };
        let _ = self.flights.with(py, revoke);
    }
}
