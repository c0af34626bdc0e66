//! Arguments: what the pointers of C point to, checked as far as that is possible.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::slice;

use comity::error::{Error, ErrorCode, Result};

/// The error for an argument that must not be NULL.
#[cold]
#[inline(never)]
pub(crate) fn null(name: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("{name} must not be NULL"))
}

/// The error for a number that is none of the constants it has to be one of.
#[cold]
#[inline(never)]
pub(crate) fn unknown(name: &str, number: u32, constants: &str) -> Error {
    let message = format!("{name}: {number} is none of {constants}");
    Error::new(ErrorCode::InvalidArgument, message)
}

/// A flag of an options struct.
pub(crate) fn flag(number: u32, name: &str) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::new(ErrorCode::InvalidArgument, format!("{name}: {number} is not 0 or 1"))),
    }
}

/// A place for an output.
pub(crate) struct Out<T>(NonNull<T>);

/// The place for an output.
///
/// # Safety
///
/// If `out` is not NULL, a `T` can be written there for as long as the result is used.
pub(crate) unsafe fn place<T>(out: *mut T, name: &str) -> Result<Out<T>> {
    NonNull::new(out).map(Out).ok_or_else(|| null(name))
}

impl<T> Out<T> {
    pub(crate) fn write(self, value: T) {
        // SAFETY: whoever made it has vouched for the place.
        unsafe { self.0.write(value) };
    }
}

/// A place for many outputs.
pub(crate) struct Outs<T> {
    place: *mut T,
    count: usize,
}

/// The place for `count` outputs, which may be NULL if there are none.
///
/// # Safety
///
/// If `place` is not NULL, `count` of them can be written there for as long as the result is used.
pub(crate) unsafe fn places<T>(place: *mut T, count: usize, name: &str) -> Result<Outs<T>> {
    if count > 0 && place.is_null() {
        return Err(null(name));
    }
    fits::<T>(count, name)?;
    Ok(Outs { place, count })
}

impl<T> Outs<T> {
    /// Writes as many of them as there is room for.
    pub(crate) fn write(self, values: impl IntoIterator<Item = T>) {
        for (i, value) in values.into_iter().take(self.count).enumerate() {
            // SAFETY: whoever made it has vouched for so many places.
            unsafe { self.place.add(i).write(value) };
        }
    }
}

/// The things at a pointer, which may be NULL if there are none.
///
/// # Safety
///
/// If `data` is not NULL, `count` of them can be read there for as long as the result is used.
pub(crate) unsafe fn many<'a, T>(data: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(name));
    }
    fits::<T>(count, name)?;
    // SAFETY: not NULL, not too long, and the caller vouches for the rest.
    Ok(unsafe { slice::from_raw_parts(data, count) })
}

/// The bytes at a pointer, which may be NULL if there are none.
///
/// # Safety
///
/// As [`many`].
#[inline]
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    // SAFETY: the caller vouches for it.
    unsafe { many(data.cast(), len, name) }
}

/// Errors if so many cannot be in memory at all.
fn fits<T>(count: usize, name: &str) -> Result<()> {
    let most = isize::MAX.unsigned_abs() / size_of::<T>().max(1);
    if count > most { Err(no_length(count, most, name)) } else { Ok(()) }
}

#[cold]
#[inline(never)]
fn no_length(count: usize, most: usize, name: &str) -> Error {
    let text = format!("{name}: {count} is no length, the limit is {most}");
    Error::new(ErrorCode::LimitExceeded, text)
}

/// Hands the words of a command one by one to `each`: at least one, at most `limit`. Without
/// `argvlen` each ends at its first zero byte.
///
/// # Safety
///
/// If not NULL, `argv` and `argvlen` have `argc` elements, of which each word can be read.
pub(crate) unsafe fn words(
    argc: c_int,
    argv: *mut *const c_char,
    argvlen: *const usize,
    limit: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let count = usize::try_from(argc).unwrap_or(0);
    if count == 0 {
        let message = format!("argc: {argc}, a command has at least 1 word");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    if count > limit {
        let message = format!("argc: {argc}, the limit is {limit}");
        return Err(Error::new(ErrorCode::LimitExceeded, message));
    }
    // SAFETY: the caller vouches for the words.
    unsafe {
        let starts: &[*const c_char] = many(argv.cast_const(), count, "argv")?;
        let lens = (!argvlen.is_null()).then(|| many(argvlen, count, "argvlen")).transpose()?;
        for (i, &start) in starts.iter().enumerate() {
            match lens.and_then(|lens| lens.get(i)) {
                Some(&len) => each(bytes(start.cast(), len, "a word of argv")?),
                None if start.is_null() => return Err(null("a word of argv")),
                None => each(CStr::from_ptr(start).to_bytes()),
            }
        }
    }
    Ok(())
}
