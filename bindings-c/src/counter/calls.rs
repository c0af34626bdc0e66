//! Questions to the server of a counter, which are answered by events.

use comity::counter::{CounterId, Freshness, Token};
use comity::error::Result;
use comity::event::CallId;

use super::COMITY_FRESH;
use crate::COMITY_NONE;
use crate::coordinator::{at, comity_coordinator, span};
use crate::handle::with_mut;
use crate::pointer::place;

/// Runs a verb that is answered by an event.
///
/// # Safety
///
/// The rules of the header.
unsafe fn ask(
    coordinator: *mut comity_coordinator,
    call: *mut u64,
    verb: impl FnOnce(&mut comity::coordinator::Coordinator) -> Result<CallId>,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let call = place(call, "call")?;
            call.write(verb(&mut co.core)?.0);
            Ok(())
        })
    }
}

/// Asks for a value that is at least as recent as a token of comity_counter_reading, or as the call if
/// at_least is COMITY_FRESH. Writes the number of the call to *call. Leads to COMITY_EVENT_COUNTER_READ
/// or COMITY_EVENT_CALL_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
/// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_read(
    coordinator: *mut comity_coordinator,
    counter: u64,
    at_least: u64,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    let freshness = match at_least {
        COMITY_FRESH => Freshness::Fresh,
        token => Freshness::AtLeast(Token(token)),
    };
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        ask(coordinator, call, |core| core.counter_read(CounterId(counter), freshness, at(now_us)?))
    }
}

/// Flushes at once what was counted so far. Writes the number of the call to *call. Leads to
/// COMITY_EVENT_COUNTER_FLUSHED when it is safe; or to COMITY_EVENT_CALL_FAILED, when it is kept and
/// tried again unless COMITY_EVENT_COUNTER_LOST says otherwise.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
/// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_flush(
    coordinator: *mut comity_coordinator,
    counter: u64,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { ask(coordinator, call, |core| core.counter_flush(CounterId(counter), at(now_us)?)) }
}

/// Lets the value be zero: what reaches the server from then on counts. If epoch is not COMITY_NONE,
/// only if there were so many resets before. Writes the number of the call to *call. Leads to
/// COMITY_EVENT_COUNTER_RESET or COMITY_EVENT_CALL_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
/// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_reset(
    coordinator: *mut comity_coordinator,
    counter: u64,
    epoch: u64,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    let epoch = (epoch != COMITY_NONE).then_some(epoch);
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        ask(coordinator, call, |core| core.counter_reset(CounterId(counter), epoch, at(now_us)?))
    }
}

/// Compares the server's totals with the sum of all slots and corrects them if they differ. If
/// prune_us is not COMITY_NONE, slots that nobody has raised for so many microseconds are retired:
/// whoever comes back is still counted, for seven days or until a new slot needs the place. Each part of
/// it has the timeout to be answered. Writes the number of the call to *call. Leads to
/// COMITY_EVENT_COUNTER_AUDITED or COMITY_EVENT_CALL_FAILED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
/// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_audit(
    coordinator: *mut comity_coordinator,
    counter: u64,
    prune_us: u64,
    now_us: u64,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        ask(coordinator, call, |core| {
            core.counter_audit(CounterId(counter), span(prune_us), at(now_us)?)
        })
    }
}
