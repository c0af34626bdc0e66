//! What clients ask of participants and are answered, as words.

mod answer;
mod op;
pub(in crate::transaction) mod replies;
pub(in crate::transaction) mod text;

use alloc::vec::Vec;

pub use answer::{Answer, Held, Rejection, State, Swept};
pub use op::{Confirm, Finish, OnePhase, Op, Prepare, Query, Role, Sweep, Verdict};

use super::Txid;
use crate::keyspace::ServerTime;
use crate::redis::write_padded;

/// Decimal digits of sequences and moments.
pub(in crate::transaction) const WIDTH: usize = 16;
/// What a column of that width cannot hold.
pub(in crate::transaction) const COLUMN_END: u64 = 10_000_000_000_000_000;
/// The last moment that a column can hold: as a `not_after`, one that is never over.
pub(crate) const NEVER: ServerTime = ServerTime(COLUMN_END - 1);

/// The name of the shadow of key number `index` of the transaction, beside the hash `meta`.
pub(in crate::transaction) fn shadow(meta: &[u8], txid: Txid, index: usize) -> Vec<u8> {
    let mut name = [meta, b":", &txid.to_text()[..19], b":"].concat();
    write_padded(&mut name, index as u64, 1);
    name
}
