//! What a server may not send, and how much it may send at all.

use core::fmt;

/// The longest string, in bytes: the most that a Redis server takes unless it is configured
/// otherwise (`proto-max-bulk-len`).
pub const MAX_BULK: usize = 512 * 1024 * 1024;
/// The most items of one array or set, and half the most of a map.
pub const MAX_ITEMS: usize = 1 << 20;
/// How deep arrays may lie in one another.
pub const MAX_DEPTH: usize = 32;
/// The longest line, in bytes: a simple string, an error, a number or a length.
pub const MAX_LINE: usize = 64 * 1024;
/// The longest reply, in bytes.
pub const MAX_REPLY: usize = 1 << 30;

/// Why bytes are no reply. Nothing that follows on the same connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// No kind of reply begins with this byte.
    Kind(u8),
    /// A number or a length is none, or is too large for its kind.
    Number,
    /// A boolean is neither `t` nor `f`.
    Boolean,
    /// A verbatim string does not say its format.
    Verbatim,
    /// A string does not end where its length says.
    Unterminated,
    /// A line is longer than [`MAX_LINE`].
    LongLine,
    /// A string is longer than [`MAX_BULK`].
    LongString(u64),
    /// There are more items than [`MAX_ITEMS`].
    ManyItems(u64),
    /// It lies deeper than [`MAX_DEPTH`].
    Deep,
    /// All of it is longer than [`MAX_REPLY`].
    LongReply,
    /// A reply came, and nothing was asked.
    Unasked,
    /// `PING` was answered by something else.
    NoPong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An alert of TLS.
            Self::Kind(0x15) => {
                f.write_str("no reply begins with '\\x15'; a server that wants TLS would send it")
            }
            Self::Kind(byte) => write!(f, "no reply begins with '{}'", byte.escape_ascii()),
            Self::Number => f.write_str("a number or a length of a reply is none"),
            Self::Boolean => f.write_str("a boolean of a reply is neither t nor f"),
            Self::Verbatim => f.write_str("a verbatim string does not say its format"),
            Self::Unterminated => f.write_str("a string does not end where its length says"),
            Self::LongLine => write!(f, "a line of a reply is longer than {MAX_LINE} bytes"),
            Self::LongString(size) => write!(f, "a string of {size} bytes (at most {MAX_BULK})"),
            Self::ManyItems(count) => write!(f, "{count} items (at most {MAX_ITEMS})"),
            Self::Deep => write!(f, "a reply lies more than {MAX_DEPTH} deep"),
            Self::LongReply => write!(f, "a reply is longer than {MAX_REPLY} bytes"),
            Self::Unasked => f.write_str("a reply to nothing"),
            Self::NoPong => f.write_str("PING is not answered by PONG"),
        }
    }
}

impl core::error::Error for Malformed {}
