//! The counter without a server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use comity::counter::Overflow;
use comity::crdt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};

use crate::amount::{self, Amount};
use crate::error::{guarded, invalid, raised};

/// How many forks there were between the first process and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// In the child of a fork: every `PNCounter` goes on as another replica.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, SeqCst);
}

struct Replica {
    counter: crdt::PNCounter,
    /// In which process it counts.
    forks: u64,
}

/// A counter without a server: replicas exchange bytes and merge them.
///
/// In any order and any number of times. Every instance is a replica of its own, what comes of
/// pickling or copying one too: it knows all that the other does. Thread-safe; in
/// the child of a fork it goes on as another replica.
#[pyclass(frozen, weakref, module = "comity._core")]
pub(crate) struct PNCounter(Mutex<Replica>);

#[pymethods]
impl PNCounter {
    #[new]
    #[pyo3(signature = (*, replica=None))]
    fn new(py: Python<'_>, replica: Option<&[u8]>) -> PyResult<Self> {
        let id = match replica {
            None => random(py)?,
            Some(bytes) => u128::from_be_bytes(bytes.try_into().map_err(|_| {
                invalid(py, format!("replica must be 16 bytes, not {}", bytes.len()))
            })?),
        };
        let counter = crdt::PNCounter::new(id);
        Ok(Self(Mutex::new(Replica { counter, forks: FORKS.load(SeqCst) })))
    }

    /// Counts `n`, up or down. Raises `CounterOverflow` beyond 2**64 - 1 increments or
    /// decrements of this replica, `InvalidArgument`; nothing is counted then.
    #[pyo3(signature = (n=Amount::ONE, /), text_signature = "($self, n=1, /)")]
    fn add(&self, py: Python<'_>, n: Amount) -> PyResult<()> {
        self.count(py, n)
    }

    /// Counts all of them or, where one is refused, none. Raises as `add` does.
    #[pyo3(signature = (amounts, /))]
    fn add_many(&self, py: Python<'_>, amounts: &Bound<'_, PyAny>) -> PyResult<()> {
        self.count(py, amount::sums(amounts)?)
    }

    /// The sum of all replicas known here.
    fn value(&self, py: Python<'_>) -> PyResult<i128> {
        self.with(py, |counter| counter.value())
    }

    /// Takes in another replica's snapshot. Raises `Corrupt`, and `LimitExceeded` beyond 65,536
    /// replicas; nothing is changed then.
    #[pyo3(signature = (state, /))]
    fn merge(&self, py: Python<'_>, state: &[u8]) -> PyResult<()> {
        self.with(py, |counter| counter.merge(state))?.map_err(|error| raised(py, &error))
    }

    /// All that is known here: the same bytes for the same counts, in every language.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.with(py, crdt::PNCounter::to_bytes)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A new replica that knows all that a snapshot says. Raises `Corrupt`.
    #[staticmethod]
    #[pyo3(signature = (state, /))]
    fn restore(py: Python<'_>, state: &[u8]) -> PyResult<Self> {
        let restored = Self::new(py, None)?;
        restored.merge(py, state)?;
        Ok(restored)
    }

    /// The id of this replica.
    #[getter]
    fn replica<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let id = self.with(py, |counter| counter.replica())?;
        Ok(PyBytes::new(py, &id.to_be_bytes()))
    }

    /// The increments and decrements of each replica.
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let slots: Vec<_> = self.with(py, |counter| counter.slots().iter().collect())?;
        let dict = PyDict::new(py);
        for (id, tally) in slots {
            dict.set_item(PyBytes::new(py, &id.to_be_bytes()), (tally.p, tally.n))?;
        }
        Ok(dict)
    }

    /// For `pickle` and `copy`: another replica that knows the same. No two count as one.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyType>, (), Bound<'py, PyBytes>)> {
        Ok((py.get_type::<Self>(), (), self.snapshot(py)?))
    }

    fn __setstate__(&self, py: Python<'_>, state: &[u8]) -> PyResult<()> {
        self.merge(py, state)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (value, replicas) =
            self.with(py, |counter| (counter.value(), counter.slots().len()))?;
        Ok(format!("<comity.PNCounter {value}, of {replicas} replicas>"))
    }
}

impl PNCounter {
    fn count(&self, py: Python<'_>, Amount { up, down }: Amount) -> PyResult<()> {
        self.with(py, |counter| counter.count(up, down))?
            .map_err(|overflow: Overflow| raised(py, &overflow.into()))
    }

    fn with<T>(&self, py: Python<'_>, call: impl FnOnce(&mut crdt::PNCounter) -> T) -> PyResult<T> {
        let forks = FORKS.load(SeqCst);
        let id = match guarded(py, &self.0, |replica| replica.forks == forks)? {
            true => None,
            false => Some(random(py)?),
        };
        guarded(py, &self.0, |replica| {
            if let Some(id) = id.filter(|_| replica.forks != forks) {
                replica.counter.rename(id)?;
                replica.forks = forks;
            }
            Ok(call(&mut replica.counter))
        })?
        .map_err(|error: comity::error::Error| raised(py, &error))
    }
}

fn random(py: Python<'_>) -> PyResult<u128> {
    let bytes: [u8; 16] = py.import("os")?.call_method1("urandom", (16,))?.extract()?;
    Ok(u128::from_be_bytes(bytes))
}
