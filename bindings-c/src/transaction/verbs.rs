//! The verbs of transactions, and how one is executed.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_void;

use comity::error::Result;
use comity::time::Span;
use comity::transaction::{
    Ack, CopyLimits, Durability, Handle, Heuristic, SweepOptions, TransactionOptions,
};

use super::comity_transaction;
use crate::COMITY_NONE;
use crate::coordinator::{at, comity_coordinator, span};
use crate::handle::{argument, with_mut};
use crate::options::{self, Options};
use crate::pointer::{bytes, flag, place, unknown};

/// A commit is told when plain readers see it, too: after two round trips.
pub const COMITY_ACK_APPLIED: u32 = 1;
/// A commit is told when it is certain: after one round trip. Plain readers see it a little later.
pub const COMITY_ACK_DECIDED: u32 = 2;

/// No decision of an operator's: a transaction whose primary does not answer is left as it is.
pub const COMITY_HEURISTIC_NONE: u32 = 0;
/// What is prepared is applied.
pub const COMITY_HEURISTIC_COMMIT: u32 = 1;
/// What is prepared is dropped.
pub const COMITY_HEURISTIC_ABORT: u32 = 2;

/// How a transaction is executed. comity_transaction_options_init writes the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_transaction_options {
    /// Written by comity_transaction_options_init.
    pub struct_size: usize,
    /// How long it may take until it is decided, 10 ms to 60 s in microseconds; COMITY_NONE = the
    /// timeout of the coordinator, the default.
    pub timeout_us: u64,
    /// How long after its vote a server's keys stay locked before other clients may end the
    /// transaction, 10 ms to 60 s in microseconds; COMITY_NONE = the timeout of the coordinator, the
    /// default.
    pub patience_us: u64,
    /// When a commit is told: a COMITY_ACK_ constant, COMITY_ACK_APPLIED by default.
    pub ack: u32,
    /// The most elements of a collection that it copies; 10000 by default.
    pub copy_elements: u32,
    /// The most bytes of a value that it copies; 1048576 by default.
    pub copy_bytes: u32,
    /// How many replicas of each server are to have it before it is told, from 1 to 64, with
    /// COMITY_ACK_APPLIED; 0 = none are waited for, the default. Where too few have it in time it is
    /// committed all the same, and COMITY_EVENT_TRANSACTION_NOT_DURABLE says so.
    pub replicas: u32,
    /// How long to wait for them once it is applied, 10 ms to 60 s in microseconds; 1000000 by
    /// default.
    pub replicas_timeout_us: u64,
}

// SAFETY: it is numbers.
unsafe impl Options for comity_transaction_options {
    const NAME: &'static str = "comity_transaction_options";

    fn defaults() -> Self {
        let copy = CopyLimits::default();
        Self {
            struct_size: size_of::<Self>(),
            timeout_us: COMITY_NONE,
            patience_us: COMITY_NONE,
            ack: COMITY_ACK_APPLIED,
            copy_elements: copy.elements,
            copy_bytes: copy.bytes,
            replicas: 0,
            replicas_timeout_us: 1_000_000,
        }
    }
}

unsafe fn read(options: *const comity_transaction_options) -> Result<TransactionOptions> {
    // SAFETY: the caller keeps the rules of the header.
    let options = unsafe { options::read(options) }?;
    let ack = match options.ack {
        COMITY_ACK_APPLIED => Ack::Applied,
        COMITY_ACK_DECIDED => Ack::Decided,
        other => return Err(unknown("ack", other, "COMITY_ACK_")),
    };
    let [timeout, patience]: [Option<Span>; 2] =
        [options.timeout_us, options.patience_us].map(span);
    let copy = CopyLimits { elements: options.copy_elements, bytes: options.copy_bytes };
    let durability = match options.replicas {
        0 => Durability::None,
        replicas => {
            let timeout = Span::from_micros(options.replicas_timeout_us);
            Durability::Wait { replicas, timeout }
        }
    };
    Ok(TransactionOptions { ack, timeout, patience, copy, durability })
}

/// Writes the defaults to *options. struct_size is sizeof(comity_transaction_options).
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_options_init(
    options: *mut comity_transaction_options,
    struct_size: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { options::init(options, struct_size) }
}

/// Executes the commands of a transaction, all or none, if all its expectations are met. What it is to
/// do is copied. options may be NULL for the defaults. Writes the number of this execution to *number,
/// which the events and comity_transaction_cancel take. Leads to COMITY_EVENT_TRANSACTION_COMMITTED,
/// COMITY_EVENT_TRANSACTION_FAILED or COMITY_EVENT_TRANSACTION_UNKNOWN.
///
/// Returns COMITY_OK; or COMITY_ERROR_UNSUPPORTED for a command that no transaction takes, for one whose
/// keys are on two nodes, and for options of a later version; COMITY_ERROR_INVALID_ARGUMENT for NULL,
/// wrong arguments, and nothing to do; COMITY_ERROR_LIMIT_EXCEEDED or COMITY_ERROR_CLOSED: then nothing
/// is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_execute(
    coordinator: *mut comity_coordinator,
    transaction: *const comity_transaction,
    options: *const comity_transaction_options,
    now_us: u64,
    number: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let number = place(number, "number")?;
            let work = argument(transaction)?;
            let options = read(options)?;
            let begun = co.core.transaction_execute(
                &work.commands,
                &work.expectations,
                options,
                at(now_us)?,
            )?;
            number.write(begun.0);
            Ok(())
        })
    }
}

/// Gives the execution of a transaction up, unless it is decided: its end is told all the same.
/// Unknown and ended ones are ignored.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_cancel(
    coordinator: *mut comity_coordinator,
    number: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.transaction_cancel(Handle(number), at(now_us)?);
            Ok(())
        })
    }
}

/// Asks what the primary says of a transaction, by its id as text: that of an event. Writes the number
/// of the call to *call. Leads to COMITY_EVENT_TRANSACTION_STATUS or COMITY_EVENT_CALL_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL and for what is no such text,
/// COMITY_ERROR_INVALID_STATE for a node that is not known here, COMITY_ERROR_LIMIT_EXCEEDED or
/// COMITY_ERROR_CLOSED: then nothing is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_status(
    coordinator: *mut comity_coordinator,
    id: *const c_void,
    id_len: usize,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let call = place(call, "call")?;
            let id = bytes(id, id_len, "id")?;
            call.write(co.core.transaction_status(id, at(now_us)?)?.0);
            Ok(())
        })
    }
}

/// Ends a transaction whose client does not: commits it if all have voted for it, and aborts it
/// otherwise, even if its client lives or has not sent anything yet: what comes then is refused. One of
/// which nothing is recorded stays as it is, COMITY_OUTCOME_UNHEARD, where its id does not tell until when
/// something may come. heuristic is a COMITY_HEURISTIC_ constant: what an operator
/// decides for a transaction whose primary is gone for good. It may be the contrary of what the primary
/// had decided: COMITY_EVENT_TRANSACTION_DAMAGED names each node that has then changed its keys, or
/// dropped the change, against what the votes that are left come to. Writes the number of the call to
/// *call. Leads to COMITY_EVENT_TRANSACTION_RESOLVED or COMITY_EVENT_CALL_FAILED.
///
/// Returns as comity_transaction_status, or COMITY_ERROR_INVALID_ARGUMENT for another heuristic.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_resolve(
    coordinator: *mut comity_coordinator,
    id: *const c_void,
    id_len: usize,
    heuristic: u32,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let call = place(call, "call")?;
            let id = bytes(id, id_len, "id")?;
            let heuristic = match heuristic {
                COMITY_HEURISTIC_NONE => None,
                COMITY_HEURISTIC_COMMIT => Some(Heuristic::Commit),
                COMITY_HEURISTIC_ABORT => Some(Heuristic::Abort),
                other => return Err(unknown("heuristic", other, "COMITY_HEURISTIC_")),
            };
            call.write(co.core.transaction_resolve(id, heuristic, at(now_us)?)?.0);
            Ok(())
        })
    }
}

/// Removes what transactions have left over on every node: locks of clients that vanished, by ending
/// their transactions, and what was kept for late commands. If shadows is 1, also what an accident
/// has left beside the keys, for which each server's whole key space is searched, a thousand keys in
/// each command; 0 = not. Writes the number of the call to *call. Leads to
/// COMITY_EVENT_TRANSACTION_SWEPT, or to COMITY_EVENT_CALL_FAILED with the first node that could not
/// be swept; all the others have been by then.
///
/// Returns COMITY_OK; or COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL or another number: then nothing is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_sweep(
    coordinator: *mut comity_coordinator,
    shadows: u32,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let call = place(call, "call")?;
            let shadows = flag(shadows, "shadows")?;
            call.write(co.core.transaction_sweep(SweepOptions { shadows }, at(now_us)?)?.0);
            Ok(())
        })
    }
}
