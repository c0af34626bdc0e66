//! The border of the core.

use std::sync::Mutex;

use comity::coordinator::{self, Config};
use comity::lock::{Fence, LockId, LockOptions};
use comity::redis::{Failure, NodeChange, NodeId, RequestId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::command::Command;
use crate::convert;
use crate::error::{guarded, invalid, raised};
use crate::event::Event;
use crate::ring::Ring;

/// See `_core.pyi`.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Coordinator(Mutex<coordinator::Coordinator>);

const fn at(now: u64) -> Time {
    Time::from_micros(now)
}

impl Coordinator {
    fn input(
        &self,
        py: Python<'_>,
        input: impl FnOnce(&mut coordinator::Coordinator),
    ) -> PyResult<()> {
        guarded(py, &self.0, input)
    }

    fn verb<T>(
        &self,
        py: Python<'_>,
        verb: impl FnOnce(&mut coordinator::Coordinator) -> comity::error::Result<T>,
    ) -> PyResult<T> {
        guarded(py, &self.0, verb)?.map_err(|error| raised(py, &error))
    }
}

#[pymethods]
impl Coordinator {
    #[new]
    #[pyo3(signature = (nodes, *, entropy, now, prefix=b"comity:".as_slice(), timeout_us=5_000_000, push=true))]
    fn new(
        py: Python<'_>,
        nodes: &Bound<'_, PyAny>,
        entropy: &[u8],
        now: u64,
        prefix: &[u8],
        timeout_us: u64,
        push: bool,
    ) -> PyResult<Self> {
        let seed: [u8; 32] = entropy
            .try_into()
            .map_err(|_| invalid(py, format!("entropy: {} bytes, not 32", entropy.len())))?;
        let mut specs = Vec::new();
        for item in nodes.try_iter()? {
            let (id, weight): (Bound<'_, PyBytes>, u32) = item?.extract()?;
            specs.push(NodeSpec::new(id.as_bytes(), weight));
        }
        let timeout = Span::from_micros(timeout_us);
        let config = Config { nodes: specs, prefix: prefix.to_vec(), timeout, push };
        coordinator::Coordinator::new(config, seed, at(now))
            .map(|core| Self(Mutex::new(core)))
            .map_err(|error| raised(py, &error))
    }

    #[pyo3(signature = (name, now, *, ttl_us=30_000_000, wait_us=None, renew=true, max_hold_us=None, label=b"".as_slice()))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn lock_acquire(
        &self,
        py: Python<'_>,
        name: &[u8],
        now: u64,
        ttl_us: u64,
        wait_us: Option<u64>,
        renew: bool,
        max_hold_us: Option<u64>,
        label: &[u8],
    ) -> PyResult<u64> {
        let options = LockOptions {
            ttl: Span::from_micros(ttl_us),
            wait: wait_us.map(Span::from_micros),
            renew,
            max_hold: max_hold_us.map(Span::from_micros),
            label: label.to_vec(),
        };
        Ok(self.verb(py, |core| core.lock_acquire(name, options, at(now)))?.0)
    }

    fn lock_release(&self, py: Python<'_>, lock: u64, now: u64) -> PyResult<()> {
        self.verb(py, |core| core.lock_release(LockId(lock), at(now)))
    }

    fn lock_cancel(&self, py: Python<'_>, lock: u64, now: u64) -> PyResult<()> {
        self.input(py, |core| core.lock_cancel(LockId(lock), at(now)))
    }

    #[pyo3(signature = (lock, now, *, ttl_us=None))]
    fn lock_renew(&self, py: Python<'_>, lock: u64, now: u64, ttl_us: Option<u64>) -> PyResult<()> {
        let ttl = ttl_us.map(Span::from_micros);
        self.verb(py, |core| core.lock_renew(LockId(lock), ttl, at(now)))
    }

    fn lock_inspect(&self, py: Python<'_>, name: &[u8], now: u64) -> PyResult<u64> {
        Ok(self.verb(py, |core| core.lock_inspect(name, at(now)))?.0)
    }

    fn fence_check(&self, py: Python<'_>, resource: &[u8], fence: u64, now: u64) -> PyResult<u64> {
        Ok(self.verb(py, |core| core.fence_check(resource, Fence(fence), at(now)))?.0)
    }

    fn check_nodes(&self, py: Python<'_>, now: u64) -> PyResult<Vec<u64>> {
        let calls = self.verb(py, |core| core.check_nodes(at(now)))?;
        Ok(calls.into_iter().map(|call| call.0).collect())
    }

    fn lock_is_held(&self, py: Python<'_>, lock: u64, now: u64) -> PyResult<bool> {
        guarded(py, &self.0, |core| core.lock_is_held(LockId(lock), at(now)))
    }

    fn lock_valid_until(&self, py: Python<'_>, lock: u64) -> PyResult<Option<u64>> {
        let until = guarded(py, &self.0, |core| core.lock_valid_until(LockId(lock)))?;
        Ok(until.map(Time::as_micros))
    }

    fn handle_reply(&self, request: u64, reply: &Bound<'_, PyAny>, now: u64) -> PyResult<()> {
        let converted = convert::reply(reply)?;
        self.input(reply.py(), |core| core.handle_reply(RequestId(request), &converted, at(now)))
    }

    fn handle_failure(
        &self,
        py: Python<'_>,
        request: u64,
        failure: &str,
        now: u64,
    ) -> PyResult<()> {
        let failure = match failure {
            "not_sent" => Failure::NotSent,
            "outcome_unknown" => Failure::OutcomeUnknown,
            other => {
                let message = format!("failure: {other:?} is not 'not_sent' or 'outcome_unknown'");
                return Err(invalid(py, message));
            }
        };
        self.input(py, |core| core.handle_failure(RequestId(request), failure, at(now)))
    }

    fn handle_node(&self, py: Python<'_>, node: u32, change: &str, now: u64) -> PyResult<()> {
        let change = match change {
            "connected" => NodeChange::Connected,
            "lost" => NodeChange::Lost,
            "push_ready" => NodeChange::PushReady,
            "push_lost" => NodeChange::PushLost,
            other => {
                let known = "'connected', 'lost', 'push_ready' or 'push_lost'";
                return Err(invalid(py, format!("change: {other:?} is not {known}")));
            }
        };
        self.input(py, |core| core.handle_node(NodeId(node), change, at(now)))
    }

    fn handle_message(
        &self,
        py: Python<'_>,
        node: u32,
        channel: &[u8],
        payload: &[u8],
        now: u64,
    ) -> PyResult<()> {
        self.input(py, |core| core.handle_message(NodeId(node), channel, payload, at(now)))
    }

    fn handle_clock_gap(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        self.input(py, |core| core.handle_clock_gap(at(now)))
    }

    fn handle_timeout(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        self.input(py, |core| core.handle_timeout(at(now)))
    }

    fn poll_command(&self, py: Python<'_>) -> PyResult<Option<Command>> {
        let command = guarded(py, &self.0, coordinator::Coordinator::poll_command)?;
        Ok(command.map(Command::from))
    }

    fn poll_command_for(&self, py: Python<'_>, node: u32) -> PyResult<Option<Command>> {
        let command = guarded(py, &self.0, |core| core.poll_command_for(NodeId(node)))?;
        Ok(command.map(Command::from))
    }

    fn poll_event(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        let event = guarded(py, &self.0, coordinator::Coordinator::poll_event)?;
        event.map(|event| Event::convert(py, &event)).transpose()
    }

    fn next_deadline(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let deadline = guarded(py, &self.0, |core| core.next_deadline())?;
        Ok(deadline.map(Time::as_micros))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = guarded(py, &self.0, |core| core.stats())?;
        let counters = PyDict::new(py);
        for (name, count) in stats.fields() {
            counters.set_item(name, count)?;
        }
        Ok(counters)
    }

    fn close(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        self.input(py, |core| core.close(at(now)))
    }

    #[getter]
    fn ring(&self, py: Python<'_>) -> PyResult<Ring> {
        guarded(py, &self.0, |core| Ring(core.ring().clone()))
    }

    fn node_id<'py>(&self, py: Python<'py>, node: u32) -> PyResult<Bound<'py, PyBytes>> {
        let id = guarded(py, &self.0, |core| core.node_id(NodeId(node)).map(<[u8]>::to_vec))?;
        let id = id.ok_or_else(|| invalid(py, format!("node: there is no node {node}")))?;
        Ok(PyBytes::new(py, &id))
    }

    fn inbox<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let inbox = guarded(py, &self.0, |core| core.inbox().to_vec())?;
        Ok(PyBytes::new(py, &inbox))
    }
}
