//! Rings made from rings, and how the keys are shared out.

use std::ffi::c_void;

use comity::error::{Error, ErrorCode, Result};
use comity::ring::Ring;

use super::{comity_node_spec, comity_ring, id, spec};
use crate::handle::{argument, give, with};
use crate::pointer::{many, place, places};

/// Makes a ring of a ring.
///
/// # Safety
///
/// The rules of the header.
unsafe fn changed(
    ring: *const comity_ring,
    out: *mut *mut comity_ring,
    change: impl FnOnce(&Ring) -> Result<Ring>,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(give(comity_ring::new(change(&ring.ring)?)));
            Ok(())
        })
    }
}

/// Makes a ring with one node more; ring stays as it is. Only keys that the new node owns move.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there, or
/// COMITY_ERROR_LIMIT_EXCEEDED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_with_node(
    ring: *const comity_ring,
    node: *const comity_node_spec,
    out: *mut *mut comity_ring,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        changed(ring, out, |ring| {
            let [node] = many(node, 1, "node")? else {
                return Err(crate::pointer::null("node"));
            };
            ring.with_node(spec(node)?)
        })
    }
}

/// Makes a ring with one node less; ring stays as it is. Only keys that it owned move.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL or an id that is not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_without_node(
    ring: *const comity_ring,
    id: *const c_void,
    id_len: usize,
    out: *mut *mut comity_ring,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { changed(ring, out, |ring| ring.without_node(self::id(id, id_len)?)) }
}

/// Makes a ring with another weight for one node; ring stays as it is. A higher weight moves keys
/// only to that node, a lower one only away from it.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL or an id that is not there, or COMITY_ERROR_LIMIT_EXCEEDED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_with_weight(
    ring: *const comity_ring,
    id: *const c_void,
    id_len: usize,
    weight: u32,
    out: *mut *mut comity_ring,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { changed(ring, out, |ring| ring.with_weight(self::id(id, id_len)?, weight)) }
}

/// Of 2^64 places on the hash space, as a part of one.
fn part(places: u128) -> f64 {
    places as f64 / 2_f64.powi(64)
}

/// Writes the share of all keys that a node owns to *out, from 0 to 1. Takes a pass over all points.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or an id that is not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_share(
    ring: *const comity_ring,
    id: *const c_void,
    id_len: usize,
    out: *mut f64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            let id = self::id(id, id_len)?;
            let index = ring.ring.index_of(id).ok_or_else(|| {
                let message = format!("no node has the id \"{}\"", id.escape_ascii());
                Error::new(ErrorCode::InvalidArgument, message)
            })?;
            out.write(part(ring.ring.share(index)));
            Ok(())
        })
    }
}

/// Writes the share of all keys that each node owns, from 0 to 1, to out, which has room for count:
/// the number of nodes. They are in the order of comity_ring_nodes and sum to 1.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_shares(
    ring: *const comity_ring,
    out: *mut f64,
    count: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = places(out, count, "out")?;
            if count != ring.ring.len() {
                let message = format!("count: {count}, the ring has {} nodes", ring.ring.len());
                return Err(Error::new(ErrorCode::InvalidArgument, message));
            }
            out.write(ring.ring.shares().into_iter().map(part));
            Ok(())
        })
    }
}

/// Writes the share of all keys that have owners of different ids in two rings to *out, from 0 to 1:
/// what a change from one to the other moves. Between rings of different seeds it says nothing.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_ring_moved_share(
    ring: *const comity_ring,
    other: *const comity_ring,
    out: *mut f64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(ring, |ring| {
            let out = place(out, "out")?;
            out.write(part(ring.ring.moved_share(&argument(other)?.ring)));
            Ok(())
        })
    }
}
