//! What a queue tells its subclass, once its lock was released.

use penstock_core::flow::Summary;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::PyWaiterQueue;
use crate::convert;
use crate::ffi::call;

/// Who was granted permits, and what a window of calls was like.
#[derive(Default)]
pub struct Told {
    pub granted: Vec<Py<PyAny>>,
    pub summary: Option<Summary>,
}

impl Told {
    /// Only who was granted permits.
    pub fn of(granted: Vec<Py<PyAny>>) -> Self {
        Self {
            granted,
            summary: None,
        }
    }

    /// Calls `_wake` and `_adapt`, those of them for which there is something.
    pub fn tell(self, queue: &Bound<'_, PyWaiterQueue>) -> PyResult<()> {
        let py = queue.py();
        let woken = if self.granted.is_empty() {
            Ok(())
        } else {
            let waiters = PyList::new(py, self.granted)?;
            call(&queue.getattr(intern!(py, "_wake"))?, (waiters,)).map(drop)
        };
        let Some(summary) = self.summary else {
            return woken;
        };
        let adapted = adapt(queue, &summary);
        if let (Err(error), Err(context)) = (&adapted, &woken) {
            // As in a `finally` block.
            let context = context.value(py);
            error
                .value(py)
                .setattr(intern!(py, "__context__"), context)?;
        }
        adapted.and(woken)
    }
}

fn adapt(queue: &Bound<'_, PyWaiterQueue>, summary: &Summary) -> PyResult<()> {
    let seconds = convert::to_seconds;
    #[expect(clippy::cast_precision_loss, reason = "a mean of durations")]
    let mean = summary.sum as f64 / summary.count as f64 / 1e9;
    let figures = (
        summary.count,
        summary.dropped,
        seconds(summary.p50),
        seconds(summary.p90),
        mean,
        seconds(summary.minimum),
        summary.peak,
        seconds(summary.length),
    );
    call(&queue.getattr(intern!(queue.py(), "_adapt"))?, figures).map(drop)
}
