//! Many coordinators with one counter, one embedded store and a bad network in virtual time, and a
//! ledger of whole units beside it. All that happens follows from the seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use comity::coordinator::{Config, Coordinator};
use comity::counter::{Answer, CounterOptions, Durability, Op, Tally, Token, Totals, View};
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::redis::{Argv, Failure, Reply, RequestId, Script};
use comity::ring::NodeSpec;
use comity::time::Time;

use super::Rng;
use super::counter_acts::Acts;
use super::counter_process::{Process, plus};
use super::network::{Fate, Faults};
use super::stamping;

const SERVER_EPOCH: u64 = 1_750_000_000_000_000;
pub(super) const SECOND: u64 = 1_000_000;
const NAME: &[u8] = b"hits";
const KEY: &[u8] = b"comity:1:counter:{hits}";

pub(super) enum Happening {
    Execute { argv: Argv, answer: Option<RequestId>, again: bool },
    Reply { request: RequestId, reply: Reply },
    Failure { request: RequestId, failure: Failure },
    Wake,
    Act,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) acts: Acts,
    durability: Durability,
    pub(super) store: MemoryStore,
    /// What the server was at some moments before.
    pub(super) older: Vec<MemoryStore>,
    pub(super) processes: BTreeMap<u64, Process>,
    pub(super) heap: BinaryHeap<Reverse<(u64, u64, u64)>>,
    pub(super) happenings: BTreeMap<u64, Happening>,
    pub(super) count: u64,
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
    /// What failovers took from the totals, whether somebody has given it back since or not.
    pub(crate) forgotten: Totals,
    /// What processes that are gone were told to be safe on the server; and those with a journal, there
    /// or in it.
    pub(super) gone: Tally,
    pub(super) gone_journaled: Tally,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, acts: Acts, durability: Durability) -> Self {
        let mut world = Self {
            now: 1_000,
            rng: Rng::new(seed),
            faults,
            acts,
            durability,
            store: stamping::alone(),
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
            forgotten: Totals::default(),
            gone: Tally::ZERO,
            gone_journaled: Tally::ZERO,
        };
        for _ in 0..3 {
            world.start(None);
        }
        world
    }

    pub(super) fn start(&mut self, bytes: Option<&[u8]>) {
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
        let journaled = matches!(self.durability, Durability::Journaled { .. });
        let mut process = Process::new(co, counter, journaled);
        // What it was started from is still on the disk.
        process.disk = bytes.map(|bytes| (bytes.to_vec(), Tally::ZERO));
        self.processes.insert(who, process);
        self.plan(who, 1, Happening::Act);
        self.pump(who);
    }

    pub(super) fn plan(&mut self, who: u64, after: u64, what: Happening) {
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
        let now = process.at(self.now);
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

    pub(super) fn pump(&mut self, who: u64) {
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
                process.on_flushed(call);
            }
            Event::CounterJournal { counter, bytes, .. } => {
                process.disk = Some((bytes, process.counted));
                let now = process.at(self.now);
                // The last one comes with the close, when nobody waits for it any more.
                let open = process.co.counter_value(counter, now).is_ok();
                assert_eq!(process.co.counter_journaled(counter, now).is_ok(), open);
            }
            Event::CounterLost { lost, .. } => {
                self.lost += 1;
                self.open = plus(self.open, lost);
                process.on_lost(lost);
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

    /// What the server stands at.
    pub(crate) fn view(&mut self) -> View {
        let mut store = self.store.clone();
        let script = Script::Counter.text();
        let mut argv: Argv =
            [&b"EVAL"[..], script.as_bytes(), b"2", KEY, stamping::META].into_iter().collect();
        Op::Get { id: None }.encode(&mut argv);
        argv.push(&stamping::of_one());
        let reply = store.execute(&argv, Time::from_micros(SERVER_EPOCH + self.now));
        Answer::decode(&reply).expect("an answer").view
    }

    fn check(&mut self) {
        if !self.count.is_multiple_of(7) {
            return;
        }
        let living = self.processes.values().filter(|process| !process.journaled);
        let acknowledged = living.map(Process::acknowledged).fold(self.gone, plus);
        self.assert_between(acknowledged);
    }

    /// C6 and C5: never more than was counted; and all that was ever acknowledged, whatever became of
    /// who was told so. Only a server that loses units makes them fewer, and by no more than it lost.
    fn assert_between(&mut self, acknowledged: Tally) {
        let (totals, forgotten, issued) = (self.view().totals, self.forgotten, self.issued);
        for (total, forgotten, issued, acknowledged) in [
            (totals.p, forgotten.p, issued.p, acknowledged.p),
            (totals.n, forgotten.n, issued.n, acknowledged.n),
        ] {
            assert!(total <= u128::from(issued), "C6: {total} of {issued}");
            let kept = total + forgotten >= u128::from(acknowledged);
            assert!(kept, "C5: {total} of {acknowledged}, {forgotten} of them forgotten");
        }
    }

    /// No more faults, nothing more is counted, and every live replica flushes.
    pub(crate) fn settle(&mut self) {
        (self.faults, self.acts) = (Faults::NONE, Acts::default());
        // Whoever acts has its next step among the happenings: those are dropped.
        self.happenings.retain(|_, what| !matches!(what, Happening::Act));
        self.run(60 * SECOND);
        let closed = self.processes.extract_if(.., |_, process| !process.is_open());
        for process in closed.map(|(_, process)| process).collect::<Vec<_>>() {
            self.bury(&process);
        }
        // Every slot is told again within a minute and a half.
        self.run(200 * SECOND);
        let now = self.now;
        for process in self.processes.values() {
            let at = process.at(now);
            let value = process.co.counter_value(process.counter, at).expect("open");
            assert!(value.pending.is_zero(), "flushed in the end: {value:?}");
        }
    }

    /// At rest, what was acknowledged by a journal is on the server, too (C5). And C7: between all that
    /// was counted, and that without what was reported.
    pub(crate) fn assert_settled(&mut self) {
        let gone = plus(self.gone, self.gone_journaled);
        let acknowledged = self.processes.values().map(Process::acknowledged).fold(gone, plus);
        self.assert_between(acknowledged);
        let (totals, forgotten) = (self.view().totals, self.forgotten);
        for (kept, open, issued) in [
            (totals.p + forgotten.p, self.open.p, self.issued.p),
            (totals.n + forgotten.n, self.open.n, self.issued.n),
        ] {
            let told = kept + u128::from(open) >= u128::from(issued);
            assert!(told, "C7: {kept} of {issued}, of which {open} may be lost");
        }
    }
}
