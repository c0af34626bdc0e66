//! The consistent-hash ring: its life, and what it is made of.
#![allow(non_camel_case_types, reason = "the names are the C names")]

pub mod change;
pub mod lookup;

use std::ffi::c_void;
use std::sync::OnceLock;

use comity::error::{Error, ErrorCode, Result};
use comity::ring::{MAX_ID_BYTES, MAX_NODES, NodeSpec, Ring, RingConfig};
use comity::snapshot::Snapshot;

use crate::comity_bytes;
use crate::handle::{Kind, give, with};
use crate::options::{self, Options, reserved};
use crate::pointer::{bytes, many, place};
use crate::status::guard;

/// The number of no node.
pub const COMITY_NO_NODE: u32 = u32::MAX;

/// A member of a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_node_spec {
    /// Identity, 1 to 256 bytes, unique within a ring.
    pub id: *const c_void,
    /// How many bytes the id has.
    pub id_len: usize,
    /// Share of the keys relative to the other nodes; 0 = listed, but given no keys.
    pub weight: u32,
}

/// What two rings must have in common, besides their nodes, to place keys alike.
/// comity_ring_options_init writes the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_ring_options {
    /// Written by comity_ring_options_init.
    pub struct_size: usize,
    /// Seed of the hash of points and keys; 0 by default.
    pub seed: u64,
    /// Points of a node per unit of its weight, at least 1; 512 by default. More points spread the
    /// keys more evenly and take more memory, 20 to 24 bytes each.
    pub points_per_weight: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: it is numbers.
unsafe impl Options for comity_ring_options {
    const NAME: &'static str = "comity_ring_options";

    fn defaults() -> Self {
        let RingConfig { seed, points_per_weight } = RingConfig::default();
        Self { struct_size: size_of::<Self>(), seed, points_per_weight, reserved: 0 }
    }
}

/// A consistent-hash ring. It never changes, so unlike other handles any number of threads may
/// read it at once.
#[derive(Debug)]
pub struct comity_ring {
    ring: Ring,
    nodes: Vec<comity_node_spec>,
    snapshot: OnceLock<Vec<u8>>,
}

impl Kind for comity_ring {
    const NAME: &'static str = "comity_ring";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyRING");
}

impl comity_ring {
    pub(crate) fn new(ring: Ring) -> Self {
        let shown = |node: &NodeSpec| comity_node_spec {
            id: node.id.as_ptr().cast(),
            id_len: node.id.len(),
            weight: node.weight,
        };
        let nodes = ring.nodes().iter().map(shown).collect();
        Self { ring, nodes, snapshot: OnceLock::new() }
    }

    /// The id of a node, which lives as long as the ring.
    fn id(&self, index: u32) -> comity_bytes {
        self.nodes.get(index as usize).map_or(comity_bytes::NONE, |node| comity_bytes {
            data: node.id.cast(),
            len: node.id_len,
        })
    }
}

/// The nodes that C lists.
///
/// # Safety
///
/// The rules of the header.
pub(crate) unsafe fn specs(nodes: *const comity_node_spec, count: usize) -> Result<Vec<NodeSpec>> {
    if count > MAX_NODES as usize {
        let text = format!("a ring has at most {MAX_NODES} nodes, not {count}");
        return Err(Error::new(ErrorCode::LimitExceeded, text));
    }
    // SAFETY: the caller keeps the rules of the header.
    unsafe { many(nodes, count, "nodes")?.iter().map(|node| spec(node)).collect() }
}

/// # Safety
///
/// The rules of the header.
unsafe fn spec(node: &comity_node_spec) -> Result<NodeSpec> {
    // SAFETY: the caller keeps the rules of the header.
    Ok(NodeSpec::new(unsafe { id(node.id, node.id_len) }?, node.weight))
}

/// The id of a node, no longer than one may be.
///
/// # Safety
///
/// The rules of the header.
unsafe fn id<'a>(id: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len > MAX_ID_BYTES {
        let text = format!("a node id has at most {MAX_ID_BYTES} bytes, not {len}");
        return Err(Error::new(ErrorCode::LimitExceeded, text));
    }
    // SAFETY: the caller keeps the rules of the header.
    unsafe { bytes(id, len, "id of a node") }
}

/// Writes the defaults to *options. struct_size is sizeof(comity_ring_options).
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_options_init(
    options: *mut comity_ring_options,
    struct_size: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { options::init(options, struct_size) }
}

/// Makes a ring of count nodes in any order. nodes may be NULL if count is 0: an empty ring finds no
/// node. The ids are copied. options may be NULL for the defaults.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there twice, or an option out of
/// range; or COMITY_ERROR_LIMIT_EXCEEDED for more than 65536 nodes, 4194304 points in all or 256 bytes
/// in an id; or COMITY_ERROR_UNSUPPORTED for options of a later version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_new(
    nodes: *const comity_node_spec,
    count: usize,
    options: *const comity_ring_options,
    out: *mut *mut comity_ring,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    guard(|| unsafe {
        let out = place(out, "out")?;
        let options = options::read(options)?;
        reserved(options.reserved, comity_ring_options::NAME)?;
        let comity_ring_options { seed, points_per_weight, .. } = options;
        let config = RingConfig { seed, points_per_weight };
        let ring = Ring::with_config(specs(nodes, count)?, config)?;
        out.write(give(comity_ring::new(ring)));
        Ok(())
    })
}

/// Makes a ring of the bytes that comity_ring_snapshot gave, in any language.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or COMITY_ERROR_CORRUPT for
/// other bytes, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_restore(
    data: *const c_void,
    data_len: usize,
    out: *mut *mut comity_ring,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    guard(|| unsafe {
        let out = place(out, "out")?;
        let ring = Ring::from_bytes(bytes(data, data_len, "data")?)?;
        out.write(give(comity_ring::new(ring)));
        Ok(())
    })
}

/// Frees a ring and all that it has lent. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_free(ring: *mut comity_ring) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(ring) }
}

/// Writes the canonical bytes of a ring to *out, for comity_ring_restore: equal rings have equal bytes
/// in every language. They are valid until the ring is freed.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_snapshot(
    ring: *const comity_ring,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(comity_bytes::of(ring.snapshot.get_or_init(|| ring.ring.to_bytes())));
            Ok(())
        })
    }
}

/// Writes 64 bits to *out that stand for the nodes, their weights and the options: peers
/// with equal ones place keys alike.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_fingerprint(ring: *const comity_ring, out: *mut u64) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(ring.ring.fingerprint());
            Ok(())
        })
    }
}

/// Writes the seed and the points per weight unit that a ring was made with. Either may be NULL.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT if ring is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_config(
    ring: *const comity_ring,
    seed: *mut u64,
    points_per_weight: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let config = ring.ring.config();
            if !seed.is_null() {
                seed.write(config.seed);
            }
            if !points_per_weight.is_null() {
                points_per_weight.write(config.points_per_weight);
            }
            Ok(())
        })
    }
}

/// Writes how many nodes a ring has to *out, those of weight 0 included.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_len(ring: *const comity_ring, out: *mut usize) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(ring.ring.len());
            Ok(())
        })
    }
}

/// Writes how many points all nodes have together to *out.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_points(ring: *const comity_ring, out: *mut u32) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(ring.ring.points());
            Ok(())
        })
    }
}

/// Writes the nodes of a ring to *out, side by side in the order of their ids by bytes, and how many
/// these are to *count. A node's number is its place among them. They are valid until the ring is
/// freed.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_nodes(
    ring: *const comity_ring,
    out: *mut *const comity_node_spec,
    count: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let (out, count) = (place(out, "out")?, place(count, "count")?);
            out.write(ring.nodes.as_ptr());
            count.write(ring.nodes.len());
            Ok(())
        })
    }
}
