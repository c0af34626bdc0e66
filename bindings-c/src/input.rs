//! What comes in: replies, failures, messages, changes of connections, time.

use std::ffi::c_void;

use comity::redis::{Failure, NodeChange, NodeId, RequestId};

use crate::coordinator::{at, comity_coordinator};
use crate::handle::with_mut;
use crate::pointer::{bytes, flag, unknown};
use crate::reply::{self, comity_reply};

/// Not a byte was written: the command was certainly not executed.
pub const COMITY_FAILURE_NOT_SENT: u32 = 1;
/// The command may or may not have been executed, or may still be.
pub const COMITY_FAILURE_OUTCOME_UNKNOWN: u32 = 2;

/// A connection to the node was made.
pub const COMITY_NODE_CONNECTED: u32 = 1;
/// The connection to the node was lost. Outstanding requests are reported one by one besides.
pub const COMITY_NODE_LOST: u32 = 2;
/// The push connection to the node is subscribed.
pub const COMITY_NODE_PUSH_READY: u32 = 3;
/// The push connection to the node is gone: messages may have been missed.
pub const COMITY_NODE_PUSH_LOST: u32 = 4;

/// Takes the reply to a request. The reply is copied. One to an unknown or finished request is
/// ignored, so duplicates and stragglers are harmless.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, a kind that does not exist, or a map
/// with a key that has no value; or COMITY_ERROR_LIMIT_EXCEEDED for a reply that is deeper or has more
/// elements than COMITY_REPLY_MAX_DEPTH and COMITY_REPLY_MAX_ELEMENTS. Then the request still waits:
/// report COMITY_FAILURE_OUTCOME_UNKNOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_reply(
    coordinator: *mut comity_coordinator,
    request: u64,
    reply: *const comity_reply,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let reply = reply::read(reply)?;
            co.core.handle_reply(RequestId(request), &reply, at(now_us)?);
            Ok(())
        })
    }
}

/// There is no reply to a request, and there will be none. failure is a COMITY_FAILURE_ constant. An
/// unknown or finished request is ignored.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_failure(
    coordinator: *mut comity_coordinator,
    request: u64,
    failure: u32,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let failure = match failure {
                COMITY_FAILURE_NOT_SENT => Failure::NotSent,
                COMITY_FAILURE_OUTCOME_UNKNOWN => Failure::OutcomeUnknown,
                other => return Err(unknown("failure", other, "COMITY_FAILURE_")),
            };
            co.core.handle_failure(RequestId(request), failure, at(now_us)?);
            Ok(())
        })
    }
}

/// Something happened to the connections to a node. change is a COMITY_NODE_ constant. A node that
/// does not exist is ignored.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_node(
    coordinator: *mut comity_coordinator,
    node: u32,
    change: u32,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let change = match change {
                COMITY_NODE_CONNECTED => NodeChange::Connected,
                COMITY_NODE_LOST => NodeChange::Lost,
                COMITY_NODE_PUSH_READY => NodeChange::PushReady,
                COMITY_NODE_PUSH_LOST => NodeChange::PushLost,
                other => return Err(unknown("change", other, "COMITY_NODE_")),
            };
            co.core.handle_node(NodeId(node), change, at(now_us)?);
            Ok(())
        })
    }
}

/// No connection to a node can be made, for a reason in the host's words ("connection refused"), as
/// text: the message of every COMITY_ERROR_UNREACHABLE of the node then has them, until the node is
/// connected or answers. Told before the requests that fail for it; of a longer text the first 512 bytes
/// count. A node that does not exist is ignored.
///
/// lasting is 1 if waiting does not help, as for a name that does not exist or a certificate that is not
/// trusted: what fails for it then ends at once, and not at its time. It is 0 otherwise.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another lasting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_unreachable(
    coordinator: *mut comity_coordinator,
    node: u32,
    reason: *const c_void,
    reason_len: usize,
    lasting: u32,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let reason = String::from_utf8_lossy(bytes(reason, reason_len, "reason")?);
            let lasting = flag(lasting, "lasting")?;
            co.core.handle_unreachable(NodeId(node), &reason, lasting, at(now_us)?);
            Ok(())
        })
    }
}

/// The server of a node refuses a connection with this error reply ("WRONGPASS ...", "ERR max number of
/// clients reached"), in its set-up: the message of every COMITY_ERROR_SERVER_REFUSED of what fails for it
/// then has its words, until the node is connected or answers. Told before the requests that fail for it
/// as COMITY_FAILURE_NOT_SENT. Whether waiting helps is known here: what fails for it ends at once where
/// it does not. A node that does not exist is ignored.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_refused(
    coordinator: *mut comity_coordinator,
    node: u32,
    text: *const c_void,
    text_len: usize,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let text = bytes(text, text_len, "text")?;
            co.core.handle_refused(NodeId(node), text, at(now_us)?);
            Ok(())
        })
    }
}

/// Takes a message from the push connection of a node. One that is not for this coordinator is
/// ignored. The bytes are copied.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_message(
    coordinator: *mut comity_coordinator,
    node: u32,
    channel: *const c_void,
    channel_len: usize,
    payload: *const c_void,
    payload_len: usize,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let channel = bytes(channel, channel_len, "channel")?;
            let payload = bytes(payload, payload_len, "payload")?;
            co.core.handle_message(NodeId(node), channel, payload, at(now_us)?);
            Ok(())
        })
    }
}

/// The host slept or its clock jumped: every lease is unproven until its server confirms it.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_clock_gap(
    coordinator: *mut comity_coordinator,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.handle_clock_gap(at(now_us)?);
            Ok(())
        })
    }
}

/// Time has passed: what was due by now_us is done, and nothing else does that. After a stall hand in
/// first what has arrived, and nothing that was answered in time is taken for late. Early, late or
/// twice is harmless.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_handle_timeout(
    coordinator: *mut comity_coordinator,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.handle_timeout(at(now_us)?);
            Ok(())
        })
    }
}
