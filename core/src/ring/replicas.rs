//! Distinct nodes in clockwise order.

use alloc::boxed::Box;
use alloc::vec;
use core::iter::FusedIterator;

use super::Ring;
use super::lookup::Lookup;
use super::node::NodeIndex;

/// Up to this many nodes are remembered without allocating.
const FEW: usize = 16;

/// The nodes responsible for a key, most responsible first, each once.
/// Made by [`Ring::replicas`].
#[derive(Clone, Debug)]
pub struct Replicas<'a> {
    lookup: &'a Lookup,
    /// The next point to look at.
    at: usize,
    left: usize,
    seen: Seen,
}

#[derive(Clone, Debug)]
enum Seen {
    Few { nodes: [u32; FEW], count: usize },
    Many(Box<[u64]>),
}

impl<'a> Replicas<'a> {
    /// `n` of the `eligible` nodes that have points, clockwise from the point at `start`.
    pub(super) fn new(ring: &'a Ring, start: usize, n: usize) -> Self {
        let left = n.min(ring.inner.eligible);
        let seen = if left <= FEW {
            Seen::Few { nodes: [0; FEW], count: 0 }
        } else {
            Seen::Many(vec![0; ring.inner.nodes.len().div_ceil(64)].into())
        };
        Self { lookup: &ring.inner.lookup, at: start, left, seen }
    }
}

impl Seen {
    /// Remembers the node; says whether it is new.
    fn insert(&mut self, node: u32) -> bool {
        match self {
            Self::Few { nodes, count } => {
                let Some((known, free)) = nodes.split_at_mut_checked(*count) else { return false };
                if known.contains(&node) {
                    return false;
                }
                if let Some(slot) = free.first_mut() {
                    *slot = node;
                    *count += 1;
                }
                true
            }
            Self::Many(bits) => {
                let Some(word) = bits.get_mut(node as usize / 64) else { return false };
                let bit = 1 << (node % 64);
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
        }
    }
}

impl Iterator for Replicas<'_> {
    type Item = NodeIndex;

    fn next(&mut self) -> Option<NodeIndex> {
        // Every eligible node has a point, so a full turn meets all that are left.
        while self.left > 0 {
            let owner = match self.lookup.point_owner(self.at) {
                Some(owner) => owner,
                None => {
                    self.at = 0;
                    self.lookup.point_owner(0)?
                }
            };
            self.at += 1;
            if self.seen.insert(owner) {
                self.left -= 1;
                return Some(NodeIndex::new(owner));
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Replicas<'_> {}

impl FusedIterator for Replicas<'_> {}
