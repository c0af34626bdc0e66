//! The coordinator: its life, what it knows of its nodes, and its one deadline.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_void;

use comity::coordinator::{Config, Coordinator};
use comity::error::{Error, ErrorCode, Result};
use comity::redis::NodeId;
use comity::time::{Span, Time};

use crate::command::Outbox;
use crate::event::Told;
use crate::fork::Process;
use crate::handle::{Kind, Slot, give, with, with_mut};
use crate::options::{self, Options, reserved};
use crate::pointer::{bytes, flag, place, places};
use crate::ring::{comity_node_spec, comity_ring, specs};
use crate::stats::comity_statistics;
use crate::status::guard;
use crate::{COMITY_NONE, comity_bytes};

/// How a coordinator is set up. comity_config_init writes the defaults, in which nodes are missing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_config {
    /// Written by comity_config_init.
    pub struct_size: usize,
    /// The servers by stable id, in any order; at least one with a weight.
    pub nodes: *const comity_node_spec,
    /// How many nodes, 1 to 65536.
    pub node_count: usize,
    /// Stands in front of every key and channel: printable ASCII without braces, at most 128 bytes.
    /// "comity:" by default.
    pub prefix: *const c_void,
    /// How many bytes the prefix has.
    pub prefix_len: usize,
    /// How long a verb tries to reach a server before it fails, 10 ms to 60 s in microseconds;
    /// 5 s by default.
    pub timeout_us: u64,
    /// 1 = grants are received by push, the default; 0 = waiters ask, the first in line every 50 to
    /// 500 ms.
    pub push: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: it is numbers and pointers.
unsafe impl Options for comity_config {
    const NAME: &'static str = "comity_config";

    fn defaults() -> Self {
        let prefix = b"comity:";
        Self {
            struct_size: size_of::<Self>(),
            nodes: std::ptr::null(),
            node_count: 0,
            prefix: prefix.as_ptr().cast(),
            prefix_len: prefix.len(),
            timeout_us: 5_000_000,
            push: 1,
            reserved: 0,
        }
    }
}

/// The whole border of the core: verbs and inputs go in, commands and events come out. It does no I/O
/// and reads no clock. One thread at a time may use it.
#[derive(Debug)]
pub struct comity_coordinator {
    process: Process,
    pub(crate) core: Coordinator,
    pub(crate) outbox: Outbox,
    pub(crate) told: Told,
    pub(crate) reading: Slot<crate::counter::comity_counter_reading>,
    pub(crate) statistics: Slot<comity_statistics>,
    pub(crate) snapshot: Vec<u8>,
}

impl Kind for comity_coordinator {
    const NAME: &'static str = "comity_coordinator";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyCOOR");

    fn admit(&self) -> Result<()> {
        self.process.check("make a coordinator in the child")
    }
}

/// A moment as C tells it.
///
/// # Errors
/// `InvalidArgument` for one that no clock shows, such as `COMITY_NONE`: the coordinator would never
/// again see time pass.
#[inline]
pub(crate) fn at(us: u64) -> Result<Time> {
    if us > i64::MAX.unsigned_abs() { Err(no_moment(us)) } else { Ok(Time::from_micros(us)) }
}

#[cold]
fn no_moment(us: u64) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("now_us: {us} is not below 2^63"))
}

/// A span as C tells it, where COMITY_NONE is none.
pub(crate) fn span(us: u64) -> Option<Span> {
    (us != COMITY_NONE).then(|| Span::from_micros(us))
}

/// Writes the defaults to *config. struct_size is sizeof(comity_config).
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_config_init(config: *mut comity_config, struct_size: usize) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { options::init(config, struct_size) }
}

/// Makes a coordinator that has sent nothing yet. What config points to is copied. entropy is
/// entropy_len bytes, exactly 32, of a cryptographic random source such as getrandom(2), never used
/// twice. now_us is the host's clock: see the head of the header.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_coordinator_free; or
/// COMITY_ERROR_INVALID_ARGUMENT or COMITY_ERROR_LIMIT_EXCEEDED for NULL, or for a node, prefix,
/// timeout or length that is out of range; or COMITY_ERROR_UNSUPPORTED for options of a later
/// version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_coordinator_new(
    config: *const comity_config,
    entropy: *const c_void,
    entropy_len: usize,
    now_us: u64,
    out: *mut *mut comity_coordinator,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    guard(|| unsafe {
        let out = place(out, "out")?;
        let config = read(config)?;
        let seed = bytes(entropy, entropy_len, "entropy")?;
        let seed: [u8; 32] = seed.try_into().map_err(|_| {
            let message = format!("entropy_len: {entropy_len} bytes, not 32");
            Error::new(ErrorCode::InvalidArgument, message)
        })?;
        let core = Coordinator::new(config, seed, at(now_us)?)?;
        out.write(give(comity_coordinator {
            process: Process::this()?,
            core,
            outbox: Outbox::new(),
            told: Told::new(),
            reading: Slot::new(crate::counter::NOTHING_READ),
            statistics: Slot::new(comity_statistics::default()),
            snapshot: Vec::new(),
        }));
        Ok(())
    })
}

unsafe fn read(config: *const comity_config) -> Result<Config> {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        let config = options::needed(config)?;
        reserved(config.reserved, comity_config::NAME)?;
        Ok(Config {
            nodes: specs(config.nodes, config.node_count)?,
            prefix: bytes(config.prefix, config.prefix_len, "prefix")?.to_vec(),
            timeout: Span::from_micros(config.timeout_us),
            push: flag(config.push, "push")?,
        })
    }
}

/// Frees a coordinator and all that it has lent. NULL is fine. Nothing is sent: comity_close is what
/// gives back locks and flushes counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_coordinator_free(coordinator: *mut comity_coordinator) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(coordinator) }
}

/// Begins to end everything: gives back what is held, withdraws what waits, flushes and retires what
/// is counted. Every lock has its last event. Every later verb is COMITY_ERROR_CLOSED; go on with
/// inputs and outputs until
/// COMITY_EVENT_CLOSED, which comes within the timeout of the config. Twice is harmless.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_close(coordinator: *mut comity_coordinator, now_us: u64) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.close(at(now_us)?);
            Ok(())
        })
    }
}

/// Writes when to call comity_handle_timeout, once what has arrived by then is handed in, to *out:
/// microseconds on the host's clock, or COMITY_NONE for never. It changes with every call, so ask after
/// each.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_next_deadline(
    coordinator: *const comity_coordinator,
    out: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.core.next_deadline().map_or(COMITY_NONE, Time::as_micros));
            Ok(())
        })
    }
}

/// Writes how many nodes the coordinator has to *out. They have the numbers from 0 on, in the order
/// of their ids by bytes.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_node_count(
    coordinator: *const comity_coordinator,
    out: *mut u32,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            // There are 65536 at most.
            out.write(u32::try_from(co.core.ring().len()).unwrap_or(u32::MAX));
            Ok(())
        })
    }
}

/// Writes the id of a node, as it was given, to *out, valid until the coordinator is freed. In the ring and in
/// ids of transactions, a single node is "0".
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a number that no node has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_node_id(
    coordinator: *const comity_coordinator,
    node: u32,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            let id = co.core.node_id(NodeId(node)).ok_or_else(|| {
                let message = format!("node: {node} is not below {}", co.core.ring().len());
                Error::new(ErrorCode::InvalidArgument, message)
            })?;
            out.write(comity_bytes::of(id));
            Ok(())
        })
    }
}

/// Writes the channel on which this coordinator is told of its grants to *out, valid until the
/// coordinator is freed.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_inbox(
    coordinator: *const comity_coordinator,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(comity_bytes::of(co.core.inbox()));
            Ok(())
        })
    }
}

/// Writes the ring that places keys on the coordinator's nodes to *out, to be freed with
/// comity_ring_free; it outlives the coordinator.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_coordinator_ring(
    coordinator: *const comity_coordinator,
    out: *mut *mut comity_ring,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(give(comity_ring::new(co.core.ring().clone())));
            Ok(())
        })
    }
}

/// Asks every node what it can do. Each call leads to COMITY_EVENT_NODE_CHECKED or
/// COMITY_EVENT_CALL_FAILED. Writes the numbers of the calls, in the order of the nodes, to calls and
/// how many these are to *count. calls may be NULL, and so may count; otherwise capacity has to be the
/// number of nodes at least.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or too little room,
/// COMITY_ERROR_LIMIT_EXCEEDED, or COMITY_ERROR_CLOSED: then nothing is asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_check_nodes(
    coordinator: *mut comity_coordinator,
    now_us: u64,
    calls: *mut u64,
    capacity: usize,
    count: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let nodes = co.core.ring().len();
            if !calls.is_null() && capacity < nodes {
                let message = format!("capacity: {capacity}, there are {nodes} nodes");
                return Err(Error::new(ErrorCode::InvalidArgument, message));
            }
            let asked = co.core.check_nodes(at(now_us)?)?;
            if !calls.is_null() {
                places(calls, capacity, "calls")?.write(asked.iter().map(|call| call.0));
            }
            if !count.is_null() {
                count.write(asked.len());
            }
            Ok(())
        })
    }
}
