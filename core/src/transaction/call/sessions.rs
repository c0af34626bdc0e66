//! Sessions and their slots: what makes an id unique, and a repeated script harmless.
//!
//! A session is a random number, drawn when it is first needed, so a coordinator made anew, by a
//! fork or a restart, shares none with an earlier one. A transaction takes a free slot of it and
//! the slot's next sequence number. Each participant keeps one register per slot, which a later
//! sequence overwrites; so a slot is free again only when every participant that was ever asked
//! to prepare has acknowledged the end. One whose outcome nobody knows is never used again, and one
//! whose user was notified that it is in doubt not for a day by its primary's clock, so that a question
//! about it within that time is answered.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::entropy::Entropy;
use crate::keyspace::ServerTime;
use crate::redis::NodeId;
use crate::transaction::{KEPT, MAX_KEPT, MAX_SLOTS, Txid};

/// The last sequence number of a slot: scripts compute with doubles.
const LAST_SEQ: u64 = (1 << 53) - 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    id: u64,
    /// Slots that were used and may be used again, one bit each.
    free: u64,
    /// Slots that may never be used again.
    pinned: u64,
    /// The last sequence of each slot that was ever used.
    seqs: Vec<u64>,
}

impl Session {
    const fn new(id: u64) -> Self {
        Self { id, free: 0, pinned: 0, seqs: Vec::new() }
    }

    /// The lowest free slot, or else a new one: few slots mean few registers.
    fn take(&mut self) -> Option<Txid> {
        let place = match self.free {
            0 if self.seqs.len() < usize::from(MAX_SLOTS) => {
                self.seqs.push(0);
                self.seqs.len() - 1
            }
            0 => return None,
            free => free.trailing_zeros() as usize,
        };
        let slot = u8::try_from(place).ok()?;
        self.free &= !(1 << slot);
        let seq = self.seqs.get_mut(place)?;
        *seq += 1;
        Txid::new(self.id, slot, *seq)
    }

    fn give_back(&mut self, txid: Txid) {
        let current = self.seqs.get(usize::from(txid.slot())) == Some(&txid.seq());
        let bit = 1 << (txid.slot() % MAX_SLOTS);
        if current && self.pinned & bit == 0 {
            if txid.seq() < LAST_SEQ {
                self.free |= bit;
            } else {
                self.pinned |= bit;
            }
        }
    }

    fn pin(&mut self, txid: Txid) {
        if self.seqs.get(usize::from(txid.slot())) == Some(&txid.seq()) {
            self.pinned |= 1 << (txid.slot() % MAX_SLOTS);
        }
    }
}

/// A slot that is not used again for a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept {
    txid: Txid,
    primary: NodeId,
    /// Until then by the primary's clock; none as long as that is not known.
    until: Option<ServerTime>,
}

/// The sessions of one coordinator. There is a second one only while all slots of the first are
/// taken or kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Sessions {
    sessions: Vec<Session>,
    /// Those that are kept, the first first.
    kept: VecDeque<Kept>,
}

impl Sessions {
    /// An id that nobody has used.
    pub(crate) fn take(&mut self, entropy: &mut Entropy) -> Txid {
        if let Some(txid) = self.sessions.iter_mut().find_map(Session::take) {
            return txid;
        }
        let id = self.fresh(entropy);
        let mut session = Session::new(id);
        let first = session.take();
        self.sessions.push(session);
        // A new session has its first slot free.
        first.unwrap_or(Txid::first(id))
    }

    fn fresh(&self, entropy: &mut Entropy) -> u64 {
        loop {
            // The high half of 128 random bits fits 64.
            let id = (entropy.bits128() >> 64) as u64;
            if self.sessions.iter().all(|session| session.id != id) {
                return id;
            }
        }
    }

    /// Every participant has acknowledged the end of `txid`: its slot may be used again.
    pub(crate) fn give_back(&mut self, txid: Txid) {
        if let Some(session) = self.of(txid) {
            session.give_back(txid);
        }
    }

    /// The end of `txid` will never be acknowledged by all: its slot may never be used again.
    pub(crate) fn pin(&mut self, txid: Txid) {
        if let Some(session) = self.of(txid) {
            session.pin(txid);
        }
        self.sessions.retain(|session| session.pinned != u64::MAX);
    }

    /// Every participant has acknowledged the end of `txid`, and somebody may still ask for it: its slot
    /// may be used again a day after `now`, the clock of its primary. Of [`MAX_KEPT`] such slots the
    /// first is used again at once.
    pub(crate) fn keep(&mut self, txid: Txid, primary: NodeId, now: Option<ServerTime>) {
        let until = now.map(|now| now.after(KEPT));
        self.kept.push_back(Kept { txid, primary, until });
        if self.kept.len() > MAX_KEPT
            && let Some(first) = self.kept.pop_front()
        {
            self.give_back(first.txid);
        }
    }

    /// Gives back the slots that were kept for long enough by the servers' clocks, as far as those are known.
    pub(crate) fn release_expired(&mut self, clock: impl Fn(NodeId) -> Option<ServerTime>) {
        while let Some(first) = self.kept.front_mut()
            && let Some(now) = clock(first.primary)
            && now > *first.until.get_or_insert(now.after(KEPT))
        {
            let txid = first.txid;
            self.kept.pop_front();
            self.give_back(txid);
        }
    }

    fn of(&mut self, txid: Txid) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == txid.session())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_given_back_is_used_again_with_the_next_sequence() {
        let (mut sessions, mut entropy) = (Sessions::default(), Entropy::new([1; 32]));
        let first = sessions.take(&mut entropy);
        let second = sessions.take(&mut entropy);
        assert_eq!((first.slot(), first.seq(), second.slot(), second.seq()), (0, 1, 1, 1));
        sessions.give_back(first);
        let third = sessions.take(&mut entropy);
        assert_eq!(Some(third), Txid::new(first.session(), 0, 2));
        // A repetition says nothing of the transaction that has the slot now.
        sessions.give_back(first);
        assert_eq!(sessions.take(&mut entropy).slot(), 2);
    }

    #[test]
    fn a_pinned_slot_is_never_used_again() {
        let (mut sessions, mut entropy) = (Sessions::default(), Entropy::new([2; 32]));
        let first = sessions.take(&mut entropy);
        sessions.pin(first);
        sessions.give_back(first);
        for _ in 0..200 {
            let txid = sessions.take(&mut entropy);
            assert_ne!((txid.session(), txid.slot()), (first.session(), first.slot()));
        }
    }

    #[test]
    fn a_kept_slot_is_used_again_a_day_later_by_its_primarys_clock() {
        const DAY: u64 = KEPT.as_micros();
        for known in [true, false] {
            let (mut sessions, mut entropy) = (Sessions::default(), Entropy::new([4; 32]));
            let first = sessions.take(&mut entropy);
            let at = |clock: u64| move |node| (node == NodeId(1)).then_some(ServerTime(clock));
            sessions.keep(first, NodeId(1), known.then_some(ServerTime(7)));
            sessions.release_expired(|_| None);
            sessions.release_expired(at(7));
            sessions.release_expired(at(7 + DAY));
            assert_eq!(sessions.take(&mut entropy).slot(), 1);
            sessions.release_expired(at(8 + DAY));
            let again = sessions.take(&mut entropy);
            assert_eq!((again.slot(), again.seq()), (0, 2));
        }
    }

    #[test]
    fn of_very_many_kept_slots_the_first_is_used_again() {
        let (mut sessions, mut entropy) = (Sessions::default(), Entropy::new([5; 32]));
        let mut kept = Vec::new();
        for _ in 0..=MAX_KEPT {
            let txid = sessions.take(&mut entropy);
            assert!(!kept.contains(&(txid.session(), txid.slot())));
            kept.push((txid.session(), txid.slot()));
            sessions.keep(txid, NodeId(0), Some(ServerTime(0)));
        }
        let next = sessions.take(&mut entropy);
        assert_eq!((next.session(), next.slot(), next.seq()), (kept[0].0, kept[0].1, 2));
    }

    #[test]
    fn beyond_all_slots_there_is_another_session() {
        let (mut sessions, mut entropy) = (Sessions::default(), Entropy::new([3; 32]));
        let taken: Vec<Txid> = (0..=MAX_SLOTS).map(|_| sessions.take(&mut entropy)).collect();
        assert!(taken[..64].iter().all(|txid| txid.session() == taken[0].session()));
        assert_ne!(taken[64].session(), taken[0].session());
        taken[..64].iter().for_each(|txid| sessions.pin(*txid));
        assert_eq!(sessions.sessions.len(), 1, "a session whose slots are all pinned is forgotten");
    }
}
