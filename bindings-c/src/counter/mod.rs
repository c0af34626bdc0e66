//! The counter: how it is kept, what it stands at, counting.
#![allow(non_camel_case_types, reason = "the names are the C names")]

pub mod calls;
pub mod collected;
pub mod lives;

use std::ffi::c_void;

use comity::counter::{CounterId, CounterOptions, CounterValue, Durability};
use comity::error::Result;
use comity::time::Span;

use crate::COMITY_NONE;
use crate::coordinator::{at, comity_coordinator};
use crate::handle::{with, with_mut};
use crate::number::{comity_int128, comity_tally};
use crate::options::{self, Options};
use crate::pointer::{bytes, flag, place, unknown};

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

// SAFETY: it is numbers.
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
            counter.write(co.core.counter_open(name, read(options)?, at(now_us)?)?.0);
            Ok(())
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
        with_mut(coordinator, |co| co.core.counter_add(CounterId(counter), amount, at(now_us)?))
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
            let value = co.core.counter_value(CounterId(counter), at(now_us)?)?;
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
            out.write(co.core.counter_value(CounterId(counter), at(now_us)?)?.as_i64()?);
            Ok(())
        })
    }
}

/// Flushes what is pending, ends the slot, and leads to COMITY_EVENT_COUNTER_CLOSED within the
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
    unsafe { with_mut(coordinator, |co| co.core.counter_close(CounterId(counter), at(now_us)?)) }
}
