//! Structs of options, which grow with the library: each begins with the size that its caller's
//! header gave it.

use std::ptr;

use comity::error::{Error, ErrorCode, Result};

use crate::pointer::{null, place};
use crate::status::guard;

/// No struct of options will ever be larger.
const MAX_SIZE: usize = 4_096;

/// A struct of options.
///
/// # Safety
///
/// It is `repr(C)`, its first field is its size as a `usize`, and any bytes are valid in it.
pub(crate) unsafe trait Options: Copy {
    /// What C calls it.
    const NAME: &'static str;

    /// What `_init` writes, its own size in front.
    fn defaults() -> Self;
}

/// Writes the defaults, as far as the caller's struct goes; what is beyond ours is zero.
///
/// # Safety
///
/// `options` is NULL, or `size` bytes can be written there.
pub(crate) unsafe fn init<T: Options>(options: *mut T, size: usize) -> u32 {
    guard(|| {
        check_size::<T>(size)?;
        // SAFETY: the caller vouches for the place.
        unsafe {
            place(options, "options")?;
            let defaults = T::defaults();
            let bytes = options.cast::<u8>();
            ptr::write_bytes(bytes, 0, size);
            ptr::copy_nonoverlapping((&raw const defaults).cast(), bytes, size.min(size_of::<T>()));
            bytes.cast::<usize>().write_unaligned(size);
        }
        Ok(())
    })
}

/// The caller's options over the defaults; NULL is the defaults alone.
///
/// # Safety
///
/// `options` is NULL, or the size that it begins with can be read there.
pub(crate) unsafe fn read<T: Options>(options: *const T) -> Result<T> {
    let mut all = T::defaults();
    if options.is_null() {
        return Ok(all);
    }
    // SAFETY: the caller vouches that the struct is as large as it says.
    unsafe {
        let theirs = options.cast::<u8>();
        let size = theirs.cast::<usize>().read_unaligned();
        check_size::<T>(size)?;
        let known = size.min(size_of::<T>());
        for at in known..size {
            if theirs.add(at).read() != 0 {
                let message = format!(
                    "{}: a field is set that this library does not have: your header is newer",
                    T::NAME
                );
                return Err(Error::new(ErrorCode::Unsupported, message));
            }
        }
        ptr::copy_nonoverlapping(theirs, (&raw mut all).cast(), known);
    }
    Ok(all)
}

/// As [`read`], for options that have no defaults as a whole.
///
/// # Safety
///
/// As [`read`].
pub(crate) unsafe fn needed<T: Options>(options: *const T) -> Result<T> {
    if options.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: the caller vouches for it.
    unsafe { read(options) }
}

/// Errors if a field is set that nothing is meant by yet.
pub(crate) fn reserved(number: u32, name: &str) -> Result<()> {
    if number != 0 {
        let message = format!("{name}: reserved is {number}, not 0");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    Ok(())
}

fn check_size<T: Options>(size: usize) -> Result<()> {
    if size == 0 || !size.is_multiple_of(align_of::<usize>()) || size > MAX_SIZE {
        let name = T::NAME;
        let message = format!("{name}: struct_size is {size}; {name}_init sets it");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{COMITY_ERROR_INVALID_ARGUMENT, COMITY_OK};

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Sample {
        struct_size: usize,
        old: u64,
        new: u64,
    }

    // SAFETY: it is numbers.
    unsafe impl Options for Sample {
        const NAME: &'static str = "sample";

        fn defaults() -> Self {
            Self { struct_size: size_of::<Self>(), old: 1, new: 2 }
        }
    }

    /// A struct of `words` words, the first its size.
    fn read_words(words: &[u64]) -> Result<Sample> {
        // SAFETY: they can be read as far as the size says, in each test.
        unsafe { read(words.as_ptr().cast::<Sample>()) }
    }

    #[test]
    fn a_smaller_struct_has_the_defaults_for_the_rest() {
        let read = read_words(&[16, 7]).map(|all| (all.old, all.new));
        assert_eq!(read, Ok((7, 2)));
        let mut words = [9_u64; 3];
        // SAFETY: it is as large as it says.
        let status = unsafe { init(words.as_mut_ptr().cast::<Sample>(), 16) };
        assert_eq!((status, words), (COMITY_OK, [16, 1, 9]));
    }

    #[test]
    fn a_larger_struct_is_refused_only_where_it_says_something() {
        assert_eq!(read_words(&[32, 7, 8, 0]).map(|all| all.new), Ok(8));
        let refused = read_words(&[32, 7, 8, 1]).map_err(|error| error.code());
        assert_eq!(refused, Err(ErrorCode::Unsupported));
        let mut words = [9_u64; 5];
        // SAFETY: it is as large as it says.
        let status = unsafe { init(words.as_mut_ptr().cast::<Sample>(), 32) };
        assert_eq!((status, words), (COMITY_OK, [32, 1, 2, 0, 9]));
    }

    #[test]
    fn sizes_that_no_header_gives_are_refused() {
        for size in [0, 1, 13, 4_104, u64::MAX] {
            assert!(read_words(&[size, 0, 0]).is_err(), "{size}");
        }
        // SAFETY: NULL is refused, and nothing is written where the size is refused.
        unsafe {
            assert_eq!(init(ptr::null_mut::<Sample>(), 16), COMITY_ERROR_INVALID_ARGUMENT);
            let mut words = [9_u64; 3];
            let refused = init(words.as_mut_ptr().cast::<Sample>(), 13);
            assert_eq!((refused, words), (COMITY_ERROR_INVALID_ARGUMENT, [9; 3]));
            assert_eq!(read(ptr::null::<Sample>()), Ok(Sample::defaults()));
            assert!(needed(ptr::null::<Sample>()).is_err());
        }
    }
}
