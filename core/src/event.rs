//! What happened, for the user.

use alloc::string::String;
use alloc::vec::Vec;

use crate::counter::{Audit, CounterId, CounterValue, Tally};
use crate::error::Error;
use crate::lock::{Fence, Inspection, LockId};
use crate::redis::{NodeId, Reply};
use crate::time::{Span, Time};
use crate::transaction::Handle;

/// Numbers a call that asks something once: an inspection, a check, a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CallId(pub u64);

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TransactionOutcome {
    /// It is applied, or will be.
    Committed,
    /// It will never be applied.
    Aborted,
    /// It is not decided yet.
    Pending,
    /// Nothing of it is recorded at its primary: it may still come. Where its id does not tell until
    /// when, as one of an earlier version, it may also be over for long.
    Unheard,
    /// It is over; how is not known any more.
    Forgotten,
}

/// What happened. Events marked *last* are the last of their lock or call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Event {
    /// The lock is not free: the request is in its queue.
    LockQueued {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
        /// How many are ahead of it.
        rank: u64,
        /// The label of the holder whose lease ends first, empty where it has none.
        holder: Vec<u8>,
    },
    /// The lock is held.
    LockGranted {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
        /// The fencing token.
        fence: Fence,
        /// Until when, unless it is renewed.
        valid_until: Time,
    },
    /// The lease was made longer.
    LockRenewed {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
        /// Until when, unless it is renewed again.
        valid_until: Time,
        /// Whether it is what the last `lock_renew` asked for, and not an earlier renewal that was on its
        /// way then.
        asked: bool,
    },
    /// The renewal that `lock_renew` asked for was refused, or not confirmed in time: the lease is as it
    /// was, unless the server has executed one that is not answered. Renewals by themselves go on, with
    /// the length there was before.
    LockNotRenewed {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
        /// `NoAnswer` if it was sent, `Unreachable` if not, or the server's refusal.
        error: Error,
    },
    /// The lease has ended without a release. *Last.*
    LockLost {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
        /// `LockLost`, and why.
        error: Error,
    },
    /// The lock was given back. *Last.*
    LockReleased {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
    },
    /// The lock was not granted, or its release could not be confirmed. *Last.*
    LockFailed {
        /// The request.
        lock: LockId,
        /// The lock's name.
        name: Vec<u8>,
        /// Why.
        error: Error,
        /// The label of the holder in the way, where known.
        holder: Option<Vec<u8>>,
    },
    /// The answer to an inspection. *Last.*
    LockInspected {
        /// The call.
        call: CallId,
        /// Who holds and who waits.
        inspection: Inspection,
    },
    /// The fencing guard's answer. *Last.*
    FenceChecked {
        /// The call.
        call: CallId,
        /// Whether the fence is at least as high as every one seen before.
        accepted: bool,
        /// The highest fence seen.
        highest: Fence,
    },
    /// All that was counted before the call is safe, as the counter's durability has it. *Last.*
    CounterFlushed {
        /// The call.
        call: CallId,
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
    },
    /// The value as recent as was asked for. *Last.*
    CounterRead {
        /// The call.
        call: CallId,
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// What it stands at.
        value: CounterValue,
    },
    /// The value began anew at zero, once. *Last.*
    CounterReset {
        /// The call.
        call: CallId,
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// How many resets there were, this one included.
        epoch: u64,
    },
    /// All slots were read. *Last.*
    CounterAudited {
        /// The call.
        call: CallId,
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// What was found.
        audit: Audit,
    },
    /// Write this down, in place of what was written before, then say `counter_journaled`.
    CounterJournal {
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// For `counter_restore`.
        bytes: Vec<u8>,
    },
    /// These are not counted, or nobody can tell, and will not be tried again. At most so many.
    CounterLost {
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// Increments and decrements.
        lost: Tally,
        /// Why.
        error: Error,
    },
    /// The server has lost acknowledged units, as after a failover. Those of this replica are given
    /// back to it; the value may have gone back until every replica has done so.
    CounterRegressed {
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// The node.
        node: NodeId,
    },
    /// The server does not take what is counted. It is kept and tried again; told once until it
    /// does.
    CounterRefused {
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// Why.
        error: Error,
    },
    /// The counter is closed. *Last.*
    CounterClosed {
        /// The counter.
        counter: CounterId,
        /// The counter's name.
        name: Vec<u8>,
        /// The node.
        node: NodeId,
        /// What was not acknowledged by then: it may be counted or not.
        unacknowledged: Tally,
    },
    /// The transaction is applied, or will be: it is decided. *Last.*
    TransactionCommitted {
        /// The transaction.
        transaction: Handle,
        /// Its id, as text.
        id: Vec<u8>,
        /// One for each command; none where another client has committed it and they are gone, or
        /// where an answer was lost that was too long to be recorded:
        /// [`MAX_RECORDED`](crate::transaction::MAX_RECORDED).
        replies: Option<Vec<Reply>>,
        /// Whether plain readers see all of it by now.
        applied: bool,
        /// So many replicas of each of its servers are known to have all of it; none where they were
        /// not waited for.
        replicas: Option<u32>,
    },
    /// The transaction is committed, and fewer of a node's replicas are known to have it than was
    /// asked for: a failover of the node could lose its part. One for each such node, ahead of
    /// `TransactionCommitted`.
    TransactionNotDurable {
        /// The transaction.
        transaction: Handle,
        /// Its id, as text.
        id: Vec<u8>,
        /// The node.
        node: NodeId,
        /// So many of its replicas are known to have it.
        replicas: u32,
        /// Why not more: `NoAnswer`, or what kept the question from being answered.
        error: Error,
    },
    /// Nothing of the transaction was applied, and nothing will be. *Last.*
    TransactionFailed {
        /// The transaction.
        transaction: Handle,
        /// Its id, as text; empty where it had none yet.
        id: Vec<u8>,
        /// Why.
        error: Error,
    },
    /// Nobody can tell now whether the transaction is applied. It goes on being found out, which
    /// ends with `TransactionEnded`. *Last.*
    TransactionUnknown {
        /// The transaction.
        transaction: Handle,
        /// Its id, as text.
        id: Vec<u8>,
        /// `OutcomeUnknown`.
        error: Error,
    },
    /// What has become of a transaction that was told to be unknown.
    TransactionEnded {
        /// Its id, as text.
        id: Vec<u8>,
        /// What.
        outcome: TransactionOutcome,
    },
    /// A node does not have what a transaction has decided, as after a failover. The outcome that
    /// was told stands.
    TransactionDamaged {
        /// The transaction's id, as text.
        id: Vec<u8>,
        /// The node.
        node: NodeId,
    },
    /// What the primary says of a transaction. *Last.*
    TransactionStatus {
        /// The call.
        call: CallId,
        /// The transaction's id, as text.
        id: Vec<u8>,
        /// What.
        outcome: TransactionOutcome,
    },
    /// A transaction was ended. *Last.*
    TransactionResolved {
        /// The call.
        call: CallId,
        /// The transaction's id, as text.
        id: Vec<u8>,
        /// How.
        outcome: TransactionOutcome,
    },
    /// Every node was searched for what transactions have left over. *Last.*
    TransactionSwept {
        /// The call.
        call: CallId,
        /// How many registers were removed, and how many transactions are being ended.
        count: u64,
        /// How many registers and locks nobody can read, as after an accident. They were left as they
        /// are.
        unreadable: u64,
    },
    /// A node can serve. *Last.*
    NodeChecked {
        /// The call.
        call: CallId,
        /// The node.
        node: NodeId,
        /// The server's version, empty where it would not tell.
        version: String,
        /// What it evicts when memory is full, empty where it would not tell. Anything but
        /// `noeviction` can evict a lock, which then has two holders.
        eviction_policy: String,
    },
    /// A call came to nothing. *Last.*
    CallFailed {
        /// The call.
        call: CallId,
        /// The node it was for.
        node: NodeId,
        /// Why.
        error: Error,
    },
    /// The server of a node does not serve: no connection to it can be made, the one there was broke, a
    /// command was not answered in time, or the server refuses to connect or to do anything, as while it
    /// loads. Once for each outage, however many commands fail for it;
    /// `NodeUp` is its end. What waits for a lock there waits on, within its own wait.
    NodeDown {
        /// The node.
        node: NodeId,
        /// `Unreachable` or `NoAnswer`, its message the reason, in the host's words where it has told
        /// any; or `ServerRefused`, with the server's.
        error: Error,
        /// How many requests wait in line for a lock there.
        waiting: u64,
    },
    /// The server of a node serves again, after a `NodeDown`: a refusal is none. Nobody asks it for that
    /// only: it shows when it is next used.
    NodeUp {
        /// The node.
        node: NodeId,
        /// From the first sign of the outage to the first answer that is no error.
        outage: Span,
    },
    /// The push connection is subscribed: waiters are told of their grants.
    PushReady {
        /// The node.
        node: NodeId,
    },
    /// There is no push connection for now: waiters ask again and again instead.
    PushUnavailable {
        /// The node.
        node: NodeId,
        /// Why.
        error: Error,
    },
    /// Everything that `close` began is done, or its time is over.
    Closed,
}

impl Event {
    /// The same, of the node, which its machine does not know.
    pub(crate) fn at(mut self, node: NodeId) -> Self {
        match &mut self {
            Self::LockLost { error, .. }
            | Self::LockNotRenewed { error, .. }
            | Self::LockFailed { error, .. }
            | Self::CounterLost { error, .. }
            | Self::CounterRefused { error, .. } => *error = error.clone().at(node),
            Self::CounterRegressed { node: its, .. } | Self::CounterClosed { node: its, .. } => {
                *its = node;
            }
            _ => {}
        }
        self
    }
}
