//! Steps that nobody gets in between of: neither another thread nor a finalizer nor the handler of a
//! signal, for each is one call from Python.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::collector::Pause;

/// What one thread has at a time. Each call is one step for everybody: neither another thread
/// nor a finalizer nor the handler of a signal gets in between.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Baton(AtomicU64);

#[pymethods]
impl Baton {
    #[new]
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether `holder`, above 0, has it from now on: only if nobody had.
    fn take(&self, holder: u64) -> bool {
        self.0.compare_exchange(0, holder, SeqCst, SeqCst).is_ok()
    }

    /// Whether `holder` had it; nobody has it then.
    fn leave(&self, holder: u64) -> bool {
        self.0.compare_exchange(holder, 0, SeqCst, SeqCst).is_ok()
    }

    /// Who has it; 0 for nobody.
    #[getter]
    fn holder(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// Whether `item` is the first of `source`; it is taken away then, and `thing` is put behind
/// `target`. One step, as those of `Baton`.
#[pyfunction]
pub(crate) fn forward(
    thing: &Bound<'_, PyAny>,
    item: &Bound<'_, PyAny>,
    source: &Bound<'_, PyAny>,
    target: &Bound<'_, PyList>,
) -> PyResult<bool> {
    let py = thing.py();
    let _pause = Pause::new(py);
    if source.is_empty()? || !source.get_item(0)?.is(item) {
        return Ok(false);
    }
    target.append(thing)?;
    source.call_method0(intern!(py, "popleft"))?;
    Ok(true)
}
