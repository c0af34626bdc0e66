//! Errors of the core as exceptions of `comity.errors`, and the guard against panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use comity::error::{Error, ErrorCode};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static FROM_CODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error of the core, not raised.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyResult<Py<PyAny>> {
    let from_code = FROM_CODE.get_or_try_init(py, || {
        py.import("comity.errors")?.getattr("from_code").map(Bound::unbind)
    })?;
    from_code.call1(py, (error.code().number(), error.message()))
}

/// The same, to be raised.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    match exception(py, error) {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(failure) => failure,
    }
}

/// An argument of a wrong type or range.
pub(crate) fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raised(py, &Error::new(ErrorCode::InvalidArgument, message))
}

/// The one way to a handle's inside: a panic poisons the mutex, which marks the handle dead.
pub(crate) fn guarded<S, T>(
    py: Python<'_>,
    state: &Mutex<S>,
    call: impl FnOnce(&mut S) -> T,
) -> PyResult<T> {
    let outcome =
        catch_unwind(AssertUnwindSafe(|| state.lock().map(|mut state| call(&mut state)).ok()));
    outcome.ok().flatten().ok_or_else(|| {
        let message = "a bug in comity: this handle is dead; please report it";
        raised(py, &Error::new(ErrorCode::Internal, message))
    })
}
