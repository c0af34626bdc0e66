//! Sessions and their slots: what makes an id unique, and a repeated script harmless.
//!
//! A session is a random number, drawn when it is first needed, so a coordinator made anew, by a
//! fork or a restart, shares none with an earlier one. A transaction takes a free slot of it and
//! the slot's next sequence number. Each participant keeps one register per slot, which a later
//! sequence overwrites; so a slot is free again only when every participant that was ever asked
//! to prepare has acknowledged the end. One whose outcome nobody knows is never used again.

use alloc::vec::Vec;

use super::{MAX_SLOTS, Txid};
use crate::entropy::Entropy;

/// A sequence number that no slot goes beyond: scripts compute with doubles.
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

/// The sessions of one coordinator. There is a second one only while all slots of the first are
/// taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Sessions(Vec<Session>);

impl Sessions {
    /// An id that nobody has used.
    pub(crate) fn take(&mut self, entropy: &mut Entropy) -> Txid {
        if let Some(txid) = self.0.iter_mut().find_map(Session::take) {
            return txid;
        }
        let id = self.fresh(entropy);
        let mut session = Session::new(id);
        let first = session.take();
        self.0.push(session);
        // A new session has its first slot free.
        first.unwrap_or(Txid { session: id, slot: 0, seq: 1 })
    }

    fn fresh(&self, entropy: &mut Entropy) -> u64 {
        loop {
            // The high half of 128 random bits fits 64.
            let id = (entropy.bits128() >> 64) as u64;
            if self.0.iter().all(|session| session.id != id) {
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
        self.0.retain(|session| session.pinned != u64::MAX);
    }

    fn of(&mut self, txid: Txid) -> Option<&mut Session> {
        self.0.iter_mut().find(|session| session.id == txid.session())
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
    fn beyond_all_slots_there_is_another_session() {
        let (mut sessions, mut entropy) = (Sessions::default(), Entropy::new([3; 32]));
        let taken: Vec<Txid> = (0..=MAX_SLOTS).map(|_| sessions.take(&mut entropy)).collect();
        assert!(taken[..64].iter().all(|txid| txid.session() == taken[0].session()));
        assert_ne!(taken[64].session(), taken[0].session());
        taken[..64].iter().for_each(|txid| sessions.pin(*txid));
        assert_eq!(sessions.0.len(), 1, "a session whose slots are all pinned is forgotten");
    }
}
