//! Why a transaction was not committed, in words for its user.

use alloc::format;
use alloc::string::String;

use crate::error::{Error, ErrorCode};
use crate::redis::{readable, words};
use crate::transaction::{Reason, Rejection, TransactionId, TransactionPlan};

/// The most characters of a command that are repeated in an error.
const SHOWN: usize = 100;

/// Whether it was a lock of another transaction that was in the way.
pub(crate) const fn is_locked(reason: &Reason) -> bool {
    matches!(reason, Reason::Refused { why: Rejection::Locked { .. }, .. })
}

/// The error that a reason is to the user. Nothing was applied.
pub(crate) fn error(reason: Reason, plan: &TransactionPlan) -> Error {
    let aborted = |what: &str| Error::new(ErrorCode::Aborted, format!("transaction: {what}"));
    match reason {
        Reason::Refused { place, why } => refused(place, why, plan),
        Reason::Server { error, .. } => error,
        Reason::Cancelled => aborted("it was cancelled"),
        Reason::TimedOut => aborted("it could not be decided in time"),
        Reason::Recovered => aborted("another client has aborted it: it had taken too long"),
        Reason::Late => aborted("its time was over before a server had voted"),
        Reason::Slot { place } => {
            let node = readable(plan.participant(place).unwrap_or_default());
            aborted(&format!("its slot is in use on '{node}', as by a copy of this process"))
        }
    }
}

fn refused(place: usize, why: Rejection, plan: &TransactionPlan) -> Error {
    let key = |key| readable(plan.key(place, key).unwrap_or_default());
    match why {
        Rejection::Locked { key: locked, holder, primary, not_after, .. } => {
            let holder = TransactionId { txid: holder, not_after: Some(not_after), primary };
            let holder = readable(&holder.to_text());
            let message = format!("key '{}' is locked by transaction {holder}", key(locked));
            Error::new(ErrorCode::Conflict, message)
        }
        Rejection::Changed { check } => {
            let key = readable(plan.checked_key(place, check).unwrap_or_default());
            let number = plan.expectation(place, check).unwrap_or(0) + 1;
            let message = format!("key '{key}' is not as expected (expectation # {number})");
            Error::new(ErrorCode::Conflict, message)
        }
        Rejection::Failed { operation, error } => {
            let (number, _) = plan.command(place, operation).unwrap_or_default();
            let message = format!(
                "Command # {} ({}) of pipeline caused error: {}",
                number + 1,
                command(plan, place, operation),
                words(&error)
            );
            Error::new(ErrorCode::CommandFailed, message)
        }
        Rejection::Large { key: large, size, limit } => Error::limit(format!(
            "key '{}': it would be copied to be changed, and has {size} elements or bytes, the limit is {limit}",
            key(large)
        )),
        Rejection::Ring { theirs, .. } => {
            let id = plan.participant(place).unwrap_or_default();
            let (node, theirs, ours) = (readable(id), readable(&theirs), plan.ring.at(id));
            let message = format!("server '{node}' has the stamp {theirs}, this client {ours}");
            Error::new(ErrorCode::RingMismatch, message)
        }
    }
}

/// A command as it was given, or its beginning.
fn command(plan: &TransactionPlan, place: usize, operation: u32) -> String {
    let work = plan.parts.get(place).map(|part| &part.work);
    let found = work.and_then(|work| {
        let operation = work.operations.get(usize::try_from(operation).ok()?)?;
        Some((operation, work.key(operation)?))
    });
    let Some((operation, key)) = found else { return String::new() };
    let mut text = readable(&operation.name);
    for word in core::iter::once(&key.name).chain(&operation.arguments) {
        if text.chars().count() > SHOWN {
            break;
        }
        text.push(' ');
        text.push_str(&readable(word.get(..SHOWN).unwrap_or(word)));
    }
    if text.chars().count() > SHOWN {
        text = text.chars().take(SHOWN - 3).chain("...".chars()).collect();
    }
    text
}
