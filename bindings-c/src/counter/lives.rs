//! What a counter hands on from one life to the next.

use std::ffi::c_void;

use comity::counter::CounterId;

use super::{comity_counter_options, read};
use crate::comity_bytes;
use crate::coordinator::{at, comity_coordinator};
use crate::handle::with_mut;
use crate::pointer::{bytes, place};

/// As comity_counter_open, and counts what data, of COMITY_EVENT_COUNTER_JOURNAL or of
/// comity_counter_snapshot, holds of it and the server has not: once, however often and wherever the
/// same bytes are restored.
///
/// Returns as comity_counter_open, or COMITY_ERROR_CORRUPT for bytes that are not such, or of another
/// counter: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_restore(
    coordinator: *mut comity_coordinator,
    name: *const c_void,
    name_len: usize,
    options: *const comity_counter_options,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
    counter: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let counter = place(counter, "counter")?;
            let name = bytes(name, name_len, "name")?;
            let data = bytes(data, data_len, "data")?;
            let opened = co.core.counter_restore(name, read(options)?, data, at(now_us)?)?;
            counter.write(opened.0);
            Ok(())
        })
    }
}

/// As comity_counter_restore for a counter that is open already, before it has counted or asked the
/// server anything; a journaled one asks at once.
///
/// Returns COMITY_OK; or COMITY_ERROR_CORRUPT, COMITY_ERROR_INVALID_ARGUMENT for NULL,
/// COMITY_ERROR_INVALID_STATE for a counter that is in use or not open, or COMITY_ERROR_CLOSED: then
/// nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_take_up(
    coordinator: *mut comity_coordinator,
    counter: u64,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let data = bytes(data, data_len, "data")?;
            co.core.counter_take_up(CounterId(counter), data, at(now_us)?)
        })
    }
}

/// Counts what the replicas of a peer counter have counted, by the bytes of
/// comity_pn_counter_snapshot: each unit once, however often and by whomever they are merged. It shows
/// in the value when the server has it, which a comity_counter_flush waits for.
///
/// Returns COMITY_OK; or COMITY_ERROR_CORRUPT for other bytes, COMITY_ERROR_LIMIT_EXCEEDED,
/// COMITY_ERROR_INVALID_ARGUMENT for NULL, COMITY_ERROR_INVALID_STATE or COMITY_ERROR_CLOSED: then
/// nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_merge(
    coordinator: *mut comity_coordinator,
    counter: u64,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let data = bytes(data, data_len, "data")?;
            co.core.counter_merge(CounterId(counter), data, at(now_us)?)
        })
    }
}

/// Writes what a later life has to take up to lose nothing to *out, for comity_counter_restore: bytes
/// that are valid until the next call of comity_counter_snapshot on the handle. What was counted
/// before the server has given the counter a slot is not in it.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_snapshot(
    coordinator: *mut comity_coordinator,
    counter: u64,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            co.snapshot = co.core.counter_snapshot(CounterId(counter))?;
            out.write(comity_bytes::of(&co.snapshot));
            Ok(())
        })
    }
}

/// The data of the last COMITY_EVENT_COUNTER_JOURNAL is written down.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open or has told of no
/// journal, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_journaled(
    coordinator: *mut comity_coordinator,
    counter: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| co.core.counter_journaled(CounterId(counter), at(now_us)?))
    }
}
