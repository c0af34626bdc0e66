//! How each simplification changes what a server does, what is heard, or what is sent.

use std::sync::Arc;

use comity::keyspace::ServerTime;
use comity::transaction::{Answer, Finish, Mode, Op, Txid, Verdict};

use crate::mutation::{Mutation, Taken};
use crate::scenario::{Scenario, place_of};
use crate::server::Server;
use crate::world::{Broken, Who, World};

const NOW: ServerTime = ServerTime(0);

fn txid_of(op: &Op) -> Option<Txid> {
    Some(match op {
        Op::OnePhase(op) => op.txid,
        Op::Prepare(op) => op.txid,
        Op::Finish(op) => op.txid,
        Op::Status(query) | Op::Vote(query) => query.txid,
        Op::Sweep(_) | Op::Confirm(_) => return None,
    })
}

const fn is(op: &Op, script: Taken) -> bool {
    matches!(
        (op, script),
        (Op::OnePhase(_), Taken::OnePhase)
            | (Op::Prepare(_), Taken::Prepare)
            | (Op::Finish(_), Taken::Finish)
            | (Op::Status(_), Taken::Status)
            | (Op::Vote(_), Taken::Vote)
    )
}

impl World {
    /// Executes a command, but for what is taken out.
    pub(crate) fn execute(&mut self, scenario: &Scenario, to: usize, op: &Op) -> Answer {
        let primary = txid_of(op).is_some_and(|txid| self.is_primary(to, txid));
        let answer = self.servers[to].change(|server| match scenario.mutation {
            None => server.execute(op),
            Some(mutation) => execute_with(mutation, primary, server, op),
        });
        if matches!(answer, Answer::Pending { .. }) {
            self.broken = Some(Broken::Slot);
        }
        answer
    }

    fn is_primary(&self, at: usize, txid: Txid) -> bool {
        let runs = self.runs.iter().flatten();
        runs.into_iter().any(|run| run.id.txid == txid && place_of(&run.id.primary) == at)
    }
}

fn execute_with(mutation: Mutation, primary: bool, server: &mut Server, op: &Op) -> Answer {
    let (mut op, old) = (op.clone(), server.clone());
    match (mutation, &mut op) {
        (Mutation::SingleIgnoresLocks, Op::OnePhase(_)) => server.take_locks(),
        (Mutation::ReadsNotCompared, Op::OnePhase(op)) => {
            Arc::make_mut(&mut op.work).checks.clear();
        }
        (Mutation::ReadsNotCompared, Op::Prepare(op)) => Arc::make_mut(&mut op.work).checks.clear(),
        (Mutation::SharedLocksExpire, _) => server.drop_locks(Mode::Shared),
        (Mutation::ResolvedWithoutItsTime, Op::Status(query)) => query.not_after = ServerTime(0),
        (Mutation::LowerSequenceTaken(script), op) if is(op, script) => {
            if let Some(txid) = txid_of(op) {
                server.forget_later(txid);
            }
        }
        _ => {}
    }
    let mut answer = server.execute(&op);
    match (mutation, &op) {
        (Mutation::FinishForgets, Op::Finish(op)) => server.forget(op.txid),
        (Mutation::VoteWithoutTombstone, Op::Vote(query)) if old.register(query.txid).is_none() => {
            server.forget(query.txid);
        }
        (Mutation::SingleRefusalUnrecorded, Op::OnePhase(op))
            if matches!(answer, Answer::Refused { .. }) =>
        {
            server.forget(op.txid);
        }
        (Mutation::SingleIgnoresLocks, Op::OnePhase(_)) => server.put_locks(&old),
        (Mutation::ReadsNotLocked, Op::Prepare(_)) => {
            server.drop_locks(Mode::Shared);
        }
        (Mutation::NoTombstonesAtSecondaries, Op::Finish(finish))
            if finish.verdict == Verdict::Abort
                && old.register(finish.txid).is_none()
                && !primary =>
        {
            *server = old;
        }
        (Mutation::LateVoteStale, Op::Vote(query))
            if old.is_late() && old.register(query.txid).is_none() && query.force =>
        {
            answer = Answer::Stale { now: NOW };
        }
        (Mutation::LateInAUsedSlotStale, Op::Status(query))
            if old.is_late() && old.register(query.txid).is_none() =>
        {
            *server = old;
            answer = Answer::Stale { now: NOW };
        }
        (Mutation::LateVoteRecorded, Op::Vote(query))
            if old.is_late() && old.register(query.txid).is_none() && query.force =>
        {
            let (txid, not_after, verdict) = (query.txid, ServerTime(u64::MAX), Verdict::Abort);
            let tombstone = Finish { txid, not_after, verdict, retain: false, keys: vec![] };
            server.execute(&Op::Finish(tombstone));
        }
        _ => {}
    }
    answer
}

impl Scenario {
    /// What a machine takes an answer for.
    pub(crate) fn heard(&self, who: Who, op: &Op, answer: Answer) -> Answer {
        let Some(mutation) = self.mutation else { return answer };
        let abort = matches!(op, Op::Finish(finish) if finish.verdict == Verdict::Abort);
        let status = matches!(op, Op::Status(_));
        let stale = matches!(answer, Answer::Stale { .. });
        let committed = Answer::Committed { participants: vec![] };
        match (mutation, who) {
            (Mutation::AbortIsNeverLate, Who::Run(_)) if abort => Answer::Aborted,
            (Mutation::StaleIsAbort, Who::Run(_)) if abort && stale => Answer::Aborted,
            (Mutation::StaleIsCommit, Who::Run(_)) if abort && stale => committed,
            (Mutation::StaleIsCommitToOthers, Who::Helper(_)) if status && stale => committed,
            (Mutation::StaleIsAbortToOthers, Who::Helper(_)) if status && stale => Answer::Aborted,
            _ => answer,
        }
    }

    /// What leaves together with a command.
    pub(crate) fn besides(&self, world: &World, who: Who, to: usize, op: &Op) -> Vec<(usize, Op)> {
        let (Some(mutation), Op::Finish(finish)) = (self.mutation, op) else { return vec![] };
        let run = world
            .runs
            .iter()
            .position(|run| run.as_ref().is_some_and(|run| run.id.txid == finish.txid));
        let Some(run) = run else { return vec![] };
        let parts = &self.scripts[run].plan.parts;
        let together = match (mutation, who) {
            (Mutation::AbortAndReleaseTogether, Who::Run(_)) => finish.verdict == Verdict::Abort,
            (Mutation::DecideAndFinishTogether, Who::Helper(_)) => true,
            _ => false,
        };
        if !together || place_of(&parts[0].participant) != to {
            return vec![];
        }
        let others = parts.iter().skip(1).map(|part| {
            let keys = part.work.keys.clone();
            (place_of(&part.participant), Op::Finish(Finish { keys, ..finish.clone() }))
        });
        others.collect()
    }

    /// Where a question goes.
    pub(crate) fn asked_at(&self, to: usize, op: &Op) -> usize {
        match (self.mutation, op) {
            (Some(Mutation::AskedByKey), Op::Status(_)) => self.participants - 1,
            _ => to,
        }
    }

    /// What is taken for the answer of a command that is not sent.
    pub(crate) fn not_asked(&self, server: &Server, op: &Op) -> Option<Answer> {
        let Op::Finish(finish) = op else { return None };
        let refused = server.register(finish.txid).is_none();
        let skipped = self.mutation == Some(Mutation::RefusersNotReleased)
            && finish.verdict == Verdict::Abort
            && refused
            && finish.keys.iter().any(|key| key.name == b"b");
        skipped.then_some(Answer::Aborted)
    }
}
