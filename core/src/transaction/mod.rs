//! The transaction: atomic writes across several Redis masters, by two-phase commit in the
//! parallel-commit form. The votes are kept at the participants and the decision is that all of
//! them are yes, so it stands after one round trip.
//!
//! A *participant* is what one script may touch: a master, or a slot of a Redis Cluster. The
//! *primary* is the participant whose node id comes first; a transaction is committed or aborted
//! when the primary's register says so, or when every register says `PREPARED`.
//!
//! # Key
//!
//! One hash for each participant, `t:{tag}`. Nothing in it has a time to live: safety rests on no
//! clock.
//!
//! | field | holds |
//! | --- | --- |
//! | `e` | the fingerprint of the ring under which keys are locked here |
//! | `k` and a key | its lock: one exclusive holder, or up to 32 shared ones |
//! | `r` session `.` slot | the register: the vote of the transaction that uses the slot, its decision at the primary, its replies |
//!
//! What a prepared transaction has written lies in *shadows* beside it, `t:{tag}:session.slot:n`,
//! of which each becomes the key `n` of the transaction by `RENAME`.
//!
//! # States of a register
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | none, or a lower sequence | not heard of the transaction | `PREPARE`, `ONE_PHASE`; a refusal or a forced question records `ABORTED` |
//! | `PREPARED` | voted yes; at the primary: staging | `FINISH` |
//! | `DONE` | applied; at the primary: committed | the next sequence of the slot |
//! | `ABORTED` | will never be applied | the next sequence of the slot |
//!
//! A session takes a free slot and that slot's next sequence for each transaction. Every script
//! looks the register up first: the same sequence is answered with what is recorded, a lower one
//! is `STALE`. So is one of which nothing is known after its `not_after`, a moment of the servers'
//! clocks that is the same in every call of a transaction; a register may be removed after it. A
//! `VOTE` then says no instead: no vote can come any more. `ONE_PHASE`, a `STATUS` and an abort look at the
//! clock only where the slot has no register: what was removed had been used last, so one that an
//! earlier sequence has left shows that nothing of this one has come.
//!
//! The primary's register of a transaction that is over is *kept* for a day where its user may have been
//! notified that the outcome is in doubt: its client does not use the slot again, and no sweep removes the register, but
//! for the oldest of very many. A question within that time is answered.
//!
//! # Scripts
//!
//! Each makes all its checks before its first write, because Redis does not roll a script back.
//! They stand in parts, and `build/main.rs` lists of which each script is put together; `server/` is
//! the same in Rust.
//!
//! A transaction at a single participant works on the keys themselves, in an order in which what
//! fails can be undone, and on shadows where there is none; `plan/execution.rs` tells which. Shadows keep
//! ends and allow any command with one key, but what is copied must not be large.

pub(crate) mod call;
mod commit;
pub(crate) mod effect;
mod id;
#[doc(hidden)]
pub mod model;
mod options;
pub(crate) mod plan;
mod protocol;
mod recovery;
mod replication;
mod server;
mod sweep;

pub(crate) use commit::Transaction;
pub use commit::{Begin, Copies, Ending, PrepareOrder, Reason, Slot};
pub use effect::{Effect, LockConflict};
pub use id::{Handle, TransactionId, Txid};
pub use options::{Ack, CopyLimits, Durability, MAX_REPLICAS, SweepOptions, TransactionOptions};
pub use plan::{
    Check, Expectation, Key, MAX_PARTICIPANTS, Mode, Operation, PlanPart, TransactionPlan, Words,
    Work,
};
pub(crate) use protocol::NEVER;
pub use protocol::{
    Answer, Confirm, Finish, Held, OnePhase, Op, Prepare, Query, Rejection, Role, State, Sweep,
    Swept, Verdict,
};
pub use recovery::{Heuristic, RecoveryOutcome, Task};
pub(crate) use recovery::{Recovery, WATCH};
pub use replication::Copied;
pub(crate) use replication::Replication;
pub use server::execute;
pub(crate) use sweep::Sweeper;

pub use crate::machine::Attempt;
use crate::time::Span;

/// The most slots of a session, which is how many of its transactions run at once.
pub const MAX_SLOTS: u8 = 64;
/// The most operations of a transaction at one participant.
pub const MAX_OPERATIONS: usize = 1_000;
/// The most words of one operation, its name among them.
pub const MAX_WORDS: usize = 4_000;
/// The most bytes of all operations and checks at one participant.
pub const MAX_BYTES: usize = 4 << 20;
/// The most bytes of the replies of a transaction at one participant that are recorded there, for a
/// command that is sent again because its answer was lost. Longer ones are answered once: then the
/// transaction is committed without them.
pub const MAX_RECORDED: usize = 16_384;
/// The most holders of a shared lock.
pub const MAX_SHARED: usize = 32;
/// The longest time from a transaction's start to its `not_after`.
pub const MAX_LIFE: Span = Span::from_secs(600);
/// How long the register of a transaction is kept whose user was notified that the outcome is in doubt.
pub const KEPT: Span = Span::from_secs(86_400);
/// The most of them that one coordinator keeps its slots from being used again for. Beyond it those that
/// ended first go.
pub const MAX_KEPT: usize = 1_024;
/// The most of them that a sweep leaves on one server. Beyond it those that ended first go.
pub const MAX_KEPT_ON_SERVER: usize = 16_384;
/// The longest time until a transaction may be recovered by others.
pub const MAX_PATIENCE: Span = Span::from_secs(60);
/// The most elements of a collection that, by default, a transaction copies.
pub const COPY_ELEMENTS: u32 = 10_000;
/// The most bytes of a value that, by default, a transaction copies.
pub const COPY_BYTES: u32 = 1 << 20;
