//! Events of the core as C sees them.

use std::ffi::CString;
use std::ptr;

use comity::counter::{Audit, CounterId};
use comity::error::Error;
use comity::event::{CallId, Event, TransactionOutcome};
use comity::lock::{Fence, Inspection, LockId};
use comity::redis::NodeId;
use comity::transaction::Handle;

// All kinds and outcomes, and the structs they fill.
use super::*;
use crate::counter::{NOTHING_READ, comity_counter_reading};
use crate::handle::Slot;
use crate::number::{comity_int128, comity_tally};
use crate::reply::{COMITY_REPLY_ARRAY, Lists};
use crate::status::COMITY_OK;
use crate::{COMITY_NONE, comity_bytes};

const NOTHING: comity_event = comity_event {
    kind: 0,
    error: COMITY_OK,
    message: c"".as_ptr(),
    lock: 0,
    call: 0,
    counter: 0,
    transaction: 0,
    node: COMITY_NO_NODE,
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
    replicas: COMITY_NONE,
    unreadable: 0,
    outage_us: 0,
    name: comity_bytes::NONE,
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

    pub(super) fn show(&mut self, event: Option<Event>) -> *const comity_event {
        let Some(event) = event else { return ptr::null() };
        let event = self.event.insert(event);
        self.shown.put(self.parts.show(event))
    }
}

impl Parts {
    fn show(&mut self, event: &Event) -> comity_event {
        use Event as E;
        let bytes = |bytes: &[u8]| comity_bytes::of(bytes);
        match event {
            E::LockQueued { lock, name, rank, holder } => comity_event {
                rank: *rank,
                holder: bytes(holder),
                ..of_lock(COMITY_EVENT_LOCK_QUEUED, *lock, name)
            },
            E::LockGranted { lock, name, fence: Fence(fence), valid_until } => comity_event {
                fence: *fence,
                valid_until_us: valid_until.as_micros(),
                ..of_lock(COMITY_EVENT_LOCK_GRANTED, *lock, name)
            },
            E::LockRenewed { lock, name, valid_until, asked } => comity_event {
                valid_until_us: valid_until.as_micros(),
                accepted: (*asked).into(),
                ..of_lock(COMITY_EVENT_LOCK_RENEWED, *lock, name)
            },
            E::LockLost { lock, name, error } => {
                self.because(error, of_lock(COMITY_EVENT_LOCK_LOST, *lock, name))
            }
            E::LockNotRenewed { lock, name, error } => {
                self.because(error, of_lock(COMITY_EVENT_LOCK_NOT_RENEWED, *lock, name))
            }
            E::LockReleased { lock, name } => of_lock(COMITY_EVENT_LOCK_RELEASED, *lock, name),
            E::LockFailed { lock, name, error, holder } => comity_event {
                holder: holder.as_deref().map_or(comity_bytes::NONE, bytes),
                ..self.because(error, of_lock(COMITY_EVENT_LOCK_FAILED, *lock, name))
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
            E::CounterFlushed { call, counter, name } => {
                answering(*call, of_counter(COMITY_EVENT_COUNTER_FLUSHED, *counter, name))
            }
            E::CounterRead { call, counter, name, value } => comity_event {
                reading: self.reading.put(value.into()),
                ..answering(*call, of_counter(COMITY_EVENT_COUNTER_READ, *counter, name))
            },
            E::CounterReset { call, counter, name, epoch } => comity_event {
                epoch: *epoch,
                ..answering(*call, of_counter(COMITY_EVENT_COUNTER_RESET, *counter, name))
            },
            E::CounterAudited { call, counter, name, audit } => comity_event {
                audit: self.audit.put(self::audit(audit)),
                ..answering(*call, of_counter(COMITY_EVENT_COUNTER_AUDITED, *counter, name))
            },
            E::CounterJournal { counter, name, bytes: data } => comity_event {
                data: bytes(data),
                ..of_counter(COMITY_EVENT_COUNTER_JOURNAL, *counter, name)
            },
            E::CounterLost { counter, name, lost, error } => comity_event {
                units: (*lost).into(),
                ..self.because(error, of_counter(COMITY_EVENT_COUNTER_LOST, *counter, name))
            },
            E::CounterRegressed { counter, name, node: NodeId(node) } => comity_event {
                node: *node,
                ..of_counter(COMITY_EVENT_COUNTER_REGRESSED, *counter, name)
            },
            E::CounterRefused { counter, name, error } => {
                self.because(error, of_counter(COMITY_EVENT_COUNTER_REFUSED, *counter, name))
            }
            E::CounterClosed { counter, name, node: NodeId(node), unacknowledged } => {
                comity_event {
                    node: *node,
                    units: (*unacknowledged).into(),
                    ..of_counter(COMITY_EVENT_COUNTER_CLOSED, *counter, name)
                }
            }
            E::TransactionCommitted { transaction, id, replies, applied, replicas } => {
                let shown = replies.as_ref().map(|replies| {
                    self.lists.clear();
                    self.lists.list(COMITY_REPLY_ARRAY, replies.iter())
                });
                comity_event {
                    replies: shown.map_or(ptr::null(), |list| list.elements),
                    reply_count: shown.map_or(0, |list| list.count),
                    applied: (*applied).into(),
                    replicas: replicas.map_or(COMITY_NONE, u64::from),
                    ..of_transaction(COMITY_EVENT_TRANSACTION_COMMITTED, *transaction, id)
                }
            }
            E::TransactionNotDurable { transaction, id, node, replicas, error } => {
                let kind = COMITY_EVENT_TRANSACTION_NOT_DURABLE;
                let event = of_node(*node, of_transaction(kind, *transaction, id));
                comity_event { replicas: (*replicas).into(), ..self.because(error, event) }
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
            E::TransactionSwept { call, count, unreadable } => comity_event {
                count: *count,
                unreadable: *unreadable,
                ..of_call(COMITY_EVENT_TRANSACTION_SWEPT, *call)
            },
            E::NodeChecked { call, node, version, eviction_policy } => comity_event {
                version: bytes(version.as_bytes()),
                eviction_policy: bytes(eviction_policy.as_bytes()),
                ..of_node(*node, of_call(COMITY_EVENT_NODE_CHECKED, *call))
            },
            E::CallFailed { call, node, error } => {
                self.because(error, of_node(*node, of_call(COMITY_EVENT_CALL_FAILED, *call)))
            }
            E::NodeDown { node, error, waiting } => comity_event {
                count: *waiting,
                ..self.because(error, of_node(*node, of_kind(COMITY_EVENT_NODE_DOWN)))
            },
            E::NodeUp { node, outage } => comity_event {
                outage_us: outage.as_micros(),
                ..of_node(*node, of_kind(COMITY_EVENT_NODE_UP))
            },
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
            node: error.node().map_or(event.node, |NodeId(node)| node),
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

fn of_lock(kind: u32, LockId(lock): LockId, name: &[u8]) -> comity_event {
    comity_event { lock, name: comity_bytes::of(name), ..of_kind(kind) }
}

const fn of_call(kind: u32, CallId(call): CallId) -> comity_event {
    comity_event { call, ..of_kind(kind) }
}

fn of_counter(kind: u32, CounterId(counter): CounterId, name: &[u8]) -> comity_event {
    comity_event { counter, name: comity_bytes::of(name), ..of_kind(kind) }
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
