//! Commands on their way to servers.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::{c_char, c_int};
use std::ptr;

use comity::error::Result;
use comity::redis::{Command, NodeId, Origin, Route};

use crate::coordinator::comity_coordinator;
use crate::handle::{Slot, with_mut};
use crate::pointer::{place, unknown};

/// Over a connection to the node.
pub const COMITY_ROUTE_NODE: u32 = 1;
/// Over the node's push connection, which the host opens for it: a confirmed subscription is
/// reported by COMITY_NODE_PUSH_READY, a failed one as a failure or an error reply.
pub const COMITY_ROUTE_SUBSCRIBE: u32 = 2;
/// Over a connection to the node that serves this route alone, because a command of it blocks the
/// connection. All of them that are ready for a node leave in one write on one connection, in their
/// order; any that cannot is COMITY_FAILURE_NOT_SENT, and none is ever sent on another connection. A
/// host without such a connection reports all of them as not sent.
pub const COMITY_ROUTE_BLOCKING: u32 = 3;

/// The most words of a command.
pub const COMITY_COMMAND_MAX_WORDS: usize = 1_048_576;

/// A route as C tells it.
pub(crate) fn route(number: u32) -> Result<Route> {
    match number {
        COMITY_ROUTE_NODE => Ok(Route::Node),
        COMITY_ROUTE_SUBSCRIBE => Ok(Route::Subscribe),
        COMITY_ROUTE_BLOCKING => Ok(Route::Blocking),
        other => Err(unknown("route", other, "COMITY_ROUTE_")),
    }
}

/// One Redis command: send it once, before its deadline, and report its reply or failure.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_command {
    /// Comes back with the reply or the failure. Never used twice by one coordinator.
    pub request: u64,
    /// The lock, counter, call or transaction that waits for it; 0 = nobody waits: it may be left to
    /// a thread of the host's own.
    pub origin: u64,
    /// When to give up on it, connecting included: microseconds on the host's clock.
    pub deadline_us: u64,
    /// The number of the node it is for: see comity_node_id.
    pub node: u32,
    /// A COMITY_ROUTE_ constant.
    pub route: u32,
    /// The words, in the form that redisAppendCommandArgv(context, argc, argv, argvlen) takes.
    pub argv: *mut *const c_char,
    /// How long each word is. A word may hold any bytes, and no zero byte ends it.
    pub argvlen: *const usize,
    /// How many words, the name of the command being the first.
    pub argc: c_int,
}

/// The command that was polled last, and its words as C takes them.
#[derive(Debug)]
pub(crate) struct Outbox {
    shown: Slot<comity_command>,
    command: Option<Command>,
    starts: Vec<*const c_char>,
    lens: Vec<usize>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let nothing = comity_command {
            request: 0,
            origin: 0,
            deadline_us: 0,
            node: 0,
            route: 0,
            argv: ptr::null_mut(),
            argvlen: ptr::null(),
            argc: 0,
        };
        Self { shown: Slot::new(nothing), command: None, starts: Vec::new(), lens: Vec::new() }
    }

    fn show(&mut self, command: Option<Command>) -> *const comity_command {
        let Some(command) = command else { return ptr::null() };
        let command = self.command.insert(command);
        let words = command.argv.len();
        self.starts.resize(words, ptr::null());
        self.lens.resize(words, 0);
        for ((start, len), word) in
            self.starts.iter_mut().zip(&mut self.lens).zip(command.argv.iter())
        {
            (*start, *len) = (word.as_ptr().cast(), word.len());
        }
        self.shown.put(comity_command {
            request: command.request.0,
            origin: match command.origin {
                Origin::Operation(number) => number,
                Origin::Background => 0,
            },
            deadline_us: command.deadline.as_micros(),
            node: command.node.0,
            route: match command.route {
                Route::Subscribe => COMITY_ROUTE_SUBSCRIBE,
                Route::Blocking => COMITY_ROUTE_BLOCKING,
                _ => COMITY_ROUTE_NODE,
            },
            argv: self.starts.as_mut_ptr(),
            argvlen: self.lens.as_ptr(),
            // No command of the core has more than a few thousand words.
            argc: c_int::try_from(self.lens.len()).unwrap_or(c_int::MAX),
        })
    }
}

/// Writes the next command to send, of any node, to *out, or NULL if there is none. It is valid
/// until the next call of comity_poll_command or comity_poll_command_for on the handle. What is too
/// late to be sent is not given out, which may be the end of what it was for: poll events after
/// commands.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_poll_command(
    coordinator: *mut comity_coordinator,
    out: *mut *const comity_command,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.outbox.show(co.core.poll_command()));
            Ok(())
        })
    }
}

/// As comity_poll_command, for one node: all that are ready for it should leave in one write. A node
/// that does not exist has none.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_poll_command_for(
    coordinator: *mut comity_coordinator,
    node: u32,
    out: *mut *const comity_command,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.outbox.show(co.core.poll_command_for(NodeId(node))));
            Ok(())
        })
    }
}
