//! What the replicas of one server have of the transactions that are applied there.
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | Idle | no transaction waits | one joins |
//! | Asking | `CONFIRM` and a `WAIT` are on their way; a transaction that joins now is of the next round | both answers; a failure |
//! | Pausing | a round has failed | its time |
//!
//! `WAIT` counts the replicas that have what was written on its own connection. A vote or its end
//! was written on another, perhaps long ago, perhaps to a server that has been replaced since. So
//! `CONFIRM` looks whether the transaction is recorded where the connection leads, and writes:
//! a replica that has this write has what was recorded before it. It and its `WAIT` are sent as one on
//! a connection that nobody else uses, because `WAIT` blocks it. If that connection breaks, the
//! round has failed, and the next one begins with a `CONFIRM` of its own.
//!
//! All transactions that wait at one time share a round. None takes much longer than [`ROUND`], so that
//! replicas that are gone hold up only the transactions that wait for them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::effect::{Cx, Effect, Outcome, back_off};
use super::{Answer, Confirm, State as Register, Txid};
use crate::error::{Error, ErrorCode};
use crate::machine::{Attempt, Machine};
use crate::time::{Span, Time};

/// The longest that one `WAIT` blocks.
const ROUND: Span = Span::from_millis(100);
/// The most transactions of a round.
const MOST: usize = 256;

/// What is known of a transaction's replicas at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Copied {
    /// So many have it.
    Replicas {
        /// How many.
        count: u32,
        /// Whether there will not be more: the server does not wait for them.
        last: bool,
    },
    /// Nothing was to be learnt, for now.
    Failed(Error),
    /// The server has its vote and not its end, which it has acknowledged: it has lost it.
    Unfinished,
    /// The server has lost it.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
enum State {
    #[default]
    Idle,
    Asking(Round),
    Pausing {
        until: Time,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    attempt: Attempt,
    txids: Vec<Txid>,
    span: Span,
    sent_at: Time,
    /// What is recorded of each, once that is known.
    states: Option<Vec<Option<Register>>>,
}

/// A transaction whose replicas are waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    txid: Txid,
    replicas: u32,
    until: Time,
}

/// The replicas of one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Replication {
    state: State,
    waiting: VecDeque<Waiting>,
    attempts: Attempt,
    failures: u32,
}

impl Replication {
    /// Waits until so many replicas have a transaction, or until `until`.
    pub(crate) fn join(&mut self, txid: Txid, replicas: u32, until: Time, cx: &mut Cx<'_>) {
        self.waiting.push_back(Waiting { txid, replicas, until });
        if self.state == State::Idle {
            self.go_on(cx);
        }
    }

    /// Stops waiting for the replicas of a transaction.
    pub(crate) fn leave(&mut self, txid: Txid) {
        self.waiting.retain(|waiting| waiting.txid != txid);
    }

    /// So many replicas have what `attempt` wrote.
    pub(crate) fn on_waited(&mut self, attempt: Attempt, count: u32, cx: &mut Cx<'_>) {
        let Some(Round { txids, span, sent_at, states, .. }) = self.round(attempt) else { return };
        // A server that waits does so to the end, by a clock that may differ a little.
        let last = cx.now.since(*sent_at) < span.part(1, 2);
        let (txids, states) = (core::mem::take(txids), states.take());
        let Some(states) = states else {
            let message = "the server answered what was asked later first";
            return self.fail(&Error::new(ErrorCode::Unsupported, message), cx);
        };
        self.failures = 0;
        for (txid, state) in txids.into_iter().zip(states) {
            let at = self.waiting.iter().position(|waiting| waiting.txid == txid);
            let Some(waiting) = at.and_then(|at| self.waiting.remove(at)) else { continue };
            let copied = match state {
                Some(Register::Done) => Copied::Replicas { count, last },
                Some(Register::Prepared) => Copied::Unfinished,
                Some(Register::Aborted) | None => Copied::Gone,
            };
            // Others have their turn before it is asked about again.
            let more = copied == Copied::Replicas { count, last: false };
            if more && count < waiting.replicas {
                self.waiting.push_back(waiting);
            }
            cx.effects.push(Effect::Copied { txid, copied });
        }
        self.go_on(cx);
    }

    fn round(&mut self, attempt: Attempt) -> Option<&mut Round> {
        match &mut self.state {
            State::Asking(round) if round.attempt == attempt => Some(round),
            _ => None,
        }
    }

    /// Begins a round with the first transaction that waits and all that want as many replicas.
    fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(replicas) = self.waiting.front().map(|waiting| waiting.replicas) else {
            self.state = State::Idle;
            return;
        };
        let same = self.waiting.iter().filter(|waiting| waiting.replicas == replicas).take(MOST);
        let longest = same.clone().map(|waiting| waiting.until).max().unwrap_or(cx.now);
        let txids: Vec<Txid> = same.map(|waiting| waiting.txid).collect();
        // Zero would be for ever.
        let ms = longest.since(cx.now).min(ROUND).as_micros() / 1_000;
        let span = Span::from_millis(ms.max(1));
        self.attempts += 1;
        let (attempt, deadline) = (self.attempts, cx.now + cx.request_timeout + span);
        let confirm = Confirm { txids: txids.clone() };
        cx.effects.push(Effect::Wait { attempt, confirm, replicas, span, deadline });
        self.state = State::Asking(Round { attempt, txids, span, sent_at: cx.now, states: None });
    }

    fn fail(&mut self, error: &Error, cx: &mut Cx<'_>) {
        self.failures = self.failures.saturating_add(1);
        let pausing = State::Pausing { until: back_off(self.failures, cx) };
        let State::Asking(round) = core::mem::replace(&mut self.state, pausing) else { return };
        for txid in round.txids {
            let copied = Copied::Failed(error.clone());
            cx.effects.push(Effect::Copied { txid, copied });
        }
    }
}

impl Machine for Replication {
    type Answer = Answer;
    type Effect = Effect;
    type Node = ();

    fn is_done(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Pausing { until } => Some(until),
            _ => None,
        }
    }

    fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome, cx: &mut Cx<'_>) {
        let Some(round) = self.round(attempt) else { return };
        let error = match outcome {
            Outcome::Answered(Answer::Confirmed { states }, _)
                if states.len() == round.txids.len() =>
            {
                round.states = Some(states);
                return;
            }
            Outcome::Answered(..) => Error::strange(),
            Outcome::Failed(failed) => failed.error,
            Outcome::Refused(refused) => refused.error,
        };
        self.fail(&error, cx);
    }

    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if self.round(attempt).is_some() {
            self.go_on(cx);
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.deadline().is_some_and(|until| cx.now >= until) {
            self.go_on(cx);
        }
    }
}
