//! Loads of a cache: one at a time for each key, and none that undoes an invalidation.

use std::sync::Arc;

use penstock_core::{Evictions, Lookup, NEVER};
use pyo3::prelude::*;

use crate::cache::{PyCache, Write};
use crate::convert::Ttl;
use crate::flight::{Flight, Role, Round};
use crate::key::{Key, Probe};
use crate::store::Gone;

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
            table.counters.load_ns += ns;
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
            table.counters.load_ns += ns;
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
        let probe = Key::hashed(key, hash);
        if supersede {
            self.forget_flight(py, &probe)?;
        }
        let mine = Py::new(py, Flight::new(key.clone().unbind(), hash))?;
        let mut none = Evictions::new();
        self.flights
            .probe(py, &probe, |table, at| match table.get(at, &0) {
                Lookup::Hit(flight, _) => flight.clone_ref(py),
                Lookup::Miss(_) => {
                    let (key, flight) = (key.clone().unbind(), mine.clone_ref(py));
                    // There are never more flights than places.
                    let _ = table.set(None, hash, key, flight, 1, NEVER, 0, &mut none);
                    mine.clone_ref(py)
                }
            })
    }

    /// Keeps the load of a key that is in progress, if one is, from storing its value.
    pub fn forget_flight(&self, py: Python<'_>, key: &impl Probe) -> PyResult<()> {
        if self.flights.with(py, |table| table.is_empty())? {
            return Ok(());
        }
        let gone = self
            .flights
            .probe(py, key, |table, at| table.remove(at, &0))?;
        match gone {
            Some(gone) => {
                drop(gone.key.into_bound(py));
                gone.value.into_bound(py).get().invalidate(py)
            }
            None => Ok(()),
        }
    }

    /// The same for every key.
    pub fn forget_flights(&self, py: Python<'_>) -> PyResult<()> {
        let mut gone = Evictions::new();
        self.flights.with(py, |table| table.clear(&mut gone))?;
        gone.iter()
            .try_for_each(|entry| entry.value.get().invalidate(py))
    }
}
