//! comity for wasm.
