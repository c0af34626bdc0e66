//! The consistent-hash ring.

use comity::ring::{NodeIndex, NodeSpec, Ring, RingConfig};
use comity::snapshot::Snapshot;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::coordinator::specs;
use crate::error::{Result, outcome, unpacked};
use crate::pack::Writer;

/// A ring. Nodes are told by their index among the ids sorted by bytes; -1 is none.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawRing(Ring);

impl RawRing {
    pub(crate) const fn of(ring: Ring) -> Self {
        Self(ring)
    }
}

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/ring.ts has the documentation")]
impl RawRing {
    /// # Errors
    /// As thrown.
    #[wasm_bindgen(constructor)]
    pub fn new(nodes: &[u8], seed: u64, points_per_weight: u32) -> Result<RawRing> {
        let nodes = unpacked(specs(nodes))?;
        let config = RingConfig { seed, points_per_weight };
        outcome(Ring::with_config(nodes, config)).map(Self)
    }

    /// # Errors
    /// As thrown.
    pub fn restore(bytes: &[u8]) -> Result<RawRing> {
        outcome(Ring::from_bytes(bytes)).map(Self)
    }

    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    #[must_use]
    pub fn points(&self) -> u32 {
        self.0.points()
    }

    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
    }

    /// Ids and weights.
    #[must_use]
    pub fn nodes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.each(self.0.nodes().iter(), |out, node| {
            out.bytes(&node.id).number(node.weight.into());
        });
        out.finish()
    }

    #[must_use]
    pub fn node(&self, key: &[u8]) -> i32 {
        index(self.0.node(key))
    }

    #[must_use]
    pub fn replicas(&self, key: &[u8], n: u32) -> Vec<u32> {
        self.0.replicas(key, n as usize).map(NodeIndex::number).collect()
    }

    /// The nodes of keys that lie one after the other in `bytes` and end at `ends`, which rise.
    #[must_use]
    pub fn lookup_batch(&self, bytes: &[u8], ends: &[u32]) -> Vec<i32> {
        let mut begin = 0;
        let keys: Vec<&[u8]> = ends
            .iter()
            .map(|&end| {
                let key = bytes.get(begin..end as usize).unwrap_or_default();
                begin = end as usize;
                key
            })
            .collect();
        self.0.lookup_batch(&keys).into_iter().map(index).collect()
    }

    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash(key)
    }

    /// The share of all keys of each node, from 0 to 1.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        self.0.shares().into_iter().map(share).collect()
    }

    #[must_use]
    pub fn moved_share(&self, other: &RawRing) -> f64 {
        share(self.0.moved_share(&other.0))
    }

    /// Where the points are, from 0 to 1.
    #[must_use]
    pub fn positions(&self) -> Vec<f64> {
        self.0.positions().map(|(hash, _)| share(hash.into())).collect()
    }

    /// Whose the points are, in the same order.
    #[must_use]
    pub fn owners(&self) -> Vec<u32> {
        self.0.positions().map(|(_, node)| node.number()).collect()
    }

    /// # Errors
    /// As thrown.
    pub fn with_node(&self, id: &[u8], weight: u32) -> Result<RawRing> {
        outcome(self.0.with_node(NodeSpec::new(id, weight))).map(Self)
    }

    /// # Errors
    /// As thrown.
    pub fn without_node(&self, id: &[u8]) -> Result<RawRing> {
        outcome(self.0.without_node(id)).map(Self)
    }

    /// # Errors
    /// As thrown.
    pub fn with_weight(&self, id: &[u8], weight: u32) -> Result<RawRing> {
        outcome(self.0.with_weight(id, weight)).map(Self)
    }
}

#[expect(clippy::cast_possible_wrap, reason = "there are at most 65,536 nodes")]
fn index(node: Option<NodeIndex>) -> i32 {
    node.map_or(-1, |node| node.number() as i32)
}

/// A part of 2^64 as a number from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "what is lost is less than 2^-53")]
fn share(part: u128) -> f64 {
    part as f64 / 2_f64.powi(64)
}
