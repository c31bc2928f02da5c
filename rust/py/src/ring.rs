//! `Ring`: what waits to be taken in batches.

mod bond;
mod entry;
mod fast;
mod push;

pub use bond::count_forks;
pub use fast::install;

use penstock_core::{Clock, Entry, Ring};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use self::bond::Bond;
use self::entry::{Item, Numbered, is_done, judge};
use crate::clock::{Stamp, Timer};
use crate::convert;
use crate::ffi::GilLock;

/// A bounded queue of items that are taken in batches, and of the futures of their results.
#[pyclass(name = "Ring", module = "penstock._native", subclass, frozen)]
pub struct PyRing {
    state: GilLock<State>,
    timer: Timer,
}

struct State {
    ring: Ring<Item>,
    weigher: Option<Py<PyAny>>,
    /// Whether there is neither a weigher nor a timer to ask.
    simple: bool,
    stamp: Stamp,
    bound: Option<Bond>,
    /// Whether `submit` goes beyond the capacity.
    overfill: bool,
    /// Whether `submit` may do without the subclass.
    plain: bool,
    taken: u64,
    skipped: u64,
    /// How often it was made anew.
    epoch: u64,
}

impl State {
    /// Changes when anything leaves.
    fn version(&self) -> (u64, u64) {
        (self.epoch, self.ring.removed())
    }

    const fn new(ring: Ring<Item>) -> Self {
        Self {
            ring,
            weigher: None,
            simple: true,
            stamp: Stamp::new(),
            bound: None,
            overfill: false,
            plain: true,
            taken: 0,
            skipped: 0,
            epoch: 0,
        }
    }
}

/// An item, its future, its weight.
type Dropped = (Py<PyAny>, Option<Py<PyAny>>, u64);

/// Items, futures, weight, age of the oldest, sum of the ages.
type Taken<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, u128, f64, f64);

impl PyRing {
    /// Takes the oldest whose futures are not done: so many, and of so much weight unless it is one
    /// alone. The others before them leave too.
    fn take_living(
        &self,
        py: Python<'_>,
        most: usize,
        heaviest: u128,
    ) -> PyResult<Vec<Entry<Item>>> {
        let mut least = 1;
        loop {
            // A future may be of any kind, and asking it may run Python code: first look, then take
            // what was looked at if it is still there.
            let (version, seen, is_all) = self.state.with(py, |state| {
                let (mut seen, mut weight) = (Vec::new(), 0_u128);
                let mut entries = state.ring.iter().take(usize::max(least, most));
                let enough = |seen: usize, weight| seen >= least && weight > heaviest;
                while !enough(seen.len(), weight)
                    && let Some(entry) = entries.next()
                {
                    weight += u128::from(entry.weight);
                    seen.push(Numbered::of(entry, py));
                }
                let is_all = seen.len() == state.ring.len();
                (state.version(), seen, is_all)
            })?;
            let (fates, has_more) = judge(py, &seen, most, heaviest)?;
            if has_more && !is_all {
                least = seen.len().saturating_mul(2);
                continue;
            }
            let popped = self.state.with(py, |state| {
                (state.version() == version).then(|| {
                    let done = fates.iter().filter(|done| **done).count();
                    state.skipped += done as u64;
                    state.taken += (fates.len() - done) as u64;
                    state.ring.pop(fates.len())
                })
            })?;
            if let Some(popped) = popped {
                let living = popped.into_iter().zip(fates).filter(|(_, done)| !done);
                return Ok(living.map(|(entry, _)| entry).collect());
            }
        }
    }

    /// The ages in seconds of something pushed at these times.
    fn ages(now: u64, times: impl Iterator<Item = u64>) -> (f64, f64) {
        let ages = times.map(|at| now.saturating_sub(at));
        let (oldest, sum) = ages.fold((0, 0), |(oldest, sum), age| {
            (u64::max(oldest, age), u64::saturating_add(sum, age))
        });
        (convert::to_seconds(oldest), convert::to_seconds(sum))
    }
}

#[pymethods]
impl PyRing {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: GilLock::new(State::new(Ring::new(usize::MAX))),
            timer: Timer::new(None),
        }
    }

    #[pyo3(signature = (capacity, weigher=None, timer=None, overfill=false, plain=true))]
    fn _init(
        &self,
        py: Python<'_>,
        capacity: Option<usize>,
        weigher: Option<Py<PyAny>>,
        timer: Option<Py<PyAny>>,
        overfill: bool,
        plain: bool,
    ) -> PyResult<()> {
        let fresh = State {
            simple: weigher.is_none() && timer.is_none(),
            weigher,
            overfill,
            plain,
            ..State::new(Ring::new(capacity.unwrap_or(usize::MAX)))
        };
        let replace = |state: &mut State| {
            let old = std::mem::replace(state, fresh);
            state.epoch = old.epoch + 1;
            old
        };
        drop(self.state.with(py, replace)?);
        self.timer.replace(py, timer)
    }

    /// Make the futures of what is submitted in this event loop from now on.
    fn _bind(
        &self,
        py: Python<'_>,
        event_loop: Option<Bound<'_, PyAny>>,
        create_future: Option<Bound<'_, PyAny>>,
        running: Option<Bound<'_, PyAny>>,
        ambient: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let parts = (event_loop, create_future, running, ambient);
        let bond = match parts {
            (Some(event_loop), Some(create_future), Some(running), Some(ambient)) => {
                Some(Bond::new(event_loop, create_future, running, ambient)?)
            }
            _ => None,
        };
        let replace = |state: &mut State| std::mem::replace(&mut state.bound, bond);
        self.state.with(py, replace).map(drop)
    }

    /// The event loop that futures are of, or None.
    #[getter]
    fn _loop(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.state.with(py, |state| {
            let bond = state.bound.as_ref();
            bond.map(|bond| bond.event_loop.clone_ref(py))
        })
    }

    /// Put an item in whose result nobody waits for.
    fn put_nowait<'py>(
        slf: &Bound<'py, Self>,
        item: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::put(slf, &item)
    }

    /// Put an item in, and return the future of its result.
    fn submit<'py>(slf: &Bound<'py, Self>, item: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::put_for_result(slf, &item, false)
    }

    /// Put an item in if there is room, and return the future of its result.
    fn submit_nowait<'py>(
        slf: &Bound<'py, Self>,
        item: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::put_for_result(slf, &item, true)
    }

    /// Put an item in; False if there is no room, or if it is closed.
    fn _push<'py>(
        slf: &Bound<'py, Self>,
        item: Bound<'py, PyAny>,
        future: Option<Bound<'py, PyAny>>,
        weight: u64,
        force: bool,
    ) -> PyResult<bool> {
        Self::push_weighed(slf, &item, future.as_ref(), weight, force)
    }

    /// Return what an item weighs.
    fn _weigh(&self, item: Bound<'_, PyAny>) -> PyResult<u64> {
        self.weight_of(&item)
    }

    /// Wake at so many items, or at so much weight; True if that is there already.
    fn _listen(&self, py: Python<'_>, items: Option<usize>, weight: Option<u64>) -> PyResult<bool> {
        self.state
            .with(py, |state| state.ring.listen(items, weight))
    }

    /// Take the oldest items, without those whose future is done.
    fn _take<'py>(
        &self,
        py: Python<'py>,
        items: usize,
        weight: Option<u64>,
    ) -> PyResult<Option<Taken<'py>>> {
        let now = self.timer.moment(py)?.now();
        let most = weight.map_or(u128::MAX, u128::from);
        let taken = self.take_living(py, items, most)?;
        if taken.is_empty() {
            return Ok(None);
        }
        let total = taken.iter().map(|entry| u128::from(entry.weight)).sum();
        let (oldest, sum) = Self::ages(now, taken.iter().map(|entry| entry.at));
        let (items, futures): (Vec<_>, Vec<_>) = taken
            .into_iter()
            .map(|entry| (entry.value.item, entry.value.future))
            .unzip();
        let lists = (PyList::new(py, items)?, PyList::new(py, futures)?);
        Ok(Some((lists.0, lists.1, total, oldest, sum)))
    }

    /// Take the oldest item whose future is not done.
    fn _drop_oldest(&self, py: Python<'_>) -> PyResult<Option<Dropped>> {
        let taken = self.take_living(py, 1, u128::MAX)?;
        let parts = |entry: Entry<Item>| (entry.value.item, entry.value.future, entry.weight);
        Ok(taken.into_iter().next().map(parts))
    }

    /// Take out all whose future is done, and return how many these were.
    fn _sweep(&self, py: Python<'_>) -> PyResult<usize> {
        let (epoch, entries) = self.state.with(py, |state| {
            let entries = state.ring.iter();
            let entries: Vec<_> = entries.map(|entry| Numbered::of(entry, py)).collect();
            (state.epoch, entries)
        })?;
        let mut over = Vec::new();
        for entry in &entries {
            if is_done(py, entry)? {
                over.push(entry.number);
            }
        }
        let gone = self.state.with(py, |state| {
            let is_over = |number| state.epoch == epoch && over.binary_search(&number).is_ok();
            let gone = state.ring.remove(is_over);
            state.skipped += gone.len() as u64;
            gone
        })?;
        Ok(gone.len())
    }

    /// Return for how many seconds the oldest has been there, or None.
    fn _age(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let now = self.timer.moment(py)?.now();
        let at = self
            .state
            .with(py, |state| state.ring.front().map(|entry| entry.at))?;
        Ok(at.map(|at| convert::to_seconds(now.saturating_sub(at))))
    }

    /// The number of the oldest.
    #[getter]
    fn _head(&self, py: Python<'_>) -> PyResult<u64> {
        self.state.with(py, |state| {
            let front = state.ring.front();
            front.map_or_else(|| state.ring.pushed(), |entry| entry.number)
        })
    }

    /// How many were ever put in.
    #[getter]
    fn _tail(&self, py: Python<'_>) -> PyResult<u64> {
        self.state.with(py, |state| state.ring.pushed())
    }

    /// Refuse whatever comes from now on.
    fn _close(&self, py: Python<'_>) -> PyResult<()> {
        self.state.with(py, |state| state.ring.close())
    }

    /// Whether it refuses whatever comes.
    #[getter]
    fn _closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.state.with(py, |state| state.ring.is_closed())
    }

    /// How many items are in it.
    #[getter]
    fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        self.state.with(py, |state| state.ring.len())
    }

    /// What they weigh together.
    #[getter]
    fn pending_weight(&self, py: Python<'_>) -> PyResult<u128> {
        self.state.with(py, |state| state.ring.weight())
    }

    /// How many were put in, taken, and skipped because they were done.
    fn _counts(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        self.state.with(py, |state| {
            (state.ring.pushed(), state.taken, state.skipped)
        })
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.timer.traverse(&visit)?;
        let each = |state: &State| {
            visit.call(&state.weigher)?;
            for part in state.bound.iter().flat_map(Bond::parts) {
                visit.call(part)?;
            }
            let mut entries = state.ring.iter();
            entries.try_for_each(|entry| entry.value.traverse(&visit))
        };
        self.state.visit(&visit, each).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            self.timer.clear(py);
            let replace =
                |state: &mut State| std::mem::replace(state, State::new(Ring::new(usize::MAX)));
            drop(self.state.with(py, replace));
        });
    }
}
