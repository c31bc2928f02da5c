//! `penstock._native`: the index of the extension.
//!
//! A method of a class here has one shape: prepare (Python code may run), lock, core call, unlock,
//! drop what left, convert.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![deny(unsafe_code)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::unused_self,
    reason = "PyO3 fixes these signatures"
)]

mod argkey;
mod bound;
mod cache;
mod clock;
mod convert;
#[allow(unsafe_code)]
mod ffi;
mod flight;
mod flow;
mod front;
mod hooks;
mod key;
mod loads;
mod memo;
mod methods;
mod metrics;
mod named;
mod ring;
mod stats;
mod store;

#[pyo3::pymodule(gil_used = true)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::bound::BoundMemo;
    #[pymodule_export]
    use crate::cache::PyCache;
    #[pymodule_export]
    use crate::convert::check_duration;
    #[pymodule_export]
    use crate::flight::{Flight, set_recursive_load};
    #[pymodule_export]
    use crate::flow::{PyBreaker, PyParker, PyRateGate, PyWaiterQueue};
    #[pymodule_export]
    use crate::front::{PyEntry, PyFront};
    #[pymodule_export]
    use crate::memo::Memo;
    #[pymodule_export]
    use crate::metrics::{
        PyCounter, PyFamily, PyGauge, PyHistogram, PySummary, PyTimer, drops, encode,
        set_metric_hooks,
    };
    #[pymodule_export]
    use crate::named::set_named;
    #[pymodule_export]
    use crate::ring::PyRing;
    #[pymodule_export]
    use crate::stats::PyCacheStats;

    /// Return how the extension was built: version, profile ("release" or "debug") and abi.
    #[pyfunction]
    fn build_info(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
        let info = pyo3::types::PyDict::new(py);
        info.set_item("version", env!("CARGO_PKG_VERSION"))?;
        info.set_item(
            "profile",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        )?;
        info.set_item("abi3", cfg!(Py_LIMITED_API))?;
        Ok(info)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::ffi::only_one_interpreter()?;
        let abc = module.py().import("collections.abc")?;
        let class = module.py().get_type::<PyCache>();
        abc.getattr("MutableMapping")?
            .call_method1("register", (class,))?;
        module.add("Ready", crate::ffi::ready_type(module.py())?)?;
        crate::ffi::install_method::<crate::methods::Get>(module.py())?;
        crate::ffi::install_set_item::<PyCache>(module.py());
        crate::metrics::install(module.py())?;
        crate::flow::install(module.py())?;
        crate::front::install(module.py())?;
        crate::ring::install(module.py())?;
        crate::ring::count_forks(module.py())?;
        crate::memo::install(module.py())
    }
}
