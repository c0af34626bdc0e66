//! When something is to be done.

use crate::counter::CounterId;
use crate::event::CallId;
use crate::lock::LockId;
use crate::redis::{NodeId, RequestId};
use crate::table::{Key, Table};
use crate::time::Time;
use crate::transaction::{Handle, Txid};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    Lock(LockId),
    Counter(CounterId),
    Query(CallId),
    TransactionCall(Handle),
    Transaction(Txid),
    Recovery(Txid),
    Replication(NodeId),
    Sweep(CallId),
    Clock(NodeId),
    Subscribe(NodeId),
    Probe(NodeId),
    Request(RequestId),
    Close,
}

/// A timer, and when it goes off: the earlier first, at one moment in the order of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Due(Time, Timer);

impl Key for Due {
    fn words(self) -> [u64; 3] {
        let Self(at, timer) = self;
        let (kind, id, session) = match timer {
            Timer::Lock(LockId(id)) => (0, id, 0),
            Timer::Counter(CounterId(id)) => (1, id, 0),
            Timer::Query(CallId(id)) => (2, id, 0),
            Timer::TransactionCall(Handle(id)) => (3, id, 0),
            Timer::Transaction(txid) => (4, txid.use_of_slot(), txid.session()),
            Timer::Recovery(txid) => (5, txid.use_of_slot(), txid.session()),
            Timer::Replication(NodeId(id)) => (6, id.into(), 0),
            Timer::Clock(NodeId(id)) => (7, id.into(), 0),
            Timer::Subscribe(NodeId(id)) => (8, id.into(), 0),
            Timer::Probe(NodeId(id)) => (9, id.into(), 0),
            Timer::Request(RequestId(id)) => (10, id, 0),
            Timer::Close => (11, 0, 0),
            Timer::Sweep(CallId(id)) => (12, id, 0),
        };
        // No id is as high as 2^60: they are counted from 1.
        [at.as_micros(), kind << 60 | id, session]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Timers(Table<Due, ()>);

impl Timers {
    pub(super) fn insert(&mut self, at: Time, timer: Timer) {
        self.0.insert(Due(at, timer), ());
    }

    pub(super) fn remove(&mut self, at: Time, timer: Timer) {
        self.0.remove(&Due(at, timer));
    }

    /// Lets `timer`, which was to go off at `known`, go off at `wanted`.
    pub(super) fn adjust(&mut self, timer: Timer, known: &mut Option<Time>, wanted: Option<Time>) {
        if *known == wanted {
            return;
        }
        if let Some(old) = core::mem::replace(known, wanted) {
            self.remove(old, timer);
        }
        if let Some(new) = wanted {
            self.insert(new, timer);
        }
    }

    /// When the next one goes off.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(Due(at, _), ())| *at)
    }

    /// Takes the next one that was to go off by `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<Timer> {
        let due = self.0.first().map(|(due, ())| *due)?;
        if due.0 > now {
            return None;
        }
        self.0.remove(&due);
        Some(due.1)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
