//! What can go wrong, in one table that is the same in every language.

use alloc::format;
use alloc::string::String;
use core::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal,)*) => {
        /// The kind of an error. The number is the same in C, Python and JavaScript.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* $name = $code,)*
        }

        impl ErrorCode {
            /// Every code that exists, in rising order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its number.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// Its name, as written in this table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The lines of its documentation, for generators of bindings.
            #[must_use]
            pub const fn doc(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($doc),*],)*
                }
            }
        }
    };
}

codes! {
    /// An option or value of another type or out of range; the message names it and the range. State
    /// unchanged.
    InvalidArgument = 1,
    /// A stated limit would be passed; the message names it. State unchanged.
    LimitExceeded = 2,
    /// A verb in the wrong order, or a handle that is dead or belongs elsewhere. State unchanged.
    InvalidState = 3,
    /// A server, client or command that cannot serve this; the message says why.
    Unsupported = 4,
    /// The coordinator was closed. State unchanged.
    Closed = 5,
    /// The lock was not granted in time.
    LockTimeout = 20,
    /// The lease ended before the release: somebody else may have held the lock meanwhile.
    LockLost = 21,
    /// Release or renewal of a lock that is not held. State unchanged.
    NotHeld = 22,
    /// A transaction met a changed value or a lock; the message names the key. Nothing was applied.
    Conflict = 30,
    /// A command of a transaction failed; the message names it. Nothing was applied.
    CommandFailed = 31,
    /// A transaction was cancelled, took too long, or was aborted by another client. Nothing was
    /// applied.
    Aborted = 32,
    /// Nobody can tell now whether a transaction was applied; it goes on being found out, and can be resolved
    /// by its id.
    OutcomeUnknown = 33,
    /// A count beyond the range. State unchanged.
    Overflow = 40,
    /// Two clients place keys differently, or call servers by each other's ids. Nothing was done.
    RingMismatch = 50,
    /// The command never left, or no connection could be made in time.
    Unreachable = 60,
    /// The command was sent and no answer came in time: it may have been executed.
    NoAnswer = 61,
    /// The server answered with an error of its own; the message has its words.
    ServerRefused = 62,
    /// The key holds a value of another type.
    WrongType = 63,
    /// Bytes that are not a valid snapshot; the message says where. State unchanged.
    Corrupt = 64,
    /// A bug in comity. The handle that it was met in is dead.
    Internal = 90,
}

/// Numbers a node of this coordinator: its place among the stable ids sorted by bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u32);

/// An error: its code, and what was wrong, in words that name the value and the limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Error {
    code: ErrorCode,
    message: String,
    node: Option<NodeId>,
}

impl Error {
    /// An error of the given kind.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), node: None }
    }

    /// Shorthand for [`ErrorCode::InvalidArgument`].
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// Shorthand for [`ErrorCode::LimitExceeded`].
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::LimitExceeded, message)
    }

    /// Shorthand for [`ErrorCode::Corrupt`].
    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Corrupt, message)
    }

    /// A reply that none of comity's scripts gives.
    pub(crate) fn strange() -> Self {
        let message = "the server's answer is not one of comity's scripts'";
        Self::new(ErrorCode::Unsupported, message)
    }

    /// The same, of a node; what is of one already stays so.
    pub(crate) fn at(self, node: NodeId) -> Self {
        Self { node: self.node.or(Some(node)), ..self }
    }

    /// The same, and what it is about.
    pub(crate) fn about(self, subject: impl fmt::Display) -> Self {
        Self { message: format!("{subject}: {}", self.message), ..self }
    }

    /// What to tell of two failures of one operation, this one and an earlier one: a server's words
    /// say more than its silence, and what was sent once stays sent.
    pub(crate) fn after(self, earlier: Option<Self>) -> Self {
        use ErrorCode::{NoAnswer, Unreachable};
        match (earlier, self.code) {
            (Some(Self { code: NoAnswer, .. }), Unreachable) => {
                let message = format!("{}; an earlier attempt was not answered", self.message);
                Self { code: NoAnswer, message, ..self }
            }
            (Some(earlier), Unreachable | NoAnswer)
                if !matches!(earlier.code, Unreachable | NoAnswer) =>
            {
                earlier
            }
            _ => self,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// What was wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The node whose server it is about, where it is about one.
    #[must_use]
    pub const fn node(&self) -> Option<NodeId> {
        self.node
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Error {}

/// The result of a call that can be misused.
pub type Result<T> = core::result::Result<T, Error>;
