//! The counter that a program counts with.

use std::sync::Arc;

use comity::counter::{Audit, CounterOptions, CounterValue, Durability, Overflow};
use comity::error::{Error, ErrorCode};
use comity::time::Span;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::amount::{self, Amount};
use crate::cell::{Cell, Refused, State};
use crate::coordinator::Coordinator;
use crate::error::{invalid, raised};
use crate::host;

/// Counts each unit once, in Redis. Made by `comity.Coordinator.counter`.
///
/// Counting is an addition in memory and takes no lock; what is counted is flushed in the
/// background, as the counter's durability says. Thread-safe. `docs/counter.md` has the promises.
/// Every verb but `name`, `id` raises `Closed` after the close, and `InvalidState` in the child of
/// a fork, where what was counted before stays the parent's.
#[pyclass(frozen, weakref, module = "comity._core")]
pub(crate) struct Counter {
    cell: Arc<Cell>,
    core: Py<Coordinator>,
    /// Who waits for what is asked of the server: a `comity.counter.Desk`.
    desk: Py<PyAny>,
    /// In the child of a fork, the same counter opened anew.
    heir: PyOnceLock<Py<Self>>,
}

/// Has the counter that was opened in this process do it.
macro_rules! inherited {
    ($self:ident, $py:ident, $method:ident($($arg:expr),*)) => {
        if let Some(heir) = $self.heir($py)? {
            return heir.get().$method($py, $($arg),*);
        }
    };
}

#[pymethods]
impl Counter {
    /// Counts `n`, up or down, of any size. Waits for nothing.
    ///
    /// Raises `CounterOverflow` beyond 2**64 - 1 increments or decrements since the opening,
    /// `LimitExceeded` where more than `max_units` would be unacknowledged, `InvalidArgument` for
    /// what is not an int; nothing is counted then.
    #[pyo3(signature = (n=Amount::ONE, /), text_signature = "($self, n=1, /)")]
    fn add(&self, py: Python<'_>, n: Amount) -> PyResult<()> {
        self.count(py, n)
    }

    /// Counts all of them or, where one is refused, none. Raises as `add` does.
    #[pyo3(signature = (amounts, /))]
    fn add_many(&self, py: Python<'_>, amounts: &Bound<'_, PyAny>) -> PyResult<()> {
        self.count(py, amount::sums(amounts)?)
    }

    /// What it stands at as far as is known here, own counts included. Waits for nothing.
    fn value(&self, py: Python<'_>) -> PyResult<i128> {
        inherited!(self, py, value());
        self.core.get().host(py, |host| host.number(&self.cell))
    }

    /// The value and how sure it is.
    ///
    /// `"fresh"`: as of this call, by one round trip; with `at_least`, a token of an earlier read
    /// anywhere, only if what is known here is older. `"local"`: what is known here, at once.
    /// Raises `Unreachable`, `NoAnswer`, `ServerRefused`, `WrongType`.
    #[pyo3(signature = (mode="fresh", *, at_least=None))]
    fn read(
        &self,
        py: Python<'_>,
        mode: &str,
        at_least: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let token = some_whole(at_least, "at_least")?;
        if mode != "fresh" && mode != "local" {
            return Err(invalid(py, format!("mode must be 'fresh' or 'local', not {mode:?}")));
        }
        inherited!(self, py, read(mode, at_least));
        self.ask(py, intern!(py, "read"), (self.id(), mode, token))
    }

    /// Waits until all that was counted before is safe, as the durability has it.
    ///
    /// Raises as `read` does when that takes longer than the coordinator's `timeout`; what was
    /// counted is kept then, and tried again in the background.
    fn flush(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        inherited!(self, py, flush());
        self.ask(py, intern!(py, "flush"), (self.id(),))
    }

    /// Lets the value be zero, once; how many resets there were by now, this one included.
    ///
    /// What reaches the server after it counts. `epoch`: only if there were so many resets
    /// before, otherwise `InvalidState`. Raises as `read` does.
    #[pyo3(signature = (*, epoch=None))]
    fn reset(&self, py: Python<'_>, epoch: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let only = some_whole(epoch, "epoch")?;
        inherited!(self, py, reset(epoch));
        self.ask(py, intern!(py, "reset"), (self.id(), only))
    }

    /// Compares the sums with all slots and corrects them.
    ///
    /// `prune`: seconds; slots that nobody has raised for so long are retired. New ones take their
    /// places when there are no others, and until then, for seven days, their owners are still
    /// counted when they come back. Raises as `read` does, if a part of it is not answered in time.
    #[pyo3(signature = (*, prune=None))]
    fn audit(&self, py: Python<'_>, prune: Option<Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        inherited!(self, py, audit(prune));
        self.ask(py, intern!(py, "audit"), (self.id(), prune))
    }

    /// Flushes what is pending and gives the slot back.
    ///
    /// Raises `NoAnswer` if that was not acknowledged within the coordinator's `timeout`.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        inherited!(self, py, close());
        self.ask(py, intern!(py, "close"), (self.id(),))
    }

    /// What a later life has to restore to lose nothing, were this one to end now.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        inherited!(self, py, snapshot());
        self.check(py)?;
        let bytes = self.desk.call_method1(py, intern!(py, "snapshot"), (self.id(),))?;
        Ok(bytes.into_bound(py).cast_into::<PyBytes>()?)
    }

    /// Counts what the replicas of a `PNCounter` have counted, by its `snapshot`.
    ///
    /// Each unit once, however often it is merged. It shows in the value once the server has it,
    /// which `flush` waits for. Raises `Corrupt`.
    #[pyo3(signature = (state, /))]
    fn merge(&self, py: Python<'_>, state: &Bound<'_, PyBytes>) -> PyResult<()> {
        inherited!(self, py, merge(state));
        self.check(py)?;
        self.desk.call_method1(py, intern!(py, "merge"), (self.id(), state)).map(drop)
    }

    /// Takes up a snapshot of an earlier life, before anything is counted or read.
    ///
    /// Raises `Corrupt`; `InvalidState` later than that, or for a journaled counter: give
    /// `restore=` at its opening.
    #[pyo3(signature = (state, /))]
    fn restore(&self, py: Python<'_>, state: &Bound<'_, PyBytes>) -> PyResult<()> {
        inherited!(self, py, restore(state));
        self.check(py)?;
        self.desk.call_method1(py, intern!(py, "restore"), (self.id(), state)).map(drop)
    }

    /// The name it was opened with; bytes where it is not UTF-8.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match std::str::from_utf8(&self.cell.name) {
            Ok(text) => PyString::new(py, text).into_any(),
            Err(_) => PyBytes::new(py, &self.cell.name).into_any(),
        }
    }

    /// What `Event.counter` says.
    #[getter]
    fn id(&self) -> u64 {
        self.cell.id.0
    }

    #[cfg(feature = "bench")]
    #[pyo3(signature = (n=Amount::ONE, /))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "as `add` has it")]
    fn empty(&self, _py: Python<'_>, n: Amount) -> PyResult<()> {
        std::hint::black_box(n);
        Ok(())
    }

    #[cfg(feature = "bench")]
    #[allow(clippy::unused_self, reason = "as every method has it")]
    const fn nothing(&self) {}

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.name(py).repr()?;
        let state = match self.cell.state() {
            State::Open => "open",
            State::Closed => "closed",
            State::Foreign => "of the parent process",
        };
        Ok(format!("<comity.Counter {name} {state}>"))
    }
}

impl Counter {
    pub(crate) fn new(cell: Arc<Cell>, core: Py<Coordinator>, desk: Py<PyAny>) -> Self {
        Self { cell, core, desk, heir: PyOnceLock::new() }
    }

    /// Of a counter that is the parent's, the one that counts in this process: it is opened when it
    /// is first needed, and nothing is pending there.
    fn heir<'py>(&'py self, py: Python<'py>) -> PyResult<Option<&'py Py<Self>>> {
        if self.cell.state() != State::Foreign {
            return Ok(None);
        }
        let open = || {
            let opened = self.desk.call_method0(py, intern!(py, "open_anew"))?;
            Ok::<_, PyErr>(opened.into_bound(py).cast_into::<Self>()?.unbind())
        };
        self.heir.get_or_try_init(py, open).map(Some)
    }

    #[inline]
    fn count(&self, py: Python<'_>, amount: Amount) -> PyResult<()> {
        match self.cell.add(amount.up, amount.down) {
            Ok(false) => Ok(()),
            Ok(true) => self.tell(py),
            Err(refused) => self.count_after_all(py, amount, refused),
        }
    }

    /// Refused as far as was known here: the core may know of more room by now.
    #[cold]
    fn count_after_all(&self, py: Python<'_>, amount: Amount, refused: Refused) -> PyResult<()> {
        inherited!(self, py, count(amount));
        self.check(py)?;
        if matches!(refused, Refused::Overflow) {
            return Err(raised(py, &Overflow.into()));
        }
        self.tell(py)?;
        match self.cell.add(amount.up, amount.down) {
            Ok(false) => Ok(()),
            Ok(true) => self.tell(py),
            Err(_) => {
                self.check(py)?;
                let message = format!(
                    "more than {} units would be unacknowledged, which is the limit: the server \
                     does not keep up",
                    self.cell.max_units()
                );
                Err(raised(py, &Error::new(ErrorCode::LimitExceeded, message)))
            }
        }
    }

    /// Has the core told what was counted.
    #[cold]
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let told = self.desk.call_method1(py, intern!(py, "tell"), (self.id(),));
        if told.is_err() {
            // As by Ctrl-C: then the next one tells.
            self.cell.listen();
        }
        told.map(drop)
    }

    fn ask<'py>(
        &self,
        py: Python<'py>,
        verb: &Bound<'py, PyString>,
        args: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Py<PyAny>> {
        self.check(py)?;
        self.desk.call_method1(py, verb, args)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self.cell.state() {
            State::Open => Ok(()),
            state => Err(raised(py, &host::shut(state))),
        }
    }
}

/// How a counter is kept, in the words of Python.
pub(crate) fn options(
    py: Python<'_>,
    durability: &str,
    max_delay_us: u64,
    max_units: Option<u64>,
    collected: bool,
) -> PyResult<CounterOptions> {
    let max_delay = Span::from_micros(max_delay_us);
    let durability = match durability {
        "sync" => Durability::Sync,
        "batched" => Durability::Batched { max_delay, max_units: max_units.unwrap_or(u64::MAX) },
        "journaled" => Durability::Journaled { max_delay },
        other => {
            let message = format!("durability: {other:?} is not 'sync', 'batched' or 'journaled'");
            return Err(invalid(py, message));
        }
    };
    Ok(CounterOptions { durability, collected })
}

/// What a counter stands at, as a dict; times in microseconds.
pub(crate) fn value(py: Python<'_>, value: CounterValue) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("value", value.value)?;
    dict.set_item("staleness", value.staleness.map(Span::as_micros))?;
    dict.set_item("token", value.token.0)?;
    dict.set_item("epoch", value.epoch)?;
    dict.set_item("pending", value.pending.units())?;
    dict.set_item("oldest_pending", value.oldest_pending.map(Span::as_micros))?;
    Ok(dict)
}

/// What an audit found, as a dict.
pub(crate) fn audit(py: Python<'_>, audit: Audit) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("live", audit.live)?;
    dict.set_item("retired", audit.retired)?;
    dict.set_item("pruned", audit.pruned)?;
    dict.set_item("compared", audit.compared)?;
    dict.set_item("corrected", audit.corrected)?;
    Ok(dict)
}

fn some_whole(value: Option<&Bound<'_, PyAny>>, what: &str) -> PyResult<Option<u64>> {
    value.map(|value| amount::whole(value, what, u64::MAX)).transpose()
}
