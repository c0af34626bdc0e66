//! Counters of what a coordinator has done.

use crate::event::{Event, events};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the coordinator was made. They only rise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Every counter with its name.
            #[must_use]
            pub fn fields(&self) -> alloc::vec::Vec<(&'static str, u64)> {
                alloc::vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

stats! {
    /// Locks asked for.
    lock_acquires,
    /// Locks that were not free and were waited for.
    lock_queued,
    /// Locks granted.
    lock_grants,
    /// Leases made longer.
    lock_renewals,
    /// Locks given back.
    lock_releases,
    /// Leases that ended without a release.
    lock_losses,
    /// Requests for locks that failed.
    lock_failures,
    /// Counters opened.
    counter_opens,
    /// Flushes of counters sent.
    counter_flushes,
    /// Times that units of a counter were reported lost.
    counter_losses,
    /// Times that a server was found to have lost acknowledged units of a counter.
    counter_regressions,
    /// Transactions begun.
    transactions,
    /// Transactions committed.
    transaction_commits,
    /// Transactions that were not applied.
    transaction_failures,
    /// Times that a transaction was aborted because it met a lock, and began again by itself.
    transaction_retries,
    /// Transactions whose outcome was not known in time.
    transaction_doubts,
    /// Times that a server did not have what a transaction had decided.
    transaction_damages,
    /// Times that too few replicas of a server were known to have a transaction.
    transaction_not_durable,
    /// Transactions of other clients that were ended from here.
    transaction_recoveries,
    /// Registers and locks that nobody can read, and that sweeps have left.
    transaction_unreadable,
    /// Commands rendered.
    commands,
    /// Replies to them.
    replies,
    /// Commands that were not sent.
    not_sent,
    /// Commands of which it is not known whether they were executed.
    outcome_unknown,
    /// Error replies.
    refusals,
    /// Replies, failures and messages that nobody waited for.
    ignored,
    /// Grants received by push.
    pushes,
    /// Scripts that had to be sent whole.
    scripts_sent,
    /// Fences, in messages and answers, more than an hour beyond the server's clock: they are not kept
    /// as the least of those to come.
    excessive_fences,
}

macro_rules! counted {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $number:literal $kind:ident $(($last:ident))? $(-> $counts:ident)?
        $({ $($fields:tt)* })? $(;)?
    )*) => {
        impl Stats {
            /// Counts an event, as the table of events has it.
            pub(super) const fn count(&mut self, event: &Event) {
                match event {
                    $($(Event::$variant { .. } => self.$counts += 1,)?)*
                    _ => {}
                }
            }
        }
    };
}

events!(counted);
