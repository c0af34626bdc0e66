//! The values of an event's fields, as every language is given them.

use alloc::string::String;
use alloc::vec::Vec;

use super::{CallId, TransactionOutcome};
use crate::counter::{Audit, CounterId, CounterValue, Tally};
use crate::error::{Error, NodeId};
use crate::lock::{Fence, Inspection, LockId};
use crate::redis::Reply;
use crate::time::{Span, Time};
use crate::transaction::Handle;

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident: $value:ty,)*) => {
        /// What kind of value a field has, for the generators of bindings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Type {
            $($(#[$doc])* $name,)*
        }

        /// The same, each as a type: a binding implements its conversion once for each.
        pub mod shape {
            // The types of the values.
            use super::*;

            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug)]
                pub enum $name {}

                impl Shape for $name {
                    type Value<'a> = $value;
                    const TYPE: Type = Type::$name;
                }
            )*
        }
    };
}

/// What kind of value a field has: a type of [`shape`].
pub trait Shape {
    /// The value itself.
    type Value<'a>;
    /// The name of this shape.
    const TYPE: Type;
}

shapes! {
    /// A whole number.
    Number: u64,
    /// Yes or no.
    Flag: bool,
    /// Any bytes.
    Bytes: &'a [u8],
    /// Text.
    Text: &'a str,
    /// The id of a transaction, which is ASCII; empty where there is none yet.
    Id: &'a [u8],
    /// A moment on the host's clock, in microseconds.
    Moment: u64,
    /// A span in microseconds.
    Duration: u64,
    /// Increments and decrements.
    Units: Tally,
    /// What is known of a transaction.
    Outcome: TransactionOutcome,
    /// An error: its code, its words and its node.
    Failure: &'a Error,
    /// Who holds a lock and who waits for it.
    Holders: &'a Inspection,
    /// What a counter stands at.
    Reading: CounterValue,
    /// What an audit of a counter found.
    Findings: Audit,
    /// Replies of a server.
    Replies: &'a [Reply],
}

/// A field of the core's own type.
pub(super) trait Field {
    /// What it is for the languages.
    type Plain<'a>
    where
        Self: 'a;
    /// Whether it may be missing.
    const OPTIONAL: bool = false;

    /// None where it is missing.
    fn plain(&self) -> Option<Self::Plain<'_>>;
}

macro_rules! fields {
    ($($from:ty => $to:ty: |$value:ident| $plain:expr,)*) => {
        $(
            impl Field for $from {
                type Plain<'a> = $to;

                fn plain(&self) -> Option<Self::Plain<'_>> {
                    let $value = self;
                    Some($plain)
                }
            }
        )*
    };
}

fields! {
    u64 => u64: |number| *number,
    u32 => u64: |number| u64::from(*number),
    bool => bool: |flag| *flag,
    LockId => u64: |lock| lock.0,
    CallId => u64: |call| call.0,
    CounterId => u64: |counter| counter.0,
    Handle => u64: |transaction| transaction.0,
    NodeId => u64: |node| u64::from(node.0),
    Fence => u64: |fence| fence.0,
    Time => u64: |time| time.as_micros(),
    Span => u64: |span| span.as_micros(),
    Tally => Tally: |tally| *tally,
    TransactionOutcome => TransactionOutcome: |outcome| *outcome,
    CounterValue => CounterValue: |value| *value,
    Audit => Audit: |audit| *audit,
    Vec<u8> => &'a [u8]: |bytes| bytes,
    Vec<Reply> => &'a [Reply]: |replies| replies,
    String => &'a str: |text| text,
    Error => &'a Error: |error| error,
    Inspection => &'a Inspection: |inspection| inspection,
}

impl<T: Field> Field for Option<T> {
    type Plain<'a>
        = T::Plain<'a>
    where
        T: 'a;
    const OPTIONAL: bool = true;

    fn plain(&self) -> Option<Self::Plain<'_>> {
        self.as_ref().and_then(T::plain)
    }
}
