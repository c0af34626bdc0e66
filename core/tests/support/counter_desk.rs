//! Replicas of one counter, for scenarios told step by step.

use comity::coordinator::Coordinator;
use comity::counter::{
    Answer, Audit, CounterId, CounterOptions, CounterValue, Durability, Freshness, Op, Tally, View,
};
use comity::event::Event;
use comity::redis::{Argv, Command, Reply, Script};
use comity::time::{Span, Time};

use super::desk::{Desk, events};
use super::stamping;

/// The counter that the scenarios are about, and its key.
pub(crate) const HITS: &[u8] = b"hits";
pub(crate) const KEY: &str = "comity:1:counter:{hits}";

/// A replica that flushes at once, unless it is told otherwise.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) co: Coordinator,
    pub(crate) counter: CounterId,
}

pub(crate) fn options(durability: Durability) -> CounterOptions {
    CounterOptions { durability, collected: false }
}

pub(crate) const fn up(p: u64) -> Tally {
    Tally { p, n: 0 }
}

impl Replica {
    pub(crate) fn open(desk: &Desk, seed: u8) -> Self {
        let mut co = desk.coordinator(seed);
        let options = options(Durability::Sync);
        let counter = co.counter_open(HITS, options, desk.now).expect("sound arguments");
        Self { co, counter }
    }

    pub(crate) fn restore(desk: &Desk, seed: u8, bytes: &[u8]) -> Self {
        let mut co = desk.coordinator(seed);
        let options = options(Durability::Sync);
        let counter = co.counter_restore(HITS, options, bytes, desk.now).expect("our own bytes");
        Self { co, counter }
    }

    /// Counts, and sends nothing.
    pub(crate) fn count(&mut self, amount: i64, now: Time) {
        self.co.counter_add(self.counter, amount, now).expect("few");
    }

    /// Counts and flushes, every command being answered.
    pub(crate) fn add(&mut self, desk: &mut Desk, amount: i64) {
        self.count(amount, desk.now);
        desk.run(&mut self.co);
    }

    pub(crate) fn value(&self, desk: &Desk) -> CounterValue {
        self.co.counter_value(self.counter, desk.now).expect("it is open")
    }

    /// The value as the server has it now.
    pub(crate) fn read(&mut self, desk: &mut Desk) -> i128 {
        self.co.counter_read(self.counter, Freshness::Fresh, desk.now).expect("it is open");
        desk.run(&mut self.co);
        let read = events(&mut self.co).into_iter().find_map(|event| match event {
            Event::CounterRead { value, .. } => Some(value.value),
            _ => None,
        });
        read.expect("it was answered")
    }

    pub(crate) fn audit(&mut self, desk: &mut Desk, prune: Option<Span>) -> Audit {
        self.co.counter_audit(self.counter, prune, desk.now).expect("it is open");
        desk.run(&mut self.co);
        audited(&events(&mut self.co)).expect("it was answered")
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        self.co.counter_snapshot(self.counter).expect("it is open")
    }

    /// What was reported lost since it was last asked.
    pub(crate) fn lost(&mut self) -> Vec<Tally> {
        let lost = events(&mut self.co).into_iter().filter_map(|event| match event {
            Event::CounterLost { lost, .. } => Some(lost),
            _ => None,
        });
        lost.collect()
    }
}

pub(crate) fn audited(events: &[Event]) -> Option<Audit> {
    events.iter().find_map(|event| match event {
        Event::CounterAudited { audit, .. } => Some(*audit),
        _ => None,
    })
}

/// The operation of a counter's command.
pub(crate) fn op_of(command: &Command) -> Op {
    Op::decode(command.argv.iter().skip(5)).expect("an operation of a counter")
}

/// Sends the store a command of its own.
pub(crate) fn send(desk: &mut Desk, words: &[&str]) -> Reply {
    let argv: Argv = words.iter().copied().collect();
    desk.execute(&argv)
}

/// Executes an operation without a coordinator.
pub(crate) fn execute(desk: &mut Desk, op: &Op) -> Answer {
    let script = Script::Counter.text();
    let mut argv: Argv = ["EVAL", &script, "2", KEY].into_iter().collect();
    argv.push(stamping::META);
    op.encode(&mut argv);
    argv.push(&stamping::of_one());
    Answer::decode(&desk.execute(&argv)).expect("an answer")
}

/// What the server stands at.
pub(crate) fn stands(desk: &mut Desk) -> View {
    execute(desk, &Op::Get { id: None }).view
}
