//! The verbs of the counter.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_void;

use comity::counter::{CounterId, CounterOptions, CounterValue, Durability, Freshness, Token};
use comity::error::Result;
use comity::event::CallId;
use comity::time::Span;

use crate::coordinator::{at, comity_coordinator, span};
use crate::handle::{with, with_mut};
use crate::number::{comity_int128, comity_tally};
use crate::options::{self, Options};
use crate::pointer::{bytes, flag, place, unknown};
use crate::{COMITY_NONE, comity_bytes};

/// Flushed at once; what is counted during a round trip shares the next one.
pub const COMITY_COUNTER_SYNC: u32 = 1;
/// Flushed after max_delay_us, or earlier where much is pending.
pub const COMITY_COUNTER_BATCHED: u32 = 2;
/// As batched without a bound; besides, what is pending is told in COMITY_EVENT_COUNTER_JOURNAL, to be
/// written down. A unit is safe when either is done.
pub const COMITY_COUNTER_JOURNALED: u32 = 3;

/// A value as recent as the call, for comity_counter_read.
pub const COMITY_FRESH: u64 = u64::MAX;

/// How a counter is kept. comity_counter_options_init writes the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_counter_options {
    /// Written by comity_counter_options_init.
    pub struct_size: usize,
    /// The longest that a unit waits for its flush, at most 1 h in microseconds; 10 ms by default. Not
    /// read with COMITY_COUNTER_SYNC.
    pub max_delay_us: u64,
    /// The most units that may be unacknowledged, at least 2: half of them flush at once, and an
    /// addition beyond them is refused. COMITY_NONE = no bound, the default. Read with
    /// COMITY_COUNTER_BATCHED only.
    pub max_units: u64,
    /// When what was counted is safe: COMITY_COUNTER_SYNC, COMITY_COUNTER_BATCHED, which is the default,
    /// or COMITY_COUNTER_JOURNALED.
    pub durability: u32,
    /// 1 = the host keeps the numbers itself: see comity_counter_advance. 0 by default.
    pub collected: u32,
}

// SAFETY: it is numbers without padding.
unsafe impl Options for comity_counter_options {
    const NAME: &'static str = "comity_counter_options";

    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            max_delay_us: 10_000,
            max_units: COMITY_NONE,
            durability: COMITY_COUNTER_BATCHED,
            collected: 0,
        }
    }
}

/// What a counter stands at, as far as is known here.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_counter_reading {
    /// The value: what the server last told of the others, and all that was counted here. See
    /// comity_int128_to_int64 and comity_int128_to_text.
    pub value: comity_int128,
    /// How old the server's part is at most, in microseconds; COMITY_NONE before its first answer,
    /// when value is only what was counted here.
    pub staleness_us: u64,
    /// Up to where the server's part goes: see comity_counter_read.
    pub token: u64,
    /// How many resets there were by then.
    pub epoch: u64,
    /// What was counted here and is not acknowledged.
    pub pending: comity_tally,
    /// How long the oldest of it has waited, at most, in microseconds; COMITY_NONE if nothing waits.
    pub oldest_pending_us: u64,
}

pub(crate) const NOTHING_READ: comity_counter_reading = comity_counter_reading {
    value: comity_int128 { low: 0, high: 0 },
    staleness_us: COMITY_NONE,
    token: 0,
    epoch: 0,
    pending: comity_tally { increments: 0, decrements: 0 },
    oldest_pending_us: COMITY_NONE,
};

impl From<&CounterValue> for comity_counter_reading {
    fn from(value: &CounterValue) -> Self {
        let us = |span: Option<Span>| span.map_or(COMITY_NONE, Span::as_micros);
        Self {
            value: comity_int128::of(value.value),
            staleness_us: us(value.staleness),
            token: value.token.0,
            epoch: value.epoch,
            pending: value.pending.into(),
            oldest_pending_us: us(value.oldest_pending),
        }
    }
}

unsafe fn read(options: *const comity_counter_options) -> Result<CounterOptions> {
    // SAFETY: the caller keeps the rules of the header.
    let options = unsafe { options::read(options) }?;
    let max_delay = Span::from_micros(options.max_delay_us);
    let durability = match options.durability {
        COMITY_COUNTER_SYNC => Durability::Sync,
        COMITY_COUNTER_BATCHED => Durability::Batched { max_delay, max_units: options.max_units },
        COMITY_COUNTER_JOURNALED => Durability::Journaled { max_delay },
        other => {
            return Err(unknown("durability", other, "COMITY_COUNTER_SYNC, _BATCHED, _JOURNALED"));
        }
    };
    Ok(CounterOptions { durability, collected: flag(options.collected, "collected")? })
}

/// Writes the defaults to *options. struct_size is sizeof(comity_counter_options).
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_options_init(
    options: *mut comity_counter_options,
    struct_size: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { options::init(options, struct_size) }
}

/// Opens the counter of this name, 1 to 512 bytes, which begins at what the server has. Nothing is
/// asked of the server before something is counted or read. options may be NULL for the defaults.
/// Writes the number of the counter to *counter, which the events and the other functions of the
/// counter take. It ends with COMITY_EVENT_COUNTER_CLOSED.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED,
/// COMITY_ERROR_UNSUPPORTED, COMITY_ERROR_CLOSED, or COMITY_ERROR_INVALID_STATE if this coordinator
/// has it open: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_open(
    coordinator: *mut comity_coordinator,
    name: *const c_void,
    name_len: usize,
    options: *const comity_counter_options,
    now_us: u64,
    counter: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let counter = place(counter, "counter")?;
            let name = bytes(name, name_len, "name")?;
            counter.write(co.core.counter_open(name, read(options)?, at(now_us))?.0);
            Ok(())
        })
    }
}

/// As comity_counter_open, and counts what data, of COMITY_EVENT_COUNTER_JOURNAL or of
/// comity_counter_snapshot, holds of it and the server has not: once, however often and wherever the
/// same bytes are restored.
///
/// Returns as comity_counter_open, or COMITY_ERROR_CORRUPT for bytes that are not such, or of another
/// counter: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_restore(
    coordinator: *mut comity_coordinator,
    name: *const c_void,
    name_len: usize,
    options: *const comity_counter_options,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
    counter: *mut u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let counter = place(counter, "counter")?;
            let name = bytes(name, name_len, "name")?;
            let data = bytes(data, data_len, "data")?;
            let opened = co.core.counter_restore(name, read(options)?, data, at(now_us))?;
            counter.write(opened.0);
            Ok(())
        })
    }
}

/// As comity_counter_restore for a counter that is open already, before it has counted or asked the
/// server anything; a journaled one asks at once.
///
/// Returns COMITY_OK; or COMITY_ERROR_CORRUPT, COMITY_ERROR_INVALID_ARGUMENT for NULL,
/// COMITY_ERROR_INVALID_STATE for a counter that is in use or not open, or COMITY_ERROR_CLOSED: then
/// nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_take_up(
    coordinator: *mut comity_coordinator,
    counter: u64,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let data = bytes(data, data_len, "data")?;
            co.core.counter_take_up(CounterId(counter), data, at(now_us))
        })
    }
}

/// Counts what the replicas of a peer counter have counted, by the bytes of
/// comity_pn_counter_snapshot: each unit once, however often and by whomever they are merged. It shows
/// in the value when the server has it, which a comity_counter_flush waits for.
///
/// Returns COMITY_OK; or COMITY_ERROR_CORRUPT for other bytes, COMITY_ERROR_LIMIT_EXCEEDED,
/// COMITY_ERROR_INVALID_ARGUMENT for NULL, COMITY_ERROR_INVALID_STATE or COMITY_ERROR_CLOSED: then
/// nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_merge(
    coordinator: *mut comity_coordinator,
    counter: u64,
    data: *const c_void,
    data_len: usize,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let data = bytes(data, data_len, "data")?;
            co.core.counter_merge(CounterId(counter), data, at(now_us))
        })
    }
}

/// Counts amount, up or down.
///
/// Returns COMITY_OK; or COMITY_ERROR_OVERFLOW beyond 2^64 - 1 increments or decrements in one life of
/// the counter, COMITY_ERROR_LIMIT_EXCEEDED beyond max_units that are not acknowledged,
/// COMITY_ERROR_INVALID_STATE for a counter that is not open, COMITY_ERROR_CLOSED, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_add(
    coordinator: *mut comity_coordinator,
    counter: u64,
    amount: i64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| co.core.counter_add(CounterId(counter), amount, at(now_us)))
    }
}

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
            co.core.counter_advance(CounterId(counter), tally.into(), at(now_us))
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
            co.core.counter_collect(CounterId(counter), tally.into(), at(now_us))
        })
    }
}

/// Writes what the counter stands at as far as is known here, at once, to *out, valid until the next
/// call of comity_counter_value on the handle. Own counts are always in it.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open,
/// COMITY_ERROR_OVERFLOW beyond 128 bits, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_value(
    coordinator: *mut comity_coordinator,
    counter: u64,
    now_us: u64,
    out: *mut *const comity_counter_reading,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            let value = co.core.counter_value(CounterId(counter), at(now_us))?;
            out.write(co.reading.put((&value).into()));
            Ok(())
        })
    }
}

/// As comity_counter_value, the value alone.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open,
/// COMITY_ERROR_OVERFLOW beyond 64 bits, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_value_int64(
    coordinator: *const comity_coordinator,
    counter: u64,
    now_us: u64,
    out: *mut i64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.core.counter_value(CounterId(counter), at(now_us))?.as_i64()?);
            Ok(())
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
        ask(coordinator, call, |core| core.counter_read(CounterId(counter), freshness, at(now_us)))
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
    unsafe { ask(coordinator, call, |core| core.counter_flush(CounterId(counter), at(now_us))) }
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
        ask(coordinator, call, |core| core.counter_reset(CounterId(counter), epoch, at(now_us)))
    }
}

/// Compares the server's totals with the sum of all slots and corrects them if they differ. If
/// prune_us is not COMITY_NONE, slots that nobody has raised for so many microseconds are retired:
/// whoever comes back is still counted, for seven days. Writes the number of the call to *call. Leads
/// to COMITY_EVENT_COUNTER_AUDITED or COMITY_EVENT_CALL_FAILED.
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
            core.counter_audit(CounterId(counter), span(prune_us), at(now_us))
        })
    }
}

/// Writes what a later life has to take up to lose nothing to *out, for comity_counter_restore: bytes
/// that are valid until the next call of comity_counter_snapshot on the handle. What was counted
/// before the server has given the counter a slot is not in it.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_snapshot(
    coordinator: *mut comity_coordinator,
    counter: u64,
    out: *mut comity_bytes,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            co.snapshot = co.core.counter_snapshot(CounterId(counter))?;
            out.write(comity_bytes::of(&co.snapshot));
            Ok(())
        })
    }
}

/// The data of the last COMITY_EVENT_COUNTER_JOURNAL is written down.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open or has told of no
/// journal, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_journaled(
    coordinator: *mut comity_coordinator,
    counter: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { with_mut(coordinator, |co| co.core.counter_journaled(CounterId(counter), at(now_us))) }
}

/// Flushes what is pending, retires the slot, and leads to COMITY_EVENT_COUNTER_CLOSED within the
/// timeout of the config.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open,
/// COMITY_ERROR_CLOSED, or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_counter_close(
    coordinator: *mut comity_coordinator,
    counter: u64,
    now_us: u64,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { with_mut(coordinator, |co| co.core.counter_close(CounterId(counter), at(now_us))) }
}
