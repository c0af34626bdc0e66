//! Many coordinators with one counter, one embedded store and a bad network in virtual time, and a
//! ledger of whole units beside it. All that happens follows from the seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use comity::coordinator::{Config, Coordinator};
use comity::counter::{
    Answer, CounterId, CounterOptions, Durability, Freshness, Op, Tally, Token, View,
};
use comity::event::{CallId, Event};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Failure, NodeChange, NodeId, Reply, RequestId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

use super::Rng;
use super::network::{Fate, Faults};

const SERVER_EPOCH: u64 = 1_750_000_000_000_000;
const SECOND: u64 = 1_000_000;
const NAME: &[u8] = b"hits";
/// A snapshot without a slot is not longer.
const UNNAMED: usize = 24;
const KEY: &[u8] = b"comity:1:counter:{hits}";

/// What users and operators do besides counting, in a thousand steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acts {
    pub(crate) reset: u64,
    pub(crate) audit: u64,
    /// A clean close, and a new opening.
    pub(crate) close: u64,
    /// A crash, and a new start from what was written down, on one machine or on two.
    pub(crate) crash: u64,
    /// A second process starts from a copy of what a living one has written down.
    pub(crate) copy: u64,
    /// A running process is cloned with all its memory.
    pub(crate) clone: u64,
    /// The server is replaced by what it was some seconds before.
    pub(crate) failover: u64,
}

enum Happening {
    Execute { argv: Argv, answer: Option<RequestId>, again: bool },
    Reply { request: RequestId, reply: Reply },
    Failure { request: RequestId, failure: Failure },
    Wake,
    Act,
}

struct Process {
    co: Coordinator,
    counter: CounterId,
    journaled: bool,
    /// How far its clock is ahead of the world's.
    ahead: u64,
    /// What was counted in this life.
    counted: Tally,
    /// What of it the counter has said to be safe.
    safe: Tally,
    /// What of it was counted before it was cloned.
    inherited: Tally,
    flushes: BTreeMap<CallId, Tally>,
    /// What is written down, and what of `counted` is in it.
    disk: Option<(Vec<u8>, Tally)>,
    wake: Option<u64>,
    token: Token,
    regressed: bool,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) acts: Acts,
    durability: Durability,
    store: MemoryStore,
    /// What the server was at some moments before.
    older: Vec<MemoryStore>,
    processes: BTreeMap<u64, Process>,
    heap: BinaryHeap<Reverse<(u64, u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    count: u64,
    /// All units that anybody has counted.
    pub(crate) issued: Tally,
    /// Units reported lost, or not acknowledged by a process that crashed or closed: at most so many.
    pub(crate) open: Tally,
    pub(crate) lost: u64,
    pub(crate) regressions: u64,
    pub(crate) flushed: u64,
    pub(crate) resets: u64,
    pub(crate) audits: u64,
    pub(crate) restores: u64,
    /// Acknowledged units may be gone for good: their owner was gone when the server lost them.
    pub(crate) forgetful: bool,
}

fn plus(a: Tally, b: Tally) -> Tally {
    Tally { p: a.p + b.p, n: a.n + b.n }
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, acts: Acts, durability: Durability) -> Self {
        let mut world = Self {
            now: 1_000,
            rng: Rng::new(seed),
            faults,
            acts,
            durability,
            store: MemoryStore::new(),
            older: Vec::new(),
            processes: BTreeMap::new(),
            heap: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            count: 0,
            issued: Tally::ZERO,
            open: Tally::ZERO,
            lost: 0,
            regressions: 0,
            flushed: 0,
            resets: 0,
            audits: 0,
            restores: 0,
            forgetful: false,
        };
        for _ in 0..3 {
            world.start(None);
        }
        world
    }

    fn start(&mut self, bytes: Option<&[u8]>) {
        let (entropy, now) = (self.rng.bytes32(), Time::from_micros(self.now));
        let config = Config::new(vec![NodeSpec::new("n", 1)]);
        let mut co = Coordinator::new(config, entropy, now).expect("a sound configuration");
        let options = CounterOptions { durability: self.durability, collected: false };
        let counter = match bytes {
            Some(bytes) => co.counter_restore(NAME, options, bytes, now).expect("our own bytes"),
            None => co.counter_open(NAME, options, now).expect("not open yet"),
        };
        self.restores += u64::from(bytes.is_some());
        self.count += 1;
        let who = self.count;
        let process = Process {
            co,
            counter,
            journaled: matches!(self.durability, Durability::Journaled { .. }),
            ahead: 0,
            counted: Tally::ZERO,
            safe: Tally::ZERO,
            inherited: Tally::ZERO,
            flushes: BTreeMap::new(),
            // What it was started from is still on the disk.
            disk: bytes.map(|bytes| (bytes.to_vec(), Tally::ZERO)),
            wake: None,
            token: Token(0),
            regressed: false,
        };
        self.processes.insert(who, process);
        self.plan(who, 1, Happening::Act);
        self.pump(who);
    }

    fn plan(&mut self, who: u64, after: u64, what: Happening) {
        self.count += 1;
        self.happenings.insert(self.count, what);
        self.heap.push(Reverse((self.now + after, self.count, who)));
    }

    pub(crate) fn run(&mut self, us: u64) {
        let end = self.now + us;
        while let Some(&Reverse((at, number, who))) = self.heap.peek() {
            if at > end {
                break;
            }
            self.heap.pop();
            self.now = self.now.max(at);
            let Some(what) = self.happenings.remove(&number) else { continue };
            self.happen(who, what);
            self.check();
        }
        self.now = end;
    }

    fn happen(&mut self, who: u64, what: Happening) {
        if let Happening::Execute { argv, answer, again } = what {
            return self.execute(who, &argv, answer, again);
        }
        if matches!(what, Happening::Act) {
            return self.act(who);
        }
        let Some(process) = self.processes.get_mut(&who) else { return };
        let now = Time::from_micros(self.now + process.ahead);
        match what {
            Happening::Reply { request, reply } => process.co.handle_reply(request, &reply, now),
            Happening::Failure { request, failure } => {
                process.co.handle_failure(request, failure, now);
            }
            _ => {
                process.wake = None;
                process.co.handle_timeout(now);
            }
        }
        self.pump(who);
    }

    fn execute(&mut self, who: u64, argv: &Argv, answer: Option<RequestId>, again: bool) {
        let reply = self.store.execute(argv, Time::from_micros(SERVER_EPOCH + self.now));
        if self.rng.chance(40) {
            self.older.push(self.store.clone());
            if self.older.len() > 8 {
                self.older.remove(0);
            }
        }
        if self.rng.chance(self.faults.script_flush) {
            let flush = ["SCRIPT", "FLUSH"].into_iter().collect();
            self.store.execute(&flush, Time::from_micros(SERVER_EPOCH + self.now));
        }
        let Some(request) = answer else { return };
        let delay = self.faults.delay(&mut self.rng);
        if again {
            let later = delay + self.rng.below(5 * SECOND);
            self.plan(who, later, Happening::Reply { request, reply: reply.clone() });
        }
        self.plan(who, delay, Happening::Reply { request, reply });
    }

    fn pump(&mut self, who: u64) {
        let Some(mut process) = self.processes.remove(&who) else { return };
        while let Some(event) = process.co.poll_event() {
            self.on_event(&mut process, event);
        }
        while let Some(command) = process.co.poll_command() {
            let deadline = command.deadline.as_micros() - process.ahead;
            self.send(who, command.request, &command.argv, deadline);
        }
        if let Some(next) = process.co.next_deadline() {
            let at = (next.as_micros() - process.ahead.min(next.as_micros())).max(self.now);
            if process.wake.is_none_or(|wake| wake > at) {
                process.wake = Some(at);
                self.plan(who, at - self.now, Happening::Wake);
            }
        }
        self.processes.insert(who, process);
    }

    fn send(&mut self, who: u64, request: RequestId, argv: &Argv, deadline: u64) {
        let fate = Fate::of(&self.faults, &mut self.rng);
        let there = self.faults.delay(&mut self.rng);
        let at = deadline.max(self.now) - self.now;
        let sooner = fate != Fate::Answered && self.rng.chance(500);
        let at = if sooner { self.rng.below(at + 1) } else { at };
        let failure = match fate {
            Fate::NotSent => Failure::NotSent,
            _ => Failure::OutcomeUnknown,
        };
        let executed = |answered: bool, again| Happening::Execute {
            argv: argv.clone(),
            answer: answered.then_some(request),
            again,
        };
        match fate {
            Fate::Answered | Fate::AnsweredTwice => {
                self.plan(who, there, executed(true, fate == Fate::AnsweredTwice));
            }
            Fate::ExecutedTwice => {
                self.plan(who, there, executed(false, false));
                self.plan(who, there + 1, executed(true, false));
            }
            Fate::NotSent | Fate::LostCommand => {}
            Fate::LostReply => self.plan(who, there, executed(false, false)),
            Fate::Straggler => {
                let later = self.rng.below(50 * SECOND);
                self.plan(who, later, executed(false, false));
            }
        }
        self.plan(who, at, Happening::Failure { request, failure });
    }

    fn on_event(&mut self, process: &mut Process, event: Event) {
        match event {
            Event::CounterFlushed { call, .. } => {
                self.flushed += 1;
                let upto = process.flushes.remove(&call).unwrap_or(process.safe);
                process.safe = process.safe.max(upto);
            }
            Event::CounterJournal { counter, bytes } => {
                process.disk = Some((bytes, process.counted));
                let now = Time::from_micros(self.now + process.ahead);
                process.co.counter_journaled(counter, now).expect("it was told");
            }
            Event::CounterLost { lost, .. } => {
                self.lost += 1;
                self.open = plus(self.open, lost);
            }
            Event::CounterRegressed { .. } => {
                self.regressions += 1;
                process.regressed = true;
            }
            Event::CounterClosed { unacknowledged, .. } => {
                self.open = plus(self.open, unacknowledged);
            }
            Event::CounterRead { value, .. } => {
                // C9: tokens do not go back while the server loses nothing.
                assert!(process.regressed || value.token >= process.token, "C9");
                process.token = value.token;
            }
            Event::CounterReset { .. } => self.resets += 1,
            Event::CounterAudited { audit, .. } => {
                assert_eq!(audit.corrected, 0, "C4: the totals are the sum of all slots");
                self.audits += 1;
            }
            Event::CounterRefused { error, .. } => panic!("refused: {error}"),
            _ => {}
        }
    }

    fn act(&mut self, who: u64) {
        let again = 1 + self.rng.below(60_000);
        let Some(process) = self.processes.get_mut(&who) else { return };
        let now = Time::from_micros(self.now + process.ahead);
        let counter = process.counter;
        let (up, acts) = (self.rng.chance(700), self.acts);
        let amount = self.rng.pick(&[1, 1, 1, 2, 1_000, 1 << 40]);
        let signed = if up { amount } else { -amount };
        let before = process.co.counter_value(counter, now).expect("open").value;
        if process.co.counter_add(counter, signed, now).is_ok() {
            let more = Tally {
                p: if up { amount.cast_unsigned() } else { 0 },
                n: if up { 0 } else { amount.cast_unsigned() },
            };
            process.counted = plus(process.counted, more);
            self.issued = plus(self.issued, more);
            // C9: own counts are in the value at once.
            let after = process.co.counter_value(counter, now).expect("open").value;
            assert_eq!(after - before, i128::from(signed), "C9: own counts show");
        }
        if self.rng.chance(200)
            && let Ok(call) = process.co.counter_flush(counter, now)
        {
            process.flushes.insert(call, process.counted);
        }
        if self.rng.chance(100) {
            let how = self.rng.pick(&[Freshness::Fresh, Freshness::AtLeast(process.token)]);
            drop(process.co.counter_read(counter, how, now));
        }
        if self.rng.chance(acts.reset) {
            drop(process.co.counter_reset(counter, None, now));
        }
        if self.rng.chance(acts.audit) {
            let prune = self.rng.pick(&[None, Some(SECOND), Some(8 * SECOND)]);
            drop(process.co.counter_audit(counter, prune.map(Span::from_micros), now));
        }
        if self.rng.chance(acts.close) {
            process.co.close(now);
            self.pump(who);
            return self.start(None);
        }
        self.pump(who);
        if self.rng.chance(acts.crash) {
            self.crash(who);
            return;
        }
        self.plan(who, again, Happening::Act);
        if self.rng.chance(acts.copy) && self.processes.len() < 8 {
            let bytes = self.processes[&who].co.counter_snapshot(counter).expect("open");
            self.start(Some(&bytes));
        }
        // What has no slot yet has nothing by which two copies of it could be told apart.
        let named = |process: &Process| {
            process.co.counter_snapshot(counter).is_ok_and(|bytes| bytes.len() > UNNAMED)
        };
        if self.rng.chance(acts.clone) && self.processes.len() < 8 && named(&self.processes[&who]) {
            self.clone_process(who);
        }
        if self.rng.chance(acts.failover) && !self.older.is_empty() {
            self.fail_over();
        }
    }

    /// The process is gone without a word; what was written down is taken up, perhaps twice.
    pub(crate) fn crash(&mut self, who: u64) {
        let Some(process) = self.processes.remove(&who) else { return };
        let now = Time::from_micros(self.now + process.ahead);
        let pending =
            process.co.counter_value(process.counter, now).map_or(Tally::ZERO, |v| v.pending);
        let Some((bytes, written)) = process.disk.filter(|_| process.journaled) else {
            self.open = plus(self.open, pending);
            return self.start(None);
        };
        // Whatever was counted since may be lost, if it is not acknowledged.
        let since = process.counted.since(written);
        self.open = plus(self.open, Tally { p: since.p.min(pending.p), n: since.n.min(pending.n) });
        self.start(Some(&bytes));
        if self.rng.chance(300) && self.processes.len() < 8 {
            self.start(Some(&bytes));
        }
    }

    fn clone_process(&mut self, who: u64) {
        let ahead = 1 + self.rng.below(3 * SECOND);
        let original = &self.processes[&who];
        let copy = Process {
            co: original.co.clone(),
            ahead: original.ahead + ahead,
            inherited: original.counted,
            flushes: BTreeMap::new(),
            disk: None,
            wake: None,
            ..*original
        };
        self.count += 1;
        let who = self.count;
        self.processes.insert(who, copy);
        self.plan(who, 1, Happening::Act);
        self.pump(who);
    }

    fn fail_over(&mut self) {
        self.store = self.rng.pick(&self.older);
        self.older.clear();
        for process in self.processes.values_mut() {
            let now = Time::from_micros(self.now + process.ahead);
            process.co.handle_node(NodeId(0), NodeChange::Connected, now);
        }
        for who in self.processes.keys().copied().collect::<Vec<_>>() {
            self.pump(who);
        }
    }

    /// What the server stands at.
    pub(crate) fn view(&mut self) -> View {
        let mut store = self.store.clone();
        let script = comity_script();
        let mut argv: Argv = [&b"EVAL"[..], script.as_bytes(), b"1", KEY].into_iter().collect();
        Op::Get { id: None }.encode(&mut argv);
        let reply = store.execute(&argv, Time::from_micros(SERVER_EPOCH + self.now));
        Answer::decode(&reply).expect("an answer").view
    }

    fn check(&mut self) {
        if !self.count.is_multiple_of(7) {
            return;
        }
        let totals = self.view().totals;
        // C6: never more than was counted.
        let within = totals.p <= u128::from(self.issued.p) && totals.n <= u128::from(self.issued.n);
        assert!(within, "C6: {totals:?} of {:?}", self.issued);
        if self.forgetful {
            return;
        }
        // C5: what somebody was told to be safe is there, or on a disk from which it will be.
        let safe = self.processes.values().filter(|process| !process.journaled);
        let safe =
            safe.map(|process| process.safe.since(process.inherited)).fold(Tally::ZERO, plus);
        // What was reported lost counts as told, too.
        let told = self.open;
        let kept = totals.p + u128::from(told.p) >= u128::from(safe.p)
            && totals.n + u128::from(told.n) >= u128::from(safe.n);
        assert!(kept, "C5: {totals:?} of {safe:?}");
    }

    /// No more faults, nothing more is counted, and every live replica flushes.
    pub(crate) fn settle(&mut self) {
        (self.faults, self.acts) = (Faults::NONE, Acts::default());
        // Whoever acts has its next step among the happenings: those are dropped.
        self.happenings.retain(|_, what| !matches!(what, Happening::Act));
        self.run(60 * SECOND);
        self.processes.retain(|_, process| process.co.counter_snapshot(process.counter).is_ok());
        // Every slot is told again within a minute and a half.
        self.run(200 * SECOND);
        let now = self.now;
        for process in self.processes.values() {
            let at = Time::from_micros(now + process.ahead);
            let value = process.co.counter_value(process.counter, at).expect("open");
            assert!(value.pending.is_zero(), "flushed in the end: {value:?}");
        }
        self.check();
    }

    /// C7: between all that was counted, and that without what was reported.
    pub(crate) fn assert_settled(&mut self) {
        let totals = self.view().totals;
        let parts =
            [(totals.p, self.issued.p, self.open.p), (totals.n, self.issued.n, self.open.n)];
        for (total, issued, open) in parts {
            assert!(total <= u128::from(issued), "C6: {total} of {issued}");
            assert!(
                self.forgetful || total + u128::from(open) >= u128::from(issued),
                "C7: {total} of {issued}, of which {open} may be lost"
            );
        }
    }
}

fn comity_script() -> &'static str {
    include_str!("../../src/counter/counter.lua")
}
