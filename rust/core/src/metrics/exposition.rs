//! The text formats: snapshots of families in, the page that a scraper reads out.

use std::collections::HashSet;
use std::sync::Arc;

use super::meta::{Kind, Meta};
use super::number::{push_repr, push_sample};

/// The label set of a traced event, with what it measured and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Names and values, in the order in which they are written.
    pub labels: Vec<(String, String)>,
    /// The amount.
    pub value: f64,
    /// Unix seconds.
    pub timestamp: f64,
}

/// Which format, and which parts.
pub struct Options {
    /// OpenMetrics 1.0 instead of Prometheus' text format 0.0.4.
    pub openmetrics: bool,
    /// Whether `_created` samples are written.
    pub created: bool,
    /// Only samples of these names.
    pub names: Option<HashSet<String>>,
}

/// Where one series is in the arenas of a snapshot.
struct Row {
    /// End of its label text, and where in it `le` would go.
    end: usize,
    split: usize,
}

/// All series of one family at one moment.
pub struct Snapshot {
    meta: Arc<Meta>,
    labels: Vec<u8>,
    rows: Vec<Row>,
    /// The value of a counter or gauge, the sum of others.
    values: Vec<f64>,
    /// Counts by bucket; a summary has one.
    counts: Vec<u64>,
    created: Vec<f64>,
    /// By row and bucket, in rising order.
    exemplars: Vec<(usize, usize, Exemplar)>,
}

impl Snapshot {
    /// An empty one.
    pub fn new(meta: Arc<Meta>) -> Self {
        Self {
            meta,
            labels: Vec::new(),
            rows: Vec::new(),
            values: Vec::new(),
            counts: Vec::new(),
            created: Vec::new(),
            exemplars: Vec::new(),
        }
    }

    /// Adds the labels of a series, none without labels; [`Snapshot::push`] comes next.
    pub fn label<'a>(&mut self, label: impl Fn(usize) -> Option<&'a str>) {
        let start = self.labels.len();
        let mut split = start;
        for (nth, at) in self.meta.written.iter().enumerate() {
            let Some(text) = label(*at) else { continue };
            if self.labels.len() > start {
                self.labels.push(b',');
            }
            self.labels
                .extend_from_slice(self.meta.labelnames[*at].as_bytes());
            self.labels.extend_from_slice(b"=\"");
            push_escaped(&mut self.labels, text, true);
            self.labels.push(b'"');
            if nth + 1 == self.meta.before_le {
                split = self.labels.len();
            }
        }
        self.rows.push(Row {
            end: self.labels.len(),
            split,
        });
    }

    /// Adds what a series holds: counts by bucket, its value or sum, and its birth.
    pub fn push(&mut self, counts: &[u64], value: f64, created: f64) {
        self.counts.extend_from_slice(counts);
        self.values.push(value);
        self.created.push(created);
    }

    /// Attaches an exemplar to a bucket of the series pushed last.
    pub fn attach(&mut self, bucket: usize, exemplar: Exemplar) {
        if let Some(row) = self.rows.len().checked_sub(1) {
            self.exemplars.push((row, bucket, exemplar));
        }
    }

    /// Appends the family to the page.
    pub fn write(&self, options: &Options, out: &mut Vec<u8>) {
        let parts = Parts::of(&self.meta, options);
        let filtered = options.names.is_some();
        if !parts.any() || filtered && self.rows.is_empty() {
            return;
        }
        Writer {
            snapshot: self,
            options,
            parts,
            out,
        }
        .family();
    }
}

/// Which samples of a family are written.
#[expect(clippy::struct_excessive_bools, reason = "one for each sample")]
struct Parts {
    plain: bool,
    bucket: bool,
    count: bool,
    sum: bool,
    created: bool,
}

impl Parts {
    fn of(meta: &Meta, options: &Options) -> Self {
        let wanted = |suffix: &str| match &options.names {
            None => true,
            Some(names) => names.contains(&format!("{}{suffix}", meta.name)),
        };
        let (counter, gauge) = (meta.kind == Kind::Counter, meta.kind == Kind::Gauge);
        let histogram = meta.kind == Kind::Histogram;
        let observes = histogram || meta.kind == Kind::Summary;
        // A sum that may shrink is no counter.
        let grows = meta.bounds.first().is_none_or(|bound| *bound >= 0.0);
        Self {
            plain: counter && wanted("_total") || gauge && wanted(""),
            bucket: histogram && wanted("_bucket"),
            count: observes && wanted("_count"),
            sum: observes && grows && wanted("_sum"),
            created: !gauge && options.created && wanted("_created"),
        }
    }

    fn any(&self) -> bool {
        self.plain || self.bucket || self.count || self.sum || self.created
    }
}

struct Writer<'a> {
    snapshot: &'a Snapshot,
    options: &'a Options,
    parts: Parts,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn family(&mut self) {
        let meta = &self.snapshot.meta;
        let openmetrics = self.options.openmetrics;
        let counter = meta.kind == Kind::Counter;
        let suffix = if counter && !openmetrics {
            "_total"
        } else {
            ""
        };
        self.head(suffix, meta.kind.name());
        if openmetrics && !meta.unit.is_empty() && self.options.names.is_none() {
            self.words(&["# UNIT ", &meta.name, " ", &meta.unit, "\n"]);
        }
        let mut start = 0;
        for (at, row) in self.snapshot.rows.iter().enumerate() {
            let labels = start..row.end;
            start = row.end;
            self.row(at, labels.clone(), row.split);
            if openmetrics && self.parts.created {
                self.sample("_created", labels, self.snapshot.created[at]);
            }
        }
        // In the older format this is no part of the family.
        if !openmetrics && self.parts.created && !self.snapshot.rows.is_empty() {
            self.head("_created", "gauge");
            let mut start = 0;
            for (at, row) in self.snapshot.rows.iter().enumerate() {
                self.sample("_created", start..row.end, self.snapshot.created[at]);
                start = row.end;
            }
        }
    }

    fn head(&mut self, suffix: &str, kind: &str) {
        let meta = &self.snapshot.meta;
        self.words(&["# HELP ", &meta.name, suffix, " "]);
        push_escaped(self.out, &meta.documentation, self.options.openmetrics);
        self.words(&["\n# TYPE ", &meta.name, suffix, " ", kind, "\n"]);
    }

    fn words(&mut self, words: &[&str]) {
        for word in words {
            self.out.extend_from_slice(word.as_bytes());
        }
    }

    /// The samples of one series, but for its birth.
    #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
    fn row(&mut self, at: usize, labels: std::ops::Range<usize>, split: usize) {
        let value = self.snapshot.values[at];
        match self.snapshot.meta.kind {
            Kind::Counter | Kind::Gauge if !self.parts.plain => {}
            Kind::Gauge => self.sample("", labels, value),
            Kind::Counter => {
                self.start("_total", &self.snapshot.labels[labels]);
                push_sample(self.out, value);
                self.exemplar(at, 0);
                self.out.push(b'\n');
            }
            Kind::Summary | Kind::Histogram => {
                let buckets = self.snapshot.meta.bounds.len().max(1);
                let counts = &self.snapshot.counts[at * buckets..(at + 1) * buckets];
                if self.parts.bucket {
                    self.buckets(at, counts, labels.clone(), split);
                }
                if self.parts.count {
                    let count: u64 = counts.iter().sum();
                    self.sample("_count", labels.clone(), count as f64);
                }
                if self.parts.sum {
                    self.sample("_sum", labels, value);
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
    fn buckets(&mut self, at: usize, counts: &[u64], labels: std::ops::Range<usize>, split: usize) {
        let snapshot = self.snapshot;
        let before = &snapshot.labels[labels.start..split];
        let after = &snapshot.labels[split..labels.end];
        // What surrounds the bounds is the same for all buckets of a series.
        let mut lead = Vec::with_capacity(64 + before.len());
        lead.extend_from_slice(snapshot.meta.name.as_bytes());
        lead.extend_from_slice(b"_bucket{");
        lead.extend_from_slice(before);
        lead.extend_from_slice(if before.is_empty() {
            b"le=\""
        } else {
            b",le=\""
        });
        let after = after.strip_prefix(b",").unwrap_or(after);
        let mut count = 0;
        for (bucket, own) in counts.iter().enumerate() {
            count += own;
            self.out.extend_from_slice(&lead);
            self.out
                .extend_from_slice(&snapshot.meta.bound_texts[bucket]);
            self.out
                .extend_from_slice(if after.is_empty() { b"\"" } else { b"\"," });
            self.out.extend_from_slice(after);
            self.out.extend_from_slice(b"} ");
            push_sample(self.out, count as f64);
            self.exemplar(at, bucket);
            self.out.push(b'\n');
        }
    }

    fn sample(&mut self, suffix: &str, labels: std::ops::Range<usize>, value: f64) {
        self.start(suffix, &self.snapshot.labels[labels]);
        push_sample(self.out, value);
        self.out.push(b'\n');
    }

    fn start(&mut self, suffix: &str, labels: &[u8]) {
        self.words(&[&self.snapshot.meta.name, suffix]);
        if !labels.is_empty() {
            self.out.push(b'{');
            self.out.extend_from_slice(labels);
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }

    fn exemplar(&mut self, row: usize, bucket: usize) {
        if !self.options.openmetrics || self.snapshot.exemplars.is_empty() {
            return;
        }
        let exemplars = &self.snapshot.exemplars;
        let key = |entry: &(usize, usize, Exemplar)| (entry.0, entry.1);
        let Ok(found) = exemplars.binary_search_by_key(&(row, bucket), key) else {
            return;
        };
        let exemplar = &exemplars[found].2;
        self.words(&[" # {"]);
        for (nth, (name, value)) in exemplar.labels.iter().enumerate() {
            self.words(&[if nth == 0 { "" } else { "," }, name, "=\""]);
            push_escaped(self.out, value, true);
            self.out.push(b'"');
        }
        self.words(&["} "]);
        push_sample(self.out, exemplar.value);
        self.out.push(b' ');
        push_repr(self.out, exemplar.timestamp);
    }
}

/// Appends text with backslashes, line ends and, in quoted places, quotes escaped.
fn push_escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || quotes && *byte == b'"';
    while let Some(at) = rest.iter().position(special) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.extend_from_slice(match from[0] {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            _ => b"\\\"",
        });
        rest = &from[1..];
    }
    out.extend_from_slice(rest);
}
