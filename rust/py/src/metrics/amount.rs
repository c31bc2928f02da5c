//! Amounts as callers give them.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::ffi::{as_float, call, small_int};

/// A float, or what has `__float__` or `__index__`: code of users may run.
pub fn float(value: Borrowed<'_, '_, PyAny>) -> PyResult<f64> {
    as_float(value)
}

/// What is a number without asking anybody: an exact float, or an exact int of 64 bits.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "as float() does")]
pub fn plain(value: Borrowed<'_, '_, PyAny>) -> Option<f64> {
    if let Ok(value) = value.cast_exact::<PyFloat>() {
        return Some(value.value());
    }
    small_int(value).map(|value| value as f64)
}

/// What `float` makes of it: of texts too.
pub fn parsed(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let float = value.py().get_type::<PyFloat>();
    call(&float, (value,))?.extract()
}

/// How a counter grows.
#[derive(Clone, Copy)]
pub enum Amount {
    Whole(u64),
    Fraction(f64),
}

/// Integers up to here are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Amount {
    /// The amount given, if it is a number without asking anybody, and not negative.
    #[inline]
    pub fn plain(value: Borrowed<'_, '_, PyAny>) -> Option<Self> {
        if let Ok(value) = value.cast_exact::<PyFloat>() {
            let value = value.value();
            return (value >= 0.0).then(|| Self::from(value));
        }
        let whole = u64::try_from(small_int(value)?).ok()?;
        Some(Self::Whole(whole))
    }

    /// The amount given, and what it is as a float.
    pub fn of(value: Borrowed<'_, '_, PyAny>) -> PyResult<(Self, f64)> {
        let amount = float(value)?;
        if amount >= EXACT
            && let Ok(value) = value.cast_exact::<PyInt>()
            && let Ok(whole) = value.extract()
        {
            return Ok((Self::Whole(whole), amount));
        }
        Ok((Self::from(amount), amount))
    }
}

impl From<f64> for Amount {
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "compared with what it was cast from"
    )]
    fn from(amount: f64) -> Self {
        let whole = amount as u64;
        if amount < EXACT && whole as f64 == amount {
            Self::Whole(whole)
        } else {
            Self::Fraction(amount)
        }
    }
}
