//! Metrics: the layout of percentiles, and the text formats.

mod exposition;
mod meta;
mod number;
mod octave;
mod values;
mod window;

pub use exposition::{Exemplar, Options, Snapshot};
pub use meta::{Kind, Meta};
pub use values::Values;
pub use window::{STEPS, Totals, Window};
