//! Lists of commands that are to be sent. Each change is one step, as those of `Baton`.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::collector::Pause;
use crate::command::Command;
use crate::sink::Sink;

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
    Sink::of(core).not_sent(outbox.py(), &late, now)?;
    let deadlines = commands(outbox)?.into_iter().map(|command| command.get().deadline());
    Ok(deadlines.min().unwrap_or(NEVER))
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
    Sink::of(core).not_sent(outbox.py(), &requests, now)
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
        let serves = command.get().origin() == Some(origin);
        if serves {
            moved.append(command)?;
        }
        Ok(serves)
    })?;
    for command in moved.iter() {
        target.append(command)?;
    }
    Ok(moved.len())
}

/// What is in a list.
pub(crate) fn commands<'py>(outbox: &Bound<'py, PyList>) -> PyResult<Vec<Bound<'py, Command>>> {
    outbox.iter().map(|command| Ok(command.cast_into::<Command>()?)).collect()
}

/// Takes out of a list what `wanted` says. Their requests.
fn take_out<'py>(
    outbox: &Bound<'py, PyList>,
    mut wanted: impl FnMut(&Bound<'py, Command>) -> PyResult<bool>,
) -> PyResult<Vec<u64>> {
    let mut taken = Vec::new();
    for (at, command) in commands(outbox)?.iter().enumerate() {
        if wanted(command)? {
            outbox.del_item(at - taken.len())?;
            taken.push(command.get().request());
        }
    }
    Ok(taken)
}

pub(crate) fn late(outbox: &Bound<'_, PyList>, now: u64) -> PyResult<Vec<u64>> {
    take_out(outbox, |command| Ok(command.get().deadline() <= now))
}
