//! comity for JavaScript, below the package's TypeScript: values become bytes there and are checked
//! there, and are taken apart here. Everything converts; nothing decides.
//!
//! A call into WebAssembly is cheap as long as it carries numbers and one run of bytes; an object is
//! not. So commands, events and replies cross as one packed run each (`pack`), times, ids and
//! spans as numbers that TypeScript has found to be whole and below 2^53, and amounts as `BigInt`.
//!
//! The package has two WebAssembly modules of it, one for each feature: `coordination`, and `store`,
//! which a program that connects to a server does not load.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[cfg(feature = "coordination")]
mod coordinator;
#[cfg(feature = "coordination")]
mod counter;
mod error;
#[cfg(feature = "coordination")]
mod event;
#[cfg(feature = "store")]
mod memory;
#[cfg_attr(
    not(all(feature = "coordination", feature = "store")),
    allow(dead_code, reason = "each module uses a part of it")
)]
mod pack;
#[cfg(feature = "coordination")]
mod peer;
#[cfg_attr(
    not(all(feature = "coordination", feature = "store")),
    allow(dead_code, reason = "each module uses a part of it")
)]
mod reply;
#[cfg(feature = "coordination")]
mod ring;
#[cfg(feature = "coordination")]
mod transaction;
#[cfg(feature = "coordination")]
mod wire;

#[cfg(feature = "coordination")]
use alloc::string::String;

#[cfg(feature = "coordination")]
use wasm_bindgen::prelude::wasm_bindgen;

/// The version of the package, for example "0.1.0".
#[cfg(feature = "coordination")]
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A trap, which JavaScript has as a `RuntimeError` with a stack. The standard library's handler would
/// say where and why, and bring a text and a path for every place that may panic.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
