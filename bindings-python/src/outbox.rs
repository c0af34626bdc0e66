//! Lists of commands that are to be sent. Each change is one step, as those of `Baton`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::collector::Pause;

/// A deadline that does not come.
pub(crate) const NEVER: u64 = 1 << 63;

/// Takes those commands out of `outbox` whose deadline is over, and tells `core` that they were
/// not sent. The first deadline of the others, 2**63 if there are none. One step, as those of
/// `Baton`.
#[pyfunction]
pub(crate) fn refuse_late(
    outbox: &Bound<'_, PyList>,
    core: &Bound<'_, PyAny>,
    now: u64,
) -> PyResult<u64> {
    let _pause = Pause::new(outbox.py());
    let late = late(outbox, now)?;
    fail(core, &late, "not_sent", now)?;
    let mut first = NEVER;
    for command in outbox.iter() {
        first = first.min(numbers(&command)?.1);
    }
    Ok(first)
}

/// Takes those of `commands` that are in `outbox` out of it, and tells `core` that they were not
/// sent. One step.
#[pyfunction]
pub(crate) fn refuse(
    outbox: &Bound<'_, PyList>,
    commands: &Bound<'_, PyList>,
    core: &Bound<'_, PyAny>,
    now: u64,
) -> PyResult<()> {
    let _pause = Pause::new(outbox.py());
    let requests = take_out(outbox, |command| Ok(commands.iter().any(|one| one.is(command))))?;
    fail(core, &requests, "not_sent", now)
}

/// Moves what serves `origin` from one list to the other. How much that was. One step.
#[pyfunction]
pub(crate) fn hand_over(
    source: &Bound<'_, PyList>,
    target: &Bound<'_, PyList>,
    origin: u64,
) -> PyResult<usize> {
    let py = source.py();
    let _pause = Pause::new(py);
    let moved = PyList::empty(py);
    take_out(source, |command| {
        let serves = command.getattr(intern!(py, "origin"))?.extract::<Option<u64>>()?;
        if serves == Some(origin) {
            moved.append(command)?;
        }
        Ok(serves == Some(origin))
    })?;
    for command in moved.iter() {
        target.append(command)?;
    }
    Ok(moved.len())
}

/// Takes out of a list what `wanted` says. Their requests.
fn take_out<'py>(
    outbox: &Bound<'py, PyList>,
    mut wanted: impl FnMut(&Bound<'py, PyAny>) -> PyResult<bool>,
) -> PyResult<Vec<u64>> {
    let mut taken = Vec::new();
    let mut at = 0;
    while at < outbox.len() {
        let command = outbox.get_item(at)?;
        if wanted(&command)? {
            taken.push(numbers(&command)?.0);
            outbox.del_item(at)?;
        } else {
            at += 1;
        }
    }
    Ok(taken)
}

pub(crate) fn late(outbox: &Bound<'_, PyList>, now: u64) -> PyResult<Vec<u64>> {
    take_out(outbox, |command| Ok(numbers(command)?.1 <= now))
}

pub(crate) fn fail(
    core: &Bound<'_, PyAny>,
    requests: &[u64],
    failure: &str,
    now: u64,
) -> PyResult<()> {
    requests.iter().try_for_each(|request| {
        let arguments = (*request, failure, now);
        core.call_method1(intern!(core.py(), "handle_failure"), arguments).map(drop)
    })
}

/// A command's request and deadline.
pub(crate) fn numbers(command: &Bound<'_, PyAny>) -> PyResult<(u64, u64)> {
    let py = command.py();
    let request = command.getattr(intern!(py, "request"))?.extract()?;
    let deadline = command.getattr(intern!(py, "deadline"))?.extract()?;
    Ok((request, deadline))
}
