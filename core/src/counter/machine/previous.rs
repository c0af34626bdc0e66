//! Slots that a counter did not begin itself: of its earlier lives, and of peer counters.

use alloc::vec::Vec;

use super::{Counter, Cx, Leaving, MAX_SLOTS, Mark, Saved, SlotId, Tally, journal};
use crate::crdt::Slots;
use crate::error::{Error, ErrorCode, Result};

impl Counter {
    /// Takes up the slots of earlier lives, as an opening with them does: not once there is an own one.
    pub(crate) fn take_up(&mut self, leaving: Leaving, cx: &mut Cx<'_>) -> Result<()> {
        let fresh = self.own.is_none() && self.seen.is_none() && self.sent.is_none();
        let idle = self.leaving.is_empty() && self.merging.is_empty();
        if !fresh || !idle || !self.total.is_zero() {
            let message = "the counter is in use: only what has just been opened can be restored";
            return Err(Error::new(ErrorCode::InvalidState, message));
        }
        self.sort(leaving);
        self.work(cx);
        Ok(())
    }

    /// Takes up slots of earlier lives and of peer counters.
    pub(super) fn sort(&mut self, slots: Leaving) {
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
                let (acknowledged, mark) = (Tally::ZERO, Mark::REPLAY);
                self.merging.insert(id(owner), Saved { tally, acknowledged, told: tally, mark });
            }
        }
        self.work(cx);
        Ok(())
    }

    /// What this life and unfinished earlier ones have counted, as far as it has a slot.
    pub(crate) fn snapshot(&mut self) -> Vec<u8> {
        self.leaving.each_mut(|saved| saved.told = saved.tally);
        self.merging.each_mut(|saved| saved.told = saved.tally);
        let (mut slots, tally) = (self.leaving.clone(), self.own_now());
        self.merging.iter().for_each(|(id, saved)| slots.insert(*id, *saved));
        if let Some(own) = &mut self.own {
            own.told = tally;
            let (acknowledged, mark) = (own.acknowledged, Mark::REPLAY);
            slots.insert(own.id, Saved { tally, acknowledged, told: tally, mark });
        }
        journal::encode(&self.name, &slots)
    }
}
