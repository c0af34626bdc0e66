//! The bytes between a host's socket and a coordinator: no I/O here either.

mod connection;
mod decoder;
mod frame;
mod login;
mod malformed;
mod url;

pub use connection::{Connection, Incoming, Purpose, QUIET, Silent};
pub use decoder::Decoder;
pub use frame::{Frame, FrameBuf, Token, Tokens};
pub use login::Login;
pub use malformed::{MAX_BULK, MAX_DEPTH, MAX_ITEMS, MAX_LINE, MAX_REPLY, Malformed};
pub use url::{Address, Endpoint, PORT, UrlError};
