//! Counters of what a coordinator has done.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use comity::coordinator::Stats;

use crate::coordinator::comity_coordinator;
use crate::handle::with_mut;
use crate::pointer::place;

macro_rules! filled {
    ($stats:ident: $($name:ident,)*) => {
        Self { $($name: $stats.$name,)* }
    };
}

/// Counters since the coordinator was made. They only rise. A later library has more of them at the
/// end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct comity_statistics {
    /// Locks asked for.
    pub lock_acquires: u64,
    /// Locks that were not free and were waited for.
    pub lock_queued: u64,
    /// Locks granted.
    pub lock_grants: u64,
    /// Leases made longer.
    pub lock_renewals: u64,
    /// Locks given back.
    pub lock_releases: u64,
    /// Leases that ended without a release.
    pub lock_losses: u64,
    /// Requests for locks that failed.
    pub lock_failures: u64,
    /// Counters opened.
    pub counter_opens: u64,
    /// Flushes of counters sent.
    pub counter_flushes: u64,
    /// Times that units of a counter were reported lost.
    pub counter_losses: u64,
    /// Times that a server was found to have lost acknowledged units of a counter.
    pub counter_regressions: u64,
    /// Transactions begun.
    pub transactions: u64,
    /// Transactions committed.
    pub transaction_commits: u64,
    /// Transactions that were not applied.
    pub transaction_failures: u64,
    /// Times that a transaction was aborted because it met a lock, and began again by itself.
    pub transaction_retries: u64,
    /// Transactions whose outcome was not known in time.
    pub transaction_doubts: u64,
    /// Times that a server did not have what a transaction had decided.
    pub transaction_damages: u64,
    /// Times that too few replicas of a server were known to have a transaction.
    pub transaction_not_durable: u64,
    /// Transactions of other clients that were ended from here.
    pub transaction_recoveries: u64,
    /// Records of transactions that nobody can read, and that sweeps have left.
    pub transaction_unreadable: u64,
    /// Commands rendered.
    pub commands: u64,
    /// Replies to them.
    pub replies: u64,
    /// Commands that were not sent.
    pub not_sent: u64,
    /// Commands of which it is not known whether they were executed.
    pub outcome_unknown: u64,
    /// Error replies.
    pub refusals: u64,
    /// Replies, failures and messages that nobody waited for.
    pub ignored: u64,
    /// Grants received by push.
    pub pushes: u64,
    /// Scripts that had to be sent whole.
    pub scripts_sent: u64,
    /// Fences, in messages and answers, more than an hour beyond the server's clock: they are not kept
    /// as the least of those to come.
    pub excessive_fences: u64,
}

impl From<Stats> for comity_statistics {
    fn from(stats: Stats) -> Self {
        filled! { stats:
            lock_acquires, lock_queued, lock_grants, lock_renewals, lock_releases, lock_losses,
            lock_failures, counter_opens, counter_flushes, counter_losses, counter_regressions,
            transactions, transaction_commits, transaction_failures, transaction_retries,
            transaction_doubts, transaction_damages, transaction_not_durable,
            transaction_recoveries, transaction_unreadable, commands, replies, not_sent,
            outcome_unknown, refusals, ignored, pushes, scripts_sent, excessive_fences,
        }
    }
}

/// Writes the counters of what has been done to *out, valid until the next call of comity_stats on
/// the handle.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_stats(
    coordinator: *mut comity_coordinator,
    out: *mut *const comity_statistics,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let out = place(out, "out")?;
            out.write(co.statistics.put(co.core.stats().into()));
            Ok(())
        })
    }
}
