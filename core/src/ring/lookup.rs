//! The layout that makes a lookup fast: sorted positions, their owners, and a table that says
//! where in them each slice of the hash space starts.
//!
//! The table has about one entry per point, and hashes spread evenly, so from the start of its
//! bucket a hash is almost always at most two points away. These two steps are taken without a
//! branch, the rest is a loop that is rarely entered. A last point at the highest position, owned
//! by the owner of the first, makes the wrap-around an ordinary step.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::points::Point;

/// The owner of everything in a ring without points.
const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Lookup {
    /// Positions in rising order, then `u64::MAX` once more.
    points: Box<[u64]>,
    /// Node indices in the order of `points`; the last one repeats the first.
    owners: Box<[u32]>,
    /// For each bucket the first point not below it. A power of two of entries, at least 2.
    starts: Box<[u32]>,
    /// How far a hash is shifted to give its bucket, 1 to 63.
    shift: u32,
}

impl Lookup {
    /// From points in rising order, `count` of them at most `MAX_POINTS`.
    pub(super) fn new(sorted: impl Iterator<Item = Point>, count: u32) -> Self {
        let capacity = count as usize + 1;
        let (mut points, mut owners) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        for Point { position, owner } in sorted {
            points.push(position);
            owners.push(owner);
        }
        let bits = (points.len().next_power_of_two().trailing_zeros()).max(1);
        let shift = 64 - bits;
        let starts = starts(&points, bits, shift);
        let first = owners.first().copied().unwrap_or(NOBODY);
        points.push(u64::MAX);
        owners.push(first);
        Self { points: points.into(), owners: owners.into(), starts, shift }
    }

    /// The first point not below `hash`, counted from 0; the last one, one past the real points,
    /// stands for the first.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> usize {
        self.find_from(self.start(hash), hash)
    }

    /// The owner of `hash`, `None` if there are no points.
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> Option<u32> {
        self.owner_at(self.find(hash))
    }

    /// The owners of several hashes. Each pass reads memory at places that do not depend on each
    /// other, so the processor waits for all of them together instead of one after the other.
    #[inline]
    pub(super) fn owners_of<const N: usize>(&self, hashes: &[u64; N]) -> [Option<u32>; N] {
        let starts = hashes.map(|hash| self.start(hash));
        let mut found = [0; N];
        for ((found, start), hash) in found.iter_mut().zip(starts).zip(hashes) {
            *found = self.find_from(start, *hash);
        }
        found.map(|at| self.owner_at(at))
    }

    #[inline]
    fn start(&self, hash: u64) -> usize {
        self.starts[bucket(hash, self.shift)] as usize
    }

    #[inline]
    fn find_from(&self, start: usize, hash: u64) -> usize {
        let mut at = start;
        at += usize::from(self.points[at] < hash);
        at += usize::from(self.points[at] < hash);
        while self.points[at] < hash {
            at += 1;
        }
        at
    }

    #[inline]
    fn owner_at(&self, at: usize) -> Option<u32> {
        let owner = self.owners[at];
        if owner == NOBODY { None } else { Some(owner) }
    }

    /// The owners in clockwise order, without the one that closes the circle.
    pub(super) fn circle(&self) -> &[u32] {
        self.owners.get(..self.owners.len() - 1).unwrap_or(&[])
    }

    /// The points in rising order, without the one that closes the circle.
    pub(super) fn iter(&self) -> impl Iterator<Item = Point> {
        let owners = self.circle().iter();
        self.points.iter().zip(owners).map(|(&position, &owner)| Point { position, owner })
    }

    /// The points in rising order with the one that closes the circle, none if there is no other.
    pub(super) fn closed(&self) -> impl Iterator<Item = Point> {
        let points = self.points.iter().zip(&self.owners);
        points
            .filter(|(_, owner)| **owner != NOBODY)
            .map(|(&position, &owner)| Point { position, owner })
    }
}

/// For each of the `2^bits` buckets the first of `points` that is not below it.
fn starts(points: &[u64], bits: u32, shift: u32) -> Box<[u32]> {
    let mut starts = vec![0_u32; 1 << bits];
    // First how many points lie in the bucket before, then sums of these.
    for &position in points {
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
fn bucket(hash: u64, shift: u32) -> usize {
    (hash >> shift) as usize
}
