//! From label values to the series: one look-up, made on the first use.

use std::ffi::CStr;

use penstock_core::Ordered;
use penstock_core::metrics::Meta;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use smallvec::SmallVec;

use super::family::{PyFamily, new_child, refuse};
use super::hooks::text;
use crate::ffi::{Args, FastMethod, GilLock, Installed, equal, hash, to_str};

/// The label values of a series: exact strs that can be encoded, so that comparing them calls nothing.
#[derive(Default)]
pub struct Values(Box<[Py<PyString>]>);

type Row<'a, 'py> = SmallVec<[Borrowed<'a, 'py, PyString>; 8]>;

const OVERFLOW: &str = "__overflow__";

impl Values {
    fn new(values: Vec<Bound<'_, PyString>>) -> Self {
        Self(values.into_iter().map(Bound::unbind).collect())
    }

    /// The values of the series for what overflows.
    fn overflow(py: Python<'_>, labels: usize) -> Self {
        Self::new(vec![PyString::intern(py, OVERFLOW); labels])
    }

    pub fn get<'a>(&'a self, py: Python<'a>, at: usize) -> Option<&'a str> {
        self.0.get(at)?.to_str(py).ok()
    }

    pub fn to_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0)
    }

    /// Whether the value at a position is `want`, an exact str.
    pub fn is_at(&self, at: usize, want: &Bound<'_, PyString>) -> bool {
        let own = self.0.get(at).map(|own| own.bind(want.py()));
        own.is_some_and(|own| equal(own, want))
    }

    #[inline]
    fn is_row(&self, row: &[Borrowed<'_, '_, PyString>]) -> bool {
        self.0.len() == row.len()
            && self.0.iter().zip(row).all(|(own, other)| {
                own.is(other) || equal(own.bind_borrowed(other.py()).as_any(), other.as_any())
            })
    }

    fn row<'a, 'py>(&'a self, py: Python<'py>) -> Row<'a, 'py> {
        self.0.iter().map(|value| value.bind_borrowed(py)).collect()
    }
}

/// One hash of several exact strs.
#[inline]
fn hash_row(row: &[Borrowed<'_, '_, PyString>]) -> PyResult<u64> {
    row.iter().try_fold(0, |all: u64, value| {
        let own = hash(value.as_any())?;
        Ok((all.rotate_left(23) ^ own).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    })
}

type Children = GilLock<Ordered<Py<PyFamily>>>;

#[inline]
fn find<'py>(
    py: Python<'py>,
    children: &Children,
    hash: u64,
    row: &[Borrowed<'_, '_, PyString>],
) -> PyResult<Option<Bound<'py, PyFamily>>> {
    children.with(py, |children| {
        let found = children.find(hash, |child| is_child(child, row));
        found.map(|child| child.bind(py).clone())
    })
}

#[inline]
fn is_child(child: &Py<PyFamily>, row: &[Borrowed<'_, '_, PyString>]) -> bool {
    child.get().body().is_ok_and(|body| body.values.is_row(row))
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
        let row = row(&body.meta, args)?;
        let found = hash_row(&row).and_then(|hash| find(args.py(), children, hash, &row));
        Some(found.transpose()?.map(Bound::into_any))
    }

    fn installed() -> &'static Installed {
        static INSTALLED: Installed = Installed::new();
        &INSTALLED
    }
}

/// The arguments in the order of the labels, if they are exact strs, one for each.
#[inline]
fn row<'a, 'py>(meta: &Meta, args: &Args<'a, 'py>) -> Option<Row<'a, 'py>> {
    let names = &meta.labelnames;
    if args.len() != names.len() {
        return None;
    }
    if args.positional() == args.len() {
        return args
            .iter()
            .map(|value| value.cast_exact::<PyString>().ok())
            .collect();
    }
    if args.positional() > 0 {
        return None;
    }
    names
        .iter()
        .map(|name| {
            let at = args.names().position(|given| is_text(given, name))?;
            args.get(at)?.cast_exact::<PyString>().ok()
        })
        .collect()
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
        for (name, value) in names.iter().zip(body.values.to_tuple(family.py())?) {
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
    series(family, children, Values::new(texts))
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

/// The child with these values, made if there is none and room for it.
fn series<'py>(
    family: &Bound<'py, PyFamily>,
    children: &Children,
    values: Values,
) -> PyResult<Bound<'py, PyFamily>> {
    let py = family.py();
    let hash = hash_row(&values.row(py))?;
    if let Some(child) = find(py, children, hash, &values.row(py))? {
        return Ok(child);
    }
    let meta = &family.get().body()?.meta;
    let overflow = Values::overflow(py, meta.labelnames.len());
    let room = Room {
        most: meta
            .max_series
            .filter(|_| !overflow.is_row(&values.row(py))),
        hash: hash_row(&overflow.row(py))?,
        overflow: overflow.row(py),
    };
    if children.with(py, |all| room.is_in(all))? {
        let new = new_child(family, values)?;
        let row = new.get().body()?.values.row(py);
        // Making it may have run Python code: another thread's may be there by now, or no more room.
        let kept = children.with(py, |all| {
            if let Some(found) = all.find(hash, |child| is_child(child, &row)) {
                return Some(found.bind(py).clone());
            }
            let fits = room.is_in(all) && all.insert(hash, new.clone().unbind()).is_ok();
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
    series(
        family,
        children,
        Values::overflow(py, meta.labelnames.len()),
    )
}

/// How many series there may be beside that of what overflows, which is found by its values.
struct Room<'a, 'py> {
    most: Option<u64>,
    hash: u64,
    overflow: Row<'a, 'py>,
}

impl Room<'_, '_> {
    /// Whether one more may be in.
    fn is_in(&self, all: &Ordered<Py<PyFamily>>) -> bool {
        let Some(most) = self.most.filter(|most| all.len() as u64 >= *most) else {
            return true;
        };
        let overflows = all.find(self.hash, |child| is_child(child, &self.overflow));
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
    let values = Values::new(texts(given)?);
    let row = values.row(py);
    let hash = hash_row(&row)?;
    drop(children.with(py, |all| all.remove(hash, |child| is_child(child, &row)))?);
    Ok(())
}
