//! The embedded store.

use std::sync::Mutex;

use comity::memory;
use comity::redis::Argv;
use comity::time::Time;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::value;
use crate::error::guarded;

/// See `_core.pyi`.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct MemoryStore(Mutex<memory::MemoryStore>);

#[pymethods]
impl MemoryStore {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(memory::MemoryStore::new()))
    }

    fn execute<'py>(
        &self,
        py: Python<'py>,
        argv: Vec<Bound<'py, PyBytes>>,
        now: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let argv: Argv = argv.iter().map(|word| word.as_bytes()).collect();
        let reply = guarded(py, &self.0, |store| store.execute(&argv, Time::from_micros(now)))?;
        value(py, &reply)
    }

    fn poll_message<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        let message = guarded(py, &self.0, memory::MemoryStore::poll_message)?;
        Ok(message.map(|message| {
            (PyBytes::new(py, &message.channel), PyBytes::new(py, &message.payload))
        }))
    }
}
