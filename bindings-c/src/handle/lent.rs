//! Handles that a call on another one changes as well.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::thread::panicking;

use comity::error::Result;

use super::{DEAD, Handle, Kind, Mine, check};

/// What is in such a handle. A panic while it is lent marks it as dead: the call on the other handle
/// ends by that.
pub(crate) struct Lent<'a, T: Kind> {
    handle: *mut Handle<T>,
    _mine: Mine<'a>,
    /// No panic was on its way already.
    calm: bool,
}

/// What is in a handle that a call on another one changes.
///
/// # Safety
///
/// As [`with_mut`](super::with_mut), for as long as the result is there; and it is lent once at a time.
pub(crate) unsafe fn lend<'a, T: Kind>(handle: *mut T) -> Result<Lent<'a, T>> {
    let handle = handle.cast::<Handle<T>>();
    // SAFETY: the caller vouches for the handle.
    unsafe {
        check(handle)?;
        let mine = (*handle).turn.take(T::NAME)?;
        (*handle).value.admit()?;
        Ok(Lent { handle, _mine: mine, calm: !panicking() })
    }
}

impl<T: Kind> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever lent it has vouched for it.
        unsafe { &(*self.handle).value }
    }
}

impl<T: Kind> DerefMut for Lent<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: whoever lent it has vouched for it.
        unsafe { &mut (*self.handle).value }
    }
}

impl<T: Kind> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if self.calm && panicking() {
            // SAFETY: whoever lent it has vouched for it.
            unsafe { (*self.handle).word.store(DEAD, Ordering::Relaxed) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{free, give, with_mut};
    use super::*;
    use crate::status::{COMITY_ERROR_INTERNAL, COMITY_ERROR_INVALID_STATE, COMITY_OK};

    struct One(u32);

    impl Kind for One {
        const NAME: &'static str = "one";
        const MAGIC: u64 = 1;
    }

    #[test]
    fn a_panic_is_the_end_of_both_handles() {
        let (outer, inner) = (give(One(1)), give(One(2)));
        // SAFETY: both are alive.
        unsafe {
            let status = with_mut(outer, |one| {
                let mut other = lend(inner)?;
                other.0 += one.0;
                Ok(())
            });
            assert_eq!((status, lend(inner).map(|one| one.0)), (COMITY_OK, Ok(3)));
            let status = with_mut(outer, |_| {
                let _other = lend(inner)?;
                panic!("on purpose");
            });
            assert_eq!(status, COMITY_ERROR_INTERNAL);
            for handle in [outer, inner] {
                assert_eq!(with_mut(handle, |_| Ok(())), COMITY_ERROR_INVALID_STATE);
                free(handle);
            }
        }
    }

    #[test]
    fn what_is_no_handle_is_not_lent() {
        // SAFETY: NULL is refused.
        assert!(unsafe { lend(std::ptr::null_mut::<One>()) }.is_err());
    }
}
