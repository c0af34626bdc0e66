//! What happened in true time, and what must never happen. Each check names its invariant.

use std::collections::BTreeMap;

use comity::keyspace::Keyspace;
use comity::lock::Op;
use comity::redis::{Argv, Reply};

use super::resp::{bytes, items};
use super::view::{View, number};

/// How long the server remembers a lease that has expired.
const MEMORY: u64 = 60_000_000;

/// A lock on the server as far as it matters for what comes later.
#[derive(Default)]
struct Lock {
    view: View,
    last_fence: u64,
    /// Since when nobody holds it though somebody waits.
    free_since: Option<u64>,
}

/// What somebody believes to hold, in true time.
#[derive(Clone, Debug)]
pub(crate) struct Belief {
    pub(crate) client: usize,
    pub(crate) name: Vec<u8>,
    pub(crate) fence: u64,
    /// When it ends by itself.
    pub(crate) until: u64,
}

#[derive(Default)]
pub(crate) struct Ledger {
    locks: BTreeMap<Vec<u8>, Lock>,
    fences: BTreeMap<Vec<u8>, u64>,
    /// Ids that must not hold again, and until when: a lease that nobody claimed is remembered as
    /// long as a straggler may live; after that the same waiter may come back.
    over: BTreeMap<Vec<u8>, u64>,
    /// The longest that a lock was free while somebody alive waited.
    pub(crate) longest_free: u64,
    pub(crate) grants: u64,
    pub(crate) handed_over: u64,
    pub(crate) operations: BTreeMap<String, u64>,
}

impl Ledger {
    /// Before `argv` is executed at server time `now`.
    pub(crate) fn before(&mut self, space: &Keyspace, argv: &Argv, now: u64) {
        if let Some(name) = lock_of(argv) {
            let lock = self.locks.entry(name.to_vec()).or_default();
            lock.view = View::of(space, name);
            lock.note_free(now);
        }
    }

    /// After `argv` was executed at server time `now` with this reply.
    pub(crate) fn after(&mut self, space: &Keyspace, argv: &Argv, reply: &Reply, now: u64) {
        let Some(name) = lock_of(argv) else { return };
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let fields = items(reply);
        let verb = fields.first().map_or(b"(error)" as &[u8], bytes);
        *self.operations.entry(text(verb)).or_default() += 1;
        if let Reply::Error(_) = reply {
            return;
        }
        let (op, id) = (argv.get(9).unwrap_or_default(), argv.get(10).unwrap_or_default());
        let lock = self.locks.entry(name.to_vec()).or_default();
        let old = std::mem::replace(&mut lock.view, View::of(space, name));
        let new = lock.view.clone();

        // I1: no more is held than there is.
        let weight = new.weight(now);
        assert!(weight <= 1, "I1: weight {weight} is held at {now}: {new:?}");

        let mut granted: Vec<_> =
            new.holders.iter().filter(|holder| old.holder(&holder.id).is_none()).collect();
        granted.sort_by_key(|holder| holder.fence);
        for holder in granted {
            self.grants += 1;
            self.handed_over += u64::from(holder.id != id);
            // I3: fences rise in the order of grants.
            assert!(holder.fence > lock.last_fence, "I3: {holder:?} after {}", lock.last_fence);
            lock.last_fence = holder.fence;
            if self.over.get(&holder.id).is_some_and(|until| *until <= now) {
                self.over.remove(&holder.id);
                self.fences.remove(&holder.id);
            }
            let fence = *self.fences.entry(holder.id.clone()).or_insert(holder.fence);
            assert_eq!(fence, holder.fence, "I3, I7: {holder:?} was granted before");
            // I4 and I14: nobody alive and ahead in the queue was passed over.
            let mut ticket = u64::MAX;
            if let Some(waiter) = old.waiters.iter().find(|waiter| waiter.id == holder.id) {
                ticket = waiter.ticket;
            } else if let Some(Op::Acquire(acquire)) = Op::decode(argv.iter().skip(9))
                && acquire.ticket > 0
            {
                ticket = acquire.ticket;
            }
            for waiter in old.waiters.iter().filter(|w| w.ticket < ticket && w.till > now) {
                let waits = new.waiters.iter().any(|still| still.id == waiter.id);
                assert!(!waits, "I4, I14: {waiter:?} was passed over for {holder:?}");
            }
        }
        // I3: every answer to an id tells the same fence.
        if let b"GRANTED" | b"OK" = verb {
            let fence = number(bytes(&fields[1]));
            assert_eq!(self.fences.get(id), Some(&fence), "I3: another fence in {reply:?}");
        }
        // I7: what is over stays over.
        if let b"REL" | b"CAN" = op {
            self.over.insert(id.to_vec(), u64::MAX);
        }
        for left in old.holders.iter().filter(|holder| new.holder(&holder.id).is_none()) {
            self.over.entry(left.id.clone()).or_insert(now + MEMORY);
        }
        for holder in &new.holders {
            assert!(!self.over.contains_key(&holder.id), "I7: {holder:?} holds again by {argv:?}");
        }
        self.longest_free = self.longest_free.max(lock.note_free(now));
    }

    /// What clients believe at true time `now`, which is also the server's.
    pub(crate) fn believe(&mut self, beliefs: &[Belief], now: u64) {
        for (place, belief) in beliefs.iter().enumerate() {
            // I2: no two believe that they hold the same.
            let other = beliefs[..place].iter().find(|other| other.name == belief.name);
            assert!(other.is_none(), "I2: at {now}: {other:?} and {belief:?}");
            // I8: what is believed ends before the server ends it.
            let lock = self.locks.get(&belief.name);
            let holders = lock.map_or(&[][..], |lock| &lock.view.holders);
            let holder = holders.iter().find(|holder| holder.fence == belief.fence);
            let till = holder.map(|holder| holder.till);
            assert!(till.is_some(), "I8: at {now}: {belief:?}, but the server says {holders:?}");
            assert!(till >= Some(belief.until), "I8: at {now}: {belief:?} beyond {till:?}");
        }
    }
}

impl Lock {
    /// How long the lock is free though somebody alive waits for it.
    fn note_free(&mut self, now: u64) -> u64 {
        let held = self.view.holders.iter().any(|holder| holder.till > now);
        let waits = self.view.waiters.iter().any(|waiter| waiter.till > now);
        if held {
            self.free_since.take().map_or(0, |since| now - since)
        } else if !waits {
            self.free_since = None;
            0
        } else {
            let ended = self.view.holders.iter().map(|holder| holder.till).max().unwrap_or(now);
            let since = *self.free_since.get_or_insert(ended);
            now.saturating_sub(since)
        }
    }
}

/// The state key of the lock that a command is for.
fn lock_of(argv: &Argv) -> Option<&[u8]> {
    (argv.get(2)? == b"6").then(|| argv.get(3))?
}
