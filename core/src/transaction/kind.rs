//! What an operation may do to its key, as far as its words tell.

use super::Operation;
use crate::keyspace::command::{Access, Command};

/// What an operation needs of a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// None: it only reads.
    Read,
    /// To be empty: whatever was there goes.
    Delete,
    /// Nothing of the key: what it writes does not hang on what was there.
    Overwrite,
    /// A copy of the key.
    Write,
}

impl Kind {
    pub(super) const fn letter(self) -> u8 {
        match self {
            Self::Read => b'r',
            Self::Delete => b'd',
            Self::Overwrite => b'o',
            Self::Write => b'w',
        }
    }
}

impl Operation {
    pub(super) fn kind(&self) -> Kind {
        let name = self.name.to_ascii_uppercase();
        let reads = Command::find(&name).is_some_and(|command| command.access == Access::Read);
        match (name.as_slice(), self.arguments.len()) {
            _ if reads => Kind::Read,
            (b"DEL", 0) => Kind::Delete,
            (b"SET", 1) => Kind::Overwrite,
            (b"SET", 3) if self.argument_is(1, &["EX", "PX", "EXAT", "PXAT"]) => Kind::Overwrite,
            _ => Kind::Write,
        }
    }

    /// Whether the argument at `index` is one of these words, in any case.
    fn argument_is(&self, index: usize, words: &[&str]) -> bool {
        let argument = self.arguments.get(index);
        argument.is_some_and(|a| words.iter().any(|word| a.eq_ignore_ascii_case(word.as_bytes())))
    }
}
