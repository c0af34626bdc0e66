//! What crosses the border to a Redis server: commands, replies, scripts and key names.

mod argv;
mod command;
mod keys;
mod reply;
mod script;
pub mod wire;
mod words;

pub use argv::Argv;
pub(crate) use argv::write_padded;
pub use command::{Command, Origin, RequestId, Route};
pub(crate) use keys::{Keys, base64url, decode_base64url, parse_base64url, readable};
pub use keys::{LockKeys, MAX_NAME, MAX_PREFIX};
pub use reply::{Failure, NodeChange, Reply};
pub(crate) use reply::{Fields, parse_number};
pub use script::Script;
pub(crate) use words::shown;
pub use words::{MAX_WORDS, words};

pub use crate::error::NodeId;
