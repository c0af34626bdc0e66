//! Events as objects with the attributes of their kind.

use comity::counter::{Audit, CounterValue, Tally};
use comity::error::{Error, NodeId};
use comity::event::{self, Fields, Kind, Shape, TransactionOutcome, shape};
use comity::lock::Inspection;
use comity::redis::Reply;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyList};

use crate::convert;
use crate::counter;
use crate::error::exception;

/// An event that is being converted.
struct Building<'py> {
    py: Python<'py>,
    event: Event,
    /// The node of the error, which says more than the one of the event.
    its_node: Option<u64>,
    failed: Option<PyErr>,
}

/// The attribute that a value of one shape becomes.
trait Attribute: Shape {
    type Held;

    /// None for a value that says nothing.
    fn held(to: &mut Building<'_>, value: Self::Value<'_>) -> PyResult<Option<Self::Held>>;
}

macro_rules! attributes {
    ($($shape:ident: $value:ty => $held:ty: |$to:pat_param, $from:ident| $convert:expr,)*) => {
        $(
            impl Attribute for shape::$shape {
                type Held = $held;

                fn held($to: &mut Building<'_>, $from: $value) -> PyResult<Option<$held>> {
                    Ok(Some($convert))
                }
            }
        )*
    };
}

attributes! {
    Number: u64 => u64: |_, number| number,
    Flag: bool => bool: |_, flag| flag,
    Bytes: &[u8] => Py<PyBytes>: |to, bytes| PyBytes::new(to.py, bytes).unbind(),
    Text: &str => String: |_, text| text.into(),
    Moment: u64 => u64: |_, moment| moment,
    Duration: u64 => u64: |_, span| span,
    Units: Tally => u64: |_, tally| tally.units(),
    Outcome: TransactionOutcome => &'static str: |_, outcome| outcome.name(),
    Holders: &Inspection => Py<PyDict>: |to, inspection| inspected(to.py, inspection)?,
    Reading: CounterValue => Py<PyDict>: |to, value| counter::value(to.py, value)?.unbind(),
    Findings: Audit => Py<PyDict>: |to, audit| counter::audit(to.py, audit)?.unbind(),
    Replies: &[Reply] => Py<PyAny>: |to, replies| every(to.py, replies)?,
}

impl Attribute for shape::Id {
    type Held = Py<PyBytes>;

    fn held(to: &mut Building<'_>, id: &[u8]) -> PyResult<Option<Py<PyBytes>>> {
        Ok((!id.is_empty()).then(|| PyBytes::new(to.py, id).unbind()))
    }
}

impl Attribute for shape::Failure {
    type Held = Py<PyAny>;

    fn held(to: &mut Building<'_>, error: &Error) -> PyResult<Option<Py<PyAny>>> {
        to.its_node = error.node().map(|NodeId(node)| node.into());
        exception(to.py, error).map(Some)
    }
}

macro_rules! event {
    ($($(#[$doc:meta])* $field:ident: $shape:ident,)*) => {
        #[doc = include_str!("event.txt")]
        #[pyclass(frozen, get_all, module = "comity._core")]
        #[derive(Default)]
        pub(crate) struct Event {
            /// What happened.
            kind: &'static str,
            $($(#[$doc])* $field: Option<<shape::$shape as Attribute>::Held>,)*
        }

        impl Fields for Building<'_> {
            $(
                fn $field(&mut self, value: <shape::$shape as Shape>::Value<'_>) {
                    match shape::$shape::held(self, value) {
                        Ok(held) => self.event.$field = held,
                        Err(error) => self.failed = Some(error),
                    }
                }
            )*
        }
    };
}

comity::event_fields!(event);

#[pymethods]
impl Event {
    /// For the collector: an error has the frames that it has passed, and these have the event.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.error)
    }

    /// The first of lock, call, counter and transaction that is not None.
    #[getter]
    fn subject(&self) -> Option<u64> {
        self.lock.or(self.call).or(self.counter).or(self.transaction)
    }

    fn __repr__(&self) -> String {
        self.subject().or(self.node).map_or_else(
            || format!("Event({})", self.kind),
            |number| format!("Event({} {number})", self.kind),
        )
    }
}

impl Event {
    /// The event of the core as Python sees it.
    pub(crate) fn convert(py: Python<'_>, event: &event::Event) -> PyResult<Self> {
        let kind = event.kind().name;
        let started = Self { kind, ..Self::default() };
        let mut building = Building { py, event: started, its_node: None, failed: None };
        event.show(&mut building);
        let Building { event, its_node, failed, .. } = building;
        match failed {
            None => Ok(Self { node: its_node.or(event.node), ..event }),
            Some(error) => Err(error),
        }
    }

    /// The kinds that are the last of their lock, call, counter or transaction.
    pub(crate) fn last(py: Python<'_>) -> PyResult<Bound<'_, PyFrozenSet>> {
        let last = Kind::ALL.iter().filter(|kind| kind.is_last);
        PyFrozenSet::new(py, last.map(|kind| kind.name))
    }
}

fn every(py: Python<'_>, replies: &[Reply]) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for reply in replies {
        list.append(convert::value(py, reply)?)?;
    }
    Ok(list.into_any().unbind())
}

fn inspected(py: Python<'_>, inspection: &Inspection) -> PyResult<Py<PyDict>> {
    let holders = PyList::empty(py);
    for holder in &inspection.holders {
        let item = PyDict::new(py);
        item.set_item("id", PyBytes::new(py, holder.id.as_bytes()))?;
        item.set_item("label", PyBytes::new(py, &holder.label))?;
        item.set_item("fence", holder.fence.0)?;
        item.set_item("remaining", holder.expiry_us.saturating_sub(inspection.now_us))?;
        holders.append(item)?;
    }
    let waiters = PyList::empty(py);
    for waiter in &inspection.waiters {
        let item = PyDict::new(py);
        item.set_item("id", PyBytes::new(py, waiter.id.as_bytes()))?;
        item.set_item("label", PyBytes::new(py, &waiter.label))?;
        waiters.append(item)?;
    }
    let all = PyDict::new(py);
    all.set_item("now", inspection.now_us)?;
    all.set_item("capacity", inspection.capacity)?;
    all.set_item("holders", holders)?;
    all.set_item("waiters", waiters)?;
    all.set_item("holders_total", inspection.holders_total)?;
    all.set_item("waiters_total", inspection.waiters_total)?;
    Ok(all.unbind())
}
