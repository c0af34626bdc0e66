//! comity: the coordination core.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod error;
pub mod ring;
pub mod time;
