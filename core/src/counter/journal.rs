//! What a server counter has to restore after a restart, as bytes: the slots of this life and
//! of unfinished earlier ones. Restoring them any number of times, anywhere, changes nothing after
//! the first, because each slot is raised to what it held and retired.
//!
//! Section 1 is the counter's name; section 3 the slots by rising id, each as 16 bytes of owner,
//! then as uvarints the incarnation, increments, decrements, and of both what the server had
//! acknowledged.

use alloc::format;
use alloc::vec::Vec;

use super::{FlushStamp, MAX_SLOTS, PreviousSlot, PreviousSlots, SlotId, Tally};
use crate::error::Result;
use crate::redis::readable;
use crate::snapshot::{Reader, Sections, Snapshot, corrupt, write_uvarint};

const NAME: u64 = 1;
const SLOTS: u64 = 3;
/// Of more digits no slot is named on the server.
const INCARNATIONS: u64 = 10_000_000_000_000_000;

struct Journal {
    name: Vec<u8>,
    slots: PreviousSlots,
}

impl Snapshot for Journal {
    const KIND: u8 = 2;

    fn write(&self, sections: &mut Sections) {
        sections.put(NAME, self.name.clone());
        let mut out = Vec::new();
        for (id, PreviousSlot { tally, acknowledged, .. }) in self.slots.iter() {
            out.extend_from_slice(&id.owner.to_be_bytes());
            for number in [id.incarnation, tally.p, tally.n, acknowledged.p, acknowledged.n] {
                write_uvarint(&mut out, number);
            }
        }
        sections.put(SLOTS, out);
    }

    fn read(sections: &mut Sections) -> Result<Self> {
        let (name, bytes) = (sections.take(NAME), sections.take(SLOTS));
        let mut reader = Reader::new(&bytes);
        let (mut slots, mut last) = (PreviousSlots::new(), None);
        while !reader.is_at_end() {
            let id = SlotId { owner: reader.bits128()?, incarnation: reader.uvarint()? };
            let tally = Tally { p: reader.uvarint()?, n: reader.uvarint()? };
            let acknowledged = Tally { p: reader.uvarint()?, n: reader.uvarint()? };
            if id.incarnation >= INCARNATIONS {
                return Err(corrupt(format!("slot {id:?}: its incarnation is out of range")));
            }
            if tally.is_zero() || !acknowledged.is_within(tally) {
                return Err(corrupt(format!("slot {id:?}: its counts are out of range")));
            }
            if last.replace(id).is_some_and(|last| last >= id) {
                return Err(corrupt(format!("slot {id:?} is out of order")));
            }
            if slots.len() == MAX_SLOTS {
                return Err(corrupt(format!("more than {MAX_SLOTS} slots")));
            }
            slots.insert(
                id,
                PreviousSlot {
                    tally,
                    acknowledged,
                    exported: tally,
                    flush_stamp: FlushStamp::REPLAY,
                },
            );
        }
        Ok(Self { name, slots })
    }
}

pub(super) fn encode(name: &[u8], slots: &PreviousSlots) -> Vec<u8> {
    let counted = slots.iter().filter(|(_, saved)| !saved.tally.is_zero());
    let slots = counted.map(|(id, saved)| (*id, *saved)).collect();
    Journal { name: name.to_vec(), slots }.to_bytes()
}

pub(super) fn decode(name: &[u8], bytes: &[u8]) -> Result<PreviousSlots> {
    let journal = Journal::from_bytes(bytes)?;
    if journal.name != name {
        let found = readable(&journal.name);
        return Err(corrupt(format!("it is of counter '{found}', not '{}'", readable(name))));
    }
    Ok(journal.slots)
}
