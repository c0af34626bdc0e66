//! The consistent-hash ring.

use alloc::vec::Vec;
use core::cell::Cell;
use core::slice;

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

    /// Where it is, for `node_of`.
    #[must_use]
    pub fn here(&self) -> *const RawRing {
        self
    }

    /// The node of the key of `length` bytes that was written to `bytes` of a `RawKeys`. With `self`
    /// it would be the same, but to borrow ring and keys takes almost as long as the lookup.
    #[allow(clippy::not_unsafe_ptr_arg_deref, reason = "JavaScript has no unsafe")]
    #[must_use]
    pub fn node_of(ring: *const RawRing, bytes: *const u8, length: usize) -> i32 {
        // SAFETY: js/core/ring.ts passes what `here` and `bytes` gave it, of a ring and of keys that
        // it holds and has not freed, and a length that `bytes` has. A ring never changes, and
        // nothing writes to the keys during the call.
        let (ring, key) = unsafe { (&*ring, slice::from_raw_parts(bytes, length)) };
        index(ring.0.node(key))
    }

    /// The nodes of the first `count` keys that were written to `keys`, in place of their lengths.
    pub fn nodes_of(&self, keys: &mut RawKeys, count: usize) {
        let RawKeys { bytes, words } = keys;
        let words = Cell::from_mut(words.get_mut(..count).unwrap_or_default()).as_slice_of_cells();
        let mut begin = 0;
        let keys = words.iter().map(|word| {
            let length = word.get() as usize;
            let key = bytes.get(begin..begin + length).unwrap_or_default();
            begin = (begin + length).next_multiple_of(size_of::<u32>());
            key
        });
        let mut answers = words.iter();
        self.0.lookup_each(keys, |node| {
            if let Some(answer) = answers.next() {
                answer.set(index(node).cast_unsigned());
            }
        });
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

/// For how many bytes of keys, and how many keys, there is room. js/core/keys.ts has the same.
const BYTES: usize = 16 << 10;
const KEYS: usize = 512;

/// A part of the module's memory that JavaScript writes keys to without a call. Each begins at a
/// multiple of 4, and its length stands in `words`, where its answer is written.
#[wasm_bindgen]
#[repr(C)]
#[derive(Debug)]
pub struct RawKeys {
    words: [u32; KEYS],
    bytes: [u8; BYTES],
}

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/keys.ts has the documentation")]
#[allow(clippy::new_without_default, reason = "only JavaScript makes one")]
impl RawKeys {
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self { words: [0; KEYS], bytes: [0; BYTES] }
    }

    pub fn words(&mut self) -> *mut u32 {
        self.words.as_mut_ptr()
    }

    pub fn bytes(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }
}

#[expect(clippy::cast_possible_wrap, reason = "there are at most 65,536 nodes")]
fn index(node: Option<NodeIndex>) -> i32 {
    node.map_or(-1, |node| node.number() as i32)
}

/// A part of 2^64 as a number from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "what is lost is less than 2^-53")]
fn share(part: u128) -> f64 {
    part as f64 / (1_u128 << 64) as f64
}
