//! The counter without a server.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_void;

use comity::crdt::PNCounter;
use comity::error::{Error, ErrorCode, Result};

use crate::comity_bytes;
use crate::fork::Process;
use crate::handle::{Kind, give, with, with_mut};
use crate::number::{comity_int128, comity_tally};
use crate::pointer::{bytes, place};
use crate::status::guard;

/// How many bytes the id of a replica has.
pub const COMITY_REPLICA_ID: usize = 16;

/// One replica of a counter that lives nowhere but in its replicas, which exchange bytes. One thread
/// at a time may use it.
#[derive(Debug)]
pub struct comity_pn_counter {
    /// Where it counts.
    process: Process,
    counter: PNCounter,
    snapshot: Vec<u8>,
    slots: Vec<comity_pn_slot>,
}

impl Kind for comity_pn_counter {
    const NAME: &'static str = "comity_pn_counter";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyPEER");
}

impl comity_pn_counter {
    /// For what changes what this replica has counted: parent and child would raise one slot.
    fn own(&mut self) -> Result<&mut PNCounter> {
        self.process.check("comity_pn_counter_rename comes first")?;
        Ok(&mut self.counter)
    }
}

/// What one replica has counted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_pn_slot {
    /// The id of the replica.
    pub replica: [u8; COMITY_REPLICA_ID],
    /// What it has counted.
    pub tally: comity_tally,
}

unsafe fn read(replica: *const c_void, len: usize) -> Result<u128> {
    // SAFETY: the caller keeps the rules of the header.
    let id = unsafe { bytes(replica, len, "replica") }?;
    id.try_into().map(u128::from_be_bytes).map_err(|_| {
        let message = format!("replica_len: {len} bytes, not {COMITY_REPLICA_ID}");
        Error::new(ErrorCode::InvalidArgument, message)
    })
}

/// Makes a replica that has counted nothing. Its id is COMITY_REPLICA_ID bytes of a cryptographic
/// random source and belongs to one process: after a restart a new one merges the bytes of the old.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_pn_counter_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL or another length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_new(
    replica: *const c_void,
    replica_len: usize,
    out: *mut *mut comity_pn_counter,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    guard(|| unsafe {
        let out = place(out, "out")?;
        let counter = PNCounter::new(read(replica, replica_len)?);
        out.write(give(comity_pn_counter {
            process: Process::this()?,
            counter,
            snapshot: Vec::new(),
            slots: Vec::new(),
        }));
        Ok(())
    })
}

/// Frees a replica and all that it has lent. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_free(counter: *mut comity_pn_counter) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(counter) }
}

/// Counts amount, up or down.
///
/// Returns COMITY_OK; or COMITY_ERROR_OVERFLOW beyond 2^64 - 1 of this replica's increments or
/// decrements, COMITY_ERROR_INVALID_STATE after a fork before comity_pn_counter_rename, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_add(
    counter: *mut comity_pn_counter,
    amount: i64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { with_mut(counter, |peer| peer.own()?.add(amount).map_err(Error::from)) }
}

/// Counts up by the increments and down by the decrements of a tally, or neither.
///
/// Returns as comity_pn_counter_add.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_count(
    counter: *mut comity_pn_counter,
    tally: comity_tally,
) -> u32 {
    let comity_tally { increments, decrements } = tally;
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(counter, |peer| peer.own()?.count(increments, decrements).map_err(Error::from))
    }
}

/// Writes the value to *out, exactly: see comity_int128_to_int64 and comity_int128_to_text.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_value(
    counter: *const comity_pn_counter,
    out: *mut comity_int128,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(counter, |peer| {
            let out = place(out, "out")?;
            out.write(comity_int128::of(peer.counter.value()));
            Ok(())
        })
    }
}

/// Takes in what another replica's bytes say.
///
/// Returns COMITY_OK; or COMITY_ERROR_CORRUPT for other bytes, COMITY_ERROR_LIMIT_EXCEEDED beyond
/// 65536 replicas, COMITY_ERROR_INVALID_STATE after a fork before comity_pn_counter_rename, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_merge(
    counter: *mut comity_pn_counter,
    data: *const c_void,
    data_len: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { with_mut(counter, |peer| peer.own()?.merge(bytes(data, data_len, "data")?)) }
}

/// Writes all that is known to *out, for comity_pn_counter_merge and comity_counter_merge: bytes that
/// are valid until the next call of comity_pn_counter_snapshot on the handle.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_snapshot(
    counter: *mut comity_pn_counter,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(counter, |peer| {
            let out = place(out, "out")?;
            peer.snapshot = peer.counter.to_bytes();
            out.write(comity_bytes::of(&peer.snapshot));
            Ok(())
        })
    }
}

/// Goes on as another replica: the child of a fork has to before it counts, or each process would
/// raise the other's slot. The id is as for comity_pn_counter_new.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or another length, or
/// COMITY_ERROR_LIMIT_EXCEEDED where there is no room for one more: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_rename(
    counter: *mut comity_pn_counter,
    replica: *const c_void,
    replica_len: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(counter, |peer| {
            let process = Process::this()?;
            peer.counter.rename(read(replica, replica_len)?)?;
            peer.process = process;
            Ok(())
        })
    }
}

/// Writes the COMITY_REPLICA_ID bytes of this replica's id to replica.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_replica(
    counter: *const comity_pn_counter,
    replica: *mut u8,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(counter, |peer| {
            let replica = place(replica.cast::<[u8; COMITY_REPLICA_ID]>(), "replica")?;
            replica.write(peer.counter.replica().to_be_bytes());
            Ok(())
        })
    }
}

/// Writes what each replica has counted to *out, side by side by rising id, and how many there are to
/// *count. They are valid until the next call of comity_pn_counter_slots on the handle.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_pn_counter_slots(
    counter: *mut comity_pn_counter,
    out: *mut *const comity_pn_slot,
    count: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(counter, |peer| {
            let (out, count) = (place(out, "out")?, place(count, "count")?);
            peer.slots = peer
                .counter
                .slots()
                .iter()
                .map(|(id, tally)| comity_pn_slot {
                    replica: id.to_be_bytes(),
                    tally: tally.into(),
                })
                .collect();
            out.write(peer.slots.as_ptr());
            count.write(peer.slots.len());
            Ok(())
        })
    }
}
