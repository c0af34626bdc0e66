//! What becomes of an object that nobody refers to any more.

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Leaves `object` to what its `_left_to` is, unless that is None: puts it into the list
/// `dropped` there, where it lives on, and calls `rouse`. To be its `__del__`: there Python
/// swallows what the handler of a signal raises, so none runs before this is done; and what one
/// raises in `rouse` is raised behind it.
#[pyfunction]
pub(crate) fn leave(object: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = object.py();
    let Some(heir) = object.getattr_opt(intern!(py, "_left_to"))?.filter(|heir| !heir.is_none())
    else {
        return Ok(());
    };
    heir.getattr(intern!(py, "dropped"))?.cast_into::<PyList>()?.append(object)?;
    let rouse = heir.getattr(intern!(py, "rouse"))?;
    if let Err(error) = rouse.call0() {
        // Before anything is to be raised: it would be raised in there.
        let again = rouse.call0();
        raise_later(py, error);
        if let Err(error) = again {
            raise_later(py, error);
        }
    }
    Ok(())
}

static LATE: Mutex<Vec<PyErr>> = Mutex::new(Vec::new());

fn late() -> MutexGuard<'static, Vec<PyErr>> {
    LATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the interpreter raise `error` in the main thread, where handlers of signals run, as if it
/// came from one that runs between the next two steps.
#[allow(unsafe_code, reason = "there is no other way to it")]
fn raise_later(py: Python<'_>, error: PyErr) {
    late().push(error);
    // SAFETY: the function lives as long as the program, and makes nothing of its argument.
    let asked = unsafe { ffi::Py_AddPendingCall(Some(raise), std::ptr::null_mut()) } == 0;
    if !asked && let Some(error) = late().pop() {
        error.write_unraisable(py, None); // as Python tells of what `__del__` raises
    }
}

extern "C" fn raise(_: *mut c_void) -> c_int {
    let Some(error) = late().pop() else {
        return 0;
    };
    Python::attach(|py| error.restore(py));
    -1
}
