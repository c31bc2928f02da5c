//! The classes of metrics: counting, and reading at once what was counted.

mod amount;
mod counter;
mod exposition;
mod family;
mod gauge;
mod histogram;
mod hooks;
mod labels;
mod summary;
mod timer;

pub use counter::PyCounter;
pub use exposition::{drops, encode};
pub use family::PyFamily;
pub use gauge::PyGauge;
pub use histogram::PyHistogram;
pub use hooks::set_metric_hooks;
pub use summary::PySummary;
pub use timer::PyTimer;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::ffi::{inherit_method, install_method};

/// Puts the fast methods in their places.
pub fn install(py: Python<'_>) -> PyResult<()> {
    install_method::<labels::Labels>(py)?;
    install_method::<counter::Inc>(py)?;
    install_method::<gauge::Set>(py)?;
    install_method::<summary::Observe>(py)?;
    install_method::<histogram::Observe>(py)?;
    install_method::<timer::Time>(py)?;
    install_method::<timer::Enter>(py)?;
    install_method::<timer::Exit>(py)
}

/// Gives a new subclass the fast methods that it does not override.
fn inherit(class: &Bound<'_, PyType>) -> PyResult<()> {
    inherit_method::<labels::Labels>(class)?;
    inherit_method::<counter::Inc>(class)?;
    inherit_method::<gauge::Set>(class)?;
    inherit_method::<summary::Observe>(class)?;
    inherit_method::<histogram::Observe>(class)?;
    inherit_method::<timer::Time>(class)?;
    timer::remember_plain(class)
}
