//! Rings made from rings: one node more, one less, another weight.

use alloc::vec::Vec;

use super::lookup::Lookup;
use super::node::{self, NodeSpec};
use super::{Inner, MAX_NODES, Ring, points};
use crate::error::Result;

impl Ring {
    /// This ring with one more node. Only keys that the new node owns move.
    ///
    /// Merges the new points into the sorted ones, so it is faster than [`Ring::new`].
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::error::ErrorCode::InvalidArgument) for an empty id or one that is
    /// there already; [`LimitExceeded`](crate::error::ErrorCode::LimitExceeded) beyond
    /// [`MAX_NODES`], [`MAX_POINTS`](super::MAX_POINTS) or
    /// [`MAX_ID_BYTES`](super::MAX_ID_BYTES).
    pub fn with_node(&self, node: NodeSpec) -> Result<Self> {
        node::check_count(self.len() + 1)?;
        node::check_id(&node.id)?;
        let Err(at) = self.position(&node.id) else { return Err(node::duplicate(&node.id)) };
        let mut nodes = self.inner.nodes.clone();
        nodes.insert(at, node);
        self.changed(nodes, at, |owner, index| Some(owner + u32::from(owner >= index)), true)
    }

    /// This ring without one node. Only the keys that it owned move.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::error::ErrorCode::InvalidArgument) if no node has this id.
    pub fn without_node(&self, id: &[u8]) -> Result<Self> {
        let Ok(at) = self.position(id) else { return Err(node::unknown(id)) };
        let mut nodes = self.inner.nodes.clone();
        nodes.remove(at);
        let renumber = |owner, index| (owner != index).then(|| owner - u32::from(owner > index));
        self.changed(nodes, at, renumber, false)
    }

    /// This ring with another weight for one node. A higher weight moves keys only to that node,
    /// a lower one only away from it.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::error::ErrorCode::InvalidArgument) if no node has this id,
    /// [`LimitExceeded`](crate::error::ErrorCode::LimitExceeded) beyond
    /// [`MAX_POINTS`](super::MAX_POINTS).
    pub fn with_weight(&self, id: &[u8], weight: u32) -> Result<Self> {
        let Ok(at) = self.position(id) else { return Err(node::unknown(id)) };
        let mut nodes = self.inner.nodes.clone();
        if let Some(node) = nodes.get_mut(at) {
            node.weight = weight;
        }
        self.changed(nodes, at, |owner, index| (owner != index).then_some(owner), true)
    }

    /// The ring of `nodes`, which differ from this one's in one place, `at`. `renumber` turns an
    /// old owner and the index of that place into the new owner, or drops its points; `fresh` says
    /// whether the node that is now in that place brings points.
    fn changed(
        &self,
        nodes: Vec<NodeSpec>,
        at: usize,
        renumber: impl Fn(u32, u32) -> Option<u32>,
        fresh: bool,
    ) -> Result<Self> {
        let Inner { config, hasher, .. } = *self.inner;
        let total = node::total_points(&nodes, config)?;
        // No ring has more nodes, so the number fits.
        let index = u32::try_from(at).unwrap_or(MAX_NODES);
        let mut added = Vec::new();
        if let Some(node) = nodes.get(at).filter(|_| fresh) {
            points::append(&mut added, hasher, config, node, index);
            added.sort_unstable();
        }
        // Renumbering keeps the order of the nodes, and so that of the points.
        let kept = self.inner.lookup.iter().filter_map(|mut point| {
            point.owner = renumber(point.owner, index)?;
            Some(point)
        });
        let lookup = Lookup::new(points::merge(kept, added.into_iter()), total);
        Ok(Self::assemble(nodes, config, hasher, lookup))
    }
}
