//! Putting items into a ring.

use penstock_core::{Clock, Pushed};
use pyo3::intern;
use pyo3::prelude::*;

use super::bond::{Here, locate};
use super::entry::Item;
use super::{PyRing, State};
use crate::convert;
use crate::ffi::{call, call_method0, call0, running_token};

impl PyRing {
    pub(super) fn weight_of(&self, item: &Bound<'_, PyAny>) -> PyResult<u64> {
        let py = item.py();
        let clone = |state: &mut State| state.weigher.as_ref().map(|weigher| weigher.clone_ref(py));
        match self.state.with(py, clone)? {
            Some(weigher) => convert::weight(&call(&weigher.into_bound(py), (item,))?),
            None => Ok(1),
        }
    }

    /// Pushes what was weighed, and wakes whoever listens; nothing if the queue is full or closed.
    pub(super) fn push_weighed<'py>(
        slf: &Bound<'py, Self>,
        item: &Bound<'py, PyAny>,
        future: Option<&Bound<'py, PyAny>>,
        weight: u64,
        force: bool,
    ) -> PyResult<bool> {
        let py = slf.py();
        let moment = slf.get().timer.moment(py)?;
        let new = Item::new(item, future);
        let push = |state: &mut State| state.ring.push(new, weight, moment.now(), force);
        let pushed = slf.get().state.with(py, push)?;
        Self::tell(slf, pushed)
    }

    /// Weighs and pushes; the weight if the queue is full or closed.
    #[inline]
    fn push_item<'py>(
        slf: &Bound<'py, Self>,
        item: &Bound<'py, PyAny>,
        future: Option<&Bound<'py, PyAny>>,
        force: bool,
    ) -> PyResult<Option<u64>> {
        let new = Item::new(item, future);
        let pushed = slf.get().state.with(slf.py(), |state| {
            if state.simple {
                let now = state.stamp.now(state.ring.is_empty() || future.is_some());
                Ok(state.ring.push(new, 1, now, force))
            } else {
                Err(new)
            }
        })?;
        let (weight, is_in) = match pushed {
            Ok(pushed) => (1, Self::tell(slf, pushed)?),
            Err(new) => {
                drop(new.into_bound(slf.py()));
                let weight = slf.get().weight_of(item)?;
                let is_in = Self::push_weighed(slf, item, future, weight, force)?;
                (weight, is_in)
            }
        };
        Ok((!is_in).then_some(weight))
    }

    /// Wakes whoever listens; whether something was pushed.
    #[inline]
    fn tell(slf: &Bound<'_, Self>, pushed: Pushed<Item>) -> PyResult<bool> {
        match pushed {
            Pushed::In { reached: false } => Ok(true),
            Pushed::In { reached: true } => Self::wake(slf).map(|()| true),
            Pushed::Refused(new) => {
                // As `Bound`s, which are dropped at once wherever this runs.
                drop(new.into_bound(slf.py()));
                Ok(false)
            }
        }
    }

    /// Tells the subclass; if that fails, the next push will tell it.
    fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match call_method0(slf, intern!(py, "_wake")) {
            Ok(_) => Ok(()),
            Err(error) => {
                slf.get()
                    .state
                    .with(py, |state| state.ring.listen_again())?;
                Err(error)
            }
        }
    }

    pub(super) fn put<'py>(
        slf: &Bound<'py, Self>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let token = running_token(py);
        let new = Item::new(item, None);
        // All that is needed in one go, where there is nobody to ask.
        let pushed = slf.get().state.with(py, |state| {
            let bond = state.bound.as_ref();
            if state.simple && bond.is_none_or(|bond| bond.needs_nobody(token.as_ref())) {
                let now = state.stamp.now(state.ring.is_empty());
                Ok(state.ring.push(new, 1, now, false))
            } else {
                Err(new)
            }
        })?;
        match pushed {
            Ok(Pushed::In { reached: false }) => return Ok(py.None().into_bound(py)),
            Ok(Pushed::In { reached: true }) => {
                Self::wake(slf)?;
                return Ok(py.None().into_bound(py));
            }
            // As `Bound`s, which are dropped at once wherever this runs.
            Ok(Pushed::Refused(new)) | Err(new) => drop(new.into_bound(py)),
        }
        Self::put_slowly(slf, item)
    }

    #[cold]
    fn put_slowly<'py>(
        slf: &Bound<'py, Self>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if matches!(locate(py, &slf.get().state)?, Some(Here::Other)) {
            call_method0(slf, intern!(py, "_elsewhere"))?;
        }
        let Some(weight) = Self::push_item(slf, item, None, false)? else {
            return Ok(py.None().into_bound(py));
        };
        let refuse = slf.getattr(intern!(py, "_refuse"))?;
        call(&refuse, (item, weight))
    }

    /// A future for a new item, where nothing but room is needed for that.
    #[inline]
    fn future_for<'py>(
        &self,
        py: Python<'py>,
        nowait: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let parts = self.state.with(py, |state| {
            let ring = &state.ring;
            let has_room = !ring.is_full() || (state.overfill && !nowait);
            let bond = state.bound.as_ref()?;
            (state.plain && has_room && !ring.is_closed())
                .then(|| (bond.create_future.clone_ref(py), bond.ambient.clone_ref(py)))
        })?;
        let Some((create_future, ambient)) = parts else {
            return Ok(None);
        };
        let (create_future, ambient) = (create_future.into_bound(py), ambient.into_bound(py));
        let is_running = matches!(locate(py, &self.state)?, Some(Here::Own));
        if is_running && call0(&ambient)?.is_none() {
            return call0(&create_future).map(Some);
        }
        Ok(None)
    }

    pub(super) fn put_for_result<'py>(
        slf: &Bound<'py, Self>,
        item: &Bound<'py, PyAny>,
        nowait: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(future) = slf.get().future_for(py, nowait)? {
            let overfill = |state: &mut State| state.overfill && !nowait;
            let force = slf.get().state.with(py, overfill)?;
            if Self::push_item(slf, item, Some(&future), force)?.is_none() {
                return Ok(future);
            }
        }
        call(&slf.getattr(intern!(py, "_submit"))?, (item, nowait))
    }
}
