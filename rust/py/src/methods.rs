//! The methods of `Cache`, each a few lines over `cache.rs` and `loads.rs`.

use std::collections::hash_map::RandomState;
use std::ffi::CStr;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use penstock_core::{Clock, Evictions};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::ffi::objobjargproc;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyMapping};

use crate::cache::{Limits, PyCache};
use crate::convert::{self, Maybe, Ttl, to_seconds};
use crate::ffi::{self, Args, FastMethod, FastSetItem, Installed};
use crate::flight::Flight;
use crate::hooks::{Hooks, deadline};
use crate::key::{Key, Probe};
use crate::named;
use crate::stats::PyCacheStats;
use crate::store::Table;

#[pymethods]
impl PyCache {
    #[new]
    #[pyo3(signature = (maxsize, *, ttl=None, tti=None, policy=Maybe::Missing, weigher=None, on_evict=None, jitter=Maybe::Missing, timer=None, name=None),
        text_signature = "(maxsize, *, ttl=None, tti=None, policy='lru', weigher=None, on_evict=None, jitter=0.0, timer=None, name=None)")]
    #[expect(clippy::too_many_arguments, reason = "keyword-only options")]
    fn new<'py>(
        maxsize: &Bound<'py, PyAny>,
        ttl: Option<&Bound<'py, PyAny>>,
        tti: Option<&Bound<'py, PyAny>>,
        policy: Maybe<'py>,
        weigher: Option<&Bound<'py, PyAny>>,
        on_evict: Option<&Bound<'py, PyAny>>,
        jitter: Maybe<'py>,
        timer: Option<&Bound<'py, PyAny>>,
        name: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = maxsize.py();
        let callable = |name, value: Option<&Bound<'py, PyAny>>| {
            value.map(|value| convert::called(name, value)).transpose()
        };
        let maxsize = convert::maxsize(maxsize)?;
        let ttl = ttl.map(|ttl| convert::duration("ttl", ttl)).transpose()?;
        let tti = tti.map(|tti| convert::duration("tti", tti)).transpose()?;
        policy.given().map(convert::policy).transpose()?;
        let weigher = callable("weigher", weigher)?;
        let on_evict = callable("on_evict", on_evict)?;
        let jitter = jitter
            .given()
            .map(convert::jitter)
            .transpose()?
            .unwrap_or(0.0);
        let timer = callable("timer", timer)?;
        let name = name.map(convert::name).transpose()?;
        let hooks = Hooks::new(weigher, on_evict, timer);
        let seed = RandomState::new().build_hasher().finish();
        let limits = Limits { ttl, tti, jitter };
        let cache = Bound::new(py, Self::build(maxsize, limits, hooks, name, seed))?;
        if cache.get().name.is_some() {
            named::enter(cache.as_any())?;
        }
        Ok(cache)
    }

    #[getter]
    fn maxsize(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.entries.with(py, |table| {
            Some(table.capacity()).filter(|size| *size != u64::MAX)
        })
    }

    #[getter]
    fn ttl(&self) -> Option<f64> {
        self.limits.ttl.map(to_seconds)
    }

    #[getter]
    fn tti(&self) -> Option<f64> {
        self.limits.tti.map(to_seconds)
    }

    #[getter]
    fn policy(&self) -> &'static str {
        "lru"
    }

    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Return the value of *key*, or *default*.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self
            .read(key.py(), &Key::new(key)?)?
            .map_or(default, |(value, _)| Some(value)))
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.read(key.py(), &Key::new(key)?)? {
            Some((value, _)) => Ok(value),
            None => Err(PyKeyError::new_err((key.clone().unbind(),))),
        }
    }

    /// Store *value* under *key*; *ttl* seconds, None for no limit, default the cache's.
    #[pyo3(signature = (key, value, *, ttl=Ttl::Own), text_signature = "(self, key, value, *, ttl=...)")]
    fn set<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        ttl: Ttl<'py>,
    ) -> PyResult<()> {
        self.write(key.py(), &Key::new(key)?, key, value, &ttl)
    }

    fn __setitem__<'py>(&self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<()> {
        self.write(key.py(), &Key::new(key)?, key, value, &Ttl::Own)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.take(key.py(), &Key::new(key)?)? {
            Some(_) => Ok(()),
            None => Err(PyKeyError::new_err((key.clone().unbind(),))),
        }
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = key.py();
        let probe = Key::new(key)?;
        let moment = self.moment(py, false)?;
        self.entries
            .probe(py, &probe, |table, at| table.peek(at, &moment).is_some())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.expire_then(py, |table, _| table.len())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.snapshot(py)?.into_iter().map(|(key, _)| key))?.try_iter()
    }

    fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        if !other.is_instance_of::<PyMapping>() {
            return Ok(py.NotImplemented());
        }
        let other = py
            .get_type::<PyDict>()
            .call1((other.call_method0("items")?,))?;
        Ok(self
            .dict(py)?
            .eq(other)?
            .into_pyobject(py)?
            .to_owned()
            .into_any()
            .unbind())
    }

    /// Return a view of the keys there are now, least recently used first.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.call_method0("keys")
    }

    /// Return a view of the values there are now, least recently used first.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.call_method0("values")
    }

    /// Return a view of the entries there are now, least recently used first.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.call_method0("items")
    }

    /// Return the value of *key*, or *default*, without counting as a use.
    #[pyo3(signature = (key, default=None))]
    fn peek<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.glance(key.py(), &Key::new(key)?)?.or(default))
    }

    /// Return the values that are there of *keys*, as a dict in the order asked.
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let keys = keys.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let probes = keys.iter().map(Key::new).collect::<PyResult<Vec<_>>>()?;
        let moment = self.moment(py, false)?;
        let (found, mut gone) = (PyDict::new(py), Evictions::new());
        let result = keys.iter().zip(&probes).try_for_each(|(key, probe)| {
            let mut expired = None;
            let value = self.read_into(py, probe, moment, &mut expired);
            gone.append(expired.into());
            value?.map_or(Ok(()), |(value, _)| found.set_item(key, value))
        });
        self.hooks.finish(py, gone)?;
        result.map(|()| found)
    }

    /// Store each pair of a mapping, or of an iterable of pairs, as `set` does.
    #[pyo3(signature = (items, *, ttl=Ttl::Own), text_signature = "(self, items, *, ttl=...)")]
    fn set_many<'py>(&self, items: &Bound<'py, PyAny>, ttl: Ttl<'py>) -> PyResult<()> {
        ttl.resolve(None)?;
        if items.is_instance_of::<PyMapping>() {
            return self.write_all(&items.call_method0("items")?, &ttl);
        }
        self.write_all(items, &ttl)
    }

    /// Store each entry of *other*, as dict.update does.
    #[pyo3(signature = (other=Maybe::Missing, /, **kwargs), text_signature = "(self, other=(), /, **kwargs)")]
    fn update<'py>(&self, other: Maybe<'py>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<()> {
        if let Some(other) = other.given() {
            if other.is_instance_of::<PyMapping>() {
                self.write_all(&other.call_method0("items")?, &Ttl::Own)?;
            } else if other.hasattr("keys")? {
                for key in other.call_method0("keys")?.try_iter()? {
                    let key = key?;
                    self.__setitem__(&key, &other.get_item(&key)?)?;
                }
            } else {
                self.write_all(other, &Ttl::Own)?;
            }
        }
        kwargs.map_or(Ok(()), |kwargs| {
            self.write_all(&kwargs.call_method0("items")?, &Ttl::Own)
        })
    }

    /// Return the value of *key*, storing *default* first if there is none.
    #[pyo3(signature = (key, default=None))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let probe = Key::new(key)?;
        if let Some((value, _)) = self.read(py, &probe)? {
            return Ok(value);
        }
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        self.write(py, &probe, key, &default, &Ttl::Own)?;
        Ok(default)
    }

    /// Return the value of *key*; load it with loader(key) if there is none, one thread at a time.
    ///
    /// Raises:
    ///     RecursiveLoad: The load would wait for itself.
    ///     Exception: What the loader raised, in every thread that waited; nothing is stored.
    ///
    /// Cost: a hit is a `get`. A load blocks the other threads that ask for the same key.
    #[pyo3(signature = (key, loader, *, ttl=Ttl::Own), text_signature = "(self, key, loader, *, ttl=...)")]
    fn get_or_load<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        loader: &Bound<'py, PyAny>,
        ttl: Ttl<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let probe = Key::new(key)?;
        convert::called("loader", loader)?;
        ttl.resolve(None)?;
        match self.read(py, &probe)? {
            Some((value, _)) => Ok(value),
            None => self.load(py, key, probe.hash(), &ttl, || ffi::call(loader, (key,))),
        }
    }

    /// Remove *key* and return its value, or the default given.
    #[pyo3(signature = (key, default=Maybe::Missing, /), text_signature = "(self, key, default=<missing>, /)")]
    fn pop<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Maybe<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (self.take(key.py(), &Key::new(key)?)?, default) {
            (Some(value), _) | (None, Maybe::Given(value)) => Ok(value),
            (None, Maybe::Missing) => Err(PyKeyError::new_err((key.clone().unbind(),))),
        }
    }

    /// Remove and return the least recently used entry.
    fn popitem(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let moment = self.moment(py, false)?;
        let first = |table: &mut Table<_>| {
            let (hash, key) = table.first(&moment)?;
            Some((hash, key.bind(py).clone()))
        };
        let strangers = match self.entries.with(py, first)? {
            Some((hash, key)) => self.strangers(py, &Key::hashed(&key, hash))?,
            None => Vec::new(),
        };
        let pair = self.expire_at(py, moment, |table, gone| {
            if let Some((hash, key)) = table.first(&moment) {
                self.revoke(py, &Key::hashed(key.bind(py), hash), &strangers);
            }
            let first = table.remove_first()?;
            let pair = (first.key.clone_ref(py), first.value.clone_ref(py));
            gone.push(first);
            Some(pair)
        })?;
        pair.ok_or_else(|| PyKeyError::new_err("popitem(): cache is empty"))
    }

    /// Restart the life of *key* as if it had just been set; False if it is not there.
    #[pyo3(signature = (key, *, ttl=Ttl::Own), text_signature = "(self, key, *, ttl=...)")]
    fn touch(&self, key: &Bound<'_, PyAny>, ttl: Ttl<'_>) -> PyResult<bool> {
        let py = key.py();
        let probe = Key::new(key)?;
        let ttl = ttl.resolve(self.limits.ttl)?.map(|ttl| self.shorten(ttl));
        let moment = self.moment(py, ttl.is_some())?;
        let mut gone = Evictions::new();
        let timed = ttl.is_some() || self.is_timed();
        let now = if timed { moment.now() } else { 0 };
        let touched = self.entries.probe(py, &probe, |table, at| {
            table.touch(at, deadline(now, ttl), now, &mut gone)
        })?;
        if touched {
            self.start_time(ttl);
        }
        self.hooks.finish(py, gone)?;
        Ok(touched)
    }

    /// Return the seconds that *key* has left, None if it has no limit.
    fn ttl_of(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
        let py = key.py();
        let probe = Key::new(key)?;
        let moment = self.moment(py, false)?;
        match self.peek_at(py, &probe, moment)? {
            Some((_, penstock_core::NEVER)) => Ok(None),
            Some((_, deadline)) => Ok(Some(to_seconds(deadline.saturating_sub(moment.now())))),
            None => Err(PyKeyError::new_err((key.clone().unbind(),))),
        }
    }

    /// Remove every entry whose time is over, and return how many there were.
    fn expire(&self, py: Python<'_>) -> PyResult<usize> {
        self.expire_then(py, |_, gone| gone.len())
    }

    /// Change *maxsize*, evicting what no longer fits.
    fn resize(&self, py: Python<'_>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        let capacity = convert::maxsize(maxsize)?.unwrap_or(u64::MAX);
        self.expire_then(py, |table, gone| table.resize(capacity, 0, gone))
    }

    /// Remove every entry.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let mut gone = Evictions::new();
        self.entries.with(py, |table| {
            self.revoke_all(py);
            table.clear(&mut gone);
        })?;
        self.hooks.finish(py, gone)
    }

    /// Return what the cache has done so far.
    fn stats(&self, py: Python<'_>) -> PyResult<PyCacheStats> {
        let maxsize = self.maxsize(py)?;
        self.expire_then(py, |table, _| {
            let (size, weight) = (table.len() as u64, table.weight());
            PyCacheStats::of(table.counters, size, weight, maxsize)
        })
    }

    /// The statistics with what expired and is still there, so that a scrape costs O(1).
    fn _figures(&self, py: Python<'_>) -> PyResult<PyCacheStats> {
        let maxsize = self.maxsize(py)?;
        self.entries.with(py, |table| {
            let (size, weight) = (table.len() as u64, table.weight());
            PyCacheStats::of(table.counters, size, weight, maxsize)
        })
    }

    /// Start counting from zero.
    fn reset_stats(&self, py: Python<'_>) -> PyResult<()> {
        self.entries.with(py, |table| {
            table.counters = penstock_core::Counters::default();
        })
    }

    #[pyo3(signature = (key, supersede=false))]
    fn _begin(&self, key: &Bound<'_, PyAny>, supersede: bool) -> PyResult<Py<Flight>> {
        let py = key.py();
        let flight = self.flight(py, key, Key::new(key)?.hash(), supersede)?;
        flight.get().enter(py)?;
        Ok(flight)
    }

    #[pyo3(signature = (flight, value, seconds, ttl=Ttl::Own))]
    fn _commit<'py>(
        &self,
        flight: &Bound<'py, Flight>,
        value: &Bound<'py, PyAny>,
        seconds: f64,
        ttl: Ttl<'py>,
    ) -> PyResult<bool> {
        let py = flight.py();
        let mut gone = Evictions::new();
        let ns = from_seconds(seconds);
        let stored = self.commit(py, flight.as_unbound(), value, ns, &ttl, &mut gone);
        self.leave(py, flight.as_unbound(), None)?;
        self.hooks.finish(py, gone)?;
        stored
    }

    #[pyo3(signature = (flight, seconds=None))]
    fn _abandon(&self, flight: &Bound<'_, Flight>, seconds: Option<f64>) -> PyResult<()> {
        let py = flight.py();
        if let Some(seconds) = seconds {
            self.count_failure(py, from_seconds(seconds))?;
        }
        self.leave(py, flight.as_unbound(), None)
    }

    fn _invalidate(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.take(key.py(), &Key::new(key)?)?.is_some())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle 'Cache' object: it belongs to one process; save dict(cache.items()) instead",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let maxsize = self
            .maxsize(py)?
            .map_or_else(|| "None".to_owned(), |size| size.to_string());
        let moment = self.moment(py, false)?;
        let size = self.entries.with(py, |table| table.live(&moment))?;
        let name = match &self.name {
            Some(name) => format!(", name={}", name.into_pyobject(py)?.repr()?),
            None => String::new(),
        };
        Ok(format!(
            "Cache(maxsize={maxsize}, size={size}, policy='lru'{name})"
        ))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.hooks.traverse(&visit)?;
        let entries = self.entries.visit(&visit, |table| {
            table.entries().try_for_each(|(key, value)| {
                visit.call(key)?;
                visit.call(value)
            })
        });
        entries.unwrap_or(Ok(()))?;
        let flights = self.flights.visit(&visit, |table| {
            table.entries().try_for_each(|(key, flight)| {
                visit.call(key)?;
                visit.call(flight)
            })
        });
        flights.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            let (mut entries, mut flights) = (Evictions::new(), Evictions::new());
            // An error here would mean a broken lock rule; there is nobody to tell.
            let _ = self.entries.with(py, |table| table.clear(&mut entries));
            let _ = self.flights.with(py, |table| table.clear(&mut flights));
            self.hooks.clear(py);
        });
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates"
)]
fn from_seconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// `Cache.get`.
pub struct Get;

impl FastMethod for Get {
    type Class = PyCache;
    const METHOD: &'static CStr = c"get";
    const METHOD_DOC: &'static CStr =
        c"get($self, key, default=None)\n--\n\nReturn the value of *key*, or *default*.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyCache>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let key = args
            .get(0)
            .filter(|_| args.positional() == args.len() && args.len() <= 2)?;
        let default = || {
            args.get(1).map_or_else(
                || args.py().None().into_bound(args.py()),
                Borrowed::to_owned,
            )
        };
        let found = Key::new(&key).and_then(|key| this.get().read(args.py(), &key));
        Some(found.map(|found| found.map_or_else(default, |(value, _)| value)))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

static ORIGINAL_SET_ITEM: OnceLock<objobjargproc> = OnceLock::new();

impl FastSetItem for PyCache {
    #[inline]
    fn set_item<'py>(
        this: Borrowed<'_, 'py, Self>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> Option<PyResult<()>> {
        let cache = this.get();
        if cache.hooks.any() {
            return None;
        }
        let py = this.py();
        let set = |probe| cache.write(py, &probe, key, value, &Ttl::Own);
        Some(Key::new(key).and_then(set))
    }

    fn original() -> &'static OnceLock<objobjargproc> {
        &ORIGINAL_SET_ITEM
    }
}

impl PyCache {
    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (key, value) in self.snapshot(py)? {
            dict.set_item(key, value)?;
        }
        Ok(dict)
    }

    fn write_all<'py>(&self, pairs: &Bound<'py, PyAny>, ttl: &Ttl<'py>) -> PyResult<()> {
        for (number, pair) in pairs.try_iter()?.enumerate() {
            let [key, value] = split(number, &pair?)?;
            self.write(key.py(), &Key::new(&key)?, &key, &value, ttl)?;
        }
        Ok(())
    }
}

/// The two parts of a pair, with the errors of `dict.update`.
fn split<'py>(number: usize, pair: &Bound<'py, PyAny>) -> PyResult<[Bound<'py, PyAny>; 2]> {
    let element = || format!("dictionary update sequence element #{number}");
    let parts = pair
        .try_iter()
        .and_then(Iterator::collect::<PyResult<Vec<_>>>);
    match parts.map(<[_; 2]>::try_from) {
        Ok(Ok(parts)) => Ok(parts),
        Ok(Err(parts)) => Err(PyValueError::new_err(format!(
            "{} has length {}; 2 is required",
            element(),
            parts.len()
        ))),
        Err(error) if error.is_instance_of::<PyTypeError>(pair.py()) => {
            let message = format!("cannot convert {} to a sequence", element());
            Err(PyTypeError::new_err(message))
        }
        Err(error) => Err(error),
    }
}
