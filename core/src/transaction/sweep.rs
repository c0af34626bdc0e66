//! Finding what transactions have left over on every participant, and removing it.
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | Paging | a part of one participant's registers is read; locks without a vote go at once | its answer |
//! | Asking | finished registers that were idle for long: the other participants are asked, one register after the other | all answers |
//! | Removing | those that nobody needs any more are removed | its answer; the next part |
//! | Finding | if it is wanted: a part of the whole key space is searched for shadows | its answer |
//! | Dropping | those of a slot that has prepared nothing are removed | its answer; the next part, the next participant |
//! | Done | nothing is left to do | |
//!
//! A vote whose patience is over is left to a recovery. A finished register of a secondary is
//! removed when the primary says that it is over there as well, and without asking where it only
//! says no to a transaction that never came; one of a primary when no secondary waits for it. What
//! cannot be asked stays: it takes little room, and the next sweep asks again. A participant that
//! does not answer, or refuses, is left, and the others are swept all the same.
//!
//! Registers that are kept stay, but for the oldest beyond [`MAX_KEPT_ON_SERVER`]. What nobody
//! can read, as after an accident, is left and counted.
//!
//! A shadow without a vote is what an accident left: its transaction was ended without it. A server
//! has no list of its shadows, so it is asked for its keys, a thousand at a time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::effect::{Cx, Effect, Outcome};
use super::{
    Answer, MAX_KEPT_ON_SERVER, Op, Query, Role, State as Register, Sweep, SweepOptions, Swept,
    Task, TransactionId, Txid,
};
use crate::error::Error;
use crate::keyspace::ServerTime;
use crate::machine::{Attempt, Machine};
use crate::table::{Key, Table};

/// So many shadows are removed by one call.
const AT_ONCE: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Paging,
    Asking,
    Removing,
    Finding,
    Dropping,
    Done,
}

/// A register, and until when it is kept: the first of these is the first to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kept(ServerTime, Txid);

impl Key for Kept {
    fn words(self) -> [u64; 3] {
        let Self(ServerTime(until), txid) = self;
        [until, txid.session(), txid.use_of_slot()]
    }
}

/// A sweep over all participants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sweeper {
    state: State,
    /// The participants to be swept, the one it is at first.
    left: VecDeque<Vec<u8>>,
    cursor: u64,
    /// Idle registers of this part, each with the participants that have to be asked about it.
    idle: VecDeque<(Swept, VecDeque<Vec<u8>>)>,
    over: Vec<Txid>,
    /// Registers of this participant that are kept for questions, and whether there are too many.
    kept: Table<Kept, Swept>,
    crowded: bool,
    /// How many registers and locks nobody can read.
    unreadable: u64,
    /// Whether shadows are looked for, and those that were found in this part.
    options: SweepOptions,
    shadows: Vec<Vec<u8>>,
    attempts: Attempt,
    sent: Option<Attempt>,
    /// How much was removed, or given to a recovery.
    count: u64,
    /// The first participant that was left before its end, and why.
    failed: Option<(Vec<u8>, Error)>,
}

impl Sweeper {
    pub(crate) fn new(participants: Vec<Vec<u8>>, options: SweepOptions, cx: &mut Cx<'_>) -> Self {
        let mut machine = Self {
            state: State::Paging,
            left: participants.into(),
            cursor: 0,
            idle: VecDeque::new(),
            over: Vec::new(),
            kept: Table::new(),
            crowded: false,
            unreadable: 0,
            options,
            shadows: Vec::new(),
            attempts: 0,
            sent: None,
            count: 0,
            failed: None,
        };
        machine.go_on(cx);
        machine
    }

    /// There is no such node here.
    pub(crate) fn on_unknown_node(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if self.sent == Some(attempt) {
            self.sent = None;
            self.idle.pop_front();
            self.go_on(cx);
        }
    }

    fn sort(&mut self, mut swept: Swept, now: ServerTime, cx: &mut Cx<'_>) {
        if swept.state != Register::Prepared && swept.kept > now {
            self.kept.insert(Kept(swept.kept, swept.txid), swept);
            if self.kept.len() <= MAX_KEPT_ON_SERVER {
                return;
            }
            let first = self.kept.keys().next().copied();
            let Some(first) = first.and_then(|first| self.kept.remove(&first)) else { return };
            (swept, self.crowded) = (first, true);
        }
        let Some(here) = self.left.front() else { return };
        let primary = swept.role.primary().to_vec();
        if swept.state == Register::Prepared {
            let (txid, not_after, locked_at) =
                (swept.txid, Some(swept.not_after), Some(here.clone()));
            let id = TransactionId { txid, not_after, primary };
            self.count += 1;
            let task = Task { id, locked_at, expired: true, heuristic: None };
            return cx.effects.push(Effect::Recover(task));
        }
        let others: VecDeque<_> = match &swept.role {
            Role::Primary { participants } => {
                participants.iter().filter(|id| *id != here).cloned().collect()
            }
            // It was asked to abort before it had heard of the transaction. Nobody needs that any more:
            // without it the vote is no as well, because its time is over.
            Role::Secondary { primary } if primary.is_empty() => VecDeque::new(),
            Role::Secondary { primary } => [primary.clone()].into(),
        };
        self.idle.push_back((swept, others));
    }

    /// What one of the others says of the first idle register.
    fn on_idle_answer(&mut self, answer: &Answer) {
        let Some((swept, others)) = self.idle.front_mut() else { return };
        let over = match &swept.role {
            Role::Primary { .. } => !matches!(answer, Answer::Yes(_) | Answer::Pending { .. }),
            Role::Secondary { .. } => {
                matches!(answer, Answer::Committed { .. } | Answer::Aborted | Answer::Stale { .. })
            }
        };
        if over {
            others.pop_front();
        } else {
            self.idle.pop_front();
        }
    }

    fn turn_page(&mut self) {
        self.over.clear();
        self.crowded = false;
        match self.cursor {
            0 if self.options.shadows => self.state = State::Finding,
            0 => self.leave(),
            _ => self.state = State::Paging,
        }
    }

    /// Where the shadows begin that the next call drops. They stay until it is answered: a server that
    /// lacks the script gets the same call again.
    fn dropped_from(&self) -> usize {
        self.shadows.len().saturating_sub(AT_ONCE)
    }

    /// Goes to the next participant.
    fn leave(&mut self) {
        self.left.pop_front();
        self.cursor = 0;
        self.kept.clear();
        self.shadows.clear();
        self.state = State::Paging;
    }

    fn go_on(&mut self, cx: &mut Cx<'_>) {
        while self.state == State::Asking
            && self.idle.front().is_none_or(|(_, others)| others.is_empty())
        {
            match self.idle.pop_front() {
                Some((swept, _)) => self.over.push(swept.txid),
                None if self.over.is_empty() => self.turn_page(),
                None => self.state = State::Removing,
            }
        }
        if self.state == State::Dropping && self.shadows.is_empty() {
            match self.cursor {
                0 => self.leave(),
                _ => self.state = State::Finding,
            }
        }
        let Some(here) = self.left.front().cloned() else {
            self.state = State::Done;
            let (count, unreadable, failed) = (self.count, self.unreadable, self.failed.take());
            return cx.effects.push(Effect::Swept { count, unreadable, failed });
        };
        let (to, op) = match (self.state, self.idle.front()) {
            (State::Paging, _) => (here, Op::Sweep(Sweep::Page { cursor: self.cursor })),
            (State::Finding, _) => (here, Op::Sweep(Sweep::Find { cursor: self.cursor })),
            (State::Dropping, _) => {
                let names = self.shadows.iter().skip(self.dropped_from()).cloned().collect();
                (here, Op::Sweep(Sweep::Shadows { names }))
            }
            (State::Removing, _) => {
                let (txids, kept) = (self.over.clone(), self.crowded);
                (here, Op::Sweep(Sweep::Registers { txids, kept }))
            }
            (State::Asking, Some((swept, others))) => {
                let (txid, not_after) = (swept.txid, swept.not_after);
                let query = Query { txid, not_after, force: false };
                let Some(to) = others.front() else { return };
                match swept.role {
                    Role::Primary { .. } => (to.clone(), Op::Vote(query)),
                    Role::Secondary { .. } => (to.clone(), Op::Status(query)),
                }
            }
            _ => return,
        };
        self.attempts += 1;
        self.sent = Some(self.attempts);
        let (attempt, deadline) = (self.attempts, cx.now + cx.request_timeout);
        let background = cx.background;
        cx.effects.push(Effect::Send { attempt, to, op, deadline, background });
    }

    /// Nothing more is to be had of the participant it is at.
    fn give_up(&mut self, error: Error) {
        if let (None, Some(here)) = (&self.failed, self.left.front()) {
            self.failed = Some((here.clone(), error));
        }
        self.over.clear();
        self.crowded = false;
        self.leave();
    }
}

impl Machine for Sweeper {
    type Answer = Answer;
    type Effect = Effect;
    type Node = ();

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome, cx: &mut Cx<'_>) {
        if self.sent != Some(attempt) {
            return;
        }
        self.sent = None;
        match (self.state, outcome) {
            (
                State::Paging,
                Outcome::Answered(Answer::Page { cursor, now, unreadable, found }, _),
            ) => {
                self.cursor = cursor;
                self.unreadable += unreadable;
                found.into_iter().for_each(|swept| self.sort(swept, now, cx));
                self.state = State::Asking;
            }
            (State::Asking, Outcome::Answered(answer, _)) => self.on_idle_answer(&answer),
            // It is asked again by the next sweep.
            (State::Asking, _) => drop(self.idle.pop_front()),
            (State::Removing, Outcome::Answered(Answer::Removed { count }, _)) => {
                self.count += count;
                self.turn_page();
            }
            (State::Finding, Outcome::Answered(Answer::Found { cursor, names }, _)) => {
                (self.cursor, self.shadows) = (cursor, names);
                self.state = State::Dropping;
            }
            (State::Dropping, Outcome::Answered(Answer::Removed { count }, _)) => {
                self.count += count;
                self.shadows.truncate(self.dropped_from());
            }
            (_, Outcome::Failed(failed)) => self.give_up(failed.error),
            (_, Outcome::Refused(refused)) => self.give_up(refused.error),
            (State::Finding | State::Dropping, _) => self.leave(),
            (_, Outcome::Answered(..)) => self.turn_page(),
        }
        self.go_on(cx);
    }

    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if self.sent == Some(attempt) {
            self.go_on(cx);
        }
    }
}
