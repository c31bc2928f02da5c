//! Keys made of the arguments of a call, as `functools` makes them, without making them.
//!
//! A hit needs no tuple: the arguments are hashed where they lie, by the recipe of tuples, and
//! compared with the tuple that the miss stored.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyTuple};

use crate::ffi::{self, Args, Parts};
use crate::key::{Match, Probe, all, compare};

/// What stands between positional and named arguments in a key; equal to nothing else.
static MARK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn mark(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let make = || Ok::<_, PyErr>(py.import("builtins")?.call_method0("object")?.unbind());
    MARK.get_or_try_init(py, make).map(|mark| mark.bind(py))
}

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the hash of tuples is that of 64-bit builds");

/// The parts of a key that is a tuple.
pub struct ArgsKey<'a, 'py> {
    parts: Parts<'a, 'py>,
    hash: u64,
}

/// An argument that is its own key: its hash is cheap, and it cannot equal a tuple.
fn is_plain(argument: &Bound<'_, PyAny>) -> bool {
    argument.is_exact_instance_of::<PyString>() || argument.is_exact_instance_of::<PyInt>()
}

impl<'a, 'py> ArgsKey<'a, 'py> {
    /// The key of a call with a single plain argument.
    #[inline]
    pub fn single(args: &Args<'a, 'py>) -> Option<Borrowed<'a, 'py, PyAny>> {
        if args.len() != 1 || args.positional() != 1 {
            return None;
        }
        args.get(0).filter(|argument| is_plain(argument))
    }

    /// The key of any other call.
    pub fn new(args: &Args<'a, 'py>) -> PyResult<Self>
    where
        'py: 'a,
    {
        let parts = args.flatten(mark(args.py())?.as_borrowed());
        let hash = tuple_hash(&parts)?;
        Ok(Self { parts, hash })
    }
}

impl Probe for ArgsKey<'_, '_> {
    fn hash(&self) -> u64 {
        self.hash
    }

    fn compare(&self, stored: &Bound<'_, PyAny>) -> Match {
        let Ok(stored) = stored.cast_exact::<PyTuple>() else {
            return Match::Unknown;
        };
        if self.parts.is_row_of(stored) {
            return Match::Equal;
        }
        if stored.len() != self.parts.len() {
            return Match::Different;
        }
        all(stored
            .iter_borrowed()
            .zip(self.parts.iter())
            .map(|(one, other)| compare(&one, &other)))
    }

    fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(
            py,
            self.parts.iter().map(|part| part.as_any().clone().unbind()),
        )?
        .into_any())
    }
}

/// The key of a call as an object.
pub fn build<'py>(args: &Args<'_, 'py>, typed: bool) -> PyResult<Bound<'py, PyAny>> {
    if !typed && let Some(single) = ArgsKey::single(args) {
        return Ok(single.to_owned());
    }
    let mut parts: Vec<Bound<'py, PyAny>> = args
        .flatten(mark(args.py())?.as_borrowed())
        .iter()
        .map(|part| part.as_any().clone())
        .collect();
    if typed {
        parts.extend(args.iter().map(|argument| argument.get_type().into_any()));
    }
    Ok(PyTuple::new(args.py(), parts)?.into_any())
}

/// What `hash(tuple(parts))` gives on 64-bit builds.
///
/// Source: `CPython`'s tuple hash, a simplified xxHash; a test compares the two.
fn tuple_hash(parts: &Parts<'_, '_>) -> PyResult<u64> {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    let mut hash = PRIME_5;
    for part in parts.iter() {
        let lane = ffi::hash(&part)?;
        hash = hash.wrapping_add(lane.wrapping_mul(PRIME_2));
        hash = hash.rotate_left(31).wrapping_mul(PRIME_1);
    }
    hash = hash.wrapping_add(parts.len() as u64 ^ (PRIME_5 ^ 0x0035_D373));
    Ok(if hash == u64::MAX {
        1_546_275_796
    } else {
        hash
    })
}
