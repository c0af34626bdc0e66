//! What happened, for the user.
#![allow(non_camel_case_types, reason = "the names are the C names")]

mod shown;

use std::ffi::c_char;

pub(crate) use self::shown::Told;
use crate::comity_bytes;
use crate::coordinator::comity_coordinator;
use crate::counter::comity_counter_reading;
use crate::handle::with_mut;
use crate::number::{comity_int128, comity_tally};
use crate::pointer::place;
use crate::reply::comity_reply;

/// The lock is not free: lock is in its queue. rank, holder.
pub const COMITY_EVENT_LOCK_QUEUED: u32 = 1;
/// lock is held. fence, valid_until_us.
pub const COMITY_EVENT_LOCK_GRANTED: u32 = 2;
/// The lease of lock was made longer. valid_until_us; accepted, 1 if it is what the last comity_lock_renew
/// asked for, 0 for a renewal by itself, also one that was on its way then.
pub const COMITY_EVENT_LOCK_RENEWED: u32 = 3;
/// The lease of lock has ended without a release. error. Last.
pub const COMITY_EVENT_LOCK_LOST: u32 = 4;
/// lock was given back. Last.
pub const COMITY_EVENT_LOCK_RELEASED: u32 = 5;
/// lock was not granted, or its release could not be confirmed. error, holder. Last.
pub const COMITY_EVENT_LOCK_FAILED: u32 = 6;
/// The answer to comity_lock_inspect. call, inspection. Last.
pub const COMITY_EVENT_LOCK_INSPECTED: u32 = 7;
/// The answer to comity_fence_check. call, accepted, fence (the highest seen). Last.
pub const COMITY_EVENT_FENCE_CHECKED: u32 = 8;
/// All that was counted before the call is safe. call, counter. Last.
pub const COMITY_EVENT_COUNTER_FLUSHED: u32 = 9;
/// A value as recent as was asked for. call, counter, reading. Last.
pub const COMITY_EVENT_COUNTER_READ: u32 = 10;
/// The value began anew at zero, once. call, counter, epoch. Last.
pub const COMITY_EVENT_COUNTER_RESET: u32 = 11;
/// All slots were read. call, counter, audit. Last.
pub const COMITY_EVENT_COUNTER_AUDITED: u32 = 12;
/// Write data down in place of what was written before, then call
/// comity_counter_journaled. counter, data.
pub const COMITY_EVENT_COUNTER_JOURNAL: u32 = 13;
/// units of counter are not counted, or nobody can tell, and will not be tried again. error.
pub const COMITY_EVENT_COUNTER_LOST: u32 = 14;
/// The server has lost acknowledged units of counter, as after a failover. Those of this replica
/// are given back to it. node.
pub const COMITY_EVENT_COUNTER_REGRESSED: u32 = 15;
/// The server does not take what counter counts. It is kept and tried again; told once. error.
pub const COMITY_EVENT_COUNTER_REFUSED: u32 = 16;
/// counter is closed. units were not acknowledged by node by then. Last.
pub const COMITY_EVENT_COUNTER_CLOSED: u32 = 17;
/// transaction is applied, or will be. id, replies, applied, replicas. Last.
pub const COMITY_EVENT_TRANSACTION_COMMITTED: u32 = 18;
/// Nothing of transaction was applied, and nothing will be. id, error. Last.
pub const COMITY_EVENT_TRANSACTION_FAILED: u32 = 19;
/// Nobody can tell now whether transaction is applied. It goes on being found out, which ends with
/// COMITY_EVENT_TRANSACTION_ENDED. id, error. Last.
pub const COMITY_EVENT_TRANSACTION_UNKNOWN: u32 = 20;
/// What has become of a transaction that was told to be unknown. id, outcome.
pub const COMITY_EVENT_TRANSACTION_ENDED: u32 = 21;
/// node does not have what a transaction has decided, as after a failover. id, node.
pub const COMITY_EVENT_TRANSACTION_DAMAGED: u32 = 22;
/// The answer to comity_transaction_status. call, id, outcome. Last.
pub const COMITY_EVENT_TRANSACTION_STATUS: u32 = 23;
/// The answer to comity_transaction_resolve. call, id, outcome. Last.
pub const COMITY_EVENT_TRANSACTION_RESOLVED: u32 = 24;
/// Every node was searched. call, count (what was removed and is being ended), unreadable. Last.
pub const COMITY_EVENT_TRANSACTION_SWEPT: u32 = 25;
/// node can serve. call, node, version, eviction_policy. Last.
pub const COMITY_EVENT_NODE_CHECKED: u32 = 26;
/// call came to nothing. node, error. Last.
pub const COMITY_EVENT_CALL_FAILED: u32 = 27;
/// The push connection to node is subscribed.
pub const COMITY_EVENT_PUSH_READY: u32 = 28;
/// There is no push connection to node for now: waiters ask again and again instead. error.
pub const COMITY_EVENT_PUSH_UNAVAILABLE: u32 = 29;
/// Everything that comity_close began is done, or its time is over.
pub const COMITY_EVENT_CLOSED: u32 = 30;
/// transaction is committed, and fewer replicas of node are known to have it than was asked for. Ahead
/// of COMITY_EVENT_TRANSACTION_COMMITTED. id, node, replicas, error.
pub const COMITY_EVENT_TRANSACTION_NOT_DURABLE: u32 = 31;
/// The server of node does not answer, or refuses to connect or to do anything. Once for each outage,
/// however many commands fail for it. error, whose message is the reason in the host's words where it has
/// told any, or in the server's; count (how many requests wait in line for a lock there: they wait on).
pub const COMITY_EVENT_NODE_DOWN: u32 = 32;
/// The server of node serves again, after a COMITY_EVENT_NODE_DOWN: a refusal is none. outage_us.
pub const COMITY_EVENT_NODE_UP: u32 = 33;
/// The renewal of lock that comity_lock_renew asked for was refused, or not confirmed in time: the lease
/// is as it was, unless the server has executed one that is not answered (COMITY_ERROR_NO_ANSWER).
/// Renewals by themselves go on. error.
pub const COMITY_EVENT_LOCK_NOT_RENEWED: u32 = 34;

/// An event that is about no node.
pub const COMITY_NO_NODE: u32 = u32::MAX;

/// The transaction is applied, or will be.
pub const COMITY_OUTCOME_COMMITTED: u32 = 1;
/// The transaction will never be applied.
pub const COMITY_OUTCOME_ABORTED: u32 = 2;
/// The transaction is not decided yet.
pub const COMITY_OUTCOME_PENDING: u32 = 3;
/// Nothing of the transaction is recorded at its primary: it may still come. Where its id does not
/// tell until when, as one of an earlier version, it may also be over for long.
pub const COMITY_OUTCOME_UNHEARD: u32 = 4;
/// The transaction is over; how is not known any more.
pub const COMITY_OUTCOME_FORGOTTEN: u32 = 5;

/// What happened. The COMITY_EVENT_ constant of its kind names the fields that say something, and
/// whatever has a lock or a counter has its name; the others are 0, NULL or COMITY_NONE. An event that is marked last is the last of its lock,
/// transaction or call. A later library has more fields at the end, and more kinds: let go what you do
/// not know.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_event {
    /// A COMITY_EVENT_ constant.
    pub kind: u32,
    /// Why: a COMITY_ERROR_ constant, or COMITY_OK where nothing is wrong.
    pub error: u32,
    /// The words of the error, UTF-8 with a zero byte behind. Never NULL.
    pub message: *const c_char,
    /// The lock, as comity_lock_acquire gave it.
    pub lock: u64,
    /// The call, as the function that asked gave it.
    pub call: u64,
    /// The counter, as comity_counter_open gave it.
    pub counter: u64,
    /// The transaction, as comity_transaction_execute gave it.
    pub transaction: u64,
    /// The number of the node, of the error too where it is about one; COMITY_NO_NODE otherwise.
    pub node: u32,
    /// A COMITY_OUTCOME_ constant.
    pub outcome: u32,
    /// 1 = the fence is at least as high as every one seen before.
    pub accepted: u32,
    /// 1 = plain readers see all of the transaction by now.
    pub applied: u32,
    /// The fencing token.
    pub fence: u64,
    /// Until when the lock is certainly held, unless it is renewed: microseconds on the host's clock.
    pub valid_until_us: u64,
    /// How many are ahead in the queue.
    pub rank: u64,
    /// How many resets of the counter there were, this one included.
    pub epoch: u64,
    /// How many.
    pub count: u64,
    /// Increments and decrements.
    pub units: comity_tally,
    /// The label of the holder in the way, no bytes where it has none; NULL if it is not known.
    pub holder: comity_bytes,
    /// The transaction's id, as text; no bytes where it had none yet.
    pub id: comity_bytes,
    /// For comity_counter_restore.
    pub data: comity_bytes,
    /// The server's version, no bytes where it would not tell.
    pub version: comity_bytes,
    /// What the server evicts when memory is full, no bytes where it would not tell. Anything but
    /// noeviction can evict a lock, which then has two holders.
    pub eviction_policy: comity_bytes,
    /// Who holds a lock and who waits for it.
    pub inspection: *const comity_inspection,
    /// What a counter stands at.
    pub reading: *const comity_counter_reading,
    /// What an audit found.
    pub audit: *const comity_audit,
    /// One reply for each command of the transaction; NULL where another client has committed it and
    /// they are gone, or where an answer was lost that was too long to be recorded, over 16 KiB.
    pub replies: *const comity_reply,
    /// How many replies.
    pub reply_count: usize,
    /// So many replicas are known to have all of the transaction: of each of its servers, or of node;
    /// COMITY_NONE where they were not waited for.
    pub replicas: u64,
    /// The name of the lock or the counter; NULL where there is neither.
    pub name: comity_bytes,
    /// How many records of transactions nobody can read, as after an accident. They were left as they
    /// are.
    pub unreadable: u64,
    /// From the first sign of a server's outage to its first answer.
    pub outage_us: u64,
}

/// Who holds a lock and who waits for it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_inspection {
    /// The server's clock, in microseconds.
    pub now_us: u64,
    /// How much weight may be held at once, 0 while nobody holds or waits.
    pub capacity: u64,
    /// How many hold it.
    pub holders_total: u64,
    /// How many wait.
    pub waiters_total: u64,
    /// The holders, side by side.
    pub holders: *const comity_holder,
    /// How many holders are told: 256 at most.
    pub holder_count: usize,
    /// The waiters in the order of the queue, side by side.
    pub waiters: *const comity_waiter,
    /// How many waiters are told: 256 at most.
    pub waiter_count: usize,
}

/// One who holds a lock.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_holder {
    /// The id of the request: 22 characters.
    pub id: comity_bytes,
    /// The owner's label.
    pub label: comity_bytes,
    /// The fencing token.
    pub fence: u64,
    /// When the lease ends, on the server's clock, in microseconds.
    pub expiry_us: u64,
    /// The weight held.
    pub weight: u64,
}

/// One who waits for a lock.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_waiter {
    /// The id of the request: 22 characters.
    pub id: comity_bytes,
    /// The owner's label.
    pub label: comity_bytes,
}

/// What an audit of a counter found.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_audit {
    /// How many slots are in use.
    pub live: u64,
    /// How many are retired.
    pub retired: u64,
    /// How many were retired by this audit, because nobody had raised them for long.
    pub pruned: u64,
    /// 1 = the sum of all slots was compared with the totals; 0 = others kept counting.
    pub compared: u64,
    /// By how much the value was wrong, and was corrected.
    pub corrected: comity_int128,
}

/// Writes the next thing that happened to *out, or NULL if there is nothing. It is valid, with all
/// that it points to, until the next call of comity_poll_event on the handle.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_poll_event(
    coordinator: *mut comity_coordinator,
    out: *mut *const comity_event,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.told.show(co.core.poll_event()));
            Ok(())
        })
    }
}

/// The name of a kind of event, for example "LockGranted", for logs; "unknown" for a number that is
/// none. Never NULL, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn comity_event_name(kind: u32) -> *const c_char {
    let name = match kind {
        COMITY_EVENT_LOCK_QUEUED => c"LockQueued",
        COMITY_EVENT_LOCK_GRANTED => c"LockGranted",
        COMITY_EVENT_LOCK_RENEWED => c"LockRenewed",
        COMITY_EVENT_LOCK_NOT_RENEWED => c"LockNotRenewed",
        COMITY_EVENT_LOCK_LOST => c"LockLost",
        COMITY_EVENT_LOCK_RELEASED => c"LockReleased",
        COMITY_EVENT_LOCK_FAILED => c"LockFailed",
        COMITY_EVENT_LOCK_INSPECTED => c"LockInspected",
        COMITY_EVENT_FENCE_CHECKED => c"FenceChecked",
        COMITY_EVENT_COUNTER_FLUSHED => c"CounterFlushed",
        COMITY_EVENT_COUNTER_READ => c"CounterRead",
        COMITY_EVENT_COUNTER_RESET => c"CounterReset",
        COMITY_EVENT_COUNTER_AUDITED => c"CounterAudited",
        COMITY_EVENT_COUNTER_JOURNAL => c"CounterJournal",
        COMITY_EVENT_COUNTER_LOST => c"CounterLost",
        COMITY_EVENT_COUNTER_REGRESSED => c"CounterRegressed",
        COMITY_EVENT_COUNTER_REFUSED => c"CounterRefused",
        COMITY_EVENT_COUNTER_CLOSED => c"CounterClosed",
        COMITY_EVENT_TRANSACTION_COMMITTED => c"TransactionCommitted",
        COMITY_EVENT_TRANSACTION_NOT_DURABLE => c"TransactionNotDurable",
        COMITY_EVENT_TRANSACTION_FAILED => c"TransactionFailed",
        COMITY_EVENT_TRANSACTION_UNKNOWN => c"TransactionUnknown",
        COMITY_EVENT_TRANSACTION_ENDED => c"TransactionEnded",
        COMITY_EVENT_TRANSACTION_DAMAGED => c"TransactionDamaged",
        COMITY_EVENT_TRANSACTION_STATUS => c"TransactionStatus",
        COMITY_EVENT_TRANSACTION_RESOLVED => c"TransactionResolved",
        COMITY_EVENT_TRANSACTION_SWEPT => c"TransactionSwept",
        COMITY_EVENT_NODE_CHECKED => c"NodeChecked",
        COMITY_EVENT_CALL_FAILED => c"CallFailed",
        COMITY_EVENT_PUSH_READY => c"PushReady",
        COMITY_EVENT_PUSH_UNAVAILABLE => c"PushUnavailable",
        COMITY_EVENT_CLOSED => c"Closed",
        COMITY_EVENT_NODE_DOWN => c"NodeDown",
        COMITY_EVENT_NODE_UP => c"NodeUp",
        _ => c"unknown",
    };
    name.as_ptr()
}
