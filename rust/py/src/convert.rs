//! What users pass in, checked and turned into integers.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyEllipsis, PyFloat, PyInt, PyString};

use crate::ffi::small_int;

/// Longest duration in seconds: far from where nanoseconds overflow.
const LONGEST: f64 = 9e9;
const NANO: f64 = 1e9;
/// Where a timer's zero lies: 12 years of negative readings are told apart, and the longest duration
/// after the highest reading still fits.
const ZERO: u64 = 400_000_000_000_000_000;
/// Sizes and weights stay within what every other language calls a long.
const LARGEST: u64 = i64::MAX as u64;

/// A `ttl=` argument: `...` stands for the cache's own.
pub enum Ttl<'py> {
    Own,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Ttl<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_exact_instance_of::<PyEllipsis>() {
            return Ok(Self::Own);
        }
        Ok(Self::Given(object.to_owned()))
    }
}

/// An optional argument for which None is a value like any other.
pub enum Maybe<'py> {
    Missing,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Maybe<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Given(object.to_owned()))
    }
}

impl<'py> Maybe<'py> {
    pub fn given(&self) -> Option<&Bound<'py, PyAny>> {
        match self {
            Self::Missing => None,
            Self::Given(value) => Some(value),
        }
    }
}

impl Ttl<'_> {
    /// Nanoseconds, given the cache's own.
    pub fn resolve(&self, own: Option<u64>) -> PyResult<Option<u64>> {
        match self {
            Self::Own => Ok(own),
            Self::Given(value) => optional(value, |value| duration("ttl", value)),
        }
    }
}

/// `None` or what `convert` makes of it.
pub fn optional<'py, T>(
    value: &Bound<'py, PyAny>,
    convert: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    if value.is_none() {
        Ok(None)
    } else {
        convert(value).map(Some)
    }
}

fn type_name(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.get_type().name()?.to_string())
}

/// The error of an argument of the wrong type.
pub fn wrong_type(message: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match type_name(value) {
        Ok(name) => PyTypeError::new_err(format!("{message}, got {name}")),
        Err(error) => error,
    }
}

fn wrong_value(message: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.repr() {
        Ok(repr) => PyValueError::new_err(format!("{message}, got {repr}")),
        Err(error) => error,
    }
}

/// Python's int or float, but not bool, as a float; ints that are too large become infinite.
pub fn number(value: &Bound<'_, PyAny>) -> Option<f64> {
    if value.is_instance_of::<PyBool>() {
        return None;
    }
    if value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>() {
        let huge = || {
            if value.gt(0).unwrap_or(false) {
                f64::INFINITY
            } else {
                f64::NEG_INFINITY
            }
        };
        return Some(value.extract().unwrap_or_else(|_| huge()));
    }
    None
}

/// Nearest nanosecond; callers have checked the range.
#[expect(clippy::cast_possible_truncation, reason = "within +-9e18")]
fn to_ns(seconds: f64) -> i64 {
    (seconds * NANO + 0.5).floor() as i64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a float of seconds is what users get"
)]
pub fn to_seconds(ns: u64) -> f64 {
    ns as f64 / NANO
}

/// Seconds, or a timedelta, as nanoseconds.
pub fn duration(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let seconds = if value.is_instance_of::<PyDelta>() {
        value.call_method0("total_seconds")?.extract()?
    } else {
        number(value).ok_or_else(|| {
            wrong_type(
                &format!("{name} must be a number of seconds or a timedelta"),
                value,
            )
        })?
    };
    if !seconds.is_finite() && !value.is_instance_of::<PyInt>() {
        return Err(wrong_value(&format!("{name} must be finite"), value));
    }
    if seconds <= 0.0 {
        return Err(wrong_value(&format!("{name} must be > 0"), value));
    }
    if seconds > LONGEST {
        return Err(wrong_value(
            &format!("{name} must be <= {LONGEST} seconds"),
            value,
        ));
    }
    Ok(to_ns(seconds).max(1).cast_unsigned())
}

/// Return a duration in seconds, checked as every duration of penstock is; *name* is for the error.
#[pyfunction(name = "duration")]
pub fn check_duration(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    duration(name, value).map(to_seconds)
}

/// What a timer returned, as nanoseconds on a scale on which every reading is positive.
pub fn reading(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let seconds = number(value).ok_or_else(|| wrong_type("timer must return a float", value))?;
    if seconds.is_finite() && seconds.abs() <= LONGEST {
        let shifted = i128::from(to_ns(seconds)) + i128::from(ZERO);
        return Ok(u64::try_from(shifted).unwrap_or(0));
    }
    Err(wrong_value(
        "timer must return a finite number of seconds",
        value,
    ))
}

/// What `operator.index` makes of a value; nothing for a bool and for what is no int.
fn index<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if value.is_instance_of::<PyBool>() || !value.hasattr("__index__")? {
        return Ok(None);
    }
    let operator = value.py().import("operator")?;
    operator.call_method1("index", (value,)).map(Some)
}

/// An int in `low..=LARGEST`.
fn bounded(value: &Bound<'_, PyAny>, low: u64, what: &str, kind: &str) -> PyResult<u64> {
    let Some(number) = index(value)? else {
        return Err(wrong_type(&format!("{what}{kind}"), value));
    };
    match number.extract::<u64>() {
        Ok(number) if (low..=LARGEST).contains(&number) => return Ok(number),
        Err(error) if !error.is_instance_of::<PyOverflowError>(value.py()) => return Err(error),
        _ => {}
    }
    let limits = if what.ends_with("return ") {
        "an int "
    } else {
        ""
    };
    if number.lt(low)? {
        return Err(wrong_value(&format!("{what}{limits}>= {low}"), value));
    }
    Err(wrong_value(&format!("{what}{limits}<= {LARGEST}"), value))
}

/// A maximum number of entries, or of weight.
pub fn maxsize(value: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    optional(value, |value| {
        bounded(value, 1, "maxsize must be ", "an int or None")
    })
}

/// What a weigher returned.
pub fn weight(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    bounded(value, 0, "weigher must return ", "an int")
}

/// So many permits, at most `most` of them.
pub fn permits(value: &Bound<'_, PyAny>, most: u64) -> PyResult<u64> {
    let permits = match small_int(value.as_borrowed()) {
        Some(permits @ 1..) => permits.cast_unsigned(),
        _ => bounded(value, 1, "weight must be ", "an int")?,
    };
    if permits > most {
        return Err(wrong_value(&format!("weight must be <= {most}"), value));
    }
    Ok(permits)
}

/// A limit of permits.
pub fn limit(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    bounded(value, 1, "limit must be ", "an int")
}

/// The number of a priority, of which lower ones go first.
pub fn priority(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    if let Some(priority) = small_int(value.as_borrowed()) {
        return Ok(priority);
    }
    let Some(number) = index(value)? else {
        return Err(wrong_type("priority must be an int", value));
    };
    number
        .extract()
        .map_err(|_| wrong_value("priority must have at most 64 bits", value))
}

/// Seconds that were checked, as nanoseconds.
pub fn nanoseconds(seconds: f64) -> u64 {
    to_ns(seconds).max(0).cast_unsigned()
}

/// A fraction in 0..1.
pub fn jitter(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let jitter = number(value).ok_or_else(|| wrong_type("jitter must be a number", value))?;
    if (0.0..1.0).contains(&jitter) {
        return Ok(jitter);
    }
    Err(wrong_value("jitter must be >= 0 and < 1", value))
}

/// The name of a policy there is.
pub fn policy(value: &Bound<'_, PyAny>) -> PyResult<()> {
    match value.cast::<PyString>() {
        Ok(name) if name == "lru" => Ok(()),
        _ => Err(wrong_value("policy must be 'lru'", value)),
    }
}

/// Something that can be called.
pub fn called(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    if value.is_callable() {
        return Ok(value.clone().unbind());
    }
    Err(wrong_type(&format!("{name} must be callable"), value))
}

/// A str.
pub fn name(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyString>() {
        Ok(name) => name.extract(),
        Err(_) => Err(wrong_type("name must be a str", value)),
    }
}
