//! What a key can hold.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::SortedSet;

/// Fields and their values.
pub type Hash = BTreeMap<Vec<u8>, Vec<u8>>;
/// Members.
pub type Set = BTreeSet<Vec<u8>>;
/// Elements, the left one first.
pub type List = VecDeque<Vec<u8>>;

/// A value of one of the types a key can hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Bytes.
    String(Vec<u8>),
    /// Fields and their values.
    Hash(Hash),
    /// Members without order.
    Set(Set),
    /// Elements in order.
    List(List),
    /// Members by score.
    SortedSet(SortedSet),
}

impl Value {
    /// As `TYPE` calls it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::List(_) => "list",
            Self::SortedSet(_) => "zset",
        }
    }
}

/// One of the types that a key holds as long as they are not empty.
pub(super) trait Collection: Default {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn into_value(self) -> Value;
    fn is_empty(&self) -> bool;
}

macro_rules! collections {
    ($($name:ident)*) => {$(
        impl Collection for $name {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$name(inner) = value { Some(inner) } else { None }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$name(inner) = value { Some(inner) } else { None }
            }

            fn into_value(self) -> Value {
                Value::$name(self)
            }

            fn is_empty(&self) -> bool {
                self.is_empty()
            }
        }
    )*};
}

collections!(Hash Set List SortedSet);
