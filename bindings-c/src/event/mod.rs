//! What happened, for the user.
#![allow(non_camel_case_types, reason = "the names are the C names")]

mod kinds;
mod shown;

use std::ffi::c_char;

pub use self::kinds::*;
pub(crate) use self::shown::Told;
use crate::comity_bytes;
use crate::coordinator::comity_coordinator;
use crate::counter::comity_counter_reading;
use crate::handle::with_mut;
use crate::number::{comity_int128, comity_tally};
use crate::pointer::place;
use crate::reply::comity_reply;

/// An event that is about no node.
pub const COMITY_NO_NODE: u32 = u32::MAX;

/// What happened. The COMITY_EVENT_ constant of its kind names the fields that say something, and
/// whatever has a lock or a counter has its name; the others are 0, NULL or COMITY_NONE. An event that is marked last is the last of its lock,
/// transaction or call. A later library has more fields at the end, and more kinds: let go what you do
/// not know.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_event {
    /// A COMITY_EVENT_ constant.
    pub kind: u32,
    /// Why: a COMITY_ERROR_ constant, or COMITY_OK where nothing is wrong.
    pub error: u32,
    /// The words of the error, UTF-8 with a zero byte behind. Never NULL.
    pub message: *const c_char,
    /// The lock, as comity_lock_acquire gave it.
    pub lock: u64,
    /// The call, as the function that asked gave it.
    pub call: u64,
    /// The counter, as comity_counter_open gave it.
    pub counter: u64,
    /// The transaction, as comity_transaction_execute gave it.
    pub transaction: u64,
    /// The number of the node, of the error too where it is about one; COMITY_NO_NODE otherwise.
    pub node: u32,
    /// A COMITY_OUTCOME_ constant.
    pub outcome: u32,
    /// 1 = the fence is at least as high as every one seen before.
    pub accepted: u32,
    /// 1 = plain readers see all of the transaction by now.
    pub applied: u32,
    /// The fencing token.
    pub fence: u64,
    /// Until when the lock is certainly held, unless it is renewed: microseconds on the host's clock.
    pub valid_until_us: u64,
    /// How many are ahead in the queue.
    pub rank: u64,
    /// How many resets of the counter there were, this one included.
    pub epoch: u64,
    /// How many.
    pub count: u64,
    /// Increments and decrements.
    pub units: comity_tally,
    /// The label of the holder in the way, no bytes where it has none; NULL if it is not known.
    pub holder: comity_bytes,
    /// The transaction's id, as text; no bytes where it had none yet.
    pub id: comity_bytes,
    /// For comity_counter_restore.
    pub data: comity_bytes,
    /// The server's version, no bytes where it would not tell.
    pub version: comity_bytes,
    /// What the server evicts when memory is full, no bytes where it would not tell. Anything but
    /// noeviction can evict a lock, which then has two holders.
    pub eviction_policy: comity_bytes,
    /// Who holds a lock and who waits for it.
    pub inspection: *const comity_inspection,
    /// What a counter stands at.
    pub reading: *const comity_counter_reading,
    /// What an audit found.
    pub audit: *const comity_audit,
    /// One reply for each command of the transaction; NULL where another client has committed it and
    /// they are gone, or where an answer was lost that was too long to be recorded, over 16 KiB.
    pub replies: *const comity_reply,
    /// How many replies.
    pub reply_count: usize,
    /// So many replicas are known to have all of the transaction: of each of its servers, or of node;
    /// COMITY_NONE where they were not waited for.
    pub replicas: u64,
    /// The name of the lock or the counter; NULL where there is neither.
    pub name: comity_bytes,
    /// How many records of transactions nobody can read, as after an accident. They were left as they
    /// are.
    pub unreadable: u64,
    /// From the first sign of a server's outage to its first answer.
    pub outage_us: u64,
}

/// Who holds a lock and who waits for it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_inspection {
    /// The server's clock, in microseconds.
    pub now_us: u64,
    /// How much weight may be held at once, 0 while nobody holds or waits.
    pub capacity: u64,
    /// How many hold it.
    pub holders_total: u64,
    /// How many wait.
    pub waiters_total: u64,
    /// The holders, side by side.
    pub holders: *const comity_holder,
    /// How many holders are told: 256 at most.
    pub holder_count: usize,
    /// The waiters in the order of the queue, side by side.
    pub waiters: *const comity_waiter,
    /// How many waiters are told: 256 at most.
    pub waiter_count: usize,
}

/// One who holds a lock.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_holder {
    /// The id of the request: 22 characters.
    pub id: comity_bytes,
    /// The owner's label.
    pub label: comity_bytes,
    /// The fencing token.
    pub fence: u64,
    /// When the lease ends, on the server's clock, in microseconds.
    pub expiry_us: u64,
    /// The weight held.
    pub weight: u64,
}

/// One who waits for a lock.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_waiter {
    /// The id of the request: 22 characters.
    pub id: comity_bytes,
    /// The owner's label.
    pub label: comity_bytes,
}

/// What an audit of a counter found.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_audit {
    /// How many slots are in use.
    pub live: u64,
    /// How many are retired.
    pub retired: u64,
    /// How many were retired by this audit, because nobody had raised them for long.
    pub pruned: u64,
    /// 1 = the sum of all slots was compared with the totals; 0 = others kept counting.
    pub compared: u64,
    /// By how much the value was wrong, and was corrected.
    pub corrected: comity_int128,
}

/// Writes the next thing that happened to *out, or NULL if there is nothing. It is valid, with all
/// that it points to, until the next call of comity_poll_event on the handle.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_poll_event(
    coordinator: *mut comity_coordinator,
    out: *mut *const comity_event,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.told.show(co.core.poll_event()));
            Ok(())
        })
    }
}

/// The name of a kind of event, for example "LockGranted", for logs; "unknown" for a number that is
/// none. Never NULL, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn comity_event_name(kind: u32) -> *const c_char {
    kind_name(kind).as_ptr()
}
