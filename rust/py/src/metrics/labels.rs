//! From label values to the series: one look-up, made on the first use.

use std::ffi::CStr;

use penstock_core::Ordered;
use penstock_core::metrics::{Meta, Values};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use smallvec::SmallVec;

use super::family::{PyFamily, new_child, refuse};
use super::hooks::text;
use crate::ffi::{Args, FastMethod, GilLock, Installed, hash, to_str, utf8};

const OVERFLOW: &str = "__overflow__";

/// Label values as they are looked up.
struct Row<'a> {
    texts: SmallVec<[&'a str; 4]>,
    hash: u64,
}

type Strs<'a, 'py> = SmallVec<[Borrowed<'a, 'py, PyString>; 4]>;

impl<'a> Row<'a> {
    /// The row of exact strs; nothing if one cannot be encoded.
    #[inline]
    fn of(values: &'a [Borrowed<'_, '_, PyString>]) -> Option<Self> {
        let (mut texts, mut all) = (SmallVec::new(), 0_u64);
        for value in values {
            let own = hash(value.as_any()).ok()?;
            all = (all.rotate_left(23) ^ own).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            texts.push(utf8(value)?);
        }
        Some(Self { texts, hash: all })
    }

    #[inline]
    fn is_of(&self, child: &Py<PyFamily>) -> bool {
        let body = child.get().body();
        body.is_ok_and(|body| body.values.is_row(&self.texts))
    }
}

type Children = GilLock<Ordered<Py<PyFamily>>>;

#[inline]
fn find<'py>(
    py: Python<'py>,
    children: &Children,
    row: &Row<'_>,
) -> PyResult<Option<Bound<'py, PyFamily>>> {
    children.with(py, |children| {
        let found = children.find(row.hash, |child| row.is_of(child));
        found.map(|child| child.bind(py).clone())
    })
}

/// `Family.labels`.
pub struct Labels;

impl FastMethod for Labels {
    type Class = PyFamily;
    const METHOD: &'static CStr = c"labels";
    const METHOD_DOC: &'static CStr = c"labels($self, /, *labelvalues, **labelkwargs)\n--\n\nReturn the series with these label values; it is made when it is not there.";

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, PyFamily>,
        args: &Args<'_, 'py>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let body = this.get().body().ok()?;
        let children = body.children.as_ref()?;
        let values = ordered(&body.meta, args)?;
        let found = find(args.py(), children, &Row::of(&values)?);
        Some(found.transpose()?.map(Bound::into_any))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// The arguments in the order of the labels, if they are exact strs, one for each.
#[inline]
fn ordered<'a, 'py>(meta: &Meta, args: &Args<'a, 'py>) -> Option<Strs<'a, 'py>> {
    let names = &meta.labelnames;
    let exact = |value: Borrowed<'a, 'py, PyAny>| value.cast_exact::<PyString>().ok();
    if args.len() != names.len() {
        return None;
    }
    if args.positional() == args.len() {
        return args.iter().map(exact).collect();
    }
    if args.positional() > 0 {
        return None;
    }
    let pick = |name: &String| {
        let at = args.names().position(|given| is_text(given, name))?;
        exact(args.get(at)?)
    };
    names.iter().map(pick).collect()
}

fn is_text(given: Borrowed<'_, '_, PyAny>, name: &str) -> bool {
    let given = given.cast::<PyString>();
    given.is_ok_and(|given| given.to_str().is_ok_and(|given| given == name))
}

/// What the method does with whatever arguments.
pub fn labels<'py>(
    family: &Bound<'py, PyFamily>,
    given: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyFamily>> {
    let body = family.get().body()?;
    let names = &body.meta.labelnames;
    if names.is_empty() {
        return Err(no_labels(family)?);
    }
    let Some(children) = &body.children else {
        let labels = PyDict::new(family.py());
        for (name, value) in names.iter().zip(body.values.iter()) {
            labels.set_item(name, value)?;
        }
        return Err(PyValueError::new_err(format!(
            "{} already has labels set ({labels}); can not chain calls to .labels()",
            family.str()?
        )));
    };
    let texts = match keywords.filter(|keywords| !keywords.is_empty()) {
        Some(_) if !given.is_empty() => {
            return Err(PyValueError::new_err("Can't pass both *args and **kwargs"));
        }
        Some(keywords) => texts_by_name(names, keywords)?,
        None if given.len() == names.len() => texts(given)?,
        None => return Err(PyValueError::new_err("Incorrect label count")),
    };
    series(family, children, &texts)
}

fn no_labels(family: &Bound<'_, PyFamily>) -> PyResult<PyErr> {
    let message = format!(
        "No label names were set when constructing {}",
        family.str()?
    );
    Ok(PyValueError::new_err(message))
}

fn texts<'py>(given: &Bound<'py, PyTuple>) -> PyResult<Vec<Bound<'py, PyString>>> {
    given.iter().map(|value| exact(&value)).collect()
}

/// An exact str that can be encoded: the value itself, if it is one.
pub fn exact<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    if let Ok(value) = value.cast_exact::<PyString>()
        && value.to_str().is_ok()
    {
        return Ok(value.clone());
    }
    Ok(PyString::new(value.py(), &text(&to_str(value)?)?))
}

fn texts_by_name<'py>(
    names: &[String],
    keywords: &Bound<'py, PyDict>,
) -> PyResult<Vec<Bound<'py, PyString>>> {
    let wrong = || PyValueError::new_err("Incorrect label names");
    if keywords.len() != names.len() {
        return Err(wrong());
    }
    let values: Vec<_> = names
        .iter()
        .map(|name| keywords.get_item(name)?.ok_or_else(wrong))
        .collect::<PyResult<_>>()?;
    texts(&PyTuple::new(keywords.py(), values)?)
}

fn borrowed<'a, 'py>(values: &'a [Bound<'py, PyString>]) -> Strs<'a, 'py> {
    values.iter().map(Bound::as_borrowed).collect()
}

/// The row of values that were made exact.
fn row_of<'a>(values: &'a [Borrowed<'_, '_, PyString>]) -> PyResult<Row<'a>> {
    Row::of(values).ok_or_else(|| PyValueError::new_err("label values cannot be encoded"))
}

/// The child with these values, made if there is none and room for it.
fn series<'py>(
    family: &Bound<'py, PyFamily>,
    children: &Children,
    values: &[Bound<'py, PyString>],
) -> PyResult<Bound<'py, PyFamily>> {
    let py = family.py();
    let held = borrowed(values);
    let row = row_of(&held)?;
    if let Some(child) = find(py, children, &row)? {
        return Ok(child);
    }
    let meta = &family.get().body()?.meta;
    let overflow = vec![PyString::intern(py, OVERFLOW); values.len()];
    let of_overflow = borrowed(&overflow);
    let room = Room {
        most: meta
            .max_series
            .filter(|_| row.texts.iter().any(|text| *text != OVERFLOW)),
        overflow: row_of(&of_overflow)?,
    };
    if children.with(py, |all| room.is_in(all))? {
        let too_long = || PyValueError::new_err("label values are too long");
        let new = new_child(family, Values::new(&row.texts).ok_or_else(too_long)?)?;
        // Making it may have run Python code: another thread's may be there by now, or no more room.
        let kept = children.with(py, |all| {
            if let Some(found) = all.find(row.hash, |child| row.is_of(child)) {
                return Some(found.bind(py).clone());
            }
            let fits = room.is_in(all) && all.insert(row.hash, new.clone().unbind()).is_ok();
            fits.then(|| new.clone())
        })?;
        if let Some(child) = kept {
            return Ok(child);
        }
    }
    if room.most.is_none() {
        return Err(PyRuntimeError::new_err("too many series"));
    }
    refuse(meta, |meta| &meta.overflowed);
    series(family, children, &overflow)
}

/// How many series there may be beside that of what overflows.
struct Room<'a> {
    most: Option<u64>,
    overflow: Row<'a>,
}

impl Room<'_> {
    /// Whether one more may be in.
    fn is_in(&self, all: &Ordered<Py<PyFamily>>) -> bool {
        let Some(most) = self.most.filter(|most| all.len() as u64 >= *most) else {
            return true;
        };
        let overflows = all.find(self.overflow.hash, |child| self.overflow.is_of(child));
        ((all.len() - usize::from(overflows.is_some())) as u64) < most
    }
}

/// Removes the child with these values, if it is there.
pub fn remove(family: &Bound<'_, PyFamily>, given: &Bound<'_, PyTuple>) -> PyResult<()> {
    let py = family.py();
    let body = family.get().body()?;
    let names = &body.meta.labelnames;
    if names.is_empty() {
        return Err(no_labels(family)?);
    }
    if given.len() != names.len() {
        return Err(PyValueError::new_err(format!(
            "Incorrect label count (expected {}, got {})",
            names.len(),
            given.repr()?
        )));
    }
    let Some(children) = &body.children else {
        return Ok(());
    };
    let values = texts(given)?;
    let held = borrowed(&values);
    let row = row_of(&held)?;
    drop(children.with(py, |all| all.remove(row.hash, |child| row.is_of(child)))?);
    Ok(())
}
