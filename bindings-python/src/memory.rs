//! The embedded store.

use std::sync::Mutex;

use comity::memory;
use comity::redis::Argv;
use comity::time::Time;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::value;
use crate::error::guarded;

/// The embedded store: a small Redis in this process.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct MemoryStore(Mutex<memory::MemoryStore>);

#[pymethods]
impl MemoryStore {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(memory::MemoryStore::new()))
    }

    /// Runs one command of the core's, or one that `docs/embedded-store.md` lists. The reply is
    /// what `handle_reply` takes; after an `ErrorReply` nothing has changed.
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

    /// Channel and payload of a PUBLISH that is not yet delivered.
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
