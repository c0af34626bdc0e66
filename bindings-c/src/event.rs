//! What happened, for the user.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::{CString, c_char};
use std::ptr;

use comity::counter::{Audit, CounterId};
use comity::error::Error;
use comity::event::{CallId, Event, TransactionOutcome};
use comity::lock::{Fence, Inspection, LockId};
use comity::redis::NodeId;
use comity::transaction::Handle;

use crate::coordinator::comity_coordinator;
use crate::counter::{NOTHING_READ, comity_counter_reading};
use crate::handle::{Slot, with_mut};
use crate::number::{comity_int128, comity_tally};
use crate::pointer::place;
use crate::reply::{COMITY_REPLY_ARRAY, Lists, comity_reply};
use crate::status::COMITY_OK;
use crate::{COMITY_NONE, comity_bytes};

/// The lock is not free: lock is in its queue. rank, holder.
pub const COMITY_EVENT_LOCK_QUEUED: u32 = 1;
/// lock is held. fence, valid_until_us.
pub const COMITY_EVENT_LOCK_GRANTED: u32 = 2;
/// The lease of lock was made longer. valid_until_us.
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
/// are given back to it.
pub const COMITY_EVENT_COUNTER_REGRESSED: u32 = 15;
/// The server does not take what counter counts. It is kept and tried again; told once. error.
pub const COMITY_EVENT_COUNTER_REFUSED: u32 = 16;
/// counter is closed. units were not acknowledged by then. Last.
pub const COMITY_EVENT_COUNTER_CLOSED: u32 = 17;
/// transaction is applied, or will be. id, replies, applied. Last.
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
/// Every node was searched. call, count (what was removed and is being ended). Last.
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

/// The transaction is applied, or will be.
pub const COMITY_OUTCOME_COMMITTED: u32 = 1;
/// The transaction will never be applied.
pub const COMITY_OUTCOME_ABORTED: u32 = 2;
/// The transaction is not decided yet.
pub const COMITY_OUTCOME_PENDING: u32 = 3;
/// The primary of the transaction has never heard of it.
pub const COMITY_OUTCOME_UNHEARD: u32 = 4;
/// The transaction is over; how is not known any more.
pub const COMITY_OUTCOME_FORGOTTEN: u32 = 5;

/// What happened. The COMITY_EVENT_ constant of its kind names the fields that say something; the
/// others are 0, NULL or COMITY_NONE. An event that is marked last is the last of its lock,
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
    /// The number of the node.
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
    /// they are gone.
    pub replies: *const comity_reply,
    /// How many replies.
    pub reply_count: usize,
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

const NOTHING: comity_event = comity_event {
    kind: 0,
    error: COMITY_OK,
    message: c"".as_ptr(),
    lock: 0,
    call: 0,
    counter: 0,
    transaction: 0,
    node: 0,
    outcome: 0,
    accepted: 0,
    applied: 0,
    fence: 0,
    valid_until_us: COMITY_NONE,
    rank: 0,
    epoch: 0,
    count: 0,
    units: comity_tally { increments: 0, decrements: 0 },
    holder: comity_bytes::NONE,
    id: comity_bytes::NONE,
    data: comity_bytes::NONE,
    version: comity_bytes::NONE,
    eviction_policy: comity_bytes::NONE,
    inspection: ptr::null(),
    reading: ptr::null(),
    audit: ptr::null(),
    replies: ptr::null(),
    reply_count: 0,
};

/// The event that was polled last, and what it points to.
#[derive(Debug)]
pub(crate) struct Told {
    shown: Slot<comity_event>,
    event: Option<Event>,
    parts: Parts,
}

/// What an event can point to besides the event of the core.
#[derive(Debug)]
struct Parts {
    message: CString,
    lists: Lists,
    holders: Vec<comity_holder>,
    waiters: Vec<comity_waiter>,
    inspection: Slot<comity_inspection>,
    reading: Slot<comity_counter_reading>,
    audit: Slot<comity_audit>,
}

impl Told {
    pub(crate) fn new() -> Self {
        let inspection = comity_inspection {
            now_us: 0,
            capacity: 0,
            holders_total: 0,
            waiters_total: 0,
            holders: ptr::null(),
            holder_count: 0,
            waiters: ptr::null(),
            waiter_count: 0,
        };
        let parts = Parts {
            message: CString::default(),
            lists: Lists::default(),
            holders: Vec::new(),
            waiters: Vec::new(),
            inspection: Slot::new(inspection),
            reading: Slot::new(NOTHING_READ),
            audit: Slot::new(audit(&Audit::default())),
        };
        Self { shown: Slot::new(NOTHING), event: None, parts }
    }

    fn show(&mut self, event: Option<Event>) -> *const comity_event {
        self.event = event;
        match &self.event {
            Some(event) => self.shown.put(self.parts.show(event)),
            None => ptr::null(),
        }
    }
}

impl Parts {
    fn show(&mut self, event: &Event) -> comity_event {
        use Event as E;
        let bytes = |bytes: &[u8]| comity_bytes::of(bytes);
        match event {
            E::LockQueued { lock, rank, holder } => comity_event {
                rank: *rank,
                holder: bytes(holder),
                ..of_lock(COMITY_EVENT_LOCK_QUEUED, *lock)
            },
            E::LockGranted { lock, fence: Fence(fence), valid_until } => comity_event {
                fence: *fence,
                valid_until_us: valid_until.as_micros(),
                ..of_lock(COMITY_EVENT_LOCK_GRANTED, *lock)
            },
            E::LockRenewed { lock, valid_until } => comity_event {
                valid_until_us: valid_until.as_micros(),
                ..of_lock(COMITY_EVENT_LOCK_RENEWED, *lock)
            },
            E::LockLost { lock, error } => {
                self.because(error, of_lock(COMITY_EVENT_LOCK_LOST, *lock))
            }
            E::LockReleased { lock } => of_lock(COMITY_EVENT_LOCK_RELEASED, *lock),
            E::LockFailed { lock, error, holder } => comity_event {
                holder: holder.as_deref().map_or(comity_bytes::NONE, bytes),
                ..self.because(error, of_lock(COMITY_EVENT_LOCK_FAILED, *lock))
            },
            E::LockInspected { call, inspection } => comity_event {
                inspection: self.inspected(inspection),
                ..of_call(COMITY_EVENT_LOCK_INSPECTED, *call)
            },
            E::FenceChecked { call, accepted, highest: Fence(highest) } => comity_event {
                accepted: (*accepted).into(),
                fence: *highest,
                ..of_call(COMITY_EVENT_FENCE_CHECKED, *call)
            },
            E::CounterFlushed { call, counter } => {
                answering(*call, of_counter(COMITY_EVENT_COUNTER_FLUSHED, *counter))
            }
            E::CounterRead { call, counter, value } => comity_event {
                reading: self.reading.put(value.into()),
                ..answering(*call, of_counter(COMITY_EVENT_COUNTER_READ, *counter))
            },
            E::CounterReset { call, counter, epoch } => comity_event {
                epoch: *epoch,
                ..answering(*call, of_counter(COMITY_EVENT_COUNTER_RESET, *counter))
            },
            E::CounterAudited { call, counter, audit } => comity_event {
                audit: self.audit.put(self::audit(audit)),
                ..answering(*call, of_counter(COMITY_EVENT_COUNTER_AUDITED, *counter))
            },
            E::CounterJournal { counter, bytes: data } => comity_event {
                data: bytes(data),
                ..of_counter(COMITY_EVENT_COUNTER_JOURNAL, *counter)
            },
            E::CounterLost { counter, lost, error } => comity_event {
                units: (*lost).into(),
                ..self.because(error, of_counter(COMITY_EVENT_COUNTER_LOST, *counter))
            },
            E::CounterRegressed { counter } => of_counter(COMITY_EVENT_COUNTER_REGRESSED, *counter),
            E::CounterRefused { counter, error } => {
                self.because(error, of_counter(COMITY_EVENT_COUNTER_REFUSED, *counter))
            }
            E::CounterClosed { counter, unacknowledged } => comity_event {
                units: (*unacknowledged).into(),
                ..of_counter(COMITY_EVENT_COUNTER_CLOSED, *counter)
            },
            E::TransactionCommitted { transaction, id, replies, applied } => {
                let shown = replies.as_ref().map(|replies| {
                    self.lists.clear();
                    self.lists.list(COMITY_REPLY_ARRAY, replies.iter())
                });
                comity_event {
                    replies: shown.map_or(ptr::null(), |list| list.elements),
                    reply_count: shown.map_or(0, |list| list.count),
                    applied: (*applied).into(),
                    ..of_transaction(COMITY_EVENT_TRANSACTION_COMMITTED, *transaction, id)
                }
            }
            E::TransactionFailed { transaction, id, error } => self
                .because(error, of_transaction(COMITY_EVENT_TRANSACTION_FAILED, *transaction, id)),
            E::TransactionUnknown { transaction, id, error } => self
                .because(error, of_transaction(COMITY_EVENT_TRANSACTION_UNKNOWN, *transaction, id)),
            E::TransactionEnded { id, outcome } => comity_event {
                id: bytes(id),
                outcome: outcome_number(*outcome),
                ..of_kind(COMITY_EVENT_TRANSACTION_ENDED)
            },
            E::TransactionDamaged { id, node } => comity_event {
                id: bytes(id),
                ..of_node(*node, of_kind(COMITY_EVENT_TRANSACTION_DAMAGED))
            },
            E::TransactionStatus { call, id, outcome } => comity_event {
                id: bytes(id),
                outcome: outcome_number(*outcome),
                ..of_call(COMITY_EVENT_TRANSACTION_STATUS, *call)
            },
            E::TransactionResolved { call, id, outcome } => comity_event {
                id: bytes(id),
                outcome: outcome_number(*outcome),
                ..of_call(COMITY_EVENT_TRANSACTION_RESOLVED, *call)
            },
            E::TransactionSwept { call, count } => {
                comity_event { count: *count, ..of_call(COMITY_EVENT_TRANSACTION_SWEPT, *call) }
            }
            E::NodeChecked { call, node, version, eviction_policy } => comity_event {
                version: bytes(version.as_bytes()),
                eviction_policy: bytes(eviction_policy.as_bytes()),
                ..of_node(*node, of_call(COMITY_EVENT_NODE_CHECKED, *call))
            },
            E::CallFailed { call, node, error } => {
                self.because(error, of_node(*node, of_call(COMITY_EVENT_CALL_FAILED, *call)))
            }
            E::PushReady { node } => of_node(*node, of_kind(COMITY_EVENT_PUSH_READY)),
            E::PushUnavailable { node, error } => {
                self.because(error, of_node(*node, of_kind(COMITY_EVENT_PUSH_UNAVAILABLE)))
            }
            E::Closed => of_kind(COMITY_EVENT_CLOSED),
            // None of the kinds there are: the test of the header compares them.
            _ => NOTHING,
        }
    }

    fn because(&mut self, error: &Error, event: comity_event) -> comity_event {
        // Text for C ends at its first zero byte, so none may stand inside.
        self.message = CString::new(error.message().replace('\0', "\\0")).unwrap_or_default();
        comity_event {
            error: error.code().number().into(),
            message: self.message.as_ptr(),
            ..event
        }
    }

    fn inspected(&mut self, inspection: &Inspection) -> *const comity_inspection {
        self.holders = inspection
            .holders
            .iter()
            .map(|holder| comity_holder {
                id: comity_bytes::of(holder.id.as_bytes()),
                label: comity_bytes::of(&holder.label),
                fence: holder.fence.0,
                expiry_us: holder.expiry_us,
                weight: holder.weight,
            })
            .collect();
        self.waiters = inspection
            .waiters
            .iter()
            .map(|waiter| comity_waiter {
                id: comity_bytes::of(waiter.id.as_bytes()),
                label: comity_bytes::of(&waiter.label),
            })
            .collect();
        self.inspection.put(comity_inspection {
            now_us: inspection.now_us,
            capacity: inspection.capacity,
            holders_total: inspection.holders_total,
            waiters_total: inspection.waiters_total,
            holders: self.holders.as_ptr(),
            holder_count: self.holders.len(),
            waiters: self.waiters.as_ptr(),
            waiter_count: self.waiters.len(),
        })
    }
}

const fn of_kind(kind: u32) -> comity_event {
    comity_event { kind, ..NOTHING }
}

const fn of_lock(kind: u32, LockId(lock): LockId) -> comity_event {
    comity_event { lock, ..of_kind(kind) }
}

const fn of_call(kind: u32, CallId(call): CallId) -> comity_event {
    comity_event { call, ..of_kind(kind) }
}

const fn of_counter(kind: u32, CounterId(counter): CounterId) -> comity_event {
    comity_event { counter, ..of_kind(kind) }
}

fn of_transaction(kind: u32, Handle(transaction): Handle, id: &[u8]) -> comity_event {
    comity_event { transaction, id: comity_bytes::of(id), ..of_kind(kind) }
}

const fn answering(CallId(call): CallId, event: comity_event) -> comity_event {
    comity_event { call, ..event }
}

const fn of_node(NodeId(node): NodeId, event: comity_event) -> comity_event {
    comity_event { node, ..event }
}

const fn outcome_number(outcome: TransactionOutcome) -> u32 {
    match outcome {
        TransactionOutcome::Committed => COMITY_OUTCOME_COMMITTED,
        TransactionOutcome::Aborted => COMITY_OUTCOME_ABORTED,
        TransactionOutcome::Pending => COMITY_OUTCOME_PENDING,
        TransactionOutcome::Unheard => COMITY_OUTCOME_UNHEARD,
        TransactionOutcome::Forgotten => COMITY_OUTCOME_FORGOTTEN,
        // None of the outcomes there are: the test of the header compares them.
        _ => 0,
    }
}

const fn audit(audit: &Audit) -> comity_audit {
    comity_audit {
        live: audit.live,
        retired: audit.retired,
        pruned: audit.pruned,
        compared: audit.compared as u64,
        corrected: comity_int128::of(audit.corrected),
    }
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
        _ => c"unknown",
    };
    name.as_ptr()
}
