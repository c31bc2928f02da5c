//! What all series of a family share.

use std::sync::atomic::{AtomicU64, Ordering};

use super::number::push_sample;

/// The types of families that are native.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Count and sum.
    Summary,
    /// Count and sum in buckets.
    Histogram,
}

impl Kind {
    /// The word for it in the formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }
}

/// Names, help and bounds of a family, and what it had to refuse.
#[derive(Debug)]
pub struct Meta {
    /// What it measures.
    pub kind: Kind,
    /// Its name, without `_total`.
    pub name: String,
    /// What HELP says.
    pub documentation: String,
    /// What UNIT says; empty for none.
    pub unit: String,
    /// The names of its labels, in the order in which values are given.
    pub labelnames: Vec<String>,
    /// Most series, but for the one for what overflows.
    pub max_series: Option<u64>,
    /// Upper bounds of a histogram's buckets, the last being +Inf.
    pub bounds: Vec<f64>,
    /// The same as label values.
    pub(super) bound_texts: Vec<Vec<u8>>,
    /// Positions of the labels in the order in which they are written.
    pub(super) written: Vec<usize>,
    /// How many of them are written before `le`.
    pub(super) before_le: usize,
    /// Times that label values had no series of their own.
    pub overflowed: AtomicU64,
    /// NaNs that were refused.
    pub invalid: AtomicU64,
}

impl Meta {
    /// Derives what is written from what was given.
    pub fn new(
        kind: Kind,
        name: String,
        documentation: String,
        unit: String,
        labelnames: Vec<String>,
        max_series: Option<u64>,
        bounds: Vec<f64>,
    ) -> Self {
        let mut written: Vec<usize> = (0..labelnames.len()).collect();
        written.sort_by(|one, other| labelnames[*one].cmp(&labelnames[*other]));
        let before_le = written
            .iter()
            .filter(|at| labelnames[**at].as_str() < "le")
            .count();
        let text = |bound: &f64| {
            let mut text = Vec::new();
            push_sample(&mut text, *bound);
            text
        };
        Self {
            kind,
            name,
            documentation,
            unit,
            max_series,
            bound_texts: bounds.iter().map(text).collect(),
            bounds,
            written,
            before_le,
            labelnames,
            overflowed: AtomicU64::new(0),
            invalid: AtomicU64::new(0),
        }
    }

    /// Overflows and refused NaNs so far.
    pub fn drops(&self) -> (u64, u64) {
        (
            self.overflowed.load(Ordering::Relaxed),
            self.invalid.load(Ordering::Relaxed),
        )
    }

    /// The first bucket whose bound a number does not exceed; the last for NaN.
    #[inline]
    pub fn bucket(&self, value: f64) -> usize {
        let bounds = &self.bounds;
        let at = if bounds.len() <= 32 {
            // Without a branch for each bound: they are few.
            bounds.iter().map(|bound| usize::from(*bound < value)).sum()
        } else {
            bounds.partition_point(|bound| *bound < value)
        };
        at.min(bounds.len().saturating_sub(1))
    }
}
