//! comity for JavaScript, below the package's TypeScript: values become bytes there and are checked
//! there, and are taken apart here. Everything converts; nothing decides.
//!
//! A call into WebAssembly is cheap as long as it carries numbers and one run of bytes; an object is
//! not. So commands, events and replies cross as one packed run each (`pack`), times, ids and
//! spans as numbers that TypeScript has found to be whole and below 2^53, and amounts as `BigInt`.
//!
//! The package has two WebAssembly modules of it, one for each feature: `coordination`, and `store`,
//! which who connects to a server does not load.

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

use wasm_bindgen::prelude::wasm_bindgen;

/// The version of the package, for example "0.1.0".
#[cfg(feature = "coordination")]
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Called when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    // The exception leaves this module in an undefined state, as the trap would that follows; but
    // it says what has happened.
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
}
