//! `Memo`: the callable that `cached` puts in the place of a function.

use penstock_core::{Clock, NEVER};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::argkey::{ArgsKey, build};
use crate::bound::BoundMemo;
use crate::cache::PyCache;
use crate::convert::{self, Ttl};
use crate::ffi::{
    Args, GilLock, Slot, Vectorcall, attached, call, install_vectorcall, ready, recursive,
};
use crate::key::{Key, Probe};

/// A function whose results are kept in a cache; `penstock.cached` makes it.
#[pyclass(module = "penstock", frozen, dict, weakref)]
pub struct Memo {
    slot: Slot,
    /// Always there, but for the moment in which CPython makes the object: it may start a collection
    /// between allocating and filling it, and visits zeroed fields then.
    cache: Option<Py<PyCache>>,
    parts: GilLock<Parts>,
    /// A key function, or types as part of the key: the key has to be made as an object.
    made_key: bool,
    typed: bool,
    /// Hits are awaitables.
    ready: bool,
    /// Nanoseconds before its deadline at which an entry turns stale.
    soft: Option<u64>,
}

/// What the collector may have to clear.
struct Parts {
    func: Option<Py<PyAny>>,
    key: Option<Py<PyAny>>,
    miss: Option<Py<PyAny>>,
    on_stale: Option<Py<PyAny>>,
    ttl: Option<Py<PyAny>>,
}

impl Vectorcall for Memo {
    #[inline]
    fn vectorcall<'py>(
        this: Borrowed<'_, 'py, Self>,
        args: Args<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let memo = this.get();
        if !memo.made_key {
            if let Some(single) = ArgsKey::single(&args) {
                return memo.answer(&args, &Key::new(&single)?);
            }
            return memo.answer(&args, &ArgsKey::new(&args)?);
        }
        let object = memo.make(&args)?;
        memo.answer(&args, &Key::new(&object)?)
    }
}

impl Memo {
    #[inline]
    fn answer<'py>(&self, args: &Args<'_, 'py>, key: &impl Probe) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let cache = self.cache()?;
        let moment = cache.moment(py, false)?;
        let Some((value, deadline)) = cache.read_at(py, key, moment)? else {
            return attached(py, |_| self.miss(args, key));
        };
        if let Some(soft) = self.soft
            && deadline != NEVER
            && moment.reached(deadline.saturating_sub(soft))
        {
            attached(py, |_| self.refresh_behind(args, key))?;
        }
        if self.ready { ready(value) } else { Ok(value) }
    }

    #[cold]
    #[inline(never)]
    fn miss<'py>(&self, args: &Args<'_, 'py>, key: &impl Probe) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let object = key.object(py)?;
        if let Some(miss) = self.part(py, |parts| &parts.miss)? {
            let (args, kwargs) = args.unpack()?;
            return recursive(py, || call(&miss, (object, args, kwargs)));
        }
        let func = self
            .part(py, |parts| &parts.func)?
            .unwrap_or_else(|| py.None().into_bound(py));
        let ttl = self
            .part(py, |parts| &parts.ttl)?
            .map_or(Ttl::Own, Ttl::Given);
        self.cache()?.load(py, &object, key.hash(), &ttl, || {
            recursive(py, || args.call(&func))
        })
    }

    #[cold]
    #[inline(never)]
    fn refresh_behind(&self, args: &Args<'_, '_>, key: &impl Probe) -> PyResult<()> {
        let py = args.py();
        if let Some(on_stale) = self.part(py, |parts| &parts.on_stale)? {
            let (args, kwargs) = args.unpack()?;
            call(&on_stale, (key.object(py)?, args, kwargs))?;
        }
        Ok(())
    }

    #[inline]
    fn cache(&self) -> PyResult<&PyCache> {
        let missing = || PyRuntimeError::new_err("the cached function is not complete");
        self.cache.as_ref().map(Py::get).ok_or_else(missing)
    }

    fn part<'py>(
        &self,
        py: Python<'py>,
        which: impl Fn(&Parts) -> &Option<Py<PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.parts.with(py, |parts| {
            which(parts).as_ref().map(|part| part.bind(py).clone())
        })
    }

    /// The key of a call as an object.
    fn make<'py>(&self, args: &Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.part(args.py(), |parts| &parts.key)? {
            Some(key) => args.call(&key),
            None => build(args, self.typed),
        }
    }
}

#[pymethods]
impl Memo {
    #[new]
    #[pyo3(signature = (func, cache, *, key=None, typed=false, ttl=Ttl::Own, miss=None, ready=false, soft=None, on_stale=None),
        text_signature = "(func, cache, *, key=None, typed=False, ttl=..., miss=None, ready=False, soft=None, on_stale=None)")]
    #[expect(clippy::too_many_arguments, reason = "keyword-only options")]
    fn new<'py>(
        func: &Bound<'py, PyAny>,
        cache: &Bound<'py, PyAny>,
        key: Option<&Bound<'py, PyAny>>,
        typed: bool,
        ttl: Ttl<'py>,
        miss: Option<&Bound<'py, PyAny>>,
        ready: bool,
        soft: Option<&Bound<'py, PyAny>>,
        on_stale: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let callable = |name, value: Option<&Bound<'py, PyAny>>| {
            value.map(|value| convert::called(name, value)).transpose()
        };
        let func = convert::called("func", func)?;
        let cache = cache
            .cast::<PyCache>()
            .map_err(|_| convert::wrong_type("cache must be a Cache", cache))?;
        let key = callable("key", key)?;
        ttl.resolve(None)?;
        let miss = callable("miss", miss)?;
        let soft = soft
            .map(|soft| convert::duration("stale", soft))
            .transpose()?;
        Ok(Self {
            slot: Slot::of::<Self>(),
            cache: Some(cache.clone().unbind()),
            made_key: typed || key.is_some(),
            typed,
            ready,
            soft,
            parts: GilLock::new(Parts {
                func: Some(func),
                key,
                miss,
                on_stale: callable("on_stale", on_stale)?,
                ttl: match ttl {
                    Ttl::Own => None,
                    Ttl::Given(ttl) => Some(ttl.unbind()),
                },
            }),
        })
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Args::pack(args, kwargs, |args| {
            Self::vectorcall(slf.as_borrowed(), args)
        })
    }

    /// Return the key under which the result for these arguments is kept.
    #[pyo3(signature = (*args, **kwargs))]
    fn make_key<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Args::pack(args, kwargs, |args| self.make(&args))
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if instance.is_none() {
            return Ok(slf.into_any());
        }
        let bound = BoundMemo::new(slf.clone(), instance.clone());
        Ok(Bound::new(slf.py(), bound)?.into_any())
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    /// Pickles by reference, as functools.lru_cache does.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.getattr("__qualname__")
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let func = slf.get().part(slf.py(), |parts| &parts.func)?;
        Ok(match func {
            Some(func) => format!("<cached {}>", func.repr()?),
            None => "<cached>".to_owned(),
        })
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.cache)?;
        let parts = self.parts.visit(&visit, |parts| {
            for part in [
                &parts.func,
                &parts.key,
                &parts.miss,
                &parts.on_stale,
                &parts.ttl,
            ] {
                visit.call(part)?;
            }
            Ok(())
        });
        parts.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let empty = Parts {
            func: None,
            key: None,
            miss: None,
            on_stale: None,
            ttl: None,
        };
        Python::attach(|py| drop(self.parts.with(py, |parts| std::mem::replace(parts, empty))));
    }
}

/// Gives both classes the vectorcall protocol.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<PyCache>();
    let (func, cache) = (class.as_any(), class.call1((1,))?);
    let memo = Memo::new(func, &cache, None, false, Ttl::Own, None, false, None, None)?;
    let memo = Bound::new(py, memo)?;
    install_vectorcall(&memo, &memo.get().slot, true);
    let bound = Bound::new(py, BoundMemo::new(memo, cache))?;
    install_vectorcall(&bound, bound.get().slot(), false);
    Ok(())
}
