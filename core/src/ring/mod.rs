//! Placement of keys on nodes by consistent hashing.
//!
//! A [`Ring`] is a value: cheap to clone, shared between threads without a lock, never changed.
//! What changes the members returns a new ring. Rings of the same members and the same
//! [`RingConfig`] are the same ring, whatever happened on the way there:
//!
//! ```
//! use comity::ring::{NodeSpec, Ring};
//!
//! let ring = Ring::new(["a", "b", "c"].map(|id| NodeSpec::new(id, 1)))?;
//! let owner = ring.node(b"user:42").and_then(|node| ring.node_id(node));
//! assert_eq!(owner, Some(&b"c"[..]));
//!
//! // Two copies: the owner first, then the next node clockwise.
//! let ids: Vec<_> = ring.replicas(b"user:42", 2).filter_map(|node| ring.node_id(node)).collect();
//! assert_eq!(ids, [b"c", b"b"]);
//!
//! // A new node only takes keys; none moves between the others.
//! let grown = ring.with_node(NodeSpec::new("d", 1))?;
//! assert_eq!(grown.share(grown.index_of(b"d").unwrap()), ring.moved_share(&grown));
//! assert_eq!(grown.without_node(b"d")?, ring);
//! # Ok::<(), comity::error::Error>(())
//! ```
//!
//! Every node has [`RingConfig::points_per_weight`] points per unit of weight. Point number `i` of
//! a node lies at `XXH3_64(id ++ u32_le(i), seed)`, a key at `XXH3_64(key, seed)`, and the owner of
//! a key is that of the first point at or after it, beyond the highest point that of the first one.
//! Points at one position stand in the order of their nodes' ids; none is dropped.
//!
//! Nothing here panics, reads a clock or computes with floating point.

mod change;
mod fingerprint;
mod lookup;
mod node;
mod points;
mod replicas;
mod share;
mod snapshot;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{self, Hash};

pub use self::node::{NodeIndex, NodeSpec};
pub use self::replicas::Replicas;

use self::lookup::Lookup;
use self::points::Hasher;
use crate::error::{Error, Result};

/// How many nodes a ring has at most, those of weight 0 included.
pub const MAX_NODES: u32 = 65_536;

/// How many points all nodes of a ring have together at most.
pub const MAX_POINTS: u32 = 1 << 22;

/// How long a node id is at most, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// How many keys of a batch are looked up in step.
const BATCH: usize = 32;

/// What two rings must have in common, besides their nodes, to place keys alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct RingConfig {
    /// Seed of the hash of points and keys. Any value; 0 by default.
    pub seed: u64,
    /// Points of a node per unit of its weight, at least 1; 512 by default. More points spread the
    /// keys more evenly - the deviation of a node's share is about `1 / sqrt(points)` - and
    /// take more memory, 20 to 24 bytes each.
    pub points_per_weight: u32,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self { seed: 0, points_per_weight: 512 }
    }
}

/// A consistent-hash ring. The [module](self) says how it places keys.
///
/// Equal rings have equal nodes and an equal [`RingConfig`]; they give every key the same nodes.
#[derive(Clone)]
pub struct Ring {
    inner: Arc<Inner>,
}

struct Inner {
    config: RingConfig,
    hasher: Hasher,
    /// Sorted by id.
    nodes: Vec<NodeSpec>,
    /// How many nodes have points.
    eligible: usize,
    lookup: Lookup,
    fingerprint: u64,
}

impl Ring {
    /// A ring of the given nodes, in any order, with the default [`RingConfig`]. No nodes at all
    /// make a valid ring that finds no node.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::error::ErrorCode::InvalidArgument) for an empty id or one that is
    /// there twice; [`LimitExceeded`](crate::error::ErrorCode::LimitExceeded) beyond
    /// [`MAX_NODES`], [`MAX_POINTS`] or [`MAX_ID_BYTES`].
    pub fn new(nodes: impl IntoIterator<Item = NodeSpec>) -> Result<Self> {
        Self::with_config(nodes, RingConfig::default())
    }

    /// A ring of the given nodes, in any order, with the given configuration.
    ///
    /// # Errors
    ///
    /// As [`Ring::new`], and `InvalidArgument` for 0 points per weight unit.
    pub fn with_config(
        nodes: impl IntoIterator<Item = NodeSpec>,
        config: RingConfig,
    ) -> Result<Self> {
        Self::build(nodes, config, Hasher::new(config.seed))
    }

    /// A ring whose hashes keep only their `bits` highest bits, so that tests can make points and
    /// keys collide. Its fingerprint is that of the ring without the cut.
    #[doc(hidden)]
    pub fn with_cut_hash(
        nodes: impl IntoIterator<Item = NodeSpec>,
        config: RingConfig,
        bits: u32,
    ) -> Result<Self> {
        Self::build(nodes, config, Hasher::cut(config.seed, bits))
    }

    fn build(
        nodes: impl IntoIterator<Item = NodeSpec>,
        config: RingConfig,
        hasher: Hasher,
    ) -> Result<Self> {
        if config.points_per_weight == 0 {
            return Err(Error::invalid("a ring has at least 1 point per weight unit"));
        }
        let nodes = node::table(nodes)?;
        let total = node::total_points(&nodes, config)?;
        let mut points = Vec::with_capacity(total as usize);
        for (index, node) in (0..).zip(&nodes) {
            points::append(&mut points, hasher, config, node, index);
        }
        points.sort_unstable();
        Ok(Self::assemble(nodes, config, hasher, Lookup::new(points.into_iter(), total)))
    }

    fn assemble(nodes: Vec<NodeSpec>, config: RingConfig, hasher: Hasher, lookup: Lookup) -> Self {
        let eligible = nodes.iter().filter(|node| node.weight > 0).count();
        let fingerprint = fingerprint::of(config, &nodes);
        Self { inner: Arc::new(Inner { config, hasher, nodes, eligible, lookup, fingerprint }) }
    }

    /// How many nodes it has, those of weight 0 included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.nodes.len()
    }

    /// Whether it has no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.nodes.is_empty()
    }

    /// How many points all nodes have together, at most [`MAX_POINTS`].
    #[must_use]
    pub fn points(&self) -> u32 {
        // Checked against MAX_POINTS when the ring was made.
        u32::try_from(self.inner.lookup.len()).unwrap_or(MAX_POINTS)
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> RingConfig {
        self.inner.config
    }

    /// Its nodes, sorted by id.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.inner.nodes
    }

    /// The node at an index this ring gave; `None` if it has no such node.
    #[must_use]
    pub fn get(&self, index: NodeIndex) -> Option<&NodeSpec> {
        self.inner.nodes.get(index.number() as usize)
    }

    /// The id of the node at an index this ring gave; `None` if it has no such node.
    #[must_use]
    pub fn node_id(&self, index: NodeIndex) -> Option<&[u8]> {
        self.get(index).map(|node| node.id.as_slice())
    }

    /// The index of the node with this id.
    #[must_use]
    pub fn index_of(&self, id: &[u8]) -> Option<NodeIndex> {
        let at = self.position(id).ok()?;
        u32::try_from(at).ok().map(NodeIndex::new)
    }

    /// Where a key lies on the hash space.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.inner.hasher.hash(key)
    }

    /// The owner of a key; `None` if no node has points.
    #[inline]
    #[must_use]
    pub fn node(&self, key: &[u8]) -> Option<NodeIndex> {
        self.node_for_hash(self.hash(key))
    }

    /// The owner of a place on the hash space; `None` if no node has points.
    #[inline]
    #[must_use]
    pub fn node_for_hash(&self, hash: u64) -> Option<NodeIndex> {
        self.inner.lookup.owner(hash).map(NodeIndex::new)
    }

    /// The owners of many keys in the order of the keys, each as [`Ring::node`] gives it, but
    /// faster than one by one in rings of many points.
    #[must_use]
    pub fn lookup_batch<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<NodeIndex>> {
        let mut owners = Vec::with_capacity(keys.len());
        self.lookup_each(keys, |owner| owners.push(owner));
        owners
    }

    /// As [`Ring::lookup_batch`], for keys from anywhere: gives `each` their owners in order.
    pub fn lookup_each<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        mut each: impl FnMut(Option<NodeIndex>),
    ) {
        let mut each = |owner: Option<u32>| each(owner.map(NodeIndex::new));
        let mut keys = keys.into_iter();
        loop {
            let mut hashes = [0; BATCH];
            let mut count = 0;
            for (hash, key) in hashes.iter_mut().zip(keys.by_ref()) {
                *hash = self.hash(key.as_ref());
                count += 1;
            }
            if count < BATCH {
                let rest = hashes.get(..count).unwrap_or_default();
                return rest.iter().for_each(|&hash| each(self.inner.lookup.owner(hash)));
            }
            self.inner.lookup.owners_of(&hashes, &mut each);
        }
    }

    /// The `n` nodes that hold a key: distinct, clockwise from the key, the owner first. Fewer if
    /// fewer nodes have points; the iterator knows its length.
    ///
    /// Up to 16 nodes nothing is allocated; beyond, one bit per node of the ring.
    #[must_use]
    pub fn replicas(&self, key: &[u8], n: usize) -> Replicas<'_> {
        self.replicas_for_hash(self.hash(key), n)
    }

    /// As [`Ring::replicas`], for a place on the hash space.
    #[must_use]
    pub fn replicas_for_hash(&self, hash: u64, n: usize) -> Replicas<'_> {
        Replicas::new(self, self.inner.lookup.find(hash), n)
    }

    /// Where the node with this id is, or would be.
    fn position(&self, id: &[u8]) -> core::result::Result<usize, usize> {
        self.inner.nodes.binary_search_by(|node| node.id.as_slice().cmp(id))
    }

    /// 64 bits that stand for the configuration and all nodes with their weights: peers that
    /// compare them know whether they place keys alike.
    ///
    /// `XXH3_64` with seed 0 of: the bytes `comity.ring.1`, a byte 0 for the scheme described in the
    /// [module](self), the seed as u64, the points per weight unit as u32, the number of nodes
    /// as u32, then by rising id for each node the length of its id as u16, the id, and
    /// the weight as u32; numbers in little-endian order.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.inner.fingerprint
    }

    /// How many of the 2^64 hashes a node owns, exactly: 0 for an index this ring does not have. In
    /// a ring with points the shares of all nodes sum to 2^64. Takes a pass over all points.
    #[must_use]
    pub fn share(&self, index: NodeIndex) -> u128 {
        share::of_one(&self.inner.lookup, index.number())
    }

    /// The [share](Ring::share) of every node in the order of [`Ring::nodes`], in one pass.
    #[must_use]
    pub fn shares(&self) -> Vec<u128> {
        share::of_all(&self.inner.lookup, self.len())
    }

    /// How many of the 2^64 hashes have owners of different ids in the two rings, exactly: the
    /// part of the keys that a change from one to the other moves. Rings of different seeds
    /// give a key different hashes, so between them it says nothing about keys.
    #[must_use]
    pub fn moved_share(&self, other: &Self) -> u128 {
        let (a, b) = (&*self.inner, &*other.inner);
        share::moved((&a.lookup, &a.nodes), (&b.lookup, &b.nodes))
    }

    /// The positions of all points in rising order with their owners, for tests.
    #[doc(hidden)]
    pub fn positions(&self) -> impl Iterator<Item = (u64, NodeIndex)> {
        self.inner.lookup.iter().map(|point| (point.position, NodeIndex::new(point.owner)))
    }
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.inner, &*other.inner);
        Arc::ptr_eq(&self.inner, &other.inner)
            || (a.fingerprint == b.fingerprint
                && a.config == b.config
                && a.hasher == b.hasher
                && a.nodes == b.nodes)
    }
}

impl Eq for Ring {}

impl Hash for Ring {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        // Equal rings have equal fingerprints.
        self.inner.fingerprint.hash(state);
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("config", &self.inner.config)
            .field("nodes", &self.len())
            .field("points", &self.points())
            .field("fingerprint", &format_args!("{:016x}", self.fingerprint()))
            .finish()
    }
}
