//! Ending the transaction of another client, which may be dead.
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | Asking | R1: the primary is asked for the state, and the participant where a lock was found for its vote | their answers |
//! | Watching | nothing is known yet, or the patience is not over | as much time |
//! | Voting | R2: staging; the secondaries are made to vote | all votes |
//! | Deciding | R3: the primary is sent what the votes come to | its answer, which alone counts |
//! | Collecting | decided long since: the votes tell which keys the others hold | all votes |
//! | Finishing | R4: the others are sent what the primary answered | all acknowledged |
//! | Releasing | the primary does not know any more: the lock that was found is released | its answer |
//! | Surveying | the operator decides in the place of a primary that does not answer: all nodes are asked for their votes | all votes, the time limit |
//! | Imposing | those that voted yes are sent what the operator has decided | all acknowledged, the time limit |
//! | Done | nothing is left to do | |
//!
//! Votes come to a commit if all are yes, or if one participant has applied it, which proves that all
//! were: a server that restarted without what it had then says no.
//!
//! What the primary answers in Deciding is the outcome, whatever was asked of it: its own client or
//! another recovery may have been faster. So no other participant is sent a decision before.
//!
//! A vote is forced, which makes it no where there is none yet, only once the transaction's
//! patience is over by the clock of the server that has its lock, or once it was watched for
//! [`WATCH`] by our own. Starting too early can abort a transaction that lives, nothing worse.
//!
//! A participant is asked under the stable id that the transaction has written down. One that is
//! not known here ends the recovery: nobody guesses where a node is.

mod answer;

use alloc::vec::Vec;

use super::effect::{Cx, Effect, Outcome, back_off};
use super::{Answer, Finish, Key, NEVER, Op, Query, TransactionId, Verdict};
use crate::error::{Error, ErrorCode};
use crate::machine::{Attempt, Machine, Refused};
use crate::redis::readable;
use crate::time::{Span, Time};

/// A transaction that was watched for so long may be recovered, whatever the servers' clocks say.
pub(crate) const WATCH: Span = Span::from_secs(60);

/// What a recovery has come to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryOutcome {
    /// It is committed, and every participant that was found to wait has been sent that.
    Committed,
    /// It is aborted, and every participant that was found to wait has been sent that.
    Aborted,
    /// It is over, and nobody knows how any more.
    Forgotten,
    /// Nothing of it is recorded, and it is not known whether it is over or still to come: its id is
    /// of a version that did not write down its `not_after`. The transaction is as it was.
    Unheard,
    /// It could not be found out. The transaction is as it was.
    Failed(Error),
}

/// What an operator decides for a transaction whose primary is gone for good. It may be the
/// contrary of what the primary has decided: every participant that was sent it is reported as damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Heuristic {
    /// What is prepared is applied.
    Commit,
    /// What is prepared is dropped.
    Abort,
}

/// What a recovery begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Which transaction.
    pub id: TransactionId,
    /// The stable id of the participant where a lock of the transaction was found; none where the recovery
    /// was asked for by its id.
    pub locked_at: Option<Vec<u8>>,
    /// Whether its patience is over.
    pub expired: bool,
    /// What is done where the primary does not answer, and who is asked then.
    pub heuristic: Option<(Heuristic, Vec<Vec<u8>>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Asking,
    Watching { until: Time },
    Voting,
    Deciding,
    Collecting,
    Finishing,
    Releasing,
    Surveying,
    Imposing,
    Done,
}

/// What a participant has voted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Vote {
    Unknown,
    /// Yes, with the keys that it has locked.
    Yes(Vec<Key>),
    /// No, or it is over there.
    No,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    id: Vec<u8>,
    vote: Vote,
    /// It has acknowledged the end.
    ended: bool,
    sent: Option<Attempt>,
    wake: Option<Time>,
    failures: u32,
}

impl Peer {
    const fn new(id: Vec<u8>) -> Self {
        Self { id, vote: Vote::Unknown, ended: false, sent: None, wake: None, failures: 0 }
    }
}

/// The recovery of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Recovery {
    task: Task,
    state: State,
    /// The primary first, as far as they are known.
    peers: Vec<Peer>,
    /// What the votes come to, or what the primary has answered.
    verdict: Verdict,
    /// Since when nobody has answered what was sent.
    unanswered: Option<Time>,
    /// Since when there were answers that do not help.
    unhelped: Option<Time>,
    /// Somebody has said what no more than one outcome leaves: for an operator's decision.
    proven: Option<Verdict>,
    attempts: Attempt,
    /// How often it has begun again.
    rounds: u32,
}

impl Recovery {
    /// Begins after a random part of `delay`: other clients may have found the same lock.
    pub(crate) fn new(task: Task, delay: Span, cx: &mut Cx<'_>) -> Self {
        let mut peers = Vec::from([Peer::new(task.id.primary.clone())]);
        peers.extend(
            task.locked_at.iter().filter(|id| **id != task.id.primary).cloned().map(Peer::new),
        );
        let mut machine = Self {
            task,
            state: State::Asking,
            peers,
            verdict: Verdict::Release,
            unanswered: None,
            unhelped: None,
            proven: None,
            attempts: 0,
            rounds: 0,
        };
        if delay == Span::ZERO {
            machine.turn(State::Asking, cx);
        } else {
            let until = cx.now + cx.entropy.jitter(delay);
            machine.state = State::Watching { until };
        }
        machine
    }

    pub(crate) const fn id(&self) -> &TransactionId {
        &self.task.id
    }

    /// What is still to be done about a lock that was found at `place`, when this recovery is over.
    pub(crate) fn left_at(&self, place: Vec<u8>) -> Option<Task> {
        let ended = self.peers.iter().any(|peer| peer.id == place && peer.ended);
        (self.verdict_is_known() && !ended).then(|| Task {
            locked_at: Some(place),
            expired: true,
            heuristic: None,
            ..self.task.clone()
        })
    }

    /// Whether the outcome of `attempt` makes a difference.
    pub(crate) fn awaits(&self, attempt: Attempt) -> bool {
        self.peers.iter().any(|peer| peer.sent == Some(attempt))
    }

    /// Begins at once: a lock of the transaction was found again, and its patience is over by now.
    pub(crate) fn expedite(&mut self, cx: &mut Cx<'_>) {
        self.task.expired = true;
        if matches!(self.state, State::Watching { .. }) {
            self.turn(State::Asking, cx);
        }
    }

    /// Somebody waits for it from now on: what is paused for is sent at once, for the server may be
    /// back.
    pub(crate) fn skip_pauses(&mut self, cx: &mut Cx<'_>) {
        for place in 0..self.peers.len() {
            if self.peers[place].wake.is_some() {
                self.send(place, cx);
            }
        }
    }

    /// An operator has said what to do if the primary does not answer.
    pub(crate) fn allow(&mut self, heuristic: Option<(Heuristic, Vec<Vec<u8>>)>) {
        if heuristic.is_some() {
            self.task.heuristic = heuristic;
        }
    }

    // What is sent, and how it gets from state to state.

    fn op(&self, place: usize) -> Option<Op> {
        let peer = self.peers.get(place)?;
        let TransactionId { txid, not_after, .. } = self.task.id;
        // What is recorded without it would be kept for ever, or not for long enough.
        let force = self.task.expired && not_after.is_some();
        let not_after = not_after.unwrap_or(NEVER);
        let query = |force| Query { txid, not_after, force };
        // Its client may be dead, and have notified its user that the outcome is in doubt.
        let retain = self.state == State::Deciding;
        let finish = |keys: &Vec<Key>, verdict| {
            Op::Finish(Finish { txid, not_after, verdict, retain, keys: keys.clone() })
        };
        Some(match (self.state, &peer.vote) {
            (State::Asking, _) if place == 0 => Op::Status(query(force)),
            (State::Asking | State::Collecting | State::Surveying, Vote::Unknown) if place > 0 => {
                Op::Vote(query(false))
            }
            (State::Voting, Vote::Unknown) => Op::Vote(query(true)),
            (State::Deciding, Vote::Yes(keys)) if place == 0 => finish(keys, self.verdict),
            (State::Finishing | State::Imposing, Vote::Yes(keys)) if place > 0 => {
                finish(keys, self.verdict)
            }
            (State::Releasing, Vote::Yes(keys)) if place > 0 => finish(keys, Verdict::Release),
            _ => return None,
        })
        .filter(|_| !peer.ended)
    }

    fn send(&mut self, place: usize, cx: &mut Cx<'_>) {
        let op = self.op(place);
        let Some(peer) = self.peers.get_mut(place) else { return };
        (peer.sent, peer.wake) = (None, None);
        let Some(op) = op else { return };
        self.attempts += 1;
        peer.sent = Some(self.attempts);
        let (attempt, to, background) = (self.attempts, peer.id.clone(), cx.background);
        let since = *self.unanswered.get_or_insert(cx.now);
        let limit = (since + cx.timeout).max(cx.now + Span::from_millis(1));
        let deadline = limit.min(cx.now + cx.request_timeout);
        cx.effects.push(Effect::Send { attempt, to, op, deadline, background });
    }

    fn turn(&mut self, state: State, cx: &mut Cx<'_>) {
        self.state = state;
        for place in 0..self.peers.len() {
            if let Some(peer) = self.peers.get_mut(place) {
                (peer.sent, peer.wake, peer.failures) = (None, None, 0);
            }
            self.send(place, cx);
        }
        self.go_on(cx);
    }

    /// Goes on where all that was asked has been answered.
    fn go_on(&mut self, cx: &mut Cx<'_>) {
        if (0..self.peers.len()).any(|place| self.op(place).is_some()) {
            return;
        }
        match self.state {
            State::Voting => {
                let yes = self.peers.iter().all(|peer| matches!(peer.vote, Vote::Yes(_)));
                let applied = self.peers.iter().any(|peer| peer.ended);
                self.verdict = if yes || applied { Verdict::Commit } else { Verdict::Abort };
                self.turn(State::Deciding, cx);
            }
            State::Collecting => self.turn(State::Finishing, cx),
            State::Surveying => self.turn(State::Imposing, cx),
            State::Finishing | State::Releasing | State::Imposing => self.end(self.outcome(), cx),
            State::Asking | State::Watching { .. } | State::Deciding | State::Done => {}
        }
    }

    /// What the primary has said.
    const fn outcome(&self) -> RecoveryOutcome {
        match self.verdict {
            Verdict::Commit => RecoveryOutcome::Committed,
            Verdict::Abort => RecoveryOutcome::Aborted,
            Verdict::Release => RecoveryOutcome::Forgotten,
        }
    }

    fn end(&mut self, outcome: RecoveryOutcome, cx: &mut Cx<'_>) {
        self.state = State::Done;
        cx.effects.push(Effect::Recovered(outcome));
    }

    /// Gives up, if no answer has decided it for longer than a caller waits. The lock can be found, and
    /// recovered, again.
    fn gives_up(&mut self, until: Option<Time>, cx: &mut Cx<'_>) -> bool {
        let limit = *self.unhelped.get_or_insert(cx.now) + cx.timeout;
        if until < Some(limit) {
            return false;
        }
        if self.verdict_is_known() {
            self.end(self.outcome(), cx);
            return true;
        }
        let message = alloc::format!(
            "transaction {}: the servers go on giving answers that do not decide it",
            readable(&self.task.id.to_text())
        );
        self.end(RecoveryOutcome::Failed(Error::new(ErrorCode::InvalidState, message)), cx);
        true
    }

    /// Begins again from R1 after a pause: what was learned is out of date.
    fn begin_again(&mut self, cx: &mut Cx<'_>) {
        self.rounds = self.rounds.saturating_add(1);
        self.peers.iter_mut().for_each(|peer| peer.vote = Vote::Unknown);
        let until = back_off(self.rounds, cx);
        self.peers.iter_mut().for_each(|peer| (peer.sent, peer.wake) = (None, None));
        if !self.gives_up(Some(until), cx) {
            self.state = State::Watching { until };
        }
    }

    /// The participants, as the primary has them written down.
    fn learn(&mut self, participants: Vec<Vec<u8>>) {
        for id in participants {
            if !self.peers.iter().any(|peer| peer.id == id) {
                self.peers.push(Peer::new(id));
            }
        }
    }

    /// The primary does not answer, and an operator has said what to do then.
    fn decide_alone(&mut self, cx: &mut Cx<'_>) {
        let Some((heuristic, everybody)) = self.task.heuristic.take() else { return };
        self.verdict = match heuristic {
            Heuristic::Commit => Verdict::Commit,
            Heuristic::Abort => Verdict::Abort,
        };
        self.unanswered = None;
        self.learn(everybody);
        self.peers.iter_mut().for_each(|peer| peer.vote = Vote::Unknown);
        self.turn(State::Surveying, cx);
    }

    /// The id names a participant that is not the primary.
    fn misnamed(&mut self, cx: &mut Cx<'_>) {
        self.end(RecoveryOutcome::Failed(self.task.id.misnamed()), cx);
    }

    /// There is no such node here.
    pub(crate) fn on_unknown_node(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        let Some(peer) = self.peers.iter().find(|peer| peer.sent == Some(attempt)) else { return };
        let message = alloc::format!(
            "transaction {}: its participant '{}' is a node that is not known here",
            readable(&self.task.id.to_text()),
            readable(&peer.id)
        );
        self.end(RecoveryOutcome::Failed(Error::new(ErrorCode::InvalidState, message)), cx);
    }
}

impl Machine for Recovery {
    type Answer = Answer;
    type Effect = Effect;
    type Node = ();

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { until } => Some(until),
            State::Done => None,
            _ => self.peers.iter().filter_map(|peer| peer.wake).min(),
        }
    }

    fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome, cx: &mut Cx<'_>) {
        let Some(place) = self.peers.iter().position(|peer| peer.sent == Some(attempt)) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(place) {
            peer.sent = None;
        }
        match outcome {
            Outcome::Answered(answer, _) => {
                self.unanswered = None;
                if let Some(peer) = self.peers.get_mut(place) {
                    peer.failures = 0;
                }
                self.on_answer(place, answer, cx);
            }
            Outcome::Failed(failed) => self.on_trouble(place, failed.error, cx),
            Outcome::Refused(Refused { error, transient: true, .. }) => {
                self.on_trouble(place, error, cx);
            }
            Outcome::Refused(_) if self.verdict_is_known() => self.end(self.outcome(), cx),
            Outcome::Refused(Refused { error, .. }) => self.end(RecoveryOutcome::Failed(error), cx),
        }
    }

    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if let Some(place) = self.peers.iter().position(|peer| peer.sent == Some(attempt)) {
            self.send(place, cx);
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if let State::Watching { until } = self.state {
            if cx.now >= until {
                self.turn(State::Asking, cx);
            }
            return;
        }
        for place in 0..self.peers.len() {
            if self.peers[place].wake.is_some_and(|wake| cx.now >= wake) {
                self.send(place, cx);
            }
        }
    }
}
