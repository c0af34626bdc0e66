//! The border of the core.

use std::iter;
use std::sync::Mutex;

use comity::coordinator::{self, Config};
use comity::counter::{CounterId, Freshness, Token};
use comity::event::CallId;
use comity::lock::{Fence, LockId, LockOptions};
use comity::redis::{Failure, NodeChange, NodeId, RequestId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{Handle, SweepOptions};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::collector::Pause;
use crate::command::Command;
use crate::convert;
use crate::counter::{self, Counter};
use crate::error::{guarded, invalid, raised};
use crate::event::Event;
use crate::host::Host;
use crate::outbox::NEVER;
use crate::ring::Ring;
use crate::transaction;

/// The facade of the core. Thread-safe; every call is legal at any time; no call blocks.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Coordinator(Mutex<Host>);

pub(crate) const fn at(now: u64) -> Time {
    Time::from_micros(now)
}

impl Coordinator {
    /// What the core is told. It is asked afterwards what it wants to be told of the counters.
    pub(crate) fn input<T>(
        &self,
        py: Python<'_>,
        now: u64,
        input: impl FnOnce(&mut coordinator::Coordinator) -> T,
    ) -> PyResult<T> {
        guarded(py, &self.0, |host| host.call(at(now), input))
    }

    pub(crate) fn verb<T>(
        &self,
        py: Python<'_>,
        now: u64,
        verb: impl FnOnce(&mut coordinator::Coordinator) -> comity::error::Result<T>,
    ) -> PyResult<T> {
        self.input(py, now, verb)?.map_err(|error| raised(py, &error))
    }

    /// What is asked of the core and changes nothing.
    fn look<T>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&mut coordinator::Coordinator) -> T,
    ) -> PyResult<T> {
        guarded(py, &self.0, |host| look(&mut host.core))
    }

    /// A verb that is answered by an event.
    fn counter_call(
        &self,
        py: Python<'_>,
        counter: u64,
        now: u64,
        verb: impl FnOnce(&mut coordinator::Coordinator, CounterId) -> comity::error::Result<CallId>,
    ) -> PyResult<u64> {
        Ok(self.host(py, |host| host.verb(CounterId(counter), at(now), verb))?.0)
    }

    pub(crate) fn host<T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Host) -> comity::error::Result<T>,
    ) -> PyResult<T> {
        guarded(py, &self.0, call)?.map_err(|error| raised(py, &error))
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
            .map(|core| Self(Mutex::new(Host::new(core))))
            .map_err(|error| raised(py, &error))
    }

    /// Queues for a lock. `wait_us`: None for as long as it takes, 0 to try once.
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
        Ok(self.verb(py, now, |core| core.lock_acquire(name, options, at(now)))?.0)
    }

    /// Gives a lock back. Raises `LockLost` for a lease that has ended, or `NotHeld`.
    fn lock_release(&self, py: Python<'_>, lock: u64, now: u64) -> PyResult<()> {
        self.verb(py, now, |core| core.lock_release(LockId(lock), at(now)))
    }

    /// Ends a lock in any state, released if held; no event follows for it.
    fn lock_cancel(&self, py: Python<'_>, lock: u64, now: u64) -> PyResult<()> {
        self.input(py, now, |core| core.lock_cancel(LockId(lock), at(now)))
    }

    /// Renews a lease; answered by `lock_renewed`. Raises `NotHeld`.
    #[pyo3(signature = (lock, now, *, ttl_us=None))]
    fn lock_renew(&self, py: Python<'_>, lock: u64, now: u64, ttl_us: Option<u64>) -> PyResult<()> {
        let ttl = ttl_us.map(Span::from_micros);
        self.verb(py, now, |core| core.lock_renew(LockId(lock), ttl, at(now)))
    }

    /// Asks who holds a lock and who waits.
    fn lock_inspect(&self, py: Python<'_>, name: &[u8], now: u64) -> PyResult<u64> {
        Ok(self.verb(py, now, |core| core.lock_inspect(name, at(now)))?.0)
    }

    /// Shows a fence to the guard of a resource.
    fn fence_check(&self, py: Python<'_>, resource: &[u8], fence: u64, now: u64) -> PyResult<u64> {
        Ok(self.verb(py, now, |core| core.fence_check(resource, Fence(fence), at(now)))?.0)
    }

    /// Asks every node whether it can serve: one call per node.
    fn check_nodes(&self, py: Python<'_>, now: u64) -> PyResult<Vec<u64>> {
        let calls = self.verb(py, now, |core| core.check_nodes(at(now)))?;
        Ok(calls.into_iter().map(|call| call.0).collect())
    }

    /// Whether the lease is certain to be valid at `now`.
    fn lock_is_held(&self, py: Python<'_>, lock: u64, now: u64) -> PyResult<bool> {
        self.look(py, |core| core.lock_is_held(LockId(lock), at(now)))
    }

    /// When the lease ends unless it is renewed.
    fn lock_valid_until(&self, py: Python<'_>, lock: u64) -> PyResult<Option<u64>> {
        let until = self.look(py, |core| core.lock_valid_until(LockId(lock)))?;
        Ok(until.map(Time::as_micros))
    }

    /// None, bytes, str (simple string), int, bool, float, list, dict or set; an error reply
    /// is `ErrorReply` with the server's whole text.
    fn handle_reply(&self, request: u64, reply: &Bound<'_, PyAny>, now: u64) -> PyResult<()> {
        let converted = convert::reply(reply)?;
        self.input(reply.py(), now, |core| {
            core.handle_reply(RequestId(request), &converted, at(now));
        })
    }

    /// No answer: not a byte was written, or some may have been.
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
        self.input(py, now, |core| core.handle_failure(RequestId(request), failure, at(now)))
    }

    /// A connection came or went.
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
        self.input(py, now, |core| core.handle_node(NodeId(node), change, at(now)))
    }

    /// No connection can be made, and why, which every `Unreachable` of the node then says until
    /// it is connected or answers; of a longer text the first 512 bytes. `lasting`: waiting does
    /// not help, so what fails for it ends at once. To be told before the requests that fail for
    /// it.
    #[pyo3(signature = (node, reason, now, *, lasting=false))]
    fn handle_unreachable(
        &self,
        py: Python<'_>,
        node: u32,
        reason: &Bound<'_, PyString>,
        now: u64,
        lasting: bool,
    ) -> PyResult<()> {
        // What the system says of a failure may hold bytes that are no text.
        let reason = reason.to_string_lossy();
        self.input(py, now, |core| {
            core.handle_unreachable(NodeId(node), &reason, lasting, at(now));
        })
    }

    /// The server refuses a connection with this error reply, in its set-up: what fails for it
    /// then as "not_sent" is a `ServerRefused` with its words, until the node is connected or
    /// answers. Whether waiting helps is known here. To be told before the requests that fail for
    /// it.
    fn handle_refused(&self, py: Python<'_>, node: u32, text: &[u8], now: u64) -> PyResult<()> {
        self.input(py, now, |core| core.handle_refused(NodeId(node), text, at(now)))
    }

    /// A push arrived.
    fn handle_message(
        &self,
        py: Python<'_>,
        node: u32,
        channel: &[u8],
        payload: &[u8],
        now: u64,
    ) -> PyResult<()> {
        self.input(py, now, |core| core.handle_message(NodeId(node), channel, payload, at(now)))
    }

    /// The host slept or its clock jumped.
    fn handle_clock_gap(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        self.input(py, now, |core| core.handle_clock_gap(at(now)))
    }

    /// The time. Early, late or twice is harmless.
    fn handle_timeout(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        self.input(py, now, |core| core.handle_timeout(at(now)))
    }

    /// The next command to send. What is too late to be sent is not given out, which may be the
    /// end of what it was for: poll events after commands.
    fn poll_command(&self, py: Python<'_>) -> PyResult<Option<Command>> {
        let command = self.look(py, coordinator::Coordinator::poll_command)?;
        Ok(command.map(Command::from))
    }

    /// The next command to send to one node.
    fn poll_command_for(&self, py: Python<'_>, node: u32) -> PyResult<Option<Command>> {
        let command = self.look(py, |core| core.poll_command_for(NodeId(node)))?;
        Ok(command.map(Command::from))
    }

    /// The next event.
    fn poll_event(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        let event = guarded(py, &self.0, Host::poll_event)?;
        event.map(|event| Event::convert(py, &event)).transpose()
    }

    /// All of that at once, put behind what is in `ready`: every command, with its node, its
    /// origin and whether its route is another than `node`; every event; and the deadline, 2**63
    /// for none. No other code of the program runs meanwhile, be it a finalizer or the handler of a
    /// signal.
    fn poll(&self, ready: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = ready.py();
        let _pause = Pause::new(py);
        let (commands, events, deadline) = guarded(py, &self.0, |host| {
            let commands: Vec<_> = iter::from_fn(|| host.core.poll_command()).collect();
            let events: Vec<_> = iter::from_fn(|| host.poll_event()).collect();
            (commands, events, host.core.next_deadline())
        })?;
        if !commands.is_empty() {
            let due = ready.getattr(intern!(py, "commands"))?;
            for command in commands {
                due.call_method1(intern!(py, "append"), (Command::ready(command),))?;
            }
        }
        if !events.is_empty() {
            let due = ready.getattr(intern!(py, "events"))?;
            for event in &events {
                due.call_method1(intern!(py, "append"), (Event::convert(py, event)?,))?;
            }
        }
        ready.setattr(intern!(py, "deadline"), deadline.map_or(NEVER, Time::as_micros))
    }

    /// When to call `handle_timeout`.
    fn next_deadline(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let deadline = self.look(py, |core| core.next_deadline())?;
        Ok(deadline.map(Time::as_micros))
    }

    /// Counters since the start.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.look(py, |core| core.stats())?;
        let counters = PyDict::new(py);
        for (name, count) in stats.fields() {
            counters.set_item(name, count)?;
        }
        Ok(counters)
    }

    /// Begins the end, answered by `closed`; every later verb raises `Closed`.
    fn close(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        guarded(py, &self.0, |host| host.close(at(now)))
    }

    /// A counter that keeps its numbers itself, in a place that takes no lock. One that is open
    /// is that one; None for `durability` leaves it as it is. Raises `InvalidState` otherwise.
    #[pyo3(signature = (name, desk, now, *, durability=None, max_delay_us=10_000, max_units=None, restore=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn counter(
        slf: Bound<'_, Self>,
        name: &[u8],
        desk: Py<PyAny>,
        now: u64,
        durability: Option<&str>,
        max_delay_us: u64,
        max_units: Option<u64>,
        restore: Option<&[u8]>,
    ) -> PyResult<Counter> {
        let py = slf.py();
        let options = match durability {
            None => None,
            Some(kind) => Some(counter::options(py, kind, max_delay_us, max_units, true)?),
        };
        let cell = slf.get().host(py, |host| host.counter(name, options, restore, at(now)))?;
        Ok(Counter::new(cell, slf.unbind(), desk))
    }

    /// Opens a counter whose numbers the core keeps. `restore`: the bytes of a journal or a
    /// snapshot. Raises `InvalidState` if it is open, `Corrupt`.
    #[pyo3(signature = (name, now, *, durability="batched", max_delay_us=10_000, max_units=None, restore=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn counter_open(
        &self,
        py: Python<'_>,
        name: &[u8],
        now: u64,
        durability: &str,
        max_delay_us: u64,
        max_units: Option<u64>,
        restore: Option<&[u8]>,
    ) -> PyResult<u64> {
        let options = counter::options(py, durability, max_delay_us, max_units, false)?;
        let opened = self.verb(py, now, |core| match restore {
            Some(bytes) => core.counter_restore(name, options, bytes, at(now)),
            None => core.counter_open(name, options, at(now)),
        })?;
        Ok(opened.0)
    }

    /// Counts, for `counter_open`. Raises `CounterOverflow`, `LimitExceeded`.
    fn counter_add(&self, py: Python<'_>, counter: u64, n: i64, now: u64) -> PyResult<()> {
        self.verb(py, now, |core| core.counter_add(CounterId(counter), n, at(now)))
    }

    /// A `Counter` has counted something: what its desk is asked to say.
    fn counter_tell(&self, py: Python<'_>, counter: u64, now: u64) -> PyResult<()> {
        self.host(py, |host| host.begin(CounterId(counter), at(now)))
    }

    /// What it stands at as far as is known here: see `Event.value`.
    fn counter_value<'py>(
        &self,
        py: Python<'py>,
        counter: u64,
        now: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        counter::value(py, self.host(py, |host| host.value(CounterId(counter), at(now)))?)
    }

    /// Asks for a value as of now, or at least as of a token.
    #[pyo3(signature = (counter, now, *, at_least=None))]
    fn counter_read(
        &self,
        py: Python<'_>,
        counter: u64,
        now: u64,
        at_least: Option<u64>,
    ) -> PyResult<u64> {
        let freshness = at_least.map_or(Freshness::Fresh, |token| Freshness::AtLeast(Token(token)));
        self.counter_call(py, counter, now, |core, id| core.counter_read(id, freshness, at(now)))
    }

    /// Flushes at once.
    fn counter_flush(&self, py: Python<'_>, counter: u64, now: u64) -> PyResult<u64> {
        self.counter_call(py, counter, now, |core, id| core.counter_flush(id, at(now)))
    }

    /// Lets the value be zero; with `epoch` only after so many resets.
    #[pyo3(signature = (counter, now, *, epoch=None))]
    fn counter_reset(
        &self,
        py: Python<'_>,
        counter: u64,
        now: u64,
        epoch: Option<u64>,
    ) -> PyResult<u64> {
        self.counter_call(py, counter, now, |core, id| core.counter_reset(id, epoch, at(now)))
    }

    /// Compares the totals with the slots, and retires who was silent for so long.
    #[pyo3(signature = (counter, now, *, prune_us=None))]
    fn counter_audit(
        &self,
        py: Python<'_>,
        counter: u64,
        now: u64,
        prune_us: Option<u64>,
    ) -> PyResult<u64> {
        let prune = prune_us.map(Span::from_micros);
        self.counter_call(py, counter, now, |core, id| core.counter_audit(id, prune, at(now)))
    }

    /// What a later life has to restore.
    fn counter_snapshot<'py>(
        &self,
        py: Python<'py>,
        counter: u64,
        now: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.host(py, |host| {
            host.verb(CounterId(counter), at(now), |core, id| core.counter_snapshot(id))
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The bytes of the last `counter_journal` are written down.
    fn counter_journaled(&self, py: Python<'_>, counter: u64, now: u64) -> PyResult<()> {
        self.verb(py, now, |core| core.counter_journaled(CounterId(counter), at(now)))
    }

    /// Counts what a peer counter's replicas have counted. Raises `Corrupt`.
    fn counter_merge(&self, py: Python<'_>, counter: u64, bytes: &[u8], now: u64) -> PyResult<()> {
        self.verb(py, now, |core| core.counter_merge(CounterId(counter), bytes, at(now)))
    }

    /// Restores into a counter that has just been opened. Raises `Corrupt`, `InvalidState`.
    fn counter_take_up(
        &self,
        py: Python<'_>,
        counter: u64,
        bytes: &[u8],
        now: u64,
    ) -> PyResult<()> {
        self.host(py, |host| {
            host.verb(CounterId(counter), at(now), |core, id| {
                core.counter_take_up(id, bytes, at(now))
            })
        })
    }

    /// Flushes, ends the slot; answered by `counter_closed`. The same number again.
    fn counter_close(&self, py: Python<'_>, counter: u64, now: u64) -> PyResult<u64> {
        self.host(py, |host| host.close_counter(CounterId(counter), at(now)))?;
        Ok(counter)
    }

    /// Executes all of the commands or none, if every expectation is met: `("value", key,
    /// value)`, `("exists", key)`, `("absent", key)`, or `("unchanged", words, reply)` for a read.
    /// `timeout_us`: until when it is decided. `patience_us`: how long its keys stay locked after a
    /// vote before others may end it. `copy_elements`, `copy_bytes`: the largest value that is
    /// copied to be changed. `replicas`: how many of each server's are to have it, and for how many
    /// microseconds they are waited for. Raises `Unsupported`, `InvalidArgument`, `LimitExceeded`.
    #[pyo3(signature = (commands, now, *, expectations=None, ack="applied", timeout_us=None, patience_us=None, copy_elements=None, copy_bytes=None, replicas=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn transaction_execute(
        &self,
        py: Python<'_>,
        commands: &Bound<'_, PyAny>,
        now: u64,
        expectations: Option<&Bound<'_, PyAny>>,
        ack: &str,
        timeout_us: Option<u64>,
        patience_us: Option<u64>,
        copy_elements: Option<u32>,
        copy_bytes: Option<u32>,
        replicas: Option<(u32, u64)>,
    ) -> PyResult<u64> {
        let commands = transaction::commands(commands)?;
        let expectations =
            expectations.map_or_else(|| Ok(Vec::new()), transaction::expectations)?;
        let options = transaction::options(
            py,
            ack,
            timeout_us,
            patience_us,
            copy_elements,
            copy_bytes,
            replicas,
        )?;
        let begun = self.verb(py, now, |core| {
            core.transaction_execute(&commands, &expectations, options, at(now))
        })?;
        Ok(begun.0)
    }

    /// Gives a transaction up, unless it is decided. Its end is told all the same.
    fn transaction_cancel(&self, py: Python<'_>, transaction: u64, now: u64) -> PyResult<()> {
        self.input(py, now, |core| core.transaction_cancel(Handle(transaction), at(now)))
    }

    /// Asks the primary of a transaction, by its id, what has become of it.
    fn transaction_status(&self, py: Python<'_>, id: &[u8], now: u64) -> PyResult<u64> {
        Ok(self.verb(py, now, |core| core.transaction_status(id, at(now)))?.0)
    }

    /// Ends a transaction whose client does not. `heuristic`: what every node that has voted yes
    /// is told where the primary does not answer; each is reported as damaged where that is not
    /// what their votes come to.
    #[pyo3(signature = (id, now, *, heuristic=None))]
    fn transaction_resolve(
        &self,
        py: Python<'_>,
        id: &[u8],
        now: u64,
        heuristic: Option<&str>,
    ) -> PyResult<u64> {
        let heuristic = transaction::heuristic(py, heuristic)?;
        Ok(self.verb(py, now, |core| core.transaction_resolve(id, heuristic, at(now)))?.0)
    }

    /// Removes what transactions have left over on every node. `shadows`: the whole key space is
    /// searched for those that an accident has left. Fails with the first node that could not be
    /// swept, once all the others have been.
    #[pyo3(signature = (now, *, shadows=true))]
    fn transaction_sweep(&self, py: Python<'_>, now: u64, shadows: bool) -> PyResult<u64> {
        let options = SweepOptions { shadows };
        Ok(self.verb(py, now, |core| core.transaction_sweep(options, at(now)))?.0)
    }

    /// In the child of a fork: no `Counter` of this coordinator counts any more.
    fn orphan(&self, py: Python<'_>) -> PyResult<()> {
        guarded(py, &self.0, Host::orphan)
    }

    /// The ring of the nodes, with ids as text; what is no UTF-8 in them as `os.fsdecode` has
    /// it.
    #[getter]
    fn ring(&self, py: Python<'_>) -> PyResult<Ring> {
        Ring::of_text(py, self.look(py, |core| core.ring().clone())?)
    }

    /// The id of a node number, as it was given. In `ring`, a single node is `0`.
    fn node_id<'py>(&self, py: Python<'py>, node: u32) -> PyResult<Bound<'py, PyBytes>> {
        let id = self.look(py, |core| core.node_id(NodeId(node)).map(<[u8]>::to_vec))?;
        let id = id.ok_or_else(|| invalid(py, format!("node: there is no node {node}")))?;
        Ok(PyBytes::new(py, &id))
    }

    /// The one channel this coordinator subscribes to.
    fn inbox<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let inbox = self.look(py, |core| core.inbox().to_vec())?;
        Ok(PyBytes::new(py, &inbox))
    }
}
