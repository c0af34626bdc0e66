//! A transaction as its user sees it, from its execution to its end, which may take several ids.

mod failure;
mod key_queues;
mod sessions;

pub(crate) use failure::{error, is_locked};
pub(crate) use key_queues::KeyQueues;
pub(crate) use sessions::Sessions;
