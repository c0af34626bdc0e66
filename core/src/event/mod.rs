//! What happened, for the user.
//!
//! `table` lists the events, `fields` the fields that they have. What the languages know of them is
//! generated from these two: a new event is added to the table alone.

mod fields;
mod schema;
mod table;
mod value;

use alloc::string::String;
use alloc::vec::Vec;

pub use self::fields::Fields;
pub use self::schema::{EventField, EventSchema, FieldSchema, OutcomeSchema, SCHEMA, Schema};
pub(crate) use self::table::events;
use self::value::Field;
pub use self::value::{Shape, Type, shape};
use crate::counter::{Audit, CounterId, CounterValue, Tally};
use crate::error::Error;
use crate::lock::{Fence, Inspection, LockId};
use crate::redis::{NodeId, Reply};
use crate::time::{Span, Time};
use crate::transaction::Handle;

/// Numbers a call that asks something once: an inspection, a check, a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CallId(pub u64);

macro_rules! outcome {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:ident,)*) => {
        /// What is known of a transaction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub enum TransactionOutcome {
            $($(#[$doc])* $variant,)*
        }

        impl TransactionOutcome {
            /// Its number, the same in every language.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            /// Its name, such as `committed`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }
        }
    };
}

fields::outcomes!(outcome);

/// What the table says of an event, whatever its fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Kind {
    /// Its number, the same in every language, and never another's.
    pub number: u8,
    /// Its name, such as `lock_granted`.
    pub name: &'static str,
    /// Whether it is the last of its lock, call, counter or transaction.
    pub is_last: bool,
    /// What it counts in [`Stats`](crate::coordinator::Stats).
    pub counts: Option<&'static str>,
}

/// The words that the documentation of a last event ends with.
macro_rules! last_words {
    (last) => {
        "*Last.*"
    };
}

macro_rules! is_last {
    () => {
        false
    };
    (last) => {
        true
    };
}

/// What stands there, or none.
macro_rules! some {
    () => {
        None
    };
    ($word:ident) => {
        Some(stringify!($word))
    };
}

/// The name that the languages have for a field.
macro_rules! shown {
    ($to:ident, $field:ident) => {
        $to::$field
    };
    ($to:ident, $field:ident as $shown:ident) => {
        $to::$shown
    };
}

macro_rules! define {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $number:literal $kind:ident $(($last:ident))? $(-> $counts:ident)?
        $({
            $($(#[doc = $words:literal])* $field:ident $(as $shown:ident)?: $type:ty,)*
        })? $(;)?
    )*) => {
        /// What happened. Events marked *last* are the last of their lock or call.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[non_exhaustive]
        pub enum Event {
            $(
                $(#[doc = $doc])*
                $(#[doc = last_words!($last)])?
                $variant $({
                    $($(#[doc = $words])* $field: $type,)*
                })?,
            )*
        }

        impl Event {
            /// Its number, the same in every language.
            #[must_use]
            pub const fn number(&self) -> u8 {
                match self {
                    $(Self::$variant { .. } => $number,)*
                }
            }

            /// What the table says of it.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant { .. } => kinds::$variant,)*
                }
            }

            /// Shows each field to `fields`, in the order of the declaration.
            pub fn show<F: Fields>(&self, fields: &mut F) {
                match self {
                    $(Self::$variant $({ $($field,)* })? => {
                        $($(show($field, fields, shown!(F, $field $(as $shown)?));)*)?
                    })*
                }
            }
        }

        impl Kind {
            /// Of every event there is, by rising number.
            pub const ALL: &'static [Self] = &[$(kinds::$variant,)*];
        }

        #[allow(non_upper_case_globals, reason = "each is named as its event")]
        mod kinds {
            use super::Kind;

            $(pub(super) const $variant: Kind = Kind {
                number: $number,
                name: stringify!($kind),
                is_last: is_last!($($last)?),
                counts: some!($($counts)?),
            };)*
        }
    };
}

events!(define);

fn show<'a, T: Field, F: Fields>(
    field: &'a T,
    fields: &mut F,
    put: impl FnOnce(&mut F, T::Plain<'a>),
) {
    let plain = field.plain();
    if T::OPTIONAL {
        fields.option(plain.is_some());
    }
    if let Some(plain) = plain {
        put(fields, plain);
    }
}

impl Event {
    /// The same, of the node, which its machine does not know.
    pub(crate) fn at(mut self, node: NodeId) -> Self {
        match &mut self {
            Self::LockLost { error, .. }
            | Self::LockNotRenewed { error, .. }
            | Self::LockFailed { error, .. }
            | Self::CounterLost { error, .. }
            | Self::CounterRefused { error, .. } => *error = error.clone().at(node),
            Self::CounterFlushed { node: its, .. }
            | Self::CounterRead { node: its, .. }
            | Self::CounterReset { node: its, .. }
            | Self::CounterAudited { node: its, .. }
            | Self::CounterRegressed { node: its, .. }
            | Self::CounterClosed { node: its, .. } => *its = node,
            _ => {}
        }
        self
    }
}
