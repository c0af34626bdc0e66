//! Events as objects with the attributes of their kind.

use comity::counter::CounterId;
use comity::error::Error;
use comity::event::{self, CallId, TransactionOutcome};
use comity::lock::{Fence, Inspection, LockId};
use comity::redis::{NodeId, Reply};
use comity::transaction::Handle;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::convert;
use crate::counter;
use crate::error::exception;

/// Something happened. Attributes that do not apply to the kind are None; whatever has `lock` or
/// `counter` has its `name`.
///
/// `lock_queued`: lock, rank, holder. `lock_granted`: lock, fence, valid_until. `lock_renewed`:
/// lock, valid_until, accepted (whether it is what the last `lock_renew` asked for);
/// `lock_not_renewed`: lock, error (`lock_renew` has failed). `lock_lost` (terminal): lock, error.
/// `lock_released` (terminal): lock.
/// `lock_failed` (terminal): lock, error, holder. `lock_inspected` (terminal): call, inspection.
/// `fence_checked` (terminal): call, accepted, fence (the highest seen). `node_checked`
/// (terminal): call, node, server_version, eviction_policy. `counter_flushed` (terminal): call,
/// counter. `counter_read` (terminal): call, counter, value. `counter_reset` (terminal): call,
/// counter, epoch. `counter_audited` (terminal): call, counter, audit. `counter_journal`: counter,
/// bytes; say `counter_journaled` when they are written down. `counter_lost`: counter, units,
/// error. `counter_regressed`: counter, node. `counter_refused`: counter, error. `counter_closed`
/// (terminal): counter, node, units (that are not acknowledged). `transaction_committed`
/// (terminal): transaction, id, replies (None where they are gone), applied, replicas; ahead of it
/// one `transaction_not_durable` for each node of which too few replicas are known to have it:
/// transaction, id, node, replicas, error. `transaction_failed` (terminal):
/// transaction, id, error. `transaction_unknown` (terminal): transaction, id, error; later
/// `transaction_ended`: id, outcome. `transaction_damaged`: id, node. `transaction_status`,
/// `transaction_resolved` (terminal): call, id, outcome. `transaction_swept` (terminal): call,
/// units, unreadable. `call_failed` (terminal): call, node,
/// error. `node_down`: node, error, waiting; `node_up`: node, outage.
/// `push_unavailable`: node, error; waiters fall back to polling. `push_ready`: node.
/// `closed`: everything that `close` began is done.
#[pyclass(frozen, get_all, module = "comity._core")]
#[derive(Default)]
pub(crate) struct Event {
    /// What happened.
    kind: &'static str,
    /// The lock it is about.
    lock: Option<u64>,
    /// The call it answers.
    call: Option<u64>,
    /// The counter it is about.
    counter: Option<u64>,
    /// The transaction it is about.
    transaction: Option<u64>,
    /// The number of the node it is about.
    node: Option<u32>,
    /// The name of the lock or counter it is about.
    name: Option<Py<PyBytes>>,
    /// How many wait ahead.
    rank: Option<u64>,
    /// A fencing token.
    fence: Option<u64>,
    /// When the lease ends.
    valid_until: Option<u64>,
    /// Whether a fence was accepted; whether a renewal is the one that was asked for.
    accepted: Option<bool>,
    /// The label of who holds the lock.
    holder: Option<Py<PyBytes>>,
    /// The version of a server.
    server_version: Option<String>,
    /// The eviction policy of a server.
    eviction_policy: Option<String>,
    /// A lock as its server sees it: `now` (us), `capacity`, `holders` (`id`, `label`,
    /// `fence`, `remaining` us), `waiters` (`id`, `label`), `holders_total`, `waiters_total`.
    inspection: Option<Py<PyDict>>,
    /// A counter's value: `value`, `staleness` (us or None), `token`, `epoch`, `pending`,
    /// `oldest_pending` (us or None).
    value: Option<Py<PyDict>>,
    /// What an audit found: `live`, `retired`, `pruned`, `compared`, `corrected`.
    audit: Option<Py<PyDict>>,
    /// How many resets there were.
    epoch: Option<u64>,
    /// So many, of a counter.
    units: Option<u64>,
    /// A journal.
    bytes: Option<Py<PyBytes>>,
    /// The id of a transaction, for `transaction_status` and `transaction_resolve`.
    id: Option<Py<PyBytes>>,
    /// One for each command of a transaction.
    replies: Option<Py<PyAny>>,
    /// Whether plain readers see all of a transaction by now.
    applied: Option<bool>,
    /// So many replicas of each server, or of the node, are known to have a transaction.
    replicas: Option<u32>,
    /// How many wait in line for a lock of a server that does not answer.
    waiting: Option<u64>,
    /// How long a server did not answer, in microseconds.
    outage: Option<u64>,
    /// So many records of transactions can be read by nobody, and a sweep has left them.
    unreadable: Option<u64>,
    /// What is known of a transaction.
    outcome: Option<&'static str>,
    /// Why it failed, as the exception of `comity.errors` for its code.
    error: Option<Py<PyAny>>,
}

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
        let number = self.subject().or(self.node.map(u64::from));
        number.map_or_else(
            || format!("Event({})", self.kind),
            |n| format!("Event({} {n})", self.kind),
        )
    }
}

impl Event {
    fn new(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    fn of_lock(py: Python<'_>, kind: &'static str, LockId(lock): LockId, name: &[u8]) -> Self {
        let name = Some(PyBytes::new(py, name).unbind());
        Self { kind, lock: Some(lock), name, ..Self::default() }
    }

    fn of_call(kind: &'static str, CallId(call): CallId) -> Self {
        Self { kind, call: Some(call), ..Self::default() }
    }

    fn of_counter(
        py: Python<'_>,
        kind: &'static str,
        CounterId(counter): CounterId,
        name: &[u8],
    ) -> Self {
        let name = Some(PyBytes::new(py, name).unbind());
        Self { kind, counter: Some(counter), name, ..Self::default() }
    }

    fn of_transaction(
        py: Python<'_>,
        kind: &'static str,
        Handle(transaction): Handle,
        id: &[u8],
    ) -> Self {
        let id = (!id.is_empty()).then(|| PyBytes::new(py, id).unbind());
        Self { kind, transaction: Some(transaction), id, ..Self::default() }
    }

    fn answering(mut self, CallId(call): CallId) -> Self {
        self.call = Some(call);
        self
    }

    fn with_error(mut self, py: Python<'_>, error: &Error) -> PyResult<Self> {
        self.error = Some(exception(py, error)?);
        self.node = error.node().map(|NodeId(node)| node).or(self.node);
        Ok(self)
    }

    fn with_node(mut self, NodeId(node): NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// The event of the core as Python sees it.
    pub(crate) fn convert(py: Python<'_>, event: &event::Event) -> PyResult<Self> {
        use event::Event as E;
        let label = |label: &[u8]| Some(PyBytes::new(py, label).unbind());
        Ok(match event {
            E::LockQueued { lock, name, rank, holder } => Self {
                rank: Some(*rank),
                holder: label(holder),
                ..Self::of_lock(py, "lock_queued", *lock, name)
            },
            E::LockGranted { lock, name, fence: Fence(fence), valid_until } => Self {
                fence: Some(*fence),
                valid_until: Some(valid_until.as_micros()),
                ..Self::of_lock(py, "lock_granted", *lock, name)
            },
            E::LockRenewed { lock, name, valid_until, asked } => Self {
                valid_until: Some(valid_until.as_micros()),
                accepted: Some(*asked),
                ..Self::of_lock(py, "lock_renewed", *lock, name)
            },
            E::LockLost { lock, name, error } => {
                Self::of_lock(py, "lock_lost", *lock, name).with_error(py, error)?
            }
            E::LockNotRenewed { lock, name, error } => {
                Self::of_lock(py, "lock_not_renewed", *lock, name).with_error(py, error)?
            }
            E::LockReleased { lock, name } => Self::of_lock(py, "lock_released", *lock, name),
            E::LockFailed { lock, name, error, holder } => Self {
                holder: holder.as_deref().and_then(label),
                ..Self::of_lock(py, "lock_failed", *lock, name).with_error(py, error)?
            },
            E::LockInspected { call, inspection } => Self {
                inspection: Some(inspected(py, inspection)?),
                ..Self::of_call("lock_inspected", *call)
            },
            E::FenceChecked { call, accepted, highest: Fence(highest) } => Self {
                accepted: Some(*accepted),
                fence: Some(*highest),
                ..Self::of_call("fence_checked", *call)
            },
            E::CounterFlushed { call, counter, name } => {
                Self::of_counter(py, "counter_flushed", *counter, name).answering(*call)
            }
            E::CounterRead { call, counter, name, value } => Self {
                value: Some(counter::value(py, *value)?.unbind()),
                ..Self::of_counter(py, "counter_read", *counter, name).answering(*call)
            },
            E::CounterReset { call, counter, name, epoch } => Self {
                epoch: Some(*epoch),
                ..Self::of_counter(py, "counter_reset", *counter, name).answering(*call)
            },
            E::CounterAudited { call, counter, name, audit } => Self {
                audit: Some(counter::audit(py, *audit)?.unbind()),
                ..Self::of_counter(py, "counter_audited", *counter, name).answering(*call)
            },
            E::CounterJournal { counter, name, bytes } => Self {
                bytes: Some(PyBytes::new(py, bytes).unbind()),
                ..Self::of_counter(py, "counter_journal", *counter, name)
            },
            E::CounterLost { counter, name, lost, error } => Self {
                units: Some(lost.units()),
                ..Self::of_counter(py, "counter_lost", *counter, name).with_error(py, error)?
            },
            E::CounterRegressed { counter, name, node } => {
                Self::of_counter(py, "counter_regressed", *counter, name).with_node(*node)
            }
            E::CounterRefused { counter, name, error } => {
                Self::of_counter(py, "counter_refused", *counter, name).with_error(py, error)?
            }
            E::CounterClosed { counter, name, node, unacknowledged } => Self {
                units: Some(unacknowledged.units()),
                ..Self::of_counter(py, "counter_closed", *counter, name).with_node(*node)
            },
            E::TransactionCommitted { transaction, id, replies, applied, replicas } => Self {
                replies: replies.as_deref().map(|replies| every(py, replies)).transpose()?,
                applied: Some(*applied),
                replicas: *replicas,
                ..Self::of_transaction(py, "transaction_committed", *transaction, id)
            },
            E::TransactionNotDurable { transaction, id, node, replicas, error } => Self {
                replicas: Some(*replicas),
                ..Self::of_transaction(py, "transaction_not_durable", *transaction, id)
                    .with_node(*node)
                    .with_error(py, error)?
            },
            E::TransactionFailed { transaction, id, error } => {
                Self::of_transaction(py, "transaction_failed", *transaction, id)
                    .with_error(py, error)?
            }
            E::TransactionUnknown { transaction, id, error } => {
                Self::of_transaction(py, "transaction_unknown", *transaction, id)
                    .with_error(py, error)?
            }
            E::TransactionEnded { id, outcome } => Self {
                id: label(id),
                outcome: Some(called(*outcome)),
                ..Self::new("transaction_ended")
            },
            E::TransactionDamaged { id, node } => {
                Self { id: label(id), ..Self::new("transaction_damaged") }.with_node(*node)
            }
            E::TransactionStatus { call, id, outcome } => Self {
                id: label(id),
                outcome: Some(called(*outcome)),
                ..Self::of_call("transaction_status", *call)
            },
            E::TransactionResolved { call, id, outcome } => Self {
                id: label(id),
                outcome: Some(called(*outcome)),
                ..Self::of_call("transaction_resolved", *call)
            },
            E::TransactionSwept { call, count, unreadable } => Self {
                units: Some(*count),
                unreadable: Some(*unreadable),
                ..Self::of_call("transaction_swept", *call)
            },
            E::NodeChecked { call, node, version, eviction_policy } => Self {
                server_version: Some(version.clone()),
                eviction_policy: Some(eviction_policy.clone()),
                ..Self::of_call("node_checked", *call).with_node(*node)
            },
            E::CallFailed { call, node, error } => {
                Self::of_call("call_failed", *call).with_node(*node).with_error(py, error)?
            }
            E::NodeDown { node, error, waiting } => {
                Self { waiting: Some(*waiting), ..Self::new("node_down") }
                    .with_node(*node)
                    .with_error(py, error)?
            }
            E::NodeUp { node, outage } => {
                Self { outage: Some(outage.as_micros()), ..Self::new("node_up") }.with_node(*node)
            }
            E::PushReady { node } => Self::new("push_ready").with_node(*node),
            E::PushUnavailable { node, error } => {
                Self::new("push_unavailable").with_node(*node).with_error(py, error)?
            }
            E::Closed => Self::new("closed"),
            _ => Self::new("unknown"),
        })
    }
}

fn every(py: Python<'_>, replies: &[Reply]) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for reply in replies {
        list.append(convert::value(py, reply)?)?;
    }
    Ok(list.into_any().unbind())
}

const fn called(outcome: TransactionOutcome) -> &'static str {
    match outcome {
        TransactionOutcome::Committed => "committed",
        TransactionOutcome::Aborted => "aborted",
        TransactionOutcome::Pending => "pending",
        TransactionOutcome::Unheard => "unheard",
        _ => "forgotten",
    }
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
