//! The fields that events have, in all languages.

use super::schema::FieldSchema;
use super::value::{Shape, shape};

/// Every field that an event can have, by the name that all languages have for it, and its shape.
#[doc(hidden)]
#[macro_export]
macro_rules! event_fields {
    ($then:ident) => {
        $then! {
            /// The lock it is about.
            lock: Number,
            /// The call it answers.
            call: Number,
            /// The counter it is about.
            counter: Number,
            /// The transaction it is about.
            transaction: Number,
            /// The number of the node it is about.
            node: Number,
            /// The name of the lock or counter it is about.
            name: Bytes,
            /// How many wait ahead.
            rank: Number,
            /// A fencing token.
            fence: Number,
            /// When the lease ends.
            valid_until: Moment,
            /// Whether a fence was accepted; whether a renewal is the one that was asked for.
            accepted: Flag,
            /// The label of who holds the lock.
            holder: Bytes,
            /// The version of a server.
            server_version: Text,
            /// The eviction policy of a server.
            eviction_policy: Text,
            /// A lock as its server sees it: `now` (us), `capacity`, `holders` (`id`, `label`,
            /// `fence`, `remaining` us), `waiters` (`id`, `label`), `holders_total`, `waiters_total`.
            inspection: Holders,
            /// A counter's value: `value`, `staleness` (us or None), `token`, `epoch`, `pending`,
            /// `oldest_pending` (us or None).
            value: Reading,
            /// What an audit found: `live`, `retired`, `pruned`, `compared`, `corrected`.
            audit: Findings,
            /// How many resets there were.
            epoch: Number,
            /// So many, of a counter.
            units: Units,
            /// A journal.
            bytes: Bytes,
            /// The id of a transaction, for `transaction_status` and `transaction_resolve`.
            id: Id,
            /// One for each command of a transaction.
            replies: Replies,
            /// Whether plain readers see all of a transaction by now.
            applied: Flag,
            /// So many replicas of each server, or of the node, are known to have a transaction.
            replicas: Number,
            /// How many wait in line for a lock of a server that does not answer.
            waiting: Number,
            /// How long a server did not answer, in microseconds.
            outage: Duration,
            /// So much was removed, or is being ended, by a sweep.
            count: Number,
            /// So many records of transactions can be read by nobody, and a sweep has left them.
            unreadable: Number,
            /// What is known of a transaction.
            outcome: Outcome,
            /// Why it failed, as the error of its code.
            error: Failure,
        }
    };
}

/// What is known of a transaction: variant, number, name.
macro_rules! outcomes {
    ($then:ident) => {
        $then! {
            /// It is applied, or will be.
            Committed = 1 committed,
            /// It will never be applied.
            Aborted = 2 aborted,
            /// It is not decided yet.
            Pending = 3 pending,
            /// Nothing of it is recorded at its primary: it may still come. Where its id does not tell until
            /// when, as one of an earlier version, it may also be over for long.
            Unheard = 4 unheard,
            /// It is over; how is not known any more.
            Forgotten = 5 forgotten,
        }
    };
}

macro_rules! visitor {
    ($($(#[doc = $doc:literal])* $field:ident: $shape:ident,)*) => {
        /// Takes the fields of an event in, one call for each, in the order of the event's declaration:
        /// see [`Event::show`](super::Event::show).
        pub trait Fields {
            $(
                $(#[doc = $doc])*
                fn $field(&mut self, $field: <shape::$shape as Shape>::Value<'_>);
            )*

            /// Whether the field that comes next is there, said before each that may be missing.
            fn option(&mut self, there: bool) {
                let _ = there;
            }
        }

        /// The name, shape and words of each field.
        pub(super) const FIELDS: &[FieldSchema] = &[$(FieldSchema {
            name: stringify!($field),
            ty: <shape::$shape as Shape>::TYPE,
            doc: &[$($doc),*],
        },)*];
    };
}

event_fields!(visitor);

pub(super) use outcomes;
