//! From families to the text that a scraper reads; the GIL is held only to copy numbers.

use std::collections::{BTreeMap, HashSet};

use penstock_core::metrics::{Kind, Meta, Options, Snapshot};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::counter::PyCounter;
use super::family::{PyFamily, dropping};
use super::gauge::PyGauge;
use super::histogram::PyHistogram;
use super::summary::PySummary;
use crate::ffi::detached;

/// Series copied before other threads get a turn.
const TURN: usize = 256;

type Failures<'py> = Vec<(String, Bound<'py, PyAny>)>;

/// Return the text of *families*, and which of them failed with what.
#[pyfunction]
pub fn encode<'py>(
    py: Python<'py>,
    families: Vec<Bound<'py, PyFamily>>,
    openmetrics: bool,
    created: bool,
    names: Option<Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyBytes>, Failures<'py>)> {
    let names = names.map(|names| texts(&names)).transpose()?;
    let mut copied = 0;
    let mut failures = Vec::new();
    let mut snapshots = Vec::with_capacity(families.len());
    for family in &families {
        snapshots.push(snapshot(family, openmetrics, &mut copied, &mut failures)?);
    }
    let options = Options {
        openmetrics,
        created,
        names,
    };
    let text = detached(py, || {
        let mut text = Vec::new();
        for snapshot in &snapshots {
            snapshot.write(&options, &mut text);
        }
        text
    });
    Ok((PyBytes::new(py, &text), failures))
}

/// What can be the name of a sample.
fn texts(names: &Bound<'_, PyAny>) -> PyResult<HashSet<String>> {
    let mut texts = HashSet::new();
    for name in names.try_iter()? {
        texts.extend(name?.extract::<String>().ok());
    }
    Ok(texts)
}

fn snapshot<'py>(
    family: &Bound<'py, PyFamily>,
    openmetrics: bool,
    copied: &mut usize,
    failures: &mut Failures<'py>,
) -> PyResult<Snapshot> {
    let py = family.py();
    take_turns(py, copied);
    let body = family.get().body()?;
    let mut snapshot = Snapshot::new(body.meta.clone());
    let mut copy = |series: &Bound<'py, PyFamily>, labelled| match push(
        series,
        labelled,
        openmetrics,
        &mut snapshot,
    ) {
        // What is no error of the function but a wish to stop is for the caller.
        Err(error) if error.is_instance_of::<PyException>(py) => {
            let error = error.into_value(py).into_bound(py).into_any();
            failures.push((body.meta.name.clone(), error));
            Ok(())
        }
        done => done,
    };
    if body.children.is_none() {
        // A child that is collected by itself shows no labels: there is none to tell it from.
        copy(family, false)?;
        return Ok(snapshot);
    }
    for child in family.get().children(py)? {
        take_turns(py, copied);
        copy(&child.into_bound(py), true)?;
    }
    Ok(snapshot)
}

/// Lets other threads run now and then.
fn take_turns(py: Python<'_>, copied: &mut usize) {
    *copied += 1;
    if copied.is_multiple_of(TURN) {
        detached(py, || {});
    }
}

/// Copies one series.
fn push(
    series: &Bound<'_, PyFamily>,
    labelled: bool,
    exemplars: bool,
    into: &mut Snapshot,
) -> PyResult<()> {
    let body = series.get().body()?;
    let label = |at| body.values.get(at).filter(|_| labelled);
    match body.meta.kind {
        Kind::Counter => {
            let cell = PyCounter::read(series.cast()?)?;
            into.label(label);
            into.push(&[], cell.value(), cell.created);
            if let Some(exemplar) = cell.exemplar.filter(|_| exemplars) {
                into.attach(0, *exemplar);
            }
        }
        Kind::Gauge => {
            let value = PyGauge::read(series.cast()?)?;
            into.label(label);
            into.push(&[], value, 0.0);
        }
        Kind::Summary => {
            let cell = PySummary::read(series.cast()?)?;
            into.label(label);
            into.push(&[cell.count], cell.sum, cell.created);
        }
        Kind::Histogram => {
            PyHistogram::read(series.cast()?, |cell| {
                into.label(label);
                into.push(&cell.counts, cell.sum, cell.created);
                let exemplars = cell.exemplars.iter().filter(|_| exemplars).enumerate();
                for (bucket, exemplar) in exemplars {
                    if let Some(exemplar) = exemplar {
                        into.attach(bucket, (**exemplar).clone());
                    }
                }
            })?;
        }
    }
    Ok(())
}

/// Return what families refused: label values that overflowed, and NaNs.
#[pyfunction]
pub fn drops() -> Vec<(String, u64, u64)> {
    let mut all = BTreeMap::new();
    for meta in dropping() {
        let Meta { name, .. } = &*meta;
        let (overflowed, invalid) = meta.drops();
        let sums: &mut (u64, u64) = all.entry(name.clone()).or_default();
        sums.0 += overflowed;
        sums.1 += invalid;
    }
    let flat = |(name, (overflowed, invalid))| (name, overflowed, invalid);
    all.into_iter().map(flat).collect()
}
