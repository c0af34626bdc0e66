//! The verbs of the lock.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_void;
use std::ptr;

use comity::error::Result;
use comity::lock::{Fence, LockId, LockOptions};
use comity::time::{Span, Time};

use crate::COMITY_NONE;
use crate::coordinator::{at, comity_coordinator, span};
use crate::handle::{with, with_mut};
use crate::options::{self, Options, reserved};
use crate::pointer::{bytes, flag, place};

/// How a lock is acquired and kept. comity_lock_options_init writes the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_lock_options {
    /// Written by comity_lock_options_init.
    pub struct_size: usize,
    /// How long the lease lasts without renewal, 50 ms to 24 h in microseconds; 30 s by default.
    pub ttl_us: u64,
    /// How long to wait for the grant, in microseconds; 0 = try once, COMITY_NONE = as long as it
    /// takes, the default.
    pub wait_us: u64,
    /// How long after the grant renewals end, so that the lease ends soon after, in microseconds;
    /// COMITY_NONE = never, the default.
    pub max_hold_us: u64,
    /// Shown to others as the owner, at most 256 bytes; none by default.
    pub label: *const c_void,
    /// How many bytes the label has.
    pub label_len: usize,
    /// 1 = the lease is renewed by itself while it is held, the default; 0 = it is not.
    pub renew: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: it is numbers and pointers.
unsafe impl Options for comity_lock_options {
    const NAME: &'static str = "comity_lock_options";

    fn defaults() -> Self {
        let default = LockOptions::default();
        let us = |span: Option<Span>| span.map_or(COMITY_NONE, Span::as_micros);
        Self {
            struct_size: size_of::<Self>(),
            ttl_us: default.ttl.as_micros(),
            wait_us: us(default.wait),
            max_hold_us: us(default.max_hold),
            label: ptr::null(),
            label_len: 0,
            renew: default.renew.into(),
            reserved: 0,
        }
    }
}

unsafe fn read(options: *const comity_lock_options) -> Result<LockOptions> {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        let options = options::read(options)?;
        reserved(options.reserved, comity_lock_options::NAME)?;
        Ok(LockOptions {
            ttl: Span::from_micros(options.ttl_us),
            wait: span(options.wait_us),
            renew: flag(options.renew, "renew")?,
            max_hold: span(options.max_hold_us),
            label: bytes(options.label, options.label_len, "label")?.to_vec(),
        })
    }
}

/// Writes the defaults to *options. struct_size is sizeof(comity_lock_options).
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_options_init(
    options: *mut comity_lock_options,
    struct_size: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { options::init(options, struct_size) }
}

/// Asks for the lock of this name, 1 to 512 bytes. options may be NULL for the defaults. Writes the
/// number of the request to *lock, which the events and the other functions of the lock take. Leads to
/// COMITY_EVENT_LOCK_GRANTED or COMITY_EVENT_LOCK_FAILED, by way of COMITY_EVENT_LOCK_QUEUED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED,
/// COMITY_ERROR_UNSUPPORTED or COMITY_ERROR_CLOSED: then nothing is asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_acquire(
    coordinator: *mut comity_coordinator,
    name: *const c_void,
    name_len: usize,
    options: *const comity_lock_options,
    now_us: u64,
    lock: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let lock = place(lock, "lock")?;
            let name = bytes(name, name_len, "name")?;
            lock.write(co.core.lock_acquire(name, read(options)?, at(now_us)?)?.0);
            Ok(())
        })
    }
}

/// Gives a lock back. Leads to COMITY_EVENT_LOCK_RELEASED, COMITY_EVENT_LOCK_LOST or
/// COMITY_EVENT_LOCK_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, COMITY_ERROR_LOCK_LOST for a lease that
/// has ended, as often as it is asked, COMITY_ERROR_NOT_HELD or COMITY_ERROR_CLOSED: then nothing is
/// changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_release(
    coordinator: *mut comity_coordinator,
    lock: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { with_mut(coordinator, |co| co.core.lock_release(LockId(lock), at(now_us)?)) }
}

/// Ends a request in any state, giving back what it may hold; legal after its end, too, and then a
/// lease that was lost is forgotten: of those, the 65,536 latest requests are remembered. No event
/// follows.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_cancel(
    coordinator: *mut comity_coordinator,
    lock: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.lock_cancel(LockId(lock), at(now_us)?);
            Ok(())
        })
    }
}

/// Renews a lease at once, to last ttl_us from now, or as long as before if it is COMITY_NONE. Leads
/// to COMITY_EVENT_LOCK_RENEWED, COMITY_EVENT_LOCK_LOST, or within the timeout of the coordinator to
/// COMITY_EVENT_LOCK_NOT_RENEWED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or a ttl out of range,
/// COMITY_ERROR_LOCK_LOST for a lease that has ended, or that comity_close has given back, as often as
/// it is asked, COMITY_ERROR_NOT_HELD or COMITY_ERROR_CLOSED: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_renew(
    coordinator: *mut comity_coordinator,
    lock: u64,
    ttl_us: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| co.core.lock_renew(LockId(lock), span(ttl_us), at(now_us)?))
    }
}

/// Writes 1 to *out if the lock is certainly held at now_us, else 0.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_is_held(
    coordinator: *const comity_coordinator,
    lock: u64,
    now_us: u64,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.core.lock_is_held(LockId(lock), at(now_us)?).into());
            Ok(())
        })
    }
}

/// Writes until when the lock is certainly held unless it is renewed to *out: microseconds on the
/// host's clock, or COMITY_NONE if it is not held.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_valid_until(
    coordinator: *const comity_coordinator,
    lock: u64,
    out: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            let until = co.core.lock_valid_until(LockId(lock));
            out.write(until.map_or(COMITY_NONE, Time::as_micros));
            Ok(())
        })
    }
}

/// Asks who holds the lock of this name and who waits for it. Writes the number of the call to *call.
/// Leads to COMITY_EVENT_LOCK_INSPECTED or COMITY_EVENT_CALL_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED or
/// COMITY_ERROR_CLOSED: then nothing is asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_lock_inspect(
    coordinator: *mut comity_coordinator,
    name: *const c_void,
    name_len: usize,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let call = place(call, "call")?;
            let name = bytes(name, name_len, "name")?;
            call.write(co.core.lock_inspect(name, at(now_us)?)?.0);
            Ok(())
        })
    }
}

/// Asks the guard of a resource whether a fence, below 2^53, is at least as high as every one it has
/// seen. Writes the number of the call to *call. Leads to COMITY_EVENT_FENCE_CHECKED or
/// COMITY_EVENT_CALL_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED or
/// COMITY_ERROR_CLOSED: then nothing is asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_fence_check(
    coordinator: *mut comity_coordinator,
    resource: *const c_void,
    resource_len: usize,
    fence: u64,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let call = place(call, "call")?;
            let resource = bytes(resource, resource_len, "resource")?;
            call.write(co.core.fence_check(resource, Fence(fence), at(now_us)?)?.0);
            Ok(())
        })
    }
}
