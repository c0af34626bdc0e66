//! The way from the rest of the coordinator to transactions. Every call that is none of their own
//! verbs leads through here, and none is made before one of those verbs was called: what lies behind
//! can be loaded then. That is what bindings-wasm does, which splits its module at these functions
//! and at those verbs; so they are not inlined.

use super::{Coordinator, Owner, Request, Timer};
use crate::error::Error;
use crate::event::TransactionOutcome;
use crate::machine::Failed;
use crate::redis::{Argv, NodeId, Reply};
use crate::transaction::machine::Outcome;
use crate::transaction::{Answer, NEVER, Op, Query, TransactionId};

#[inline(never)]
pub(super) fn on_reply(core: &mut Coordinator, pending: &Request, reply: &Reply) {
    match pending.owner {
        Owner::Wait(node, attempt) => core.on_wait_reply(node, attempt, reply),
        Owner::Time(_) => core.on_time_reply(pending, reply),
        _ => {
            let outcome = core.transaction_outcome(pending, reply);
            on_outcome(core, pending.owner, pending.background, outcome);
        }
    }
}

#[inline(never)]
pub(super) fn on_failure(core: &mut Coordinator, pending: &Request, failed: Failed) {
    match pending.owner {
        Owner::Time(_) => core.on_no_clock(pending.node, &failed.error, failed.lasting),
        _ => {
            let outcome = Outcome::Failed(failed);
            on_outcome(core, pending.owner, pending.background, outcome);
        }
    }
}

/// The server has not acted, for want of this client's stamp or because it refuses the client; whether
/// that may change by itself.
#[inline(never)]
pub(super) fn on_refused(
    core: &mut Coordinator,
    owner: Owner,
    node: NodeId,
    background: bool,
    (error, transient): (Error, bool),
) {
    match owner {
        Owner::Time(_) => core.on_no_clock(node, &error, !transient),
        _ => {
            let outcome = Outcome::Refused { error, transient, executed: false };
            on_outcome(core, owner, background, outcome);
        }
    }
}

fn on_outcome(core: &mut Coordinator, owner: Owner, background: bool, outcome: Outcome) {
    match owner {
        Owner::Transaction(txid, attempt) => {
            core.with_transaction(txid, background, |m, cx| m.on_outcome(attempt, outcome, cx));
        }
        Owner::Recovery(txid, attempt) => {
            core.with_recovery(txid, background, |m, cx| m.on_outcome(attempt, outcome, cx));
        }
        Owner::Sweep(call, attempt) => {
            core.with_sweep(call, background, |m, cx| m.on_outcome(attempt, outcome, cx));
        }
        Owner::Confirm(node, attempt) | Owner::Wait(node, attempt) => {
            core.with_replication(node, |m, cx| m.on_outcome(attempt, outcome, cx));
        }
        _ => {}
    }
}

#[inline(never)]
pub(super) fn on_script_missing(core: &mut Coordinator, owner: Owner, background: bool) {
    match owner {
        Owner::Transaction(txid, attempt) => {
            core.with_transaction(txid, background, |m, cx| m.on_script_missing(attempt, cx));
        }
        Owner::Recovery(txid, attempt) => {
            core.with_recovery(txid, background, |m, cx| m.on_script_missing(attempt, cx));
        }
        Owner::Sweep(call, attempt) => {
            core.with_sweep(call, background, |m, cx| m.on_script_missing(attempt, cx));
        }
        Owner::Confirm(node, attempt) => {
            core.with_replication(node, |m, cx| m.on_script_missing(attempt, cx));
        }
        _ => {}
    }
}

#[inline(never)]
pub(super) fn on_timeout(core: &mut Coordinator, timer: Timer) {
    match timer {
        Timer::Undertaking(handle) => core.on_undertaking_timeout(handle),
        Timer::Transaction(txid) => core.on_transaction_timeout(txid),
        Timer::Recovery(txid) => core.on_recovery_timeout(txid),
        Timer::Replication(node) => core.on_replication_timeout(node),
        Timer::Clock(node) => core.on_clock_timeout(node),
        _ => {}
    }
}

/// The coordinator closes: who waits is told, and what is decided is finished.
#[inline(never)]
pub(super) fn on_closing(core: &mut Coordinator, error: &Error) {
    core.close_recoveries(error);
    core.close_transactions();
}

/// The time for that is over.
#[inline(never)]
pub(super) fn on_closed(core: &mut Coordinator) {
    core.drop_transactions();
}

#[inline(never)]
pub(super) fn encode_status(key: &[u8], id: &TransactionId, argv: &mut Argv) {
    // Whether it is over is not known of an id that does not say: then nobody has heard of it.
    let not_after = id.not_after.unwrap_or(NEVER);
    let query = Query { txid: id.txid, not_after, force: false };
    Op::Status(query).encode(key, argv);
}

/// None for an answer that is none to this question.
#[inline(never)]
pub(super) fn decode_status(
    reply: &Reply,
    id: &TransactionId,
) -> Option<Result<TransactionOutcome, Error>> {
    Some(Ok(match Answer::decode(reply)? {
        Answer::Committed { .. } => TransactionOutcome::Committed,
        Answer::Aborted => TransactionOutcome::Aborted,
        Answer::Staging(_) => TransactionOutcome::Pending,
        Answer::Nothing | Answer::Pending { .. } => TransactionOutcome::Unheard,
        Answer::Stale { .. } => TransactionOutcome::Forgotten,
        Answer::Mismatch => return Some(Err(id.misnamed())),
        _ => return None,
    }))
}
