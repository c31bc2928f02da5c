//! What the methods of `Cache` are made of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use penstock_core::{Clock, Evicted, Evictions, Lookup};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

use crate::clock::Moment;
use crate::convert::Ttl;
use crate::flight::Flight;
use crate::hooks::{Hooks, deadline};
use crate::key::Probe;
use crate::store::{Gone, Store, Table};

/// A bounded mapping with expiry, for use from any thread.
///
/// Args:
///     maxsize: Most entries, or with *weigher* the largest sum of weights; None is unbounded.
///     ttl: Seconds (or a timedelta) from set to expiry.
///     tti: Seconds (or a timedelta) from the last set or read to expiry.
///     policy: Who leaves a full cache: "lru", the strictly least recently used.
///     weigher: weigher(key, value) -> int >= 0.
///     on_evict: on_evict(key, value, cause) after an entry left; cause is "size", "expired",
///         "replaced" or "deleted". It may use the cache; what it raises reaches the caller.
///     jitter: Shortens each ttl by a random part of up to this fraction, 0 <= jitter < 1.
///     timer: Seconds on a clock of your own, for tests; the default is the monotonic clock.
///     name: Shown in metrics.
///
/// Raises:
///     TypeError, ValueError: An argument is of the wrong type or out of range.
///
/// Cost: every operation on one key is O(1), expiry O(1) amortised per entry; about 43 bytes per
///     entry, 59 with expiry, beside keys and values. Thread-safe.
///
/// Source: strict LRU over one slab of index-linked entries; expiry by a hierarchical timing wheel
///     (Varghese and Lauck, 1987), exact to the nanosecond instead of ticking.
#[pyclass(name = "Cache", module = "penstock", frozen, weakref, mapping, generic)]
pub struct PyCache {
    pub(crate) entries: Store<Py<PyAny>>,
    pub(crate) flights: Store<Py<Flight>>,
    pub(crate) hooks: Hooks,
    pub(crate) limits: Limits,
    pub(crate) name: Option<String>,
    timed: AtomicBool,
    /// State of the generator behind `jitter`.
    random: AtomicU64,
}

/// What a cache was told about time.
#[derive(Clone, Copy)]
pub struct Limits {
    pub ttl: Option<u64>,
    pub tti: Option<u64>,
    pub jitter: f64,
}

/// Who writes an entry.
#[derive(Clone, Copy)]
pub enum Write<'a> {
    /// A caller: it wins over loads in progress, and is told when the entry is too heavy.
    Set,
    /// A load, which stores only while its flight is valid.
    Loaded(&'a Flight),
}

impl Write<'_> {
    fn too_heavy(self, weight: u64, capacity: u64) -> PyResult<bool> {
        match self {
            Self::Set => Err(PyValueError::new_err(format!(
                "weight {weight} exceeds maxsize {capacity}"
            ))),
            Self::Loaded(_) => Ok(false),
        }
    }
}

impl PyCache {
    pub fn build(
        maxsize: Option<u64>,
        limits: Limits,
        hooks: Hooks,
        name: Option<String>,
        seed: u64,
    ) -> Self {
        let capacity = maxsize.unwrap_or(u64::MAX);
        Self {
            entries: Store::new(Table::new(capacity, hooks.weighs(), limits.tti, seed)),
            flights: Store::new(Table::new(u64::MAX, false, None, seed)),
            hooks,
            timed: AtomicBool::new(limits.ttl.is_some() || limits.tti.is_some()),
            limits,
            name,
            random: AtomicU64::new(seed | 1),
        }
    }

    /// Now, read only if this cache has deadlines, or is about to have one.
    #[inline]
    pub fn moment(&self, py: Python<'_>, about_to: bool) -> PyResult<Moment> {
        self.hooks.moment(py, || about_to || self.is_timed())
    }

    /// Whether any entry has, or ever had, a deadline.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed)
    }

    /// Now, in any case.
    pub fn now(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.hooks.moment(py, || true)?.now())
    }

    /// The live value of a key and its deadline, read as a use of it.
    #[inline]
    pub fn read<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
    ) -> PyResult<Option<(Bound<'py, PyAny>, u64)>> {
        self.read_at(py, key, self.moment(py, false)?)
    }

    /// The same at a given time.
    #[inline]
    pub fn read_at<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        moment: Moment,
    ) -> PyResult<Option<(Bound<'py, PyAny>, u64)>> {
        let mut expired = None;
        let found = self.read_into(py, key, moment, &mut expired)?;
        match expired {
            Some(gone) => self.finish_one(py, Some(gone)).map(|()| found),
            None => Ok(found),
        }
    }

    /// The same; an expired entry that is found is handed over.
    #[inline]
    pub fn read_into<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        moment: Moment,
        expired: &mut Option<Evicted<Py<PyAny>, Py<PyAny>>>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, u64)>> {
        self.entries
            .probe(py, key, |table, at| match table.get(at, &moment) {
                Lookup::Hit(value, deadline) => Some((value.bind(py).clone(), deadline)),
                Lookup::Miss(gone) => {
                    *expired = gone;
                    None
                }
            })
    }

    /// The live value of a key and its deadline, without any effect.
    pub fn peek_at<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        moment: Moment,
    ) -> PyResult<Option<(Bound<'py, PyAny>, u64)>> {
        self.entries.probe(py, key, |table, at| {
            let (value, deadline) = table.peek(at, &moment)?;
            Some((value.bind(py).clone(), deadline))
        })
    }

    /// The live value of a key, without any effect.
    pub fn glance<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let moment = self.moment(py, false)?;
        Ok(self.peek_at(py, key, moment)?.map(|(value, _)| value))
    }

    /// Stores an entry for a caller.
    #[inline]
    pub fn write<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        object: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        ttl: &Ttl<'py>,
    ) -> PyResult<()> {
        let mut gone = Evictions::new();
        let stored = self.store(py, key, object, value, ttl, Write::Set, &mut gone);
        self.hooks.finish(py, gone)?;
        stored.map(drop)
    }

    /// Stores an entry; false if it was not to be stored.
    #[expect(clippy::too_many_arguments, reason = "an entry has this many parts")]
    pub fn store<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
        object: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        ttl: &Ttl<'py>,
        by: Write<'_>,
        gone: &mut Gone<Py<PyAny>>,
    ) -> PyResult<bool> {
        let ttl = ttl.resolve(self.limits.ttl)?.map(|ttl| self.shorten(ttl));
        let weight = self.hooks.weight(py, object, value)?;
        if self.hooks.weighs() {
            let capacity = self.entries.with(py, |table| table.capacity())?;
            if weight > capacity {
                return by.too_heavy(weight, capacity);
            }
        }
        let moment = self.moment(py, ttl.is_some())?;
        let strangers = self.strangers(py, key)?;
        let hash = key.hash();
        let mut now = 0;
        if self.start_time(ttl) {
            now = moment.now();
            self.entries
                .with(py, |table| table.reclaim(&moment, gone))?;
        }
        let stored = self.entries.probe(py, key, |table, at| {
            match by {
                Write::Set => self.revoke(py, key, &strangers),
                Write::Loaded(flight) if flight.valid(py).unwrap_or(false) => {}
                Write::Loaded(_) => return Ok(Some(false)),
            }
            // The timer may have changed the size, or the user in another thread.
            if weight > table.capacity() {
                return Ok(None);
            }
            let (key, value) = (object.clone().unbind(), value.clone().unbind());
            let deadline = deadline(now, ttl);
            table
                .set(at, hash, key, value, weight, deadline, now, gone)
                .map(|()| Some(true))
        })?;
        match stored {
            Ok(Some(stored)) => Ok(stored),
            Ok(None) => by.too_heavy(weight, self.entries.with(py, |table| table.capacity())?),
            Err(_) => Err(PyMemoryError::new_err(
                "a cache holds at most 4294967295 entries",
            )),
        }
    }

    /// Whether a write has to know the time; from now on if it brings a first ttl.
    #[inline]
    pub fn start_time(&self, ttl: Option<u64>) -> bool {
        if ttl.is_some() {
            self.timed.store(true, Ordering::Relaxed);
        }
        self.is_timed()
    }

    /// Takes every due entry out and then does `act`; `on_evict` hears of both together.
    pub fn expire_then<R>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Table<Py<PyAny>>, &mut Gone<Py<PyAny>>) -> R,
    ) -> PyResult<R> {
        self.expire_at(py, self.moment(py, false)?, act)
    }

    /// The same at a given time.
    pub fn expire_at<R>(
        &self,
        py: Python<'_>,
        moment: Moment,
        act: impl FnOnce(&mut Table<Py<PyAny>>, &mut Gone<Py<PyAny>>) -> R,
    ) -> PyResult<R> {
        let mut gone = Evictions::new();
        let result = self.entries.with(py, |table| {
            table.expire(&moment, &mut gone);
            act(table, &mut gone)
        })?;
        self.hooks.finish(py, gone)?;
        Ok(result)
    }

    /// Takes the live entry of a key out and returns its value.
    pub fn take<'py>(
        &self,
        py: Python<'py>,
        key: &impl Probe,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let moment = self.moment(py, false)?;
        let strangers = self.strangers(py, key)?;
        let gone = self.entries.probe(py, key, |table, at| {
            self.revoke(py, key, &strangers);
            table.remove(at, &moment)
        })?;
        let value = gone
            .as_ref()
            .filter(|gone| gone.cause == penstock_core::Cause::Deleted)
            .map(|gone| gone.value.bind(py).clone());
        self.finish_one(py, gone)?;
        Ok(value)
    }

    /// Live entries from the first to be evicted to the last.
    pub fn snapshot(&self, py: Python<'_>) -> PyResult<Vec<(Py<PyAny>, Py<PyAny>)>> {
        self.expire_then(py, |table, _| {
            let clone = |(key, value): &(Py<_>, Py<_>)| (key.clone_ref(py), value.clone_ref(py));
            table.iter().map(clone).collect()
        })
    }

    pub fn finish_one(
        &self,
        py: Python<'_>,
        gone: Option<Evicted<Py<PyAny>, Py<PyAny>>>,
    ) -> PyResult<()> {
        self.hooks.finish(py, gone.into())
    }

    /// A ttl less its jitter.
    pub fn shorten(&self, ttl: u64) -> u64 {
        if self.limits.jitter == 0.0 {
            return ttl;
        }
        let mut x = self.random.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.store(x, Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        {
            let part = self.limits.jitter * ((x >> 11) as f64 / (1_u64 << 53) as f64);
            ((ttl as f64 * (1.0 - part)) as u64).max(1)
        }
    }
}
