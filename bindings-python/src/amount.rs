//! What is counted: Python's integers of any size as two numbers, up and down.

use comity::counter::Overflow;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::error::{invalid, raised};

/// One amount. Raises `InvalidArgument`, or `CounterOverflow` beyond 2^64 - 1 either way.
#[inline]
pub(crate) fn one(n: &Bound<'_, PyAny>) -> PyResult<(u64, u64)> {
    match n.extract::<i64>() {
        Ok(amount) if amount >= 0 => Ok((amount.unsigned_abs(), 0)),
        Ok(amount) => Ok((0, amount.unsigned_abs())),
        Err(error) => wide(n, &error),
    }
}

#[cold]
fn wide(n: &Bound<'_, PyAny>, error: &PyErr) -> PyResult<(u64, u64)> {
    let py = n.py();
    if error.is_instance_of::<PyTypeError>(py) {
        return Err(invalid(py, format!("n must be an int, not {}", n.get_type().name()?)));
    }
    let amount = n.extract::<i128>().map_err(|_| overflow(py))?;
    let by = u64::try_from(amount.unsigned_abs()).map_err(|_| overflow(py))?;
    Ok(if amount >= 0 { (by, 0) } else { (0, by) })
}

/// All of them: what they count up, and what they count down. Raises as `one` does.
pub(crate) fn sums(amounts: &Bound<'_, PyAny>) -> PyResult<(u64, u64)> {
    let py = amounts.py();
    let not_ints = |_| invalid(py, "amounts must be an iterable of int");
    let (mut up, mut down) = (0_u64, 0_u64);
    for n in amounts.try_iter().map_err(not_ints)? {
        let (more, less) = one(&n?)?;
        up = up.checked_add(more).ok_or_else(|| overflow(py))?;
        down = down.checked_add(less).ok_or_else(|| overflow(py))?;
    }
    Ok((up, down))
}

fn overflow(py: Python<'_>) -> PyErr {
    raised(py, &Overflow.into())
}
