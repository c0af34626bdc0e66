//! What may happen next.

use crate::mutation::Mutation;
use crate::scenario::{Scenario, place_of};
use crate::server::Register;
use crate::world::{LIMIT, Told, Who, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start(usize),
    Execute(usize),
    Answer(usize),
    /// It, or its answer, is lost.
    Lose(usize),
    /// Its sender gives it up, and it is executed later.
    Leave(usize),
    /// It will be executed twice.
    Copy(usize),
    Stray(usize),
    Timer(Who),
    /// The user gives up; or goes without an answer.
    Limit(usize),
    Crash(usize),
    CrashHelper(usize),
    Recover {
        at: usize,
        run: usize,
    },
    /// Ends it by its id.
    Resolve(usize),
    Late,
    Sweep {
        at: usize,
        run: usize,
    },
}

impl World {
    /// Whether the user may begin with it.
    fn may_start(&self, scenario: &Scenario, script: usize) -> bool {
        let user = scenario.scripts[script].user;
        let before = (0..script).rev().find(|before| scenario.scripts[*before].user == user);
        let knows =
            |before: usize| self.runs[before].as_ref().is_some_and(|run| run.told != Told::Nothing);
        self.runs[script].is_none() && !self.users[user].dead && before.is_none_or(knows)
    }

    pub(crate) fn steps(&self, scenario: &Scenario, steps: &mut Vec<Step>) {
        let left = &self.left;
        let scripts = 0..scenario.scripts.len();
        steps.extend(scripts.clone().filter(|s| self.may_start(scenario, *s)).map(Step::Start));
        for (place, flight) in self.flights.iter().enumerate() {
            match flight.answer {
                None => steps.push(Step::Execute(place)),
                Some(_) => steps.push(Step::Answer(place)),
            }
            // One that is lost before it is executed is a stray that never arrives.
            if left.losses > 0 && left.faults > 0 && flight.answer.is_some() {
                steps.push(Step::Lose(place));
            }
            if left.strays > 0 && left.faults > 0 && flight.answer.is_none() {
                steps.extend([Step::Leave(place), Step::Copy(place)]);
            }
        }
        steps.extend((0..self.strays.len()).map(Step::Stray));
        for run in scripts.clone() {
            let Some(machine) = self.runs[run].as_ref().and_then(|run| run.machine.as_ref()) else {
                continue;
            };
            // What is due long before the limit, and any part of it, is a pause.
            let pauses =
                machine.deadline().is_some_and(|due| due.as_micros() < LIMIT.as_micros() / 2);
            if left.timers > 0 && pauses {
                steps.push(Step::Timer(Who::Run(run)));
            }
            let limited = self.runs[run].as_ref().is_some_and(|run| run.told == Told::Nothing);
            if left.limits > 0 && left.faults > 0 && limited {
                steps.push(Step::Limit(run));
            }
            if left.crashes > 0
                && left.faults > 0
                && !steps.contains(&Step::Crash(scenario.scripts[run].user))
            {
                steps.push(Step::Crash(scenario.scripts[run].user));
            }
        }
        for (place, helper) in self.helpers.iter().enumerate() {
            let Some(helper) = helper else { continue };
            if left.timers > 0 && helper.deadline().is_some() {
                steps.push(Step::Timer(Who::Helper(place)));
            }
            if left.crashes > 0 && left.faults > 0 {
                steps.push(Step::CrashHelper(place));
            }
        }
        if left.late > 0 {
            steps.push(Step::Late);
        }
        for run in scripts.filter(|run| self.runs[*run].is_some()) {
            if left.resolves > 0 && self.helpers.iter().any(Option::is_none) {
                steps.push(Step::Resolve(run));
            }
            for at in 0..self.servers.len() {
                let txid = self.runs[run].as_ref().expect("it has begun").id.txid;
                let register = self.register(at, txid);
                let free = self.helpers.iter().any(Option::is_none);
                if left.recoveries > 0 && free && register == Some(Register::Prepared) {
                    steps.push(Step::Recover { at, run });
                }
                if left.sweeps > 0 && self.may_sweep(scenario, at, run) {
                    steps.push(Step::Sweep { at, run });
                }
            }
        }
    }

    /// A register may be removed when its time is over, and the others need it no more.
    fn may_sweep(&self, scenario: &Scenario, at: usize, run: usize) -> bool {
        let id = &self.runs[run].as_ref().expect("it has begun").id;
        let idle = [Some(Register::Done), Some(Register::Aborted)];
        if !self.servers[at].is_late() || !idle.contains(&self.register(at, id.txid)) {
            return false;
        }
        if scenario.mutation == Some(Mutation::SweptByAge) {
            return true;
        }
        if self.servers[at].is_tombstone(id.txid) {
            return true;
        }
        let prepared = |at| self.register(at, id.txid) == Some(Register::Prepared);
        let primary = place_of(&id.primary);
        if at == primary {
            return (0..self.servers.len()).all(|at| !prepared(at));
        }
        // The primary says how it ended, or that it is stale: either way it is not staging.
        !prepared(primary)
    }

    /// A step in words.
    pub(crate) fn describe(&self, step: Step) -> String {
        let flight = match step {
            Step::Execute(place)
            | Step::Answer(place)
            | Step::Lose(place)
            | Step::Leave(place)
            | Step::Copy(place) => self.flights.get(place).map(|flight| {
                format!("{:?} -> n{} {:?} = {:?}", flight.who, flight.to, flight.op, flight.answer)
            }),
            Step::Stray(place) => self.strays.get(place).map(|(to, op)| format!("-> n{to} {op:?}")),
            _ => None,
        };
        format!("{step:?} {}", flight.unwrap_or_default())
    }
}
