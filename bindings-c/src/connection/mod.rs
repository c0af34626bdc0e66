//! A connection to a server without its socket: the host moves the bytes, whatever stream carries them.
#![allow(non_camel_case_types, reason = "the names are the C names")]

pub mod bytes;
pub mod commands;
pub mod endpoint;

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

use comity::coordinator::NodeConnection;
use comity::error::{Error, ErrorCode, Result};
use comity::redis::NodeId;
use comity::time::Time;

use self::endpoint::comity_endpoint;
use crate::COMITY_NONE;
use crate::command::route;
use crate::coordinator::{at, comity_coordinator};
use crate::fork::Process;
use crate::handle::{Kind, argument, give, lend, with, with_mut};
use crate::pointer::{bytes as read_bytes, flag, place};
use crate::status::guard;

/// One connection to one node for one route of its commands: which reply belongs to which command, what
/// has left, and when to give up. It does no I/O. One thread at a time may use it.
#[derive(Debug)]
pub struct comity_connection {
    process: Process,
    core: NodeConnection,
    /// Why it has ended, once C has asked for it.
    why: OnceLock<CString>,
}

impl Kind for comity_connection {
    const NAME: &'static str = "comity_connection";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyCONN");

    fn admit(&self) -> Result<()> {
        self.process.check("make a connection in the child")
    }
}

impl comity_connection {
    /// Errors once it has ended.
    fn check_open(&self) -> Result<()> {
        let Some(why) = self.core.ended() else { return Ok(()) };
        Err(Error::new(ErrorCode::InvalidState, format!("this connection has ended: {why}")))
    }

    fn why(&self) -> &CStr {
        let Some(why) = self.core.ended() else { return c"" };
        // Text for C ends at its first zero byte, so none may stand inside.
        self.why.get_or_init(|| CString::new(why.replace('\0', "\\0")).unwrap_or_default())
    }
}

/// Makes a connection to a node of a coordinator for the commands of one route, a COMITY_ROUTE_ constant,
/// and for the messages that follow where that is COMITY_ROUTE_SUBSCRIBE. endpoint is what to say first (a
/// password, a database; where there is neither, whether the server is there), which is copied; NULL for
/// nothing, as where the host has said it. There need not be a stream yet: commands may be queued at once,
/// and none of them leaves before the server has let the connection in.
///
/// The host, once it has a stream, calls comity_connection_connected; writes what comity_connection_transmit
/// gives and says so to comity_connection_transmitted; hands what it reads to comity_connection_receive;
/// calls comity_connection_handle_timeout at comity_connection_deadline; and comity_connection_end when the
/// stream ends.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_connection_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL or another route; or COMITY_ERROR_LIMIT_EXCEEDED without memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_new(
    endpoint: *const comity_endpoint,
    node: u32,
    route: u32,
    now_us: u64,
    out: *mut *mut comity_connection,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    guard(|| unsafe {
        let out = place(out, "out")?;
        let route = self::route(route)?;
        let login = if endpoint.is_null() { None } else { Some(argument(endpoint)?.login()) };
        let core = NodeConnection::new(NodeId(node), route, login, at(now_us)?);
        let process = Process::this()?;
        out.write(give(comity_connection { process, core, why: OnceLock::new() }));
        Ok(())
    })
}

/// Frees a connection and what it has lent. NULL is fine. Nobody is told: see comity_connection_end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_free(connection: *mut comity_connection) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(connection) }
}

/// The stream is made: from now on there may be bytes to write. The coordinator is told that the node is
/// connected (COMITY_NODE_CONNECTED), at once or as soon as the server has let the connection in. Twice is
/// harmless.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_INVALID_STATE for a
/// connection that has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_connected(
    connection: *mut comity_connection,
    coordinator: *mut comity_coordinator,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            let now = at(now_us)?;
            let mut co = lend(coordinator)?;
            connection.check_open()?;
            connection.core.connected(&mut co.core, now);
            Ok(())
        })
    }
}

/// Writes whether the server has let the connection in to *out, 1 or 0: its commands leave then.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_is_ready(
    connection: *const comity_connection,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(connection, |connection| {
            let out = place(out, "out")?;
            out.write(connection.core.is_ready().into());
            Ok(())
        })
    }
}

/// Writes how many commands have neither a reply nor a failure to *out.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_outstanding(
    connection: *const comity_connection,
    out: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(connection, |connection| {
            let out = place(out, "out")?;
            out.write(connection.core.outstanding());
            Ok(())
        })
    }
}

/// Writes when to call comity_connection_handle_timeout, once what has arrived by then is handed in, to
/// *out: microseconds on the host's clock, or COMITY_NONE for never. It changes with every call, so ask
/// after each.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_deadline(
    connection: *const comity_connection,
    out: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(connection, |connection| {
            let out = place(out, "out")?;
            out.write(connection.core.deadline().map_or(COMITY_NONE, Time::as_micros));
            Ok(())
        })
    }
}

/// Time has passed: a connection with a command that was not answered by its deadline ends, as by
/// comity_connection_end, and so does one for messages that does not answer whether it lives. It is asked
/// after ten quiet seconds, which is to be written. Early or twice is harmless. Writes to *out whether the
/// connection goes on, 1, or has ended, 0: then close its stream.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_handle_timeout(
    connection: *mut comity_connection,
    coordinator: *mut comity_coordinator,
    now_us: u64,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            let out = place(out, "out")?;
            let now = at(now_us)?;
            let mut co = lend(coordinator)?;
            connection.core.handle_timeout(&mut co.core, now);
            out.write(connection.core.ended().is_none().into());
            Ok(())
        })
    }
}

/// Ends a connection, for a reason in the host's words ("connection refused"), as text: its stream is
/// closed, or could not be made. Tells the coordinator of each command without a reply what is certain:
/// COMITY_FAILURE_NOT_SENT where not a byte of it can have left, COMITY_FAILURE_OUTCOME_UNKNOWN otherwise;
/// before that why, as comity_handle_unreachable does, with its lasting; and after it that the connection
/// is lost (COMITY_NODE_LOST, COMITY_NODE_PUSH_LOST), if it was told that it was there. No byte of
/// comity_connection_transmit may be written any more. Twice is harmless, and the first reason holds.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another lasting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_end(
    connection: *mut comity_connection,
    coordinator: *mut comity_coordinator,
    reason: *const c_void,
    reason_len: usize,
    lasting: u32,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            let reason = String::from_utf8_lossy(read_bytes(reason, reason_len, "reason")?);
            let lasting = flag(lasting, "lasting")?;
            let now = at(now_us)?;
            let mut co = lend(coordinator)?;
            connection.core.end(&mut co.core, &reason, lasting, now);
            Ok(())
        })
    }
}

/// Writes why a connection has ended to *out, for logs: the host's words, or the server's where it has
/// refused the connection, as messages have them; empty if it has not. It ends with a zero byte and
/// is valid until the connection is freed.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_why(
    connection: *const comity_connection,
    out: *mut *const c_char,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(connection, |connection| {
            let out = place(out, "out")?;
            out.write(connection.why().as_ptr());
            Ok(())
        })
    }
}
