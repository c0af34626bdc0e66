//! Events of the core as C sees them.

use std::ffi::CString;
use std::ptr;

use comity::counter::{Audit, CounterValue, Tally};
use comity::error::Error;
use comity::event::{Event, Fields, TransactionOutcome};
use comity::lock::Inspection;
use comity::redis::{NodeId, Reply};

use super::{
    COMITY_NO_NODE, comity_audit, comity_event, comity_holder, comity_inspection, comity_waiter,
};
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
        let parts = &mut self.parts;
        let mut view = View { event: NOTHING, its_node: None, parts };
        view.event.kind = event.number().into();
        event.show(&mut view);
        let node = view.its_node.unwrap_or(view.event.node);
        self.shown.put(comity_event { node, ..view.event })
    }
}

/// An event that is being shown.
struct View<'a> {
    event: comity_event,
    /// The node of the error, which says more than the one of the event.
    its_node: Option<u32>,
    parts: &'a mut Parts,
}

impl Fields for View<'_> {
    fn lock(&mut self, lock: u64) {
        self.event.lock = lock;
    }

    fn call(&mut self, call: u64) {
        self.event.call = call;
    }

    fn counter(&mut self, counter: u64) {
        self.event.counter = counter;
    }

    fn transaction(&mut self, transaction: u64) {
        self.event.transaction = transaction;
    }

    fn node(&mut self, node: u64) {
        self.event.node = u32::try_from(node).unwrap_or(COMITY_NO_NODE);
    }

    fn name(&mut self, name: &[u8]) {
        self.event.name = comity_bytes::of(name);
    }

    fn rank(&mut self, rank: u64) {
        self.event.rank = rank;
    }

    fn fence(&mut self, fence: u64) {
        self.event.fence = fence;
    }

    fn valid_until(&mut self, valid_until: u64) {
        self.event.valid_until_us = valid_until;
    }

    fn accepted(&mut self, accepted: bool) {
        self.event.accepted = accepted.into();
    }

    fn holder(&mut self, holder: &[u8]) {
        self.event.holder = comity_bytes::of(holder);
    }

    fn server_version(&mut self, version: &str) {
        self.event.version = comity_bytes::of(version.as_bytes());
    }

    fn eviction_policy(&mut self, policy: &str) {
        self.event.eviction_policy = comity_bytes::of(policy.as_bytes());
    }

    fn inspection(&mut self, inspection: &Inspection) {
        self.event.inspection = self.parts.inspected(inspection);
    }

    fn value(&mut self, value: CounterValue) {
        self.event.reading = self.parts.reading.put((&value).into());
    }

    fn audit(&mut self, audit: Audit) {
        self.event.audit = self.parts.audit.put(self::audit(&audit));
    }

    fn epoch(&mut self, epoch: u64) {
        self.event.epoch = epoch;
    }

    fn units(&mut self, units: Tally) {
        self.event.units = units.into();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.event.data = comity_bytes::of(bytes);
    }

    fn id(&mut self, id: &[u8]) {
        self.event.id = comity_bytes::of(id);
    }

    fn replies(&mut self, replies: &[Reply]) {
        self.parts.lists.clear();
        let list = self.parts.lists.list(COMITY_REPLY_ARRAY, replies.iter());
        self.event.replies = list.elements;
        self.event.reply_count = list.count;
    }

    fn applied(&mut self, applied: bool) {
        self.event.applied = applied.into();
    }

    fn replicas(&mut self, replicas: u64) {
        self.event.replicas = replicas;
    }

    fn waiting(&mut self, waiting: u64) {
        self.event.count = waiting;
    }

    fn outage(&mut self, outage: u64) {
        self.event.outage_us = outage;
    }

    fn count(&mut self, count: u64) {
        self.event.count = count;
    }

    fn unreadable(&mut self, unreadable: u64) {
        self.event.unreadable = unreadable;
    }

    fn outcome(&mut self, outcome: TransactionOutcome) {
        self.event.outcome = outcome.number().into();
    }

    fn error(&mut self, error: &Error) {
        // Text for C ends at its first zero byte, so none may stand inside.
        let message = error.message().replace('\0', "\\0");
        self.parts.message = CString::new(message).unwrap_or_default();
        self.event.error = error.code().number().into();
        self.event.message = self.parts.message.as_ptr();
        self.its_node = error.node().map(|NodeId(node)| node);
    }
}

impl Parts {
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

const fn audit(audit: &Audit) -> comity_audit {
    comity_audit {
        live: audit.live,
        retired: audit.retired,
        pruned: audit.pruned,
        compared: audit.compared as u64,
        corrected: comity_int128::of(audit.corrected),
    }
}
