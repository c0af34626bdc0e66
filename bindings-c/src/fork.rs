//! Processes that were forked: what belongs to one process is refused in its child.

use std::sync::atomic::{AtomicU64, Ordering};

use comity::error::{Error, ErrorCode, Result};

/// How many forks there were between the first process and this one, since the first question.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The process that something was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u64);

impl Process {
    /// This process.
    ///
    /// # Errors
    /// `LimitExceeded` where the system has no memory to keep watch on forks.
    pub(crate) fn this() -> Result<Self> {
        if watch::begin() {
            Ok(Self::now())
        } else {
            let message = "no memory to keep watch on fork()";
            Err(Error::new(ErrorCode::LimitExceeded, message))
        }
    }

    fn now() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Errors in a child of the process.
    #[inline]
    pub(crate) fn check(self, advice: &str) -> Result<()> {
        if self == Self::now() { Ok(()) } else { Err(foreign(advice)) }
    }
}

#[cold]
fn foreign(advice: &str) -> Error {
    Error::new(
        ErrorCode::InvalidState,
        format!("it was made before fork(), in the parent: {advice}"),
    )
}

#[cfg(all(unix, not(miri)))]
mod watch {
    use std::ffi::c_int;
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering;

    use super::FORKS;

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }

    extern "C" fn in_the_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether forks are watched from here on.
    pub(super) fn begin() -> bool {
        static WATCHED: OnceLock<bool> = OnceLock::new();
        // SAFETY: the function is there as long as the library is, and only changes an atomic.
        *WATCHED.get_or_init(|| unsafe { pthread_atfork(None, None, Some(in_the_child)) == 0 })
    }
}

#[cfg(any(not(unix), miri))]
mod watch {
    /// There is no fork, or Miri does not know how to watch one.
    pub(super) fn begin() -> bool {
        true
    }
}
