//! Exact parts of the hash space, counted in hashes out of 2^64.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::lookup::Lookup;
use super::node::NodeSpec;
use super::points::Point;

/// How many hashes there are.
const WHOLE: u128 = 1 << 64;

/// The hashes of each of `nodes` nodes.
pub(super) fn of_all(lookup: &Lookup, nodes: usize) -> Vec<u128> {
    let mut shares = vec![0; nodes];
    for (owner, hashes) in ranges(lookup) {
        if let Some(share) = shares.get_mut(owner as usize) {
            *share += hashes;
        }
    }
    shares
}

/// The hashes of one node.
pub(super) fn of_one(lookup: &Lookup, node: u32) -> u128 {
    ranges(lookup).filter(|(owner, _)| *owner == node).map(|(_, hashes)| hashes).sum()
}

/// For each point its owner and how many hashes are its own, from hash 0 on; the first point's
/// part beyond the last point comes last.
fn ranges(lookup: &Lookup) -> impl Iterator<Item = (u32, u128)> {
    let mut next = 0;
    lookup.closed().map(move |Point { position, owner }| {
        // Of points at one position only the first owns anything.
        let end = u128::from(position) + 1;
        let hashes = end.saturating_sub(next);
        next = end;
        (owner, hashes)
    })
}

/// The hashes whose owners have different ids in two rings.
pub(super) fn moved(a: (&Lookup, &[NodeSpec]), b: (&Lookup, &[NodeSpec])) -> u128 {
    let translation = translation(b.1, a.1);
    let (mut left, mut right) = (a.0.closed().peekable(), b.0.closed().peekable());
    let (mut next, mut moved) = (0, 0);
    loop {
        match (left.peek(), right.peek()) {
            (Some(&x), Some(&y)) => {
                let last = x.position.min(y.position);
                let end = u128::from(last) + 1;
                let same = translation.get(y.owner as usize) == Some(&Some(x.owner));
                if !same {
                    moved += end.saturating_sub(next);
                }
                next = end;
                if x.position == last {
                    left.next();
                }
                if y.position == last {
                    right.next();
                }
            }
            // Both lists end at the highest hash; only a ring without points ends before.
            (None, None) => return moved,
            _ => return moved + (WHOLE - next),
        }
    }
}

/// For each node of `from` the index in `to` of the node with its id. Both are sorted by id.
fn translation(from: &[NodeSpec], to: &[NodeSpec]) -> Vec<Option<u32>> {
    let mut numbered = (0..).zip(to).peekable();
    let find = |node: &NodeSpec| {
        loop {
            let &(index, other) = numbered.peek()?;
            match other.id.cmp(&node.id) {
                Ordering::Less => {
                    numbered.next();
                }
                Ordering::Equal => return Some(index),
                Ordering::Greater => return None,
            }
        }
    };
    from.iter().map(find).collect()
}
