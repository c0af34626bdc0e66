//! comity for C. The header `include/comity.h` is generated from this crate.
//!
//! Every function checks its pointers, runs under one guard that turns a panic
//! into `COMITY_ERROR_INTERNAL`, and writes its outputs only if it succeeds. Each `unsafe` block
//! rests on what the header asks of the caller, and on nothing else.

pub mod ring;
pub mod status;

use std::ffi::c_char;

/// The version of the library, for example "0.1.0". Never NULL, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn comity_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Borrowed bytes: data is never read if len is 0, and may be NULL then.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types, reason = "the name is the C name")]
pub struct comity_bytes {
    /// The first byte.
    pub data: *const u8,
    /// How many bytes.
    pub len: usize,
}
