//! A state of the model, and the steps that lead from one to the next.

use comity::time::{Span, Time};
use comity::transaction::bare::{BareRecovery, BareSessions, BareTransaction};
use comity::transaction::{
    Answer, Begin, Effect, Ending, Op, Slot, Sweep, Task, TransactionId, Txid,
};

use crate::kept::Kept;
use crate::mutation::Mutation;
use crate::scenario::{Budget, Scenario, node, place_of};
use crate::server::{NOT_AFTER, Register, Server};

/// The moment of all that is not a timer.
const START: Time = Time::from_micros(1_000_000);
/// When a user gives up: far beyond every pause.
const LIMIT: Time = Time::from_micros(1_000_000_000_000);
/// When everything is due.
const END: Time = Time::from_micros(2_000_000_000_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Who {
    Run(usize),
    Helper(usize),
}

/// A command that its sender has not given up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) who: Who,
    pub(crate) attempt: u32,
    pub(crate) to: usize,
    pub(crate) op: Kept<Op>,
    /// Once it is executed.
    pub(crate) answer: Option<Answer>,
}

/// What the user knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Nothing,
    Doubt,
    Committed(Option<Vec<Vec<comity::redis::Reply>>>),
    Aborted,
    Forgotten,
}

/// A transaction that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    /// None when it is done, or its client is dead.
    pub(crate) machine: Option<Kept<BareTransaction>>,
    pub(crate) id: TransactionId,
    pub(crate) told: Told,
    /// Those that were known to be committed before it began.
    pub(crate) after: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct User {
    pub(crate) dead: bool,
    sessions: BareSessions,
}

/// What must never happen in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    TwoOutcomes,
    Damaged,
    Failed,
}

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
    Late,
    Sweep {
        at: usize,
        run: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) servers: Vec<Kept<Server>>,
    pub(crate) users: Vec<Kept<User>>,
    pub(crate) runs: Vec<Option<Kept<Run>>>,
    pub(crate) helpers: Vec<Option<Kept<BareRecovery>>>,
    pub(crate) flights: Vec<Flight>,
    /// Commands that nobody waits for. They may never arrive.
    pub(crate) strays: Vec<(usize, Kept<Op>)>,
    pub(crate) left: Budget,
    pub(crate) broken: Option<Broken>,
}

impl World {
    pub(crate) fn beginning(scenario: &Scenario) -> Self {
        let users = scenario.scripts.iter().map(|script| script.user + 1).max().unwrap_or(0);
        Self {
            servers: vec![Kept::default(); scenario.participants],
            users: vec![Kept::default(); users],
            runs: vec![None; scenario.scripts.len()],
            helpers: vec![None; scenario.helpers],
            flights: Vec::new(),
            strays: Vec::new(),
            left: scenario.budget,
            broken: None,
        }
    }

    pub(crate) fn register(&self, at: usize, txid: Txid) -> Option<Register> {
        self.servers[at].register(txid)
    }

    pub(crate) fn is_committed(&self, run: usize) -> bool {
        matches!(self.runs[run].as_ref().map(|run| &run.told), Some(Told::Committed(_)))
    }

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
            let deadline = machine.deadline();
            if left.timers > 0 && deadline.is_some_and(|deadline| deadline < LIMIT) {
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
        let prepared = |at| self.register(at, id.txid) == Some(Register::Prepared);
        let primary = place_of(&id.primary);
        if at == primary {
            return (0..self.servers.len()).all(|at| !prepared(at));
        }
        // The primary says how it ended, or that it is stale: either way it is not staging.
        !prepared(primary)
    }

    pub(crate) fn step(&mut self, scenario: &Scenario, step: Step) {
        match step {
            Step::Start(script) => self.start(scenario, script),
            Step::Execute(place) => {
                let (to, op) = (self.flights[place].to, self.flights[place].op.clone());
                let answer = self.execute(scenario, to, &op);
                self.flights[place].answer = Some(answer);
                if !self.awaits(place) {
                    self.flights.remove(place);
                }
            }
            Step::Answer(place) => {
                let Flight { who, attempt, op, answer, .. } = self.flights.remove(place);
                let answer = answer.expect("it was executed");
                let answer = scenario.heard(who, &op, answer);
                self.input(scenario, who, |machine| match machine {
                    Machine::Run(machine) => machine.answered(attempt, answer, START),
                    Machine::Helper(machine) => machine.answered(attempt, answer, START),
                });
            }
            Step::Lose(place) => {
                self.left.losses -= 1;
                self.left.faults -= 1;
                let flight = self.flights.remove(place);
                self.fail(scenario, &flight);
            }
            Step::Leave(place) => {
                self.left.strays -= 1;
                self.left.faults -= 1;
                let flight = self.flights.remove(place);
                self.stray(flight.to, flight.op.clone());
                self.fail(scenario, &flight);
            }
            Step::Copy(place) => {
                self.left.strays -= 1;
                self.left.faults -= 1;
                let (to, op) = (self.flights[place].to, self.flights[place].op.clone());
                self.stray(to, op);
            }
            Step::Stray(place) => {
                let (to, op) = self.strays.remove(place);
                self.execute(scenario, to, &op);
            }
            Step::Timer(who) => {
                self.left.timers -= 1;
                self.input(scenario, who, |machine| match machine {
                    Machine::Run(machine) => {
                        let due = machine.deadline().expect("a deadline");
                        machine.timeout(due)
                    }
                    Machine::Helper(machine) => {
                        let due = machine.deadline().expect("a deadline");
                        machine.timeout(due)
                    }
                });
            }
            Step::Limit(run) => {
                self.left.limits -= 1;
                self.left.faults -= 1;
                self.input(scenario, Who::Run(run), |machine| match machine {
                    Machine::Run(machine) => machine.timeout(END),
                    Machine::Helper(_) => Vec::new(),
                });
            }
            Step::Crash(user) => {
                self.left.crashes -= 1;
                self.left.faults -= 1;
                self.users[user].change(|user| user.dead = true);
                for run in 0..self.runs.len() {
                    if scenario.scripts[run].user == user && self.runs[run].is_some() {
                        self.forget(Who::Run(run));
                    }
                }
            }
            Step::CrashHelper(place) => {
                self.left.crashes -= 1;
                self.left.faults -= 1;
                self.forget(Who::Helper(place));
            }
            Step::Recover { at, run } => self.recover(scenario, at, run),
            Step::Late => {
                self.left.late -= 1;
                self.servers.iter_mut().for_each(|server| server.change(Server::pass));
            }
            Step::Sweep { at, run } => {
                self.left.sweeps -= 1;
                let txids = vec![self.runs[run].as_ref().expect("it has begun").id.txid];
                self.stray(at, Kept::new(Op::Sweep(Sweep::Registers { txids })));
            }
        }
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

    fn stray(&mut self, to: usize, op: Kept<Op>) {
        self.strays.push((to, op));
        self.sort();
    }

    /// What is on its way at one moment arrives in any order.
    fn sort(&mut self) {
        self.flights.sort_by_key(|flight| (flight.who, flight.attempt));
        self.strays.sort_by_key(|(to, op)| (*to, op.hash_value()));
    }

    fn start(&mut self, scenario: &Scenario, script: usize) {
        let what = &scenario.scripts[script];
        let seed = u8::try_from(what.user + 1).expect("few");
        let txid = self.users[what.user].change(|user| user.sessions.take(seed));
        let begin = Begin {
            txid,
            plan: what.plan.clone(),
            not_after: NOT_AFTER,
            patience: Span::ZERO,
            order: what.order,
            ack: what.ack,
            limit: LIMIT,
        };
        let after = (0..self.runs.len()).filter(|run| self.is_committed(*run)).collect();
        let (machine, effects) = BareTransaction::new(begin, START);
        let id = machine.id();
        let machine = Some(Kept::new(machine));
        self.runs[script] = Some(Kept::new(Run { machine, id, told: Told::Nothing, after }));
        self.effects(scenario, Who::Run(script), effects);
    }

    fn recover(&mut self, scenario: &Scenario, at: usize, run: usize) {
        self.left.recoveries -= 1;
        let id = self.runs[run].as_ref().expect("it has begun").id.clone();
        let task = Task { id, not_after: NOT_AFTER, met: Some(node(at)), expired: true };
        let (machine, effects) = BareRecovery::new(task, START);
        let place = self.helpers.iter().position(Option::is_none).expect("a free one");
        self.helpers[place] = Some(Kept::new(machine));
        self.effects(scenario, Who::Helper(place), effects);
    }

    fn fail(&mut self, scenario: &Scenario, flight: &Flight) {
        let attempt = flight.attempt;
        self.input(scenario, flight.who, |machine| match machine {
            Machine::Run(machine) => machine.failed(attempt, START),
            Machine::Helper(machine) => machine.failed(attempt, START),
        });
    }

    fn awaits(&self, place: usize) -> bool {
        let flight = &self.flights[place];
        match flight.who {
            Who::Run(run) => {
                let machine = self.runs[run].as_ref().and_then(|run| run.machine.as_ref());
                machine.is_some_and(|machine| machine.awaits(flight.attempt))
            }
            Who::Helper(place) => {
                let machine = self.helpers[place].as_ref();
                machine.is_some_and(|machine| machine.awaits(flight.attempt))
            }
        }
    }

    fn input(
        &mut self,
        scenario: &Scenario,
        who: Who,
        input: impl FnOnce(Machine<'_>) -> Vec<Effect>,
    ) {
        let effects = match who {
            Who::Run(run) => {
                let Some(run) = self.runs[run].as_mut() else { return };
                if run.machine.is_none() {
                    return;
                }
                run.change(|run| {
                    let machine = run.machine.as_mut().expect("it is there");
                    machine.change(|machine| input(Machine::Run(machine)))
                })
            }
            Who::Helper(place) => {
                let Some(machine) = self.helpers[place].as_mut() else { return };
                machine.change(|machine| input(Machine::Helper(machine)))
            }
        };
        self.effects(scenario, who, effects);
    }

    fn effects(&mut self, scenario: &Scenario, who: Who, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, .. } => {
                    let (to, op) = (place_of(&to), Kept::new(op));
                    for (to, op) in scenario.besides(self, who, to, &op) {
                        self.stray(to, Kept::new(op));
                    }
                    self.flights.push(Flight { who, attempt, to, op, answer: None });
                }
                Effect::Ended(ending) => self.told(scenario, who, ending),
                Effect::Damaged { .. } => self.broken = Some(Broken::Damaged),
                Effect::Found(comity::transaction::Found::Failed(_)) => {
                    self.broken = Some(Broken::Failed);
                }
                Effect::Found(_) | Effect::Met(_) => {}
            }
        }
        self.settle(scenario, who);
        // Nobody waits for what was asked in an earlier state.
        let mut place = 0;
        while place < self.flights.len() {
            if self.flights[place].who != who || self.awaits(place) {
                place += 1;
                continue;
            }
            let flight = self.flights.remove(place);
            if flight.answer.is_none() {
                self.stray(flight.to, flight.op);
            }
        }
        self.sort();
    }

    fn told(&mut self, scenario: &Scenario, who: Who, ending: Ending) {
        let Who::Run(run) = who else { return };
        let state = self.runs[run].as_mut().expect("it has begun");
        let told = match ending {
            Ending::Committed { replies, .. } => Told::Committed(replies),
            Ending::Aborted(_) => Told::Aborted,
            Ending::Unknown(_) => Told::Doubt,
            Ending::Forgotten => Told::Forgotten,
        };
        let allowed = match state.told {
            Told::Nothing => told != Told::Forgotten,
            Told::Doubt => told != Told::Doubt,
            _ => false,
        };
        if !allowed {
            self.broken = Some(Broken::TwoOutcomes);
        }
        state.change(|state| state.told = told);
        let user = scenario.scripts[run].user;
        let early = match scenario.mutation {
            Some(Mutation::SlotUsedEarly) => state.told != Told::Doubt,
            Some(Mutation::SlotUsedInDoubt) => state.told == Told::Doubt,
            _ => false,
        };
        if early {
            let txid = state.id.txid;
            self.users[user].change(|user| user.sessions.give_back(txid));
        }
    }

    /// Whoever is done is gone.
    fn settle(&mut self, scenario: &Scenario, who: Who) {
        match who {
            Who::Run(run) => {
                let user = scenario.scripts[run].user;
                let Some(state) = self.runs[run].as_mut() else { return };
                let Some(slot) = state.machine.as_ref().and_then(|machine| machine.slot()) else {
                    return;
                };
                state.change(|state| state.machine = None);
                let txid = state.id.txid;
                self.users[user].change(|user| match slot {
                    Slot::Free => user.sessions.give_back(txid),
                    Slot::Pinned => user.sessions.pin(txid),
                });
            }
            Who::Helper(place) => {
                if self.helpers[place].as_ref().is_some_and(|machine| machine.is_done()) {
                    self.helpers[place] = None;
                }
            }
        }
    }

    /// Dies without a word.
    fn forget(&mut self, who: Who) {
        match who {
            Who::Run(run) => {
                let run = self.runs[run].as_mut().expect("it has begun");
                run.change(|run| run.machine = None);
            }
            Who::Helper(place) => self.helpers[place] = None,
        }
        let flights = std::mem::take(&mut self.flights);
        for flight in flights {
            if flight.who != who {
                self.flights.push(flight);
            } else if flight.answer.is_none() {
                self.strays.push((flight.to, flight.op));
            }
        }
        self.sort();
    }
}

pub(crate) enum Machine<'a> {
    Run(&'a mut BareTransaction),
    Helper(&'a mut BareRecovery),
}
