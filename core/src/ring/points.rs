//! Where nodes and keys lie on the hash space, and how sorted lists of points are made.

use alloc::vec::Vec;
use core::iter;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::RingConfig;
use super::node::NodeSpec;

/// The hash of one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hasher {
    seed: u64,
    /// The bits of a hash that count: all of them, except in tests that force collisions.
    mask: u64,
}

impl Hasher {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, mask: u64::MAX }
    }

    /// The same hash with all but its `bits` highest bits cleared.
    pub(super) const fn cut(seed: u64, bits: u32) -> Self {
        let mask = match bits {
            0 => 0,
            1..=63 => u64::MAX << (64 - bits),
            _ => u64::MAX,
        };
        Self { seed, mask }
    }

    #[inline]
    pub(super) fn hash(self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.seed) & self.mask
    }
}

/// A position that a node holds. The order is the order on the ring: equal positions stand in
/// the order of their nodes, which is the order of the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) position: u64,
    pub(super) owner: u32,
}

/// Appends the points of one node, unsorted. They depend on its id and the seed alone, and those
/// of a smaller weight are the first of those of a larger one.
pub(super) fn append(
    points: &mut Vec<Point>,
    hasher: Hasher,
    config: RingConfig,
    node: &NodeSpec,
    owner: u32,
) {
    let mut bytes = node.id.clone();
    for i in 0..node.weight.saturating_mul(config.points_per_weight) {
        bytes.truncate(node.id.len());
        bytes.extend_from_slice(&i.to_le_bytes());
        points.push(Point { position: hasher.hash(&bytes), owner });
    }
}

/// Merges two sorted lists of points into one.
pub(super) fn merge(
    a: impl Iterator<Item = Point>,
    b: impl Iterator<Item = Point>,
) -> impl Iterator<Item = Point> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(x), Some(y)) if x <= y => a.next(),
        (Some(_), None) => a.next(),
        (_, _) => b.next(),
    })
}
