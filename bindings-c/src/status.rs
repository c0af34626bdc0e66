//! What functions return, and the words behind it.

mod codes;

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use comity::error::Result;

pub use self::codes::*;

/// The call succeeded.
pub const COMITY_OK: u32 = 0;
thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// What was wrong with the last failed call of this thread, as UTF-8; empty if none failed yet.
/// Never NULL, valid until the next call of this thread that fails.
#[unsafe(no_mangle)]
pub extern "C" fn comity_last_error() -> *const c_char {
    // The only borrow elsewhere ends within `remember`; a thread that is ending has no words left.
    LAST_ERROR
        .try_with(|text| text.try_borrow().map_or(c"".as_ptr(), |text| text.as_ptr()))
        .unwrap_or(c"".as_ptr())
}

/// Makes a message the last error of this thread and returns the code, so that an adapter's own functions
/// fail as those of the library do. The message ends with a zero byte and is copied; NULL is an empty one.
///
/// # Safety
///
/// The message is NULL or ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_fail(code: u32, message: *const c_char) -> u32 {
    if message.is_null() {
        remember("");
    } else {
        // SAFETY: the caller vouches for the zero byte.
        remember(&unsafe { CStr::from_ptr(message) }.to_string_lossy());
    }
    code
}

/// The name of an error, for example "LockTimeout", for logs; "unknown" for a number that is none. Never
/// NULL, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn comity_error_name(code: u32) -> *const c_char {
    code_name(code).as_ptr()
}

fn remember(message: &str) {
    // Text for C ends at its first zero byte, so none may stand inside.
    let text = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
    // A thread that is ending has nobody left to read it.
    let _ = LAST_ERROR.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = text;
        }
    });
}

/// Runs what a function of the library does; an error or a panic becomes its status, and the
/// words of it the last error of the thread.
pub(crate) fn guard(call: impl FnOnce() -> Result<()>) -> u32 {
    // Nothing that a panic leaves half-done is used again: outputs are written last, and a handle
    // is dead from then on.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => COMITY_OK,
        Ok(Err(error)) => failed(&error),
        Err(panic) => panicked(&*panic),
    }
}

// Out of the way of calls that succeed, which is nearly all of them.

#[cold]
#[inline(never)]
fn failed(error: &comity::error::Error) -> u32 {
    remember(error.message());
    error.code().number().into()
}

#[cold]
#[inline(never)]
fn panicked(panic: &(dyn Any + Send)) -> u32 {
    remember(&format!("a bug in comity: {}", words(panic)));
    COMITY_ERROR_INTERNAL
}

fn words(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "a panic without words"
    }
}

#[cfg(test)]
mod tests {
    use comity::error::{Error, ErrorCode};

    use super::*;

    fn last_error() -> String {
        // SAFETY: never NULL, ends with a zero byte, and no call comes between.
        unsafe { CStr::from_ptr(comity_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        assert_eq!(guard(|| Ok(())), COMITY_OK);
        assert_eq!(guard(|| panic!("on purpose {}", 1)), COMITY_ERROR_INTERNAL);
        assert_eq!(last_error(), "a bug in comity: on purpose 1");
    }

    #[test]
    fn an_error_is_its_code_and_words() {
        let fail = || Err(Error::new(ErrorCode::NotHeld, "words\0more"));
        assert_eq!(guard(fail), COMITY_ERROR_NOT_HELD);
        assert_eq!(last_error(), "words\\0more");
        std::thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
    }
}
