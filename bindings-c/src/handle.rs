//! Handles: what the opaque pointers of C point to.
//!
//! In front of each lies a word that says what it is. Debug builds keep the memory of what was
//! freed for a while, so that the word of a freed handle can still be read, and notice two calls at
//! once.

mod lent;

use std::ptr;
#[cfg(debug_assertions)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};

use comity::error::{Error, ErrorCode, Result};

pub(crate) use self::lent::{Lent, lend};
use crate::pointer::null;
use crate::status::{COMITY_ERROR_INTERNAL, guard};

/// A kind of handle.
pub(crate) trait Kind {
    /// What C calls it.
    const NAME: &'static str;
    /// The word in front of a live one.
    const MAGIC: u64;

    /// Whether a call may use it here.
    ///
    /// # Errors
    /// Whatever forbids it.
    fn admit(&self) -> Result<()> {
        Ok(())
    }
}

/// In front of what was freed.
const FREED: u64 = u64::from_le_bytes(*b"cmtyFREE");
/// In front of what a panic has left behind.
const DEAD: u64 = u64::from_le_bytes(*b"cmtyDEAD");

#[repr(C)]
struct Handle<T> {
    word: AtomicU64,
    turn: Turn,
    value: T,
}

/// A new handle, to be given to C.
pub(crate) fn give<T: Kind>(value: T) -> *mut T {
    Box::into_raw(Box::new(Handle { word: AtomicU64::new(T::MAGIC), turn: Turn::default(), value }))
        .cast()
}

/// Runs a call on a handle; after a panic in one, all later ones fail.
///
/// # Safety
///
/// `handle` is NULL or of this kind and alive, and nobody else uses it until the call ends.
pub(crate) unsafe fn with_mut<T: Kind>(
    handle: *mut T,
    call: impl FnOnce(&mut T) -> Result<()>,
) -> u32 {
    let handle = handle.cast::<Handle<T>>();
    // SAFETY: the caller vouches for the handle.
    let status = guard(|| unsafe {
        check(handle)?;
        let _mine = (*handle).turn.take(T::NAME)?;
        (*handle).value.admit()?;
        call(&mut (*handle).value)
    });
    // SAFETY: the same.
    unsafe { bury::<T>(handle, status) };
    status
}

/// The same for a handle that others may use at the same time.
///
/// # Safety
///
/// `handle` is NULL or of this kind and alive, and nobody changes it until the call ends.
pub(crate) unsafe fn with<T: Kind>(handle: *const T, call: impl FnOnce(&T) -> Result<()>) -> u32 {
    let handle = handle.cast::<Handle<T>>();
    // SAFETY: the caller vouches for the handle.
    let status = guard(|| unsafe {
        check(handle)?;
        (*handle).turn.check(T::NAME)?;
        (*handle).value.admit()?;
        call(&(*handle).value)
    });
    // SAFETY: the same.
    unsafe { bury::<T>(handle, status) };
    status
}

/// What is in a handle that a call on another one takes.
///
/// # Safety
///
/// As [`with`], for as long as the result is used.
pub(crate) unsafe fn argument<'a, T: Kind>(handle: *const T) -> Result<&'a T> {
    let handle = handle.cast::<Handle<T>>();
    // SAFETY: the caller vouches for the handle.
    unsafe {
        check(handle)?;
        Ok(&(*handle).value)
    }
}

/// Frees a handle. NULL is fine, and so is a dead one.
///
/// # Safety
///
/// `handle` is NULL or of this kind and alive, and nobody uses it any more.
pub(crate) unsafe fn free<T: Kind>(handle: *mut T) {
    let handle = handle.cast::<Handle<T>>();
    guard(|| {
        if handle.is_null() {
            return Ok(());
        }
        // SAFETY: the caller vouches for the handle.
        unsafe {
            if word(handle) != Some(DEAD) {
                check(handle)?;
            }
            drop_handle(handle);
        }
        Ok(())
    });
}

/// The word in front of a handle; none if no handle can be there.
unsafe fn word<T>(handle: *const Handle<T>) -> Option<u64> {
    // SAFETY: the caller vouches that a handle is there, or was in a debug build.
    handle.is_aligned().then(|| unsafe { (*handle).word.load(Ordering::Relaxed) })
}

unsafe fn check<T: Kind>(handle: *const Handle<T>) -> Result<()> {
    let there = !handle.is_null() && handle.is_aligned();
    // SAFETY: the caller vouches for the handle.
    if there && unsafe { (*handle).word.load(Ordering::Relaxed) } == T::MAGIC {
        return Ok(());
    }
    // SAFETY: the same.
    Err(unsafe { wrong::<T>(handle) })
}

#[cold]
#[inline(never)]
unsafe fn wrong<T: Kind>(handle: *const Handle<T>) -> Error {
    // SAFETY: the caller vouches for the handle.
    let word = if handle.is_null() { None } else { unsafe { word(handle) } };
    let name = T::NAME;
    let message = match word {
        _ if handle.is_null() => return null(name),
        Some(FREED) => format!("this {name} was freed"),
        Some(DEAD) => {
            format!("this {name} is dead since a call on it returned COMITY_ERROR_INTERNAL")
        }
        _ => format!("this is no {name}: freed, or something else"),
    };
    Error::new(ErrorCode::InvalidState, message)
}

/// Marks a handle as dead if the call on it ended in a bug.
#[inline]
unsafe fn bury<T: Kind>(handle: *const Handle<T>, status: u32) {
    if status == COMITY_ERROR_INTERNAL {
        // SAFETY: only a call on a live handle ends so.
        unsafe { (*handle).word.store(DEAD, Ordering::Relaxed) };
    }
}

/// Whose turn it is to change a handle. Only debug builds look.
#[derive(Debug, Default)]
struct Turn(#[cfg(debug_assertions)] AtomicBool);

/// A call that changes a handle.
struct Mine<'a>(#[allow(dead_code, reason = "only debug builds end it")] &'a Turn);

impl Turn {
    /// Errors while a call changes the handle.
    #[inline]
    fn check(&self, name: &str) -> Result<()> {
        #[cfg(debug_assertions)]
        if self.0.load(Ordering::Relaxed) {
            return Err(twice(name));
        }
        let _ = name;
        Ok(())
    }

    /// Begins a call that changes the handle.
    #[inline]
    fn take(&self, name: &str) -> Result<Mine<'_>> {
        #[cfg(debug_assertions)]
        if self.0.swap(true, Ordering::Relaxed) {
            return Err(twice(name));
        }
        let _ = name;
        Ok(Mine(self))
    }
}

#[cfg(debug_assertions)]
impl Drop for Mine<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(debug_assertions)]
#[cold]
fn twice(name: &str) -> Error {
    let message = format!("two threads use this {name} at once");
    Error::new(ErrorCode::InvalidState, message)
}

#[cfg(not(debug_assertions))]
unsafe fn drop_handle<T>(handle: *mut Handle<T>) {
    // SAFETY: the caller vouches that it is a box of ours, and nobody else's.
    unsafe {
        (*handle).word.store(FREED, Ordering::Relaxed);
        drop(Box::from_raw(handle));
    }
}

#[cfg(debug_assertions)]
unsafe fn drop_handle<T>(handle: *mut Handle<T>) {
    // SAFETY: the caller vouches that it is a box of ours, and nobody else's.
    unsafe {
        (*handle).word.store(FREED, Ordering::Relaxed);
        ptr::drop_in_place(&raw mut (*handle).value);
    }
    kept::keep(handle.cast(), std::alloc::Layout::new::<Handle<T>>());
}

#[cfg(debug_assertions)]
mod kept {
    //! The memory of freed handles, whose first word can still be read.

    use std::alloc::{Layout, dealloc};
    use std::collections::VecDeque;
    use std::sync::{Mutex, PoisonError};

    /// So many are kept.
    const MAX: usize = 256;

    struct Kept(*mut u8, Layout);

    // SAFETY: nobody uses the memory but whoever asks for its first word, which is atomic.
    unsafe impl Send for Kept {}

    static KEPT: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());

    pub(super) fn keep(memory: *mut u8, layout: Layout) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Kept(memory, layout));
        if kept.len() > MAX
            && let Some(Kept(memory, layout)) = kept.pop_front()
        {
            // SAFETY: it was allocated as a box of this layout, and its value was dropped.
            unsafe { dealloc(memory, layout) };
        }
    }
}

/// A place in a handle that C reads through a pointer while the handle is used.
#[derive(Debug)]
pub(crate) struct Slot<T>(ptr::NonNull<T>);

impl<T> Slot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ptr::NonNull::from(Box::leak(Box::new(value))))
    }

    /// Puts a value there, and tells C where.
    pub(crate) fn put(&mut self, value: T) -> *const T {
        // SAFETY: it is the slot's own box, and C only reads it, in calls of the same thread.
        unsafe { *self.0.as_ptr() = value };
        self.0.as_ptr()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: it was leaked by `new`, and C does not read it any more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_INVALID_STATE, COMITY_OK};

    struct One(u32);
    struct Other;

    impl Kind for One {
        const NAME: &'static str = "one";
        const MAGIC: u64 = 1;
    }

    impl Kind for Other {
        const NAME: &'static str = "other";
        const MAGIC: u64 = 2;
    }

    /// # Safety
    ///
    /// As [`with_mut`].
    unsafe fn use_it<T: Kind>(handle: *mut T) -> u32 {
        // SAFETY: the test vouches for it.
        unsafe { with_mut(handle, |_| Ok(())) }
    }

    #[test]
    fn a_panic_marks_its_handle_dead_and_no_other() {
        let (handle, other) = (give(One(7)), give(One(8)));
        // SAFETY: both are alive.
        unsafe {
            assert_eq!(use_it(handle), COMITY_OK);
            let panics = |_: &mut One| panic!("on purpose {}", 1);
            assert_eq!(with_mut(handle, panics), COMITY_ERROR_INTERNAL);
            assert_eq!(use_it(handle), COMITY_ERROR_INVALID_STATE);
            let unharmed = |one: &One| {
                assert_eq!(one.0, 8);
                Ok(())
            };
            assert_eq!(with(other, unharmed), COMITY_OK);
            free(handle);
            free(other);
            free(ptr::null_mut::<One>());
        }
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        let handle = give(One(7));
        // SAFETY: it is alive, though not what is asked for.
        unsafe {
            assert_eq!(use_it(ptr::null_mut::<One>()), COMITY_ERROR_INVALID_ARGUMENT);
            assert_eq!(use_it(handle.cast::<Other>()), COMITY_ERROR_INVALID_STATE);
            assert!(argument(handle.cast_const().cast::<Other>()).is_err());
            assert!(argument(handle.cast_const()).is_ok());
            free(handle.cast::<Other>());
            assert_eq!(use_it(handle), COMITY_OK);
            free(handle);
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_freed_handle_is_known_in_debug_builds() {
        let handle = give(One(7));
        // SAFETY: debug builds keep the word in front of what was freed.
        unsafe {
            free(handle);
            assert_eq!(use_it(handle), COMITY_ERROR_INVALID_STATE);
            free(handle);
        }
    }
    #[test]
    #[cfg(debug_assertions)]
    fn two_calls_at_once_are_noticed_in_debug_builds() {
        let handle = give(One(7));
        let mut inner = (COMITY_OK, COMITY_OK);
        // SAFETY: it is alive, and the calls within are refused before they touch what is in it.
        unsafe {
            let outer = with_mut(handle, |_| {
                inner = (use_it(handle), with(handle, |_| Ok(())));
                Ok(())
            });
            assert_eq!(outer, COMITY_OK);
            assert_eq!(inner, (COMITY_ERROR_INVALID_STATE, COMITY_ERROR_INVALID_STATE));
            // The turn is over, even where a panic has ended it.
            assert_eq!(use_it(handle), COMITY_OK);
            assert_eq!(with_mut(handle, |_| panic!("on purpose")), COMITY_ERROR_INTERNAL);
            free(handle);
        }
    }
}
