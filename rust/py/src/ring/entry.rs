//! What is in a ring: an item, and the future of its result.

use penstock_core::Entry;
use pyo3::intern;
use pyo3::prelude::*;

use crate::ffi::call_method0;

/// An item, and the future of its result if anybody waits for that.
pub struct Item {
    pub item: Py<PyAny>,
    pub future: Option<Py<PyAny>>,
}

impl Item {
    #[inline]
    pub fn new(item: &Bound<'_, PyAny>, future: Option<&Bound<'_, PyAny>>) -> Self {
        Self {
            item: item.clone().unbind(),
            future: future.map(|future| future.clone().unbind()),
        }
    }

    pub fn into_bound(self, py: Python<'_>) -> (Bound<'_, PyAny>, Option<Bound<'_, PyAny>>) {
        let future = self.future.map(|future| future.into_bound(py));
        (self.item.into_bound(py), future)
    }

    pub fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.item)?;
        visit.call(&self.future)
    }
}

/// What there is to know of an entry without the entry.
pub struct Numbered {
    pub number: u64,
    weight: u64,
    future: Option<Py<PyAny>>,
}

impl Numbered {
    pub fn of(entry: &Entry<Item>, py: Python<'_>) -> Self {
        let future = entry.value.future.as_ref();
        Self {
            number: entry.number,
            weight: entry.weight,
            future: future.map(|future| future.clone_ref(py)),
        }
    }
}

/// Whether nobody waits for the result any more.
#[inline]
pub fn is_done(py: Python<'_>, entry: &Numbered) -> PyResult<bool> {
    match &entry.future {
        Some(future) => call_method0(future.bind(py), intern!(py, "done"))?.is_truthy(),
        None => Ok(false),
    }
}

/// Which of the first of these are done, up to the last that is to be taken; and whether there is room
/// for more.
pub fn judge(
    py: Python<'_>,
    entries: &[Numbered],
    most: usize,
    heaviest: u128,
) -> PyResult<(Vec<bool>, bool)> {
    let (mut fates, mut count, mut weight) = (Vec::with_capacity(entries.len()), 0, 0_u128);
    for entry in entries {
        if count == most {
            return Ok((fates, false));
        }
        let done = is_done(py, entry)?;
        if !done {
            weight += u128::from(entry.weight);
            if count > 0 && weight > heaviest {
                return Ok((fates, false));
            }
            count += 1;
        }
        fates.push(done);
    }
    Ok((fates, count < most))
}
