//! What functions return, and the words behind it.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use comity::error::Result;

/// The call succeeded.
pub const COMITY_OK: u32 = 0;
/// An option or value out of range. State unchanged.
pub const COMITY_ERROR_INVALID_ARGUMENT: u32 = 1;
/// A stated limit would be passed. State unchanged.
pub const COMITY_ERROR_LIMIT_EXCEEDED: u32 = 2;
/// A verb in the wrong order, or a handle that is dead. State unchanged.
pub const COMITY_ERROR_INVALID_STATE: u32 = 3;
/// A server, client or command that cannot serve this.
pub const COMITY_ERROR_UNSUPPORTED: u32 = 4;
/// The coordinator was closed. State unchanged.
pub const COMITY_ERROR_CLOSED: u32 = 5;
/// The lock was not granted in time.
pub const COMITY_ERROR_LOCK_TIMEOUT: u32 = 20;
/// The lease ended before the release.
pub const COMITY_ERROR_LOCK_LOST: u32 = 21;
/// Release or renewal of a lock that is not held. State unchanged.
pub const COMITY_ERROR_NOT_HELD: u32 = 22;
/// A transaction met a changed value or a lock. Nothing of it is applied.
pub const COMITY_ERROR_CONFLICT: u32 = 30;
/// A command in a transaction failed. Nothing of it is applied.
pub const COMITY_ERROR_COMMAND_FAILED: u32 = 31;
/// A transaction was cancelled, took too long, or was aborted by another client. Nothing of it is
/// applied.
pub const COMITY_ERROR_ABORTED: u32 = 32;
/// Whether a transaction is applied is not known; it can be resolved by its id.
pub const COMITY_ERROR_OUTCOME_UNKNOWN: u32 = 33;
/// A count beyond the range. State unchanged.
pub const COMITY_ERROR_OVERFLOW: u32 = 40;
/// Two members disagree about the ring.
pub const COMITY_ERROR_RING_MISMATCH: u32 = 50;
/// The command never left, or no connection could be made in time.
pub const COMITY_ERROR_UNREACHABLE: u32 = 60;
/// The command was sent and no answer came in time: it may have been executed.
pub const COMITY_ERROR_NO_ANSWER: u32 = 61;
/// The server answered with an error of its own.
pub const COMITY_ERROR_SERVER_REFUSED: u32 = 62;
/// The key holds a value of another type.
pub const COMITY_ERROR_WRONG_TYPE: u32 = 63;
/// Bytes that are not a valid snapshot. State unchanged.
pub const COMITY_ERROR_CORRUPT: u32 = 64;
/// A bug in comity. The handle is dead: free it.
pub const COMITY_ERROR_INTERNAL: u32 = 90;

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
    let name = match code {
        COMITY_OK => c"Ok",
        COMITY_ERROR_INVALID_ARGUMENT => c"InvalidArgument",
        COMITY_ERROR_LIMIT_EXCEEDED => c"LimitExceeded",
        COMITY_ERROR_INVALID_STATE => c"InvalidState",
        COMITY_ERROR_UNSUPPORTED => c"Unsupported",
        COMITY_ERROR_CLOSED => c"Closed",
        COMITY_ERROR_LOCK_TIMEOUT => c"LockTimeout",
        COMITY_ERROR_LOCK_LOST => c"LockLost",
        COMITY_ERROR_NOT_HELD => c"NotHeld",
        COMITY_ERROR_CONFLICT => c"Conflict",
        COMITY_ERROR_COMMAND_FAILED => c"CommandFailed",
        COMITY_ERROR_ABORTED => c"Aborted",
        COMITY_ERROR_OUTCOME_UNKNOWN => c"OutcomeUnknown",
        COMITY_ERROR_OVERFLOW => c"Overflow",
        COMITY_ERROR_RING_MISMATCH => c"RingMismatch",
        COMITY_ERROR_UNREACHABLE => c"Unreachable",
        COMITY_ERROR_NO_ANSWER => c"NoAnswer",
        COMITY_ERROR_SERVER_REFUSED => c"ServerRefused",
        COMITY_ERROR_WRONG_TYPE => c"WrongType",
        COMITY_ERROR_CORRUPT => c"Corrupt",
        COMITY_ERROR_INTERNAL => c"Internal",
        _ => c"unknown",
    };
    name.as_ptr()
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
