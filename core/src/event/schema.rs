//! The table of events as values, for generators of bindings.

use alloc::string::String;
use alloc::vec::Vec;

use super::fields::{FIELDS, outcomes};
use super::value::{Field, Type};
use super::{CallId, Kind, TransactionOutcome, events, kinds};
use crate::counter::{Audit, CounterId, CounterValue, Tally};
use crate::error::Error;
use crate::lock::{Fence, Inspection, LockId};
use crate::redis::{NodeId, Reply};
use crate::time::{Span, Time};
use crate::transaction::Handle;

/// All that the languages have to know of events.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Schema {
    /// Every event, by rising number.
    pub events: &'static [EventSchema],
    /// Every field that an event can have.
    pub fields: &'static [FieldSchema],
    /// What can be known of a transaction.
    pub outcomes: &'static [OutcomeSchema],
}

/// An event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventSchema {
    /// Its number and name, and whether it is the last.
    pub kind: Kind,
    /// Its name in Rust.
    pub variant: &'static str,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
    /// Its fields, in their order.
    pub fields: &'static [EventField],
}

/// A field of an event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventField {
    /// Its name, one of [`Schema::fields`].
    pub name: &'static str,
    /// Whether it may be missing.
    pub is_optional: bool,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
}

/// A field that some events have.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FieldSchema {
    /// Its name, such as `valid_until`.
    pub name: &'static str,
    /// What kind of value it has.
    pub ty: Type,
    /// The lines of its documentation, whatever the event is.
    pub doc: &'static [&'static str],
}

/// What can be known of a transaction.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OutcomeSchema {
    /// Itself.
    pub outcome: TransactionOutcome,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
}

macro_rules! listed {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal $name:ident,)*) => {
        const OUTCOMES: &[OutcomeSchema] = &[$(OutcomeSchema {
            outcome: TransactionOutcome::$variant,
            doc: &[$($doc),*],
        },)*];
    };
}

outcomes!(listed);

/// The name that the languages have for a field.
macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident as $shown:ident) => {
        stringify!($shown)
    };
}

macro_rules! described {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $number:literal $kind:ident $(($last:ident))? $(-> $counts:ident)?
        $({
            $($(#[doc = $words:literal])* $field:ident $(as $shown:ident)?: $type:ty,)*
        })? $(;)?
    )*) => {
        const EVENTS: &[EventSchema] = &[$(EventSchema {
            kind: kinds::$variant,
            variant: stringify!($variant),
            doc: &[$($doc),*],
            fields: &[$($(EventField {
                name: name!($field $(as $shown)?),
                is_optional: <$type as Field>::OPTIONAL,
                doc: &[$($words),*],
            },)*)?],
        },)*];
    };
}

events!(described);

/// The table of events.
pub const SCHEMA: Schema = Schema { events: EVENTS, fields: FIELDS, outcomes: OUTCOMES };
