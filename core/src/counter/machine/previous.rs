//! Slots that a counter did not begin itself: of its earlier lives, and of peer counters.

use alloc::vec::Vec;

use super::{
    Counter, Cx, FlushStamp, MAX_SLOTS, PreviousSlot, PreviousSlots, SlotId, Tally, journal,
};
use crate::crdt::Slots;
use crate::error::{Error, ErrorCode, Result};

impl Counter {
    /// Restores the slots of earlier lives into a counter that has just been opened.
    ///
    /// # Errors
    /// `InvalidState` once anything was counted, asked or restored; nothing is changed.
    pub(crate) fn restore_into(&mut self, leaving: PreviousSlots, cx: &mut Cx<'_>) -> Result<()> {
        let fresh = self.active.is_none() && self.server_view.is_none() && self.sent.is_none();
        let idle = self.leaving.is_empty() && self.merging.is_empty();
        if !fresh || !idle || !self.total.is_zero() {
            let message = "the counter is in use: only what has just been opened can be restored";
            return Err(Error::new(ErrorCode::InvalidState, message));
        }
        self.sort(leaving);
        self.work(cx);
        Ok(())
    }

    /// Adds slots of earlier lives and of peer counters to those that are to be raised.
    pub(super) fn sort(&mut self, slots: PreviousSlots) {
        for (id, saved) in slots.iter() {
            let of_kind = if id.is_peer() { &mut self.merging } else { &mut self.leaving };
            of_kind.insert(*id, *saved);
        }
    }

    /// Raises the server's slots to what a peer counter's replicas have counted.
    pub(crate) fn merge(&mut self, slots: &Slots, cx: &mut Cx<'_>) -> Result<()> {
        let id = |owner| SlotId { owner, incarnation: SlotId::PEER };
        let new = slots.iter().filter(|(owner, _)| !self.merging.contains_key(&id(*owner))).count();
        if self.merging.len() + new > MAX_SLOTS {
            let message = alloc::format!("more than {MAX_SLOTS} slots would wait to be merged");
            return Err(Error::limit(message));
        }
        for (owner, tally) in slots.iter() {
            if let Some(known) = self.merging.get_mut(&id(owner)) {
                known.tally = known.tally.max(tally);
            } else {
                let (acknowledged, flush_stamp) = (Tally::ZERO, FlushStamp::REPLAY);
                self.merging.insert(
                    id(owner),
                    PreviousSlot { tally, acknowledged, exported: tally, flush_stamp },
                );
            }
        }
        self.work(cx);
        Ok(())
    }

    /// What this life and unfinished earlier ones have counted, as far as it has a slot.
    pub(crate) fn snapshot(&mut self) -> Vec<u8> {
        self.leaving.each_mut(|saved| saved.exported = saved.tally);
        self.merging.each_mut(|saved| saved.exported = saved.tally);
        let (mut slots, tally) = (self.leaving.clone(), self.own_now());
        self.merging.iter().for_each(|(id, saved)| slots.insert(*id, *saved));
        if let Some(own) = &mut self.active {
            own.exported = tally;
            let (acknowledged, flush_stamp) = (own.acknowledged, FlushStamp::REPLAY);
            slots
                .insert(own.id, PreviousSlot { tally, acknowledged, exported: tally, flush_stamp });
        }
        journal::encode(&self.name, &slots)
    }
}
