//! Counters whose numbers the host keeps.

use comity::counter::CounterId;

use crate::coordinator::{at, comity_coordinator};
use crate::handle::{with, with_mut};
use crate::number::comity_tally;
use crate::pointer::place;

/// Tells what the host has counted in all since the opening, for a counter that is collected: a host
/// that counts in its own memory, from many threads. It is to be told when something is counted and
/// nothing was pending, when half of max_units were counted since it was told last, before a flush, a
/// read or a close, and whenever comity_poll_counter_due asks. Lower numbers than before change
/// nothing.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_CLOSED, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_advance(
    coordinator: *mut comity_coordinator,
    counter: u64,
    tally: comity_tally,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.counter_advance(CounterId(counter), tally.into(), at(now_us)?)
        })
    }
}

/// Writes the number of a collected counter whose flush is due to *counter, to be answered with
/// comity_counter_collect; 0 if there is none. A host that opens collected counters calls it until it
/// gives 0, before it polls commands.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_poll_counter_due(
    coordinator: *mut comity_coordinator,
    counter: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let counter = place(counter, "counter")?;
            counter.write(co.core.poll_counter_due().map_or(0, |counter| counter.0));
            Ok(())
        })
    }
}

/// Tells what the host has counted, asked for by comity_poll_counter_due; what of it is pending is
/// flushed at once. From here on the host counts as one that has told all.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, or COMITY_ERROR_INVALID_ARGUMENT for NULL: then
/// nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_collect(
    coordinator: *mut comity_coordinator,
    counter: u64,
    tally: comity_tally,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            co.core.counter_collect(CounterId(counter), tally.into(), at(now_us)?)
        })
    }
}

/// Writes how many units more may be counted before an addition is refused to *out; COMITY_NONE where
/// there is no bound. Who keeps a collected counter refuses beyond them.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_room(
    coordinator: *const comity_coordinator,
    counter: u64,
    out: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.core.counter_room(CounterId(counter))?);
            Ok(())
        })
    }
}
