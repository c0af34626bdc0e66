//! Errors of the core as exceptions.

use comity::error::{Error, ErrorCode};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(raw_module = "../errors.js")]
extern "C" {
    /// The `ComityError` for a code.
    #[wasm_bindgen(js_name = refused)]
    fn refused(code: u8, message: &str) -> JsValue;
}

pub(crate) type Result<T> = core::result::Result<T, JsValue>;

/// To be thrown.
#[cold]
pub(crate) fn thrown(error: &Error) -> JsValue {
    refused(error.code().number(), error.message())
}

/// The result of a verb.
#[cfg(feature = "coordination")]
pub(crate) fn outcome<T>(result: comity::error::Result<T>) -> Result<T> {
    result.map_err(|error| thrown(&error))
}

/// Bytes that TypeScript has not packed: they come from elsewhere.
pub(crate) fn unpacked<T>(value: Option<T>) -> Result<T> {
    let message = "packed bytes that say nothing: this is a bug in comity";
    value.ok_or_else(|| thrown(&Error::new(ErrorCode::Internal, message)))
}
