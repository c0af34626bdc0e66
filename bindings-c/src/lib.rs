//! comity for C. The header `include/comity.h` is generated from this crate.
//!
//! Every function checks its pointers, runs under one guard that turns a panic
//! into `COMITY_ERROR_INTERNAL`, and writes its outputs only if it succeeds. Each `unsafe` block
//! rests on the rules at the head of the header, which its caller keeps, and on nothing else.
#![allow(
    clippy::missing_safety_doc,
    reason = "the rules at the head of the header hold for every function"
)]

// In the order in which the header has them.
pub mod status;

pub mod coordinator;

pub mod command;
pub mod input;
pub mod reply;

pub mod connection;

pub mod event;

pub mod lock;

pub mod transaction;

pub mod counter;
pub mod number;
pub mod peer;

pub mod ring;

pub mod memory;
pub mod stats;

mod fork;
mod handle;
mod options;
mod pointer;

use std::ffi::c_char;

/// No value: never, for ever, without a limit, not known; each field says which.
pub const COMITY_NONE: u64 = u64::MAX;

/// The version of the library, for example "0.1.0". Never NULL, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn comity_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Borrowed bytes. No zero byte ends them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types, reason = "the name is the C name")]
pub struct comity_bytes {
    /// The first byte; NULL where there is nothing, which may be something else than no bytes.
    pub data: *const c_char,
    /// How many bytes.
    pub len: usize,
}

impl comity_bytes {
    pub(crate) const NONE: Self = Self { data: std::ptr::null(), len: 0 };

    pub(crate) const fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), len: bytes.len() }
    }
}
