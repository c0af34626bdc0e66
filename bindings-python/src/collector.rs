//! Python's garbage collector, which calls finalizers of the program: since Python 3.12 between two
//! steps of Python's own code, before that wherever objects are made.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static ANYWHERE: PyOnceLock<bool> = PyOnceLock::new();

/// Keeps the collector from running while this lives, so that no code of the program runs then.
///
/// To be held within one call from Python only: the thread keeps the interpreter's lock, so nobody
/// sees the collector switched off.
pub(crate) struct Pause {
    enabled: bool,
}

impl Pause {
    #[allow(unsafe_code, reason = "there is no other way to it")]
    pub(crate) fn new(py: Python<'_>) -> Self {
        let anywhere = *ANYWHERE.get_or_init(py, || py.version_info() < (3, 12));
        // SAFETY: nothing is needed but an attached thread, which `py` proves.
        let enabled = anywhere && unsafe { ffi::PyGC_Disable() } == 1;
        Self { enabled }
    }
}

impl Drop for Pause {
    #[allow(unsafe_code, reason = "there is no other way to it")]
    fn drop(&mut self) {
        if self.enabled {
            // SAFETY: as above; it lives no longer than `py`'s call.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
