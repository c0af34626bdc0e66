//! Amounts that are counted: Python's integers of any size.

use comity::counter::Overflow;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::error::{invalid, raised};

/// One of them: so much up, or so much down. Extracting it raises `InvalidArgument` for what is not
/// an int, and `CounterOverflow` beyond 2^64 - 1 either way.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

impl Amount {
    pub(crate) const ONE: Self = Self { up: 1, down: 0 };
}

impl<'py> FromPyObject<'_, 'py> for Amount {
    type Error = PyErr;

    #[inline]
    fn extract(n: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match n.extract::<i64>() {
            Ok(amount) if amount >= 0 => Ok(Self { up: amount.unsigned_abs(), down: 0 }),
            Ok(amount) => Ok(Self { up: 0, down: amount.unsigned_abs() }),
            Err(error) => wide(n, &error),
        }
    }
}

#[cold]
fn wide(n: Borrowed<'_, '_, PyAny>, error: &PyErr) -> PyResult<Amount> {
    let py = n.py();
    if error.is_instance_of::<PyTypeError>(py) {
        return Err(invalid(py, format!("n must be an int, not {}", n.get_type().name()?)));
    }
    let amount = n.extract::<i128>().map_err(|_| overflow(py))?;
    let by = u64::try_from(amount.unsigned_abs()).map_err(|_| overflow(py))?;
    Ok(if amount >= 0 { Amount { up: by, down: 0 } } else { Amount { up: 0, down: by } })
}

/// All of an iterable: what they count up, and what they count down.
pub(crate) fn sums(amounts: &Bound<'_, PyAny>) -> PyResult<Amount> {
    let py = amounts.py();
    let not_ints = |_| invalid(py, "amounts must be an iterable of int");
    let (mut up, mut down) = (0_u64, 0_u64);
    for n in amounts.try_iter().map_err(not_ints)? {
        let one: Amount = n?.extract()?;
        up = up.checked_add(one.up).ok_or_else(|| overflow(py))?;
        down = down.checked_add(one.down).ok_or_else(|| overflow(py))?;
    }
    Ok(Amount { up, down })
}

fn overflow(py: Python<'_>) -> PyErr {
    raised(py, &Overflow.into())
}

/// A number from 0 to `most`. Raises `InvalidArgument`.
pub(crate) fn whole<T: TryFrom<u64>>(
    value: &Bound<'_, PyAny>,
    what: &str,
    most: u64,
) -> PyResult<T> {
    let number = value.extract::<u64>().ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| {
        // Python writes no number of very many digits.
        let shown = value.repr().map_or_else(|_| "a huge number".into(), |text| text.to_string());
        let shown: String = shown.chars().take(80).collect();
        invalid(value.py(), format!("{what}: {shown} is not an integer from 0 to {most}"))
    })
}
