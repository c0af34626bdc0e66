//! The coordinator: owns the machines, routes what comes in, keeps the one deadline.
//!
//! A driver needs a loop around four calls, legal at any time and in any order:
//!
//! ```text
//! while let Some(command) = coordinator.poll_command() { send it; remember command.request }
//! while let Some(event) = coordinator.poll_event() { tell the user }
//! wait for a reply, a message, or until coordinator.next_deadline()
//! coordinator.handle_reply(..) / handle_failure(..) / handle_message(..) / handle_timeout(..)
//! ```
//!
//! A host that moves bytes itself has a [`NodeConnection`] make all of these calls but the last.
//!
//! The order matters to a host that was busy elsewhere: first what has arrived, then the time that has
//! passed. A lease whose renewal is not answered is in doubt when it ends, not lost: it is lost when the
//! answer says so, or when the host reports that there is none. Commands leave before the user is
//! notified of the events that are polled with them: a lock that was handed over is renewed at once, for it is short.
//!
//! Replies to unknown or finished requests are ignored, so duplicates and stragglers do no harm;
//! so does an early, late or repeated `handle_timeout`. Limits refuse verbs only, never an input.

mod clocks;
mod commits;
mod connection;
mod counters;
mod dispatch;
mod error_reply;
mod input;
mod locks;
mod machines;
mod node;
mod outage;
mod outbox;
mod output;
mod push;
mod queries;
mod recovery;
mod replication;
mod scripts;
mod stamping;
mod stats;
mod timers;
mod transaction_calls;
mod waiting;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use connection::NodeConnection;
pub use input::MAX_REASON;
use machines::Machines;
use node::Node;
use queries::{Query, QueryKind};
use stamping::Stamping;
pub use stats::Stats;
use timers::{Timer, Timers};
use transaction_calls::TransactionCall;

use crate::counter::{Counter, CounterId};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorCode, Result};
use crate::event::{CallId, Event};
use crate::lock::{Id, LockId};
use crate::machine::Attempt;
use crate::redis::{Keys, NodeId, RequestId, Script, base64url, readable};
use crate::ring::{NodeSpec, Ring};
use crate::table::{Names, Table};
use crate::time::{Span, Time};
use crate::transaction::call::{KeyQueues, Sessions};
use crate::transaction::{Handle, Txid};

/// The shortest and longest [`Config::timeout`].
pub const TIMEOUT_RANGE: (Span, Span) = (Span::from_millis(10), Span::from_secs(60));

/// The most locks that one coordinator holds or waits for, open counters, and calls under way.
pub const MAX_OPERATIONS: usize = 1 << 20;

/// A request that its driver has not reported on is given up this long after its deadline, and again so
/// long after a host that comes late to that, because it was busy elsewhere.
const DRIVER_GRACE: Span = Span::from_secs(1);

/// How a coordinator is set up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// The servers by stable id. At least one with a weight.
    pub nodes: Vec<NodeSpec>,
    /// Stands in front of every key and channel: printable ASCII without braces, at most 128 bytes.
    pub prefix: Vec<u8>,
    /// How long a verb tries to reach a server before it fails: 10 ms to 60 s.
    pub timeout: Span,
    /// Whether grants are received by push. Without, waiters ask, the first in the queue
    /// every 50 to 500 ms.
    pub push: bool,
}

impl Config {
    /// The default settings for these nodes: prefix `comity:`, 5 s, with push.
    #[must_use]
    pub fn new(nodes: Vec<NodeSpec>) -> Self {
        Self { nodes, prefix: b"comity:".to_vec(), timeout: Span::from_secs(5), push: true }
    }
}

/// What the answer to a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ReplyTarget {
    Lock(LockId, Attempt),
    Counter(CounterId, Attempt),
    Query(CallId),
    Transaction(Txid, Attempt),
    Recovery(Txid, Attempt),
    Sweep(CallId, Attempt),
    /// What is recorded of the transactions whose replicas are waited for, and how many have it.
    Confirm(NodeId, Attempt),
    Wait(NodeId, Attempt),
    /// What its clock shows, for this transaction.
    Time(Handle),
    /// Which ring it belongs to, in this round.
    Stamp(u32),
    Subscription,
}

/// A command between its rendering and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    target: ReplyTarget,
    node: NodeId,
    script: Option<Script>,
    sent_at: Time,
    deadline: Time,
    /// When it is given up.
    limit: Time,
    background: bool,
    polled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lifecycle {
    Open,
    Closing,
    Closed,
}

/// The whole border of the core. See the module's documentation.
///
/// A value: a clone goes on from where the original is, and two that are equal do the same from
/// here on. Never let two clones talk to servers, for they use the same ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    keys: Keys,
    inbox: Arc<[u8]>,
    timeout: Span,
    push: bool,
    ring: Ring,
    stamping: Stamping,
    entropy: Entropy,
    now: Time,
    lifecycle: Lifecycle,
    nodes: Vec<Node>,
    /// Those with commands that have not been polled, and some whose last one has been.
    ready: Table<NodeId, ()>,
    machines: Machines,
    locks_by_request: Table<Id, LockId>,
    /// Leases that were lost, for later calls that renew or release them.
    lost: Table<LockId, Error>,
    /// The names of the counters that are open.
    counters_by_name: Names<CounterId>,
    /// Counters whose totals the host is asked for.
    due_counters: VecDeque<CounterId>,
    queries: Table<CallId, Query>,
    /// Transactions as their users see them.
    transaction_calls: Table<Handle, Box<TransactionCall>>,
    /// When a transaction of another client was in the way, at first and last.
    first_conflict_at: Table<Txid, (Time, Time)>,
    sessions: Sessions,
    key_queues: KeyQueues,
    /// Until then transactions ask one participant after the other.
    serialize_until: Time,
    requests: Table<RequestId, Request>,
    timers: Timers,
    events: VecDeque<Event>,
    operations: u64,
    request_count: u64,
    stats: Stats,
}

impl Coordinator {
    /// A coordinator that has sent nothing yet.
    ///
    /// `entropy` comes from the host's CSPRNG and is never used twice.
    ///
    /// # Errors
    /// `InvalidArgument` or `LimitExceeded` for a prefix, timeout or ring out of range.
    pub fn new(config: Config, entropy: [u8; 32], now: Time) -> Result<Self> {
        let keys = Keys::new(&config.prefix)?;
        let (low, high) = TIMEOUT_RANGE;
        if config.timeout < low || config.timeout > high {
            let us = config.timeout.as_micros();
            return Err(Error::invalid(format!("timeout: {us} us is outside 10 ms to 60 s")));
        }
        let named = Ring::new(config.nodes)?;
        if named.node_for_hash(0).is_none() {
            return Err(Error::invalid("nodes: at least one node with a weight is needed"));
        }
        let (ring, stamping) = Stamping::of(named, &keys)?;
        let mut entropy = Entropy::new(entropy);
        let identity = base64url(entropy.bits128());
        let inbox: Arc<[u8]> = keys.inbox(&readable(&identity)).into();
        let pushed = config.push.then(|| inbox.clone());
        Ok(Self {
            inbox,
            keys,
            timeout: config.timeout,
            push: config.push,
            machines: Machines::new(ring.nodes().len()),
            nodes: ring.nodes().iter().map(|_| Node::new(pushed.clone())).collect(),
            ring,
            stamping,
            entropy,
            now: now.min(Time::LAST),
            lifecycle: Lifecycle::Open,
            ready: Table::new(),
            locks_by_request: Table::new(),
            lost: Table::new(),
            counters_by_name: Names::default(),
            due_counters: VecDeque::new(),
            queries: Table::new(),
            transaction_calls: Table::new(),
            first_conflict_at: Table::new(),
            sessions: Sessions::default(),
            key_queues: KeyQueues::default(),
            serialize_until: Time::from_micros(0),
            requests: Table::new(),
            timers: Timers::default(),
            events: VecDeque::new(),
            operations: 0,
            request_count: 0,
            stats: Stats::default(),
        })
    }

    /// The ring that places locks and counters on nodes. A single node has the id `0` there, whatever
    /// its caller calls it.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The id of a node, as it was given to this coordinator: for messages, and for telling nodes
    /// apart. On servers, in ids of transactions and in [`ring`](Self::ring), a single node is `0`.
    #[must_use]
    pub fn node_id(&self, node: NodeId) -> Option<&[u8]> {
        self.stamping.name(node).or_else(|| self.id_in_ring(node))
    }

    /// The channel on which this coordinator receives its grants.
    #[must_use]
    pub fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    // Verbs. Each returns at once; what comes of it is an event.

    /// Asks every node what it can do. Each call leads to `NodeChecked` or `CallFailed`.
    ///
    /// # Errors
    /// `LimitExceeded`, `Closed`; nothing is changed.
    pub fn check_nodes(&mut self, now: Time) -> Result<Vec<CallId>> {
        self.check_open()?;
        self.advance_now(now);
        let nodes = (0..).zip(&self.nodes).map(|(number, _)| NodeId(number)).collect::<Vec<_>>();
        Ok(nodes.into_iter().map(|node| self.ask(node, QueryKind::Check)).collect())
    }

    /// Ends everything: gives back what is held, withdraws what waits, flushes and retires what is
    /// counted. Every lock has its last event: `LockReleased` or `LockLost` if it was held,
    /// `LockFailed` if it was waited for or the release is not confirmed. Every later verb is
    /// `Closed`, but `LockLost` of a lock that was held; inputs and outputs go on until the event
    /// `Closed`, which comes within [`Config::timeout`].
    pub fn close(&mut self, now: Time) {
        self.advance_now(now);
        if self.lifecycle != Lifecycle::Open {
            return;
        }
        self.lifecycle = Lifecycle::Closing;
        self.timers.insert(self.now + self.timeout, Timer::Close);
        let error = closed();
        for call in self.queries.keys().copied().collect::<Vec<_>>() {
            self.end_query(call, |call, id| call.failed(id, error.clone()));
        }
        self.close_locks(&error);
        self.every(|_| true, Counter::close);
        self.close_recoveries(&error);
        self.close_transactions();
        self.finish_closing();
    }

    // Workings.

    fn check_open(&self) -> Result<()> {
        if self.lifecycle != Lifecycle::Open {
            return Err(closed());
        }
        let calls = self.queries.len() + self.transaction_calls.len();
        if self.machines.under_way() + calls >= MAX_OPERATIONS {
            return Err(Error::limit(format!(
                "{MAX_OPERATIONS} operations are under way, which is the limit"
            )));
        }
        Ok(())
    }

    fn id_in_ring(&self, node: NodeId) -> Option<&[u8]> {
        self.ring.nodes().get(node.0 as usize).map(|spec| spec.id.as_slice())
    }

    const fn next_operation(&mut self) -> u64 {
        self.operations += 1;
        self.operations
    }

    fn locate(&self, name: &[u8]) -> Result<NodeId> {
        let index = self.ring.node(name);
        let none = || Error::new(ErrorCode::Internal, "a ring that was not empty finds no node");
        index.map(|index| NodeId(index.number())).ok_or_else(none)
    }

    fn finish_closing(&mut self) {
        let settled = self.machines.under_way() == 0 && self.transaction_calls.is_empty();
        if self.lifecycle == Lifecycle::Closing && settled {
            self.lifecycle = Lifecycle::Closed;
            self.emit(Event::Closed);
            self.requests.clear();
            self.timers.clear();
            for node in &mut self.nodes {
                node.outbox.clear();
            }
        }
    }

    /// The one way to the user: what the event counts is counted.
    fn emit(&mut self, event: Event) {
        self.stats.count(&event);
        self.events.push_back(event);
    }
}

/// The error of a verb after the close, and of what the close ends.
fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the coordinator was closed")
}
