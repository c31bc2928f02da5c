//! Flow control: the ways through that do not wait; Python does the waiting.

mod breaker;
mod holder;
mod parker;
mod rate;
mod waiters;

pub use breaker::PyBreaker;
pub use parker::PyParker;
pub use rate::PyRateGate;
pub use waiters::PyWaiterQueue;

use pyo3::prelude::*;

use crate::ffi::install_method;

/// Puts the fast methods in their places.
pub fn install(py: Python<'_>) -> PyResult<()> {
    install_method::<waiters::Enter>(py)?;
    install_method::<waiters::Exit>(py)?;
    install_method::<waiters::Acquire>(py)?;
    install_method::<waiters::TryAcquire>(py)?;
    install_method::<waiters::Release>(py)?;
    install_method::<rate::Enter>(py)?;
    install_method::<rate::Exit>(py)?;
    install_method::<rate::TryAcquire>(py)?;
    install_method::<breaker::Begin>(py)?;
    install_method::<breaker::End>(py)?;
    install_method::<breaker::Enter>(py)?;
    install_method::<breaker::Exit>(py)
}
