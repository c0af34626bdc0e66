//! A state of the model, and the steps that lead from one to the next.

use comity::error::{Error, ErrorCode};
use comity::time::{Span, Time};
use comity::transaction::model::{RecoveryMachine, SessionPool, TransactionMachine};
use comity::transaction::{
    Answer, Attempt, Begin, Confirm, Copied, Effect, Ending, Op, RecoveryOutcome, Slot, Sweep,
    Task, TransactionId, Txid,
};

use crate::kept::Kept;
use crate::mutation::Mutation;
use crate::rest::comes_to_be_applied;
use crate::scenario::{Budget, Scenario, node, place_of};
use crate::server::{NOT_AFTER, Register, Server};
use crate::step::Step;

/// The moment of all that is not a timer.
const START: Time = Time::from_micros(1_000_000);
/// When a user gives up: far beyond every pause.
pub(crate) const LIMIT: Time = Time::from_micros(1_000_000_000_000);
/// When everything is due.
const END: Time = Time::from_micros(2_000_000_000_000);

/// From here on an attempt stands for a participant whose replicas are asked for.
const COPIES: Attempt = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Who {
    Run(usize),
    Helper(usize),
}

/// A command that its sender has not given up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) who: Who,
    pub(crate) attempt: Attempt,
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
    pub(crate) machine: Option<Kept<TransactionMachine>>,
    pub(crate) id: TransactionId,
    pub(crate) told: Told,
    /// What others who have recovered it were told: committed, aborted.
    pub(crate) found: [bool; 2],
    /// Whether it was applied, or was to be, when somebody was told that it is over.
    pub(crate) over: Option<bool>,
    /// Those that were known to be committed before it began.
    pub(crate) after: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct User {
    pub(crate) dead: bool,
    sessions: SessionPool,
}

/// What must never happen in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    TwoOutcomes,
    Damaged,
    Failed,
    /// A slot was used though the vote of an earlier transaction was still in it.
    Slot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) servers: Vec<Kept<Server>>,
    pub(crate) users: Vec<Kept<User>>,
    pub(crate) runs: Vec<Option<Kept<Run>>>,
    pub(crate) helpers: Vec<Option<Kept<RecoveryMachine>>>,
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
            servers: (0..scenario.participants).map(|at| Kept::new(Server::at(at))).collect(),
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

    pub(crate) fn step(&mut self, scenario: &Scenario, step: Step) {
        self.take(scenario, step);
        self.order_helpers();
    }

    /// It makes no difference which of two recoveries is which.
    fn order_helpers(&mut self) {
        let key = |place: usize| {
            let machine = self.helpers[place].as_ref().map(Kept::hash_value);
            let own = self.flights.iter().filter(|flight| flight.who == Who::Helper(place));
            let answered = |flight: &Flight| (flight.attempt, flight.answer.is_some());
            (machine, own.map(answered).collect::<Vec<_>>())
        };
        if self.helpers.len() == 2 && key(0) > key(1) {
            self.helpers.swap(0, 1);
            for flight in &mut self.flights {
                if let Who::Helper(place) = &mut flight.who {
                    *place = 1 - *place;
                }
            }
            self.sort();
        }
    }

    fn take(&mut self, scenario: &Scenario, step: Step) {
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
                if let Answer::Confirmed { states } = &answer {
                    return self.copied(scenario, who, attempt, copies(states));
                }
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
            Step::Recover { at, run } => {
                self.left.recoveries -= 1;
                self.recover(scenario, Some(node(at)), run);
            }
            Step::Resolve(run) => {
                self.left.resolves -= 1;
                self.recover(scenario, None, run);
            }
            Step::Late => {
                self.left.late -= 1;
                self.servers.iter_mut().for_each(|server| server.change(Server::pass));
            }
            Step::Sweep { at, run } => {
                self.left.sweeps -= 1;
                let txids = vec![self.runs[run].as_ref().expect("it has begun").id.txid];
                self.stray(at, Kept::new(Op::Sweep(Sweep::Registers { txids, kept: true })));
            }
        }
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
            durability: scenario.durability,
            limit: LIMIT,
        };
        let after = (0..self.runs.len()).filter(|run| self.is_committed(*run)).collect();
        let (machine, effects) = TransactionMachine::new(begin, START);
        let id = machine.id();
        let (machine, told) = (Some(Kept::new(machine)), Told::Nothing);
        self.runs[script] =
            Some(Kept::new(Run { machine, id, told, found: [false; 2], over: None, after }));
        self.effects(scenario, Who::Run(script), effects);
    }

    fn recover(&mut self, scenario: &Scenario, locked_at: Option<Vec<u8>>, run: usize) {
        let id = self.runs[run].as_ref().expect("it has begun").id.clone();
        let task = Task { id, locked_at, expired: true, heuristic: None };
        let (machine, effects) = RecoveryMachine::new(task, START);
        let place = self.helpers.iter().position(Option::is_none).expect("a free one");
        self.helpers[place] = Some(Kept::new(machine));
        self.effects(scenario, Who::Helper(place), effects);
    }

    /// What is known of the replicas of the participant that `attempt` stands for.
    fn copied(&mut self, scenario: &Scenario, who: Who, attempt: Attempt, copied: Copied) {
        let place = usize::try_from(attempt - COPIES).expect("few");
        self.input(scenario, who, |machine| match machine {
            Machine::Run(machine) => machine.copied(place, copied, START),
            Machine::Helper(_) => Vec::new(),
        });
    }

    fn fail(&mut self, scenario: &Scenario, flight: &Flight) {
        let attempt = flight.attempt;
        if attempt >= COPIES {
            let error = Error::new(ErrorCode::NoAnswer, "lost");
            return self.copied(scenario, flight.who, attempt, Copied::Failed(error));
        }
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
                if flight.attempt >= COPIES {
                    return machine.is_some();
                }
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
                    let (to, op) = (scenario.asked_at(place_of(&to), &op), Kept::new(op));
                    for (to, op) in scenario.besides(self, who, to, &op) {
                        self.stray(to, Kept::new(op));
                    }
                    let answer = scenario.not_asked(&self.servers[to], &op);
                    self.flights.push(Flight { who, attempt, to, op, answer });
                }
                Effect::Ended(ending) => self.told(scenario, who, ending),
                Effect::Damaged { .. } => self.broken = Some(Broken::Damaged),
                Effect::Recovered(RecoveryOutcome::Failed(_)) => {
                    self.broken = Some(Broken::Failed);
                }
                Effect::Recovered(found) => self.found(scenario, who, &found),
                Effect::LockConflict(_) => {}
                Effect::Replicate { to, .. } => self.ask_for_copies(who, place_of(&to)),
                Effect::Wait { .. } | Effect::Copied { .. } => panic!("nobody shares a round"),
                Effect::Recover(_) | Effect::Swept { .. } => panic!("nobody sweeps"),
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

    /// A round for one transaction. Its participants are the servers, in their order.
    fn ask_for_copies(&mut self, who: Who, to: usize) {
        let Who::Run(run) = who else { return };
        let state = self.runs[run].as_ref().expect("it has begun");
        let op = Op::Confirm(Confirm { txids: vec![state.id.txid] });
        let attempt = COPIES + Attempt::try_from(to).expect("few");
        self.flights.push(Flight { who, attempt, to, op: Kept::new(op), answer: None });
    }

    /// A recovery has come to its end.
    fn found(&mut self, scenario: &Scenario, who: Who, found: &RecoveryOutcome) {
        let Who::Helper(place) = who else { return };
        let txid = self.helpers[place].as_ref().map(|machine| machine.id().txid);
        let of = |run: &Option<Kept<Run>>| run.as_ref().map(|run| run.id.txid) == txid;
        let Some(at) = self.runs.iter().position(of) else { return };
        let applied = match found {
            RecoveryOutcome::Forgotten => comes_to_be_applied(scenario, self, at),
            _ => None,
        };
        let Some(run) = &mut self.runs[at] else { return };
        match found {
            RecoveryOutcome::Committed => run.change(|run| run.found[0] = true),
            RecoveryOutcome::Aborted => run.change(|run| run.found[1] = true),
            RecoveryOutcome::Forgotten => run.change(|run| run.over = run.over.or(applied)),
            RecoveryOutcome::Unheard => panic!("its id tells until when it may come"),
            RecoveryOutcome::Failed(_) => {}
        }
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
                    Slot::Kept => user.sessions.keep(txid),
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

/// What a round tells that found these registers. A replica has what its server has.
fn copies(states: &[Option<Register>]) -> Copied {
    match states {
        [Some(Register::Done)] => Copied::Replicas { count: 1, last: false },
        [Some(Register::Prepared)] => Copied::Unfinished,
        _ => Copied::Gone,
    }
}

pub(crate) enum Machine<'a> {
    Run(&'a mut TransactionMachine),
    Helper(&'a mut RecoveryMachine),
}
