//! Passes the interpreter's `Py_*` cfgs on to this crate.
fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
