//! comity for JavaScript. It converts, checks ranges and throws; it decides nothing.
//!
//! Bytes are a `Uint8Array` or a string, which stands for its UTF-8; a string with a lone surrogate
//! has none and is an error. Numbers are safe integers or `BigInt`, and are checked before
//! they are converted, because wasm-bindgen wraps them silently.

mod convert;
mod ring;

pub use ring::JsRing;
use wasm_bindgen::prelude::wasm_bindgen;

/// The version of the package, for example "0.1.0".
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}
