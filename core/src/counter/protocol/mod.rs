//! What clients ask of a counter and are answered, as words.

mod answer;
mod op;

pub(super) use answer::parse_total;
pub use answer::{Answer, Part, Scanned, Totals, Verb, View};
pub use op::Op;
