//! The bytes of a connection, out and in.

use std::ffi::c_void;

use comity::error::{Error, ErrorCode, Result};

use super::comity_connection;
use crate::comity_bytes;
use crate::coordinator::{at, comity_coordinator};
use crate::handle::{lend, with, with_mut};
use crate::pointer::{bytes, place};

/// Writes the bytes to be written next to *out, valid until the next call of the handle that may change
/// it; none if there is nothing to write, as before the stream is made and after the connection's end.
/// All that is ready should leave in one write.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_transmit(
    connection: *const comity_connection,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(connection, |connection| {
            let out = place(out, "out")?;
            out.write(match connection.core.transmit() {
                [] => comity_bytes::NONE,
                next => comity_bytes::of(next),
            });
            Ok(())
        })
    }
}

/// Of the bytes of comity_connection_transmit count may be on their way from here on, although they do not
/// count as written and come again: they were given to a layer that does not say, such as TLS. Called before
/// they are given. A command that has such bytes has failed, if it fails, with an outcome that is unknown.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or more bytes than there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_committed(
    connection: *mut comity_connection,
    count: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            check_count(count, connection)?;
            connection.core.committed(count);
            Ok(())
        })
    }
}

/// Of the bytes of comity_connection_transmit count were written.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or more bytes than there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_transmitted(
    connection: *mut comity_connection,
    count: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            check_count(count, connection)?;
            connection.core.transmitted(count);
            Ok(())
        })
    }
}

fn check_count(count: usize, connection: &comity_connection) -> Result<()> {
    let there = connection.core.transmit().len();
    if count <= there {
        return Ok(());
    }
    let message = format!("count: {count}, there are {there} bytes to write");
    Err(Error::new(ErrorCode::InvalidArgument, message))
}

/// Takes what was read from the stream, in pieces of any size, and tells the coordinator what it is: replies,
/// messages, that the server has let the connection in or refuses it. The bytes are copied where they are
/// kept. Replies are read within the limits of RESP: a string has 512 MiB at most, an array or set 1048576
/// elements, all of a reply 1 GiB, and nothing lies more than 32 deep.
///
/// Where the server refuses, or says what is no reply or none to anything that was asked, the connection
/// ends, as by comity_connection_end. So does one whose server takes no writes any more (READONLY), once
/// nothing is outstanding: a new one may lead to another server. Writes to *out whether the connection goes
/// on, 1, or has ended, 0: then close its stream. To one that has ended before nothing happens.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_INVALID_STATE before
/// comity_connection_connected: then nothing is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_receive(
    connection: *mut comity_connection,
    coordinator: *mut comity_coordinator,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            let out = place(out, "out")?;
            let data = bytes(data, data_len, "data")?;
            let now = at(now_us)?;
            let mut co = lend(coordinator)?;
            let connection = &mut connection.core;
            if !connection.is_connected() && connection.ended().is_none() {
                let message = "there is no stream yet: comity_connection_connected was not called";
                return Err(Error::new(ErrorCode::InvalidState, message));
            }
            connection.receive(&mut co.core, data, now);
            out.write(connection.ended().is_none().into());
            Ok(())
        })
    }
}
