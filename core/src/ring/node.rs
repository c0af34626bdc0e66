//! Nodes: what a caller says about one, and the checked table of them.

use alloc::collections::BinaryHeap;
use alloc::format;
use alloc::vec::Vec;

use super::{MAX_ID_BYTES, MAX_NODES, MAX_POINTS, RingConfig};
use crate::error::{Error, Result};

/// One member of a ring.
///
/// The id is the node's identity and decides alone where its points lie; its address is the
/// caller's business, so a node that moves keeps its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NodeSpec {
    /// Identity: 1 to [`MAX_ID_BYTES`] bytes of any value, unique within a ring.
    pub id: Vec<u8>,
    /// Share of the keys relative to the other nodes. 0 = listed, but given no keys.
    pub weight: u32,
}

impl NodeSpec {
    /// A node of the given id and weight. Nothing is checked before it enters a ring.
    #[must_use]
    pub fn new(id: impl Into<Vec<u8>>, weight: u32) -> Self {
        Self { id: id.into(), weight }
    }
}

/// A node's place in [`Ring::nodes`](super::Ring::nodes).
///
/// It belongs to the ring that gave it: in another ring, even one made from the first, the same
/// number may be another node. Use ids across rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeIndex(u32);

impl NodeIndex {
    /// The index of the given number; a ring treats one it does not have as unknown.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number, counted from 0.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Checks the nodes and sorts them by id.
pub(super) fn table(nodes: impl IntoIterator<Item = NodeSpec>) -> Result<Vec<NodeSpec>> {
    let mut table = BinaryHeap::new();
    for NodeSpec { id, weight } in nodes {
        check_count(table.len() + 1)?;
        check_id(&id)?;
        table.push((id, weight));
    }
    let table = table.into_sorted_vec();
    for pair in table.windows(2) {
        if let [(a, _), (b, _)] = pair
            && a == b
        {
            return Err(duplicate(a));
        }
    }
    Ok(table.into_iter().map(|(id, weight)| NodeSpec { id, weight }).collect())
}

/// Errors if a ring may not have `count` nodes.
pub(super) fn check_count(count: usize) -> Result<()> {
    if count > MAX_NODES as usize {
        return Err(Error::limit(format!("a ring has at most {MAX_NODES} nodes")));
    }
    Ok(())
}

/// Errors if a node may not have this id.
pub(super) fn check_id(id: &[u8]) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid("a node id has at least 1 byte"));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(Error::limit(format!(
            "a node id has at most {MAX_ID_BYTES} bytes, this one has {}",
            id.len()
        )));
    }
    Ok(())
}

/// The points of all nodes together, or an error if a ring may not have so many.
pub(super) fn total_points(nodes: &[NodeSpec], config: RingConfig) -> Result<u32> {
    // 65 536 nodes of the largest weight sum to less than 2^48, times 2^32 fits u128 with ease.
    let weight: u128 = nodes.iter().map(|node| u128::from(node.weight)).sum();
    let total = weight * u128::from(config.points_per_weight);
    match u32::try_from(total) {
        Ok(total) if total <= MAX_POINTS => Ok(total),
        _ => Err(Error::limit(format!(
            "a ring has at most {MAX_POINTS} points, a total weight of {weight} at {} points \
             per weight unit makes {total}",
            config.points_per_weight
        ))),
    }
}

/// The error for an id that is there already.
pub(super) fn duplicate(id: &[u8]) -> Error {
    Error::invalid(format!("node id \"{}\" is there twice", id.escape_ascii()))
}

/// The error for an id that is not there.
pub(super) fn unknown(id: &[u8]) -> Error {
    // An id may come from anywhere, so the message must not grow with it.
    let head = id.get(..MAX_ID_BYTES).unwrap_or(id);
    Error::invalid(format!("no node has the id \"{}\"", head.escape_ascii()))
}
