//! Metrics: the layout of percentiles, and the text formats.

mod exposition;
mod meta;
mod number;
mod octave;
mod window;

pub use exposition::{Exemplar, Options, Snapshot};
pub use meta::{Kind, Meta};
pub use window::{STEPS, Totals, Window};
