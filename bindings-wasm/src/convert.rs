//! JavaScript's values to the core's, with every range checked.

use comity::error::{Error, ErrorCode, Result};
use js_sys::{BigInt, JsString, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

/// A `ComityError` with the code's number as `code`, to be thrown.
pub(crate) fn thrown(error: &Error) -> JsValue {
    let thrown = js_sys::Error::new(error.message());
    thrown.set_name("ComityError");
    // A fresh object takes any property.
    let _ = Reflect::set(&thrown, &"code".into(), &u32::from(error.code().number()).into());
    thrown.into()
}

/// The error for a value of another type or range.
pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

/// The bytes of a string or `Uint8Array`.
pub(crate) fn bytes(value: &JsValue, name: &str) -> Result<Vec<u8>> {
    if let Some(text) = value.dyn_ref::<JsString>() {
        if !text.is_valid_utf16() {
            return Err(invalid(format!("{name} has a lone surrogate, which UTF-8 cannot hold")));
        }
        return Ok(String::from(text).into_bytes());
    }
    match value.dyn_ref::<Uint8Array>() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(invalid(format!("{name} must be a string or a Uint8Array"))),
    }
}

/// A whole number from 0 to 2^32 - 1, given as a number or `BigInt`.
pub(crate) fn u32_from(value: &JsValue, name: &str) -> Result<u32> {
    let number = match value.dyn_ref::<BigInt>() {
        // None if it is beyond 64 bits.
        Some(number) => i64::try_from(number.clone()).ok().and_then(|n| u32::try_from(n).ok()),
        None => value.as_f64().and_then(whole),
    };
    number.ok_or_else(|| invalid(format!("{name} must be a whole number from 0 to {}", u32::MAX)))
}

/// The number as an integer, if it is one that fits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn whole(number: f64) -> Option<u32> {
    let fits = (0.0..=f64::from(u32::MAX)).contains(&number);
    // A number with a fraction is not what comes back.
    (fits && f64::from(number as u32) == number).then_some(number as u32)
}

/// A property of an object; undefined if it has none.
pub(crate) fn property(object: &JsValue, name: &str) -> Result<JsValue> {
    if !object.is_object() {
        return Err(invalid(format!("expected an object with the property {name}")));
    }
    Reflect::get(object, &name.into())
        .map_err(|_| invalid(format!("the property {name} cannot be read")))
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn only_whole_numbers_in_range_are_taken() {
        assert_eq!(whole(0.0), Some(0));
        assert_eq!(whole(4_294_967_295.0), Some(u32::MAX));
        let wrong = [-1.0, 0.5, 4_294_967_296.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for wrong in wrong {
            assert_eq!(whole(wrong), None, "{wrong}");
        }
    }
}
