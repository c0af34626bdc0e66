//! The bytes between a host's socket and a coordinator: no I/O here either.

mod connection;
mod login;
mod resp;
mod url;

pub use connection::{Connection, Incoming, Purpose, QUIET, Silent};
pub use login::Login;
pub use resp::{
    Decoder, Frame, MAX_BULK, MAX_DEPTH, MAX_ITEMS, MAX_LINE, MAX_REPLY, Malformed, Token, Tokens,
};
pub use url::{Address, Endpoint, PORT, UrlError};
