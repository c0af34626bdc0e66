//! comity for JavaScript, below the package's TypeScript: values become bytes there and are checked
//! there, and are taken apart here. Everything converts; nothing decides.
//!
//! A call into WebAssembly is cheap as long as it carries numbers and one run of bytes; an object is
//! not. So commands, events and replies cross as one packed run each (`pack`), times, ids and
//! spans as numbers that TypeScript has found to be whole and below 2^53, and amounts as `BigInt`.

mod coordinator;
mod counter;
mod error;
mod event;
mod memory;
mod pack;
mod peer;
mod reply;
mod ring;
mod transaction;

use wasm_bindgen::prelude::wasm_bindgen;

/// The version of the package, for example "0.1.0".
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// The numbers and names of the core's errors, as `number name` lines.
#[wasm_bindgen]
#[must_use]
pub fn error_codes() -> String {
    let codes = comity::error::ErrorCode::ALL.iter();
    codes.map(|code| format!("{} {}\n", code.number(), code.name())).collect()
}

/// Called when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    // The exception leaves this module in an undefined state, as the trap would that follows; but
    // it says what has happened.
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
}
