//! The consistent-hash ring.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::{ptr, slice};

use comity::error::{Error, ErrorCode, Result};
use comity::ring::{MAX_ID_BYTES, MAX_NODES, NodeIndex, NodeSpec, Ring};

use crate::comity_bytes;
use crate::status::{Poison, bytes, guard, null, writable};

/// A member of a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_node_spec {
    /// Identity, 1 to 256 bytes, unique within a ring.
    pub id: *const u8,
    /// How many bytes the id has.
    pub id_len: usize,
    /// Share of the keys relative to the other nodes; 0 = listed, but given no keys.
    pub weight: u32,
}

/// A consistent-hash ring. It never changes, so unlike other handles any number of threads may
/// read it at once.
#[derive(Debug)]
pub struct comity_ring {
    ring: Ring,
    poison: Poison,
}

/// Makes a ring of count nodes in any order, with 512 points per weight unit and seed 0. nodes
/// may be NULL if count is 0: an empty ring finds no node. The ids are copied.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there twice; or
/// COMITY_ERROR_LIMIT_EXCEEDED for more than 65536 nodes, 4194304 points in all or 256 bytes
/// in an id.
///
/// # Safety
///
/// `nodes` points to `count` specs and each `id` to `id_len` bytes; `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_new(
    nodes: *const comity_node_spec,
    count: usize,
    out: *mut *mut comity_ring,
) -> u32 {
    guard(|| {
        writable(out, "out")?;
        // SAFETY: the caller vouches for the specs and their ids.
        let ring = Ring::new(unsafe { specs(nodes, count) }?)?;
        let handle = Box::new(comity_ring { ring, poison: Poison::default() });
        // SAFETY: not NULL, and the caller vouches that it can be written.
        unsafe { out.write(Box::into_raw(handle)) };
        Ok(())
    })
}

/// # Safety
///
/// As [`comity_ring_new`].
unsafe fn specs(nodes: *const comity_node_spec, count: usize) -> Result<Vec<NodeSpec>> {
    if count > MAX_NODES as usize {
        let text = format!("a ring has at most {MAX_NODES} nodes, not {count}");
        return Err(Error::new(ErrorCode::LimitExceeded, text));
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    if nodes.is_null() {
        return Err(null("nodes"));
    }
    // SAFETY: not NULL, few, and the caller vouches for them.
    let specs = unsafe { slice::from_raw_parts(nodes, count) };
    let spec = |spec: &comity_node_spec| {
        if spec.id_len > MAX_ID_BYTES {
            let text = format!("a node id has at most {MAX_ID_BYTES} bytes, not {}", spec.id_len);
            return Err(Error::new(ErrorCode::LimitExceeded, text));
        }
        // SAFETY: the caller vouches for the bytes of the id.
        let id = unsafe { bytes(spec.id, spec.id_len, "id of a node") }?;
        Ok(NodeSpec::new(id, spec.weight))
    };
    specs.iter().map(spec).collect()
}

/// Frees a ring and all ids it gave. NULL is fine.
///
/// # Safety
///
/// `ring` came from [`comity_ring_new`], was not freed before, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_free(ring: *mut comity_ring) {
    guard(|| {
        if !ring.is_null() {
            // SAFETY: the caller vouches that the box is whole and nobody else's.
            drop(unsafe { Box::from_raw(ring) });
        }
        Ok(())
    });
}

/// Runs a call on a ring.
///
/// # Safety
///
/// `ring` is NULL or alive.
unsafe fn with(ring: *const comity_ring, call: impl FnOnce(&Ring) -> Result<()>) -> u32 {
    // SAFETY: the caller vouches that it is NULL or alive.
    match unsafe { ring.as_ref() } {
        Some(handle) => handle.poison.guard(|| call(&handle.ring)),
        None => guard(|| Err(null("ring"))),
    }
}

/// The id of a node, which lives as long as the ring.
fn borrowed(ring: &Ring, node: NodeIndex) -> comity_bytes {
    ring.node_id(node).map_or(comity_bytes { data: ptr::null(), len: 0 }, |id| comity_bytes {
        data: id.as_ptr(),
        len: id.len(),
    })
}

/// Writes the id of the node that owns a key to *out, valid until the ring is freed; a NULL id of
/// length 0 if no node has a weight. key may be NULL if key_len is 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
///
/// # Safety
///
/// `ring` is alive; `key` points to `key_len` bytes; `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_node(
    ring: *const comity_ring,
    key: *const u8,
    key_len: usize,
    out: *mut comity_bytes,
) -> u32 {
    let call = |ring: &Ring| {
        writable(out, "out")?;
        // SAFETY: the caller vouches for the bytes of the key.
        let key = unsafe { bytes(key, key_len, "key") }?;
        let none = comity_bytes { data: ptr::null(), len: 0 };
        let id = ring.node(key).map_or(none, |node| borrowed(ring, node));
        // SAFETY: not NULL, and the caller vouches that it can be written.
        unsafe { out.write(id) };
        Ok(())
    };
    // SAFETY: the caller vouches for the ring.
    unsafe { with(ring, call) }
}

/// Writes the ids of the first n nodes that hold a key to out, distinct, the owner first, and how
/// many these are to *count: fewer than n if fewer nodes have a weight. The ids are valid until
/// the ring is freed. key may be NULL if key_len is 0, out if n is 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
///
/// # Safety
///
/// `ring` is alive; `key` points to `key_len` bytes; `n` elements of `out` and `count` can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_replicas(
    ring: *const comity_ring,
    key: *const u8,
    key_len: usize,
    n: usize,
    out: *mut comity_bytes,
    count: *mut usize,
) -> u32 {
    let call = |ring: &Ring| {
        writable(count, "count")?;
        if n > 0 {
            writable(out, "out")?;
        }
        // SAFETY: the caller vouches for the bytes of the key.
        let key = unsafe { bytes(key, key_len, "key") }?;
        let replicas = ring.replicas(key, n);
        let found = replicas.len();
        for (i, node) in replicas.enumerate() {
            // SAFETY: there are at most n replicas, and the caller vouches for n elements.
            unsafe { out.add(i).write(borrowed(ring, node)) };
        }
        // SAFETY: not NULL, and the caller vouches that it can be written.
        unsafe { count.write(found) };
        Ok(())
    };
    // SAFETY: the caller vouches for the ring.
    unsafe { with(ring, call) }
}

/// Writes how many nodes a ring has to *out, those of weight 0 included.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
///
/// # Safety
///
/// `ring` is alive; `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_len(ring: *const comity_ring, out: *mut usize) -> u32 {
    let call = |ring: &Ring| {
        writable(out, "out")?;
        // SAFETY: not NULL, and the caller vouches that it can be written.
        unsafe { out.write(ring.len()) };
        Ok(())
    };
    // SAFETY: the caller vouches for the ring.
    unsafe { with(ring, call) }
}

/// Writes 64 bits to *out that stand for the nodes, their weights and the configuration: peers
/// with equal ones place keys alike.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
///
/// # Safety
///
/// `ring` is alive; `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_fingerprint(ring: *const comity_ring, out: *mut u64) -> u32 {
    let call = |ring: &Ring| {
        writable(out, "out")?;
        // SAFETY: not NULL, and the caller vouches that it can be written.
        unsafe { out.write(ring.fingerprint()) };
        Ok(())
    };
    // SAFETY: the caller vouches for the ring.
    unsafe { with(ring, call) }
}
