//! Keys: hashed before the lock, compared under it only where no Python code can run.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};

use crate::ffi::{equal, hash};

/// What can be said of two keys without running Python code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Match {
    Equal,
    Different,
    /// Only their `__eq__` knows.
    Unknown,
}

/// A key that is looked for.
pub trait Probe {
    fn hash(&self) -> u64;

    /// Compares with a stored key of the same hash.
    fn compare(&self, stored: &Bound<'_, PyAny>) -> Match;

    /// The key as an object, for what `compare` leaves unknown.
    fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

/// A key that is one object.
pub struct Key<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    hash: u64,
}

impl<'a, 'py> Key<'a, 'py> {
    /// Hashes the object, which may run Python code and raise.
    #[inline]
    pub fn new(object: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let hash = hash(object)?;
        Ok(Self { object, hash })
    }

    /// A key whose hash is known.
    pub fn hashed(object: &'a Bound<'py, PyAny>, hash: u64) -> Self {
        Self { object, hash }
    }
}

impl Probe for Key<'_, '_> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn compare(&self, stored: &Bound<'_, PyAny>) -> Match {
        compare(stored, self.object)
    }

    fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.object.clone().unbind().into_bound(py))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Str,
    Int,
    Bytes,
    Tuple,
    Other,
}

impl Kind {
    fn of(object: &Bound<'_, PyAny>) -> Self {
        if object.is_exact_instance_of::<PyString>() {
            Self::Str
        } else if object.is_exact_instance_of::<PyInt>() {
            Self::Int
        } else if object.is_exact_instance_of::<PyTuple>() {
            Self::Tuple
        } else if object.is_exact_instance_of::<PyBytes>() {
            Self::Bytes
        } else {
            Self::Other
        }
    }
}

/// Deeper tuples are left to Python, which guards its own stack.
const DEPTH: usize = 8;

/// Compares two objects as a dict would, as far as that runs no Python code.
#[inline]
pub fn compare(stored: &Bound<'_, PyAny>, asked: &Bound<'_, PyAny>) -> Match {
    if stored.is(asked) {
        return Match::Equal;
    }
    compare_values(stored, asked, DEPTH)
}

fn compare_values(stored: &Bound<'_, PyAny>, asked: &Bound<'_, PyAny>, depth: usize) -> Match {
    if stored.is(asked) {
        return Match::Equal;
    }
    match (Kind::of(stored), Kind::of(asked)) {
        (Kind::Other, _) | (_, Kind::Other) => Match::Unknown,
        (Kind::Tuple, Kind::Tuple) => match (stored.cast::<PyTuple>(), asked.cast::<PyTuple>()) {
            (Ok(stored), Ok(asked)) => compare_tuples(stored, asked, depth),
            _ => Match::Unknown,
        },
        (one, other) if one != other => Match::Different,
        // Exact str, int or bytes on both sides: comparing them calls nothing.
        _ if equal(stored, asked) => Match::Equal,
        _ => Match::Different,
    }
}

fn compare_tuples(stored: &Bound<'_, PyTuple>, asked: &Bound<'_, PyTuple>, depth: usize) -> Match {
    if stored.len() != asked.len() {
        return Match::Different;
    }
    if depth == 0 {
        return Match::Unknown;
    }
    let pairs = stored.iter_borrowed().zip(asked.iter_borrowed());
    all(pairs.map(|(one, other)| compare_values(&one, &other, depth - 1)))
}

/// Equal when all are, different at the first that is.
pub fn all(mut matches: impl Iterator<Item = Match>) -> Match {
    let mut so_far = Match::Equal;
    let different = matches.any(|next| {
        if next == Match::Unknown {
            so_far = Match::Unknown;
        }
        next == Match::Different
    });
    if different { Match::Different } else { so_far }
}
