//! What clients ask of a lock, are answered and are sent by push, as words.

mod answer;
mod op;
mod push;

pub use answer::{Answer, AnswerKind, EndReason};
pub use op::{Acquire, Op};
pub use push::Push;

/// Decimal digits of a lease's length in microseconds.
const TTL_WIDTH: usize = 11;
