//! The layout that makes a lookup fast: entries in clockwise order, and a table that says where in
//! them each slice of the hash space starts.
//!
//! An entry has the upper half of a point's position and its owner in one word, so that a lookup
//! reads two places in memory: the table, and a few neighbouring entries. The table has at least
//! one slot per point, and hashes spread evenly, so from the start of its bucket a hash is almost
//! always at most two entries away. These two steps are taken without a branch; the loop behind
//! them is rarely entered. Whole positions are read only where the upper halves are equal: for a
//! random hash less than once in a thousand lookups even in the largest ring.
//!
//! The steps of a lookup are inlined whatever the compiler thinks of it: where it builds for size, as
//! for WebAssembly, it would make a call of each, which take longer than they do.
//!
//! Behind the last point stands an entry at the highest position, owned by the owner of the first
//! point: it makes the wrap-around an ordinary step, and every search ends there at the latest.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::points::Point;

/// The owner of everything in a ring without points.
const NOBODY: u32 = u32::MAX;

/// The half of a position that an entry has.
const UPPER: u64 = !0 << 32;

#[derive(Debug)]
pub(super) struct Lookup {
    /// `upper half of position << 32 | owner` in rising order, then the closing one.
    entries: Box<[u64]>,
    /// Positions in rising order, then `u64::MAX` once more.
    positions: Box<[u64]>,
    /// For each bucket the first entry not below it. A power of two of slots, at least 2.
    starts: Box<[u32]>,
    /// How far a hash is shifted to give its bucket, 1 to 63.
    shift: u32,
}

impl Lookup {
    /// From points in rising order, `count` of them, at most `MAX_POINTS`.
    pub(super) fn new(sorted: impl Iterator<Item = Point>, count: u32) -> Self {
        let count = count as usize;
        let mut entries = Vec::with_capacity(count + 1);
        let mut positions = Vec::with_capacity(count + 1);
        for point in sorted {
            entries.push(entry(point));
            positions.push(point.position);
        }
        let bits = positions.len().next_power_of_two().trailing_zeros().max(1);
        let shift = 64 - bits;
        let starts = starts(&positions, bits, shift);
        let owner = entries.first().map_or(NOBODY, |entry| owner(*entry));
        entries.push(entry(Point { position: u64::MAX, owner }));
        positions.push(u64::MAX);
        Self { entries: entries.into(), positions: positions.into(), starts, shift }
    }

    /// The first point not below `hash`, counted from 0; one past the last stands for the first.
    pub(super) fn find(&self, hash: u64) -> usize {
        self.find_whole(self.find_upper(self.start(hash), hash), hash)
    }

    /// The owner of `hash`, `None` if there are no points.
    #[inline(always)]
    pub(super) fn owner(&self, hash: u64) -> Option<u32> {
        self.owner_from(self.start(hash), hash)
    }

    /// Gives `each` the owners of several hashes in order. Each pass reads memory at places that do
    /// not depend on each other, so the processor waits for all of them together instead of one
    /// after the other.
    #[inline(always)]
    pub(super) fn owners_of<const N: usize>(
        &self,
        hashes: &[u64; N],
        mut each: impl FnMut(Option<u32>),
    ) {
        let mut at = [0; N];
        for (at, hash) in at.iter_mut().zip(hashes) {
            *at = self.start(*hash);
        }
        // The first step of each search brings its entries near before any branch needs them.
        for (at, hash) in at.iter_mut().zip(hashes) {
            *at += usize::from(self.entries[*at] < hash & UPPER);
        }
        for (at, hash) in at.iter().zip(hashes) {
            each(self.owner_from(*at, *hash));
        }
    }

    /// Where the search for `hash` starts: the first point of its bucket.
    #[inline(always)]
    fn start(&self, hash: u64) -> usize {
        self.starts[bucket(hash, self.shift)] as usize
    }

    #[inline(always)]
    fn owner_from(&self, start: usize, hash: u64) -> Option<u32> {
        let at = self.find_upper(start, hash);
        let entry = self.entries[at];
        let owner = if (entry ^ hash) & UPPER == 0 {
            owner(self.entries[self.find_whole(at, hash)])
        } else {
            owner(entry)
        };
        if owner == NOBODY { None } else { Some(owner) }
    }

    /// The first entry from `at` on whose upper half is not below that of `hash`.
    #[inline(always)]
    fn find_upper(&self, mut at: usize, hash: u64) -> usize {
        // Not above any entry with the upper half of the hash, above all with a lower one.
        let sought = hash & UPPER;
        at += usize::from(self.entries[at] < sought);
        at += usize::from(self.entries[at] < sought);
        while self.entries[at] < sought {
            at += 1;
        }
        at
    }

    /// The first point from `at` on not below `hash`, by whole positions.
    #[cold]
    fn find_whole(&self, mut at: usize, hash: u64) -> usize {
        while self.positions[at] < hash {
            at += 1;
        }
        at
    }

    /// How many points there are.
    pub(super) fn len(&self) -> usize {
        self.positions.len() - 1
    }

    /// The owner of a point, `None` behind the last.
    #[inline]
    pub(super) fn point_owner(&self, at: usize) -> Option<u32> {
        if at < self.len() { self.entries.get(at).map(|entry| owner(*entry)) } else { None }
    }

    /// The points in rising order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Point> {
        self.closed().take(self.len())
    }

    /// The points in rising order with one more that closes the circle, none if there is no other.
    pub(super) fn closed(&self) -> impl Iterator<Item = Point> {
        let points = self.positions.iter().zip(&self.entries);
        points
            .map(|(&position, &entry)| Point { position, owner: owner(entry) })
            .take_while(|point| point.owner != NOBODY)
    }
}

#[inline]
const fn entry(point: Point) -> u64 {
    point.position & UPPER | point.owner as u64
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half of an entry is its owner")]
const fn owner(entry: u64) -> u32 {
    entry as u32
}

/// For each of the `2^bits` buckets the first of `positions` that is not below it.
fn starts(positions: &[u64], bits: u32, shift: u32) -> Box<[u32]> {
    let mut starts = vec![0_u32; 1 << bits];
    // First how many points lie in the bucket before, then sums of these.
    for &position in positions {
        if let Some(count) = starts.get_mut(bucket(position, shift) + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    starts.into()
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 22 bits are left after the shift")]
const fn bucket(hash: u64, shift: u32) -> usize {
    (hash >> shift) as usize
}
