//! Which nodes hold a key.

use std::ffi::c_void;

use comity::ring::NodeIndex;

use super::{COMITY_NO_NODE, comity_ring};
use crate::comity_bytes;
use crate::handle::with;
use crate::pointer::{bytes, many, place, places};

/// A key of a batch, whose bytes were vouched for.
struct Key<'a>(&'a [u8]);

impl AsRef<[u8]> for Key<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

/// Writes the id of the node that owns a key to *out, valid until the ring is freed; NULL data if no
/// node has a weight. key may be NULL if key_len is 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_node(
    ring: *const comity_ring,
    key: *const c_void,
    key_len: usize,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            let node = ring.ring.node(bytes(key, key_len, "key")?);
            out.write(node.map_or(comity_bytes::NONE, |node| ring.id(node.number())));
            Ok(())
        })
    }
}

/// Writes the number of the node that owns a key to *out, its place among those of comity_ring_nodes;
/// COMITY_NO_NODE if no node has a weight. key may be NULL if key_len is 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_node_index(
    ring: *const comity_ring,
    key: *const c_void,
    key_len: usize,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            let node = ring.ring.node(bytes(key, key_len, "key")?);
            out.write(node.map_or(COMITY_NO_NODE, NodeIndex::number));
            Ok(())
        })
    }
}

/// Writes the numbers of the nodes that own count keys to out, each as comity_ring_node_index gives
/// it, but faster than one by one in rings of many points.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_lookup_batch(
    ring: *const comity_ring,
    keys: *const comity_bytes,
    count: usize,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = places(out, count, "out")?;
            let key = |key: &comity_bytes| bytes(key.data.cast(), key.len, "a key").map(Key);
            let keys: Vec<Key<'_>> =
                many(keys, count, "keys")?.iter().map(key).collect::<Result<_, _>>()?;
            let owners = ring.ring.lookup_batch(&keys);
            let number = |owner: Option<NodeIndex>| owner.map_or(COMITY_NO_NODE, NodeIndex::number);
            out.write(owners.into_iter().map(number));
            Ok(())
        })
    }
}

/// Writes the ids of the first n nodes that hold a key to out, distinct, the owner first, and how
/// many these are to *count: fewer than n if fewer nodes have a weight. The ids are valid until
/// the ring is freed. key may be NULL if key_len is 0, out if n is 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_replicas(
    ring: *const comity_ring,
    key: *const c_void,
    key_len: usize,
    n: usize,
    out: *mut comity_bytes,
    count: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let (out, count) = (places(out, n, "out")?, place(count, "count")?);
            let replicas = ring.ring.replicas(bytes(key, key_len, "key")?, n);
            count.write(replicas.len());
            out.write(replicas.map(|node| ring.id(node.number())));
            Ok(())
        })
    }
}

/// As comity_ring_node, for a place on the hash space.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_node_for_hash(
    ring: *const comity_ring,
    hash: u64,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            let node = ring.ring.node_for_hash(hash);
            out.write(node.map_or(comity_bytes::NONE, |node| ring.id(node.number())));
            Ok(())
        })
    }
}

/// As comity_ring_replicas, for a place on the hash space.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_replicas_for_hash(
    ring: *const comity_ring,
    hash: u64,
    n: usize,
    out: *mut comity_bytes,
    count: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let (out, count) = (places(out, n, "out")?, place(count, "count")?);
            let replicas = ring.ring.replicas_for_hash(hash, n);
            count.write(replicas.len());
            out.write(replicas.map(|node| ring.id(node.number())));
            Ok(())
        })
    }
}

/// Writes the number of the node with this id to *out, its place among those of comity_ring_nodes;
/// COMITY_NO_NODE if none has it.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_index_of(
    ring: *const comity_ring,
    id: *const c_void,
    id_len: usize,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            let found = ring.ring.index_of(bytes(id, id_len, "id")?);
            out.write(found.map_or(COMITY_NO_NODE, NodeIndex::number));
            Ok(())
        })
    }
}

/// Writes where a key lies on the hash space to *out. key may be NULL if key_len is 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_hash(
    ring: *const comity_ring,
    key: *const c_void,
    key_len: usize,
    out: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(ring.ring.hash(bytes(key, key_len, "key")?));
            Ok(())
        })
    }
}
