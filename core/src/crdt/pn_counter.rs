//! A counter that lives nowhere but in its replicas, which exchange bytes: two browsers, two
//! processes. A plain lattice: no server, nothing is ever retired or folded.

use alloc::format;
use alloc::vec::Vec;

use crate::counter::{MAX_SLOTS, Overflow, Tally};
use crate::error::{Error, Result};
use crate::snapshot::{Reader, Sections, Snapshot, corrupt, write_uvarint};

const SLOTS: u64 = 1;
/// So many numbers as a counter can have, each below this, sum to less than 2^64.
const NARROW: u64 = 1 << 48;
const _: () = assert!((NARROW as u128) * (MAX_SLOTS as u128) <= 1 << 64);

/// The slots of a peer counter, by rising id. Merging takes the higher of each number.
///
/// As bytes, section 1: each slot as 16 bytes of id, then increments and decrements as uvarints.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Slots {
    // Side by side, so that a sum and a merge run over plain numbers.
    ids: Vec<u128>,
    ups: Vec<u64>,
    downs: Vec<u64>,
    /// The highest of all these numbers: most sums need no more than 64 bits.
    highest: u64,
    /// The sum, so that a read need not add.
    sum: i128,
}

impl Slots {
    /// No slots.
    #[must_use]
    pub const fn new() -> Self {
        Self { ids: Vec::new(), ups: Vec::new(), downs: Vec::new(), highest: 0, sum: 0 }
    }

    /// How many replicas have counted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none has.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What a replica has counted.
    #[must_use]
    pub fn get(&self, id: u128) -> Tally {
        match self.ids.binary_search(&id) {
            Ok(at) => Tally { p: self.ups[at], n: self.downs[at] },
            Err(_) => Tally::ZERO,
        }
    }

    /// The sum, exactly.
    #[must_use]
    pub const fn value(&self) -> i128 {
        self.sum
    }

    fn added_up(&self) -> i128 {
        if self.highest < NARROW {
            let [ups, downs] = [&self.ups, &self.downs].map(|numbers| numbers.iter().sum::<u64>());
            return i128::from(ups) - i128::from(downs);
        }
        sum(&self.ups) - sum(&self.downs)
    }

    /// Raises each slot to at least what it is in `other`.
    ///
    /// # Errors
    /// `LimitExceeded` beyond [`MAX_SLOTS`]; nothing is changed.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.merge_with(other, None)
    }

    /// The same, with room left for `owner`'s slot.
    fn merge_with(&mut self, other: &Self, owner: Option<u128>) -> Result<()> {
        if self.ids == other.ids {
            raise(&mut self.ups, &other.ups);
            raise(&mut self.downs, &other.downs);
            self.highest = self.highest.max(other.highest);
            self.sum = self.added_up();
            return Ok(());
        }
        let merged = self.merged(other);
        let missing = owner.is_some_and(|owner| merged.ids.binary_search(&owner).is_err());
        if merged.len() + usize::from(missing) > MAX_SLOTS {
            return Err(full());
        }
        *self = merged;
        Ok(())
    }

    fn merged(&self, other: &Self) -> Self {
        let room = self.len() + other.len();
        let mut out = Self {
            ids: Vec::with_capacity(room),
            ups: Vec::with_capacity(room),
            downs: Vec::with_capacity(room),
            highest: 0,
            sum: 0,
        };
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let (id, tally) = match (ours.peek(), theirs.peek()) {
                (None, None) => return out,
                (Some(&(a, x)), Some(&(b, y))) if a == b => {
                    ours.next();
                    theirs.next();
                    (a, x.max(y))
                }
                (Some(&(a, x)), Some(&(b, _))) if a < b => {
                    ours.next();
                    (a, x)
                }
                (Some(&(a, x)), None) => {
                    ours.next();
                    (a, x)
                }
                (_, Some(&(b, y))) => {
                    theirs.next();
                    (b, y)
                }
            };
            out.push(id, tally);
        }
    }

    /// The slots by rising id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u128, Tally)> {
        let tallies = self.ups.iter().zip(&self.downs).map(|(&p, &n)| Tally { p, n });
        self.ids.iter().copied().zip(tallies)
    }

    fn push(&mut self, id: u128, tally: Tally) {
        self.ids.push(id);
        self.ups.push(tally.p);
        self.downs.push(tally.n);
        self.sum += tally.value();
        self.highest = self.highest.max(tally.p).max(tally.n);
    }

    /// An empty slot is none. A slot only rises.
    fn set(&mut self, id: u128, tally: Tally) {
        self.highest = self.highest.max(tally.p).max(tally.n);
        self.sum += tally.value() - self.get(id).value();
        match self.ids.binary_search(&id) {
            Ok(at) => (self.ups[at], self.downs[at]) = (tally.p, tally.n),
            Err(_) if tally.is_zero() => {}
            Err(at) => {
                self.ids.insert(at, id);
                self.ups.insert(at, tally.p);
                self.downs.insert(at, tally.n);
            }
        }
    }
}

fn full() -> Error {
    Error::limit(format!("a counter has at most {MAX_SLOTS} replicas"))
}

/// In two halves of 32 bits, none of which overflows for as many numbers as there can be.
fn sum(numbers: &[u64]) -> i128 {
    let (low, high) = numbers.iter().fold((0_u64, 0_u64), |(low, high), number| {
        (low + (number & 0xffff_ffff), high + (number >> 32))
    });
    (i128::from(high) << 32) + i128::from(low)
}

fn raise(ours: &mut [u64], theirs: &[u64]) {
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        *ours = (*ours).max(*theirs);
    }
}

impl Snapshot for Slots {
    const KIND: u8 = 1;

    fn write(&self, sections: &mut Sections) {
        let mut out = Vec::with_capacity(self.len() * 20);
        for (id, tally) in self.iter() {
            out.extend_from_slice(&id.to_be_bytes());
            write_uvarint(&mut out, tally.p);
            write_uvarint(&mut out, tally.n);
        }
        sections.put(SLOTS, out);
    }

    fn read(sections: &mut Sections) -> Result<Self> {
        let bytes = sections.take(SLOTS);
        let mut reader = Reader::new(&bytes);
        let mut slots = Self::new();
        while !reader.is_at_end() {
            let id = reader.bits128()?;
            let tally = Tally { p: reader.uvarint()?, n: reader.uvarint()? };
            if slots.ids.last().is_some_and(|last| *last >= id) {
                return Err(corrupt(format!("slot {id:032x} is out of order")));
            }
            if tally.is_zero() {
                return Err(corrupt(format!("slot {id:032x} holds nothing")));
            }
            if slots.len() == MAX_SLOTS {
                return Err(corrupt(format!("more than {MAX_SLOTS} slots")));
            }
            slots.push(id, tally);
        }
        Ok(slots)
    }
}

/// One replica of a peer counter.
///
/// ```
/// use comity::crdt::PNCounter;
///
/// // Each replica draws 128 random bits, anew with every start.
/// let (mut here, mut there) = (PNCounter::new(1), PNCounter::new(2));
/// here.add(5)?;
/// there.add(-2)?;
/// here.merge(&there.to_bytes())?;
/// assert_eq!(here.value(), 3);
/// # Ok::<(), comity::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PNCounter {
    replica: u128,
    /// What this replica has counted; kept out of the slots, so that counting touches two numbers.
    own: Tally,
    /// What of it is in the slots.
    entered: Tally,
    slots: Slots,
}

impl PNCounter {
    /// A replica that has counted nothing. Its id is random and belongs to one process: after a
    /// restart a new one merges the bytes of the old.
    #[must_use]
    pub const fn new(replica: u128) -> Self {
        Self { replica, own: Tally::ZERO, entered: Tally::ZERO, slots: Slots::new() }
    }

    /// Counts `amount`, up or down.
    ///
    /// # Errors
    /// [`Overflow`] beyond 2^64 - 1 of this replica's increments or decrements; nothing is changed.
    #[inline]
    pub const fn add(&mut self, amount: i64) -> core::result::Result<(), Overflow> {
        self.own.add(amount)
    }

    /// Counts up by `up` and down by `down`, or neither.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    #[inline]
    pub const fn count(&mut self, up: u64, down: u64) -> core::result::Result<(), Overflow> {
        match (self.own.p.checked_add(up), self.own.n.checked_add(down)) {
            (Some(p), Some(n)) => {
                self.own = Tally { p, n };
                Ok(())
            }
            _ => Err(Overflow),
        }
    }

    /// Goes on as another replica: after a fork one of the two processes has to, or each would
    /// raise the other's slot.
    ///
    /// # Errors
    /// `LimitExceeded` where there is no room for one more; nothing is changed.
    pub fn rename(&mut self, replica: u128) -> Result<()> {
        let slots = self.slots();
        if slots.len() >= MAX_SLOTS && slots.get(replica).is_zero() {
            return Err(full());
        }
        self.replica = replica;
        self.own = self.slots.get(replica);
        self.entered = self.own;
        Ok(())
    }

    /// The id of this replica.
    #[must_use]
    pub const fn replica(&self) -> u128 {
        self.replica
    }

    /// The value, exactly.
    #[must_use]
    pub fn value(&self) -> i128 {
        self.slots.value() - self.entered.value() + self.own.value()
    }

    /// All slots, this replica's included.
    pub fn slots(&mut self) -> &Slots {
        if self.entered != self.own {
            // There is room: `join` leaves it.
            self.slots.set(self.replica, self.own);
            self.entered = self.own;
        }
        &self.slots
    }

    /// Takes in what another replica knows.
    ///
    /// # Errors
    /// `LimitExceeded` beyond [`MAX_SLOTS`]; nothing is changed.
    pub fn join(&mut self, other: &Slots) -> Result<()> {
        self.slots();
        self.slots.merge_with(other, Some(self.replica))?;
        // What comes back of our own is no news, unless the id was used twice: the higher stays.
        self.own = self.slots.get(self.replica);
        self.entered = self.own;
        Ok(())
    }

    /// Takes in what another replica's bytes say.
    ///
    /// # Errors
    /// `Corrupt` or `LimitExceeded`; nothing is changed.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        self.join(&Slots::from_bytes(bytes)?)
    }

    /// All slots as bytes: the same for the same slots, in every language.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        self.slots().to_bytes()
    }
}
