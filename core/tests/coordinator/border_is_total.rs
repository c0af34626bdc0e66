//! Every call of the border is legal at any time: random sequences of all of them, with unknown
//! requests and nodes, replies of every kind, messages of any bytes, time that runs backwards.
//! Never a panic, unknown inputs ignored, and in the end everything has come to an end.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use std::collections::BTreeMap;

use crate::support::{Rng, for_seeds};
use comity::coordinator::{Config, Coordinator};
use comity::counter::{CounterId, CounterOptions, Durability, Freshness, Tally, Token};
use comity::error::ErrorCode;
use comity::event::{CallId, Event, Kind};
use comity::keyspace::ServerTime;
use comity::lock::{Fence, Id, LockId, LockOptions, Push};
use comity::memory::MemoryStore;
use comity::redis::{Failure, NodeChange, NodeId, Reply, RequestId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{
    self, Ack, CopyLimits, Expectation, Handle, Heuristic, SweepOptions, TransactionOptions, Words,
};

const RUNS: u64 = 1_500;
const CALLS: u64 = 400;

struct Chaos {
    co: Coordinator,
    rng: Rng,
    store: MemoryStore,
    now: u64,
    /// Polled, and perhaps answered before.
    requests: Vec<(RequestId, Reply)>,
    locks: Vec<LockId>,
    counters: Vec<CounterId>,
    transactions: Vec<Handle>,
    /// Ids of transactions as text.
    ids: Vec<Vec<u8>>,
    /// Bytes for a restore.
    saved: Vec<Vec<u8>>,
    calls: Vec<CallId>,
    ended: u64,
    /// What the statistics have to say of the events.
    counted: BTreeMap<&'static str, u64>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = (0..rng.between(1, 3)).map(|n| NodeSpec::new(format!("n{n}"), 1)).collect();
        let mut config = Config::new(nodes);
        config.push = rng.chance(700);
        config.timeout = Span::from_millis(rng.pick(&[10, 300, 5_000, 60_000]));
        let now = 1_750_000_000_000_000;
        let co = Coordinator::new(config, rng.bytes32(), Time::from_micros(now)).expect("sound");
        let (requests, locks, counters) = (Vec::new(), Vec::new(), Vec::new());
        let (store, saved, calls) = (MemoryStore::new(), vec![Vec::new()], Vec::new());
        let (transactions, ids) = (Vec::new(), vec![b"nonsense".to_vec()]);
        let (ended, counted) = (0, BTreeMap::new());
        Self {
            co,
            rng,
            store,
            now,
            requests,
            locks,
            counters,
            transactions,
            ids,
            saved,
            calls,
            ended,
            counted,
        }
    }

    fn reply(&mut self, real: Reply) -> Reply {
        let rng = &mut self.rng;
        let verbs = ["GRANTED", "OK", "QUEUED", "BUSY", "GONE", "LOST", "CAPACITY", "RELEASED"];
        let more = ["UNKNOWN", "CANCELLED", "WAS_GRANTED", "INFO", "LAYOUT", "CHECKED", "STALE"];
        let counters = ["NONE", "LIVE", "RETIRED", "FULL", "JOINED", "RESET", "CONFLICT", "PART"];
        let votes = ["PREPARED", "DONE", "COMMITTED", "ABORTED", "STAGING", "YES", "STALE", "PAGE"];
        let errors = ["NOSCRIPT x", "LOADING x", "OOM x", "WRONGTYPE x", "ERR x", "", "MOVED 1 a"];
        let numbers = ["0", "1", "1750000000000001", "18446744073709551615", "-1", "", "expired"];
        match rng.below(20) {
            0..8 => real,
            8 => Reply::error(rng.pick(&errors)),
            9 => Reply::Nil,
            10 => Reply::ok(),
            11 => Reply::Integer(rng.next().cast_signed()),
            12 => Reply::Map(vec![(Reply::Nil, Reply::Boolean(true))]),
            13 => Reply::Set(vec![Reply::Double(b"nan".to_vec()), Reply::BigNumber(Vec::new())]),
            14 => Reply::Array(vec![real]),
            15 => Reply::Bulk(b"\xff\0".to_vec()),
            _ => {
                let verb = rng.pick(&[&verbs[..], &more[..], &counters[..], &votes[..]].concat());
                let fields = (0..rng.below(12)).map(|_| Reply::bulk(rng.pick(&numbers)));
                Reply::Array([Reply::bulk(verb)].into_iter().chain(fields).collect())
            }
        }
    }

    fn push(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let far = rng.pick(&[0, self.now, self.now + 2_000_000, u64::MAX]);
        let push = Push {
            id: Id::from_bits(rng.bits128()),
            fence: Fence(far),
            now: ServerTime(rng.pick(&[0, self.now, u64::MAX])),
            expiry: ServerTime(far),
            state_key: b"comity:1:lock:{a}".to_vec(),
        };
        let mut payload = push.encode();
        if rng.chance(300) {
            payload.truncate(rng.index(payload.len()));
        }
        payload
    }

    fn count(&mut self, now: Time) {
        let counter = self.rng.pick(&[&self.counters[..], &[CounterId(u64::MAX)]].concat());
        let rng = &mut self.rng;
        let number = rng.pick(&[0, 1, 1_000, u64::MAX - 1, u64::MAX]);
        let tally = Tally { p: number, n: rng.below(3) };
        let span = Span::from_micros(rng.pick(&[0, 10_000, 2_000_000, u64::MAX]));
        match rng.below(14) {
            0 | 1 => {
                let name = rng.pick(&[&b"c"[..], b"d", b"", b"}{\0", &[b'x'; 513]]);
                let durability = match rng.below(3) {
                    0 => Durability::Sync,
                    1 => Durability::Batched { max_delay: span, max_units: number },
                    _ => Durability::Journaled { max_delay: span },
                };
                let options = CounterOptions { durability, collected: rng.chance(500) };
                let bytes = rng.pick(&self.saved);
                self.counters.extend(match rng.chance(300) {
                    true => self.co.counter_restore(name, options, &bytes, now),
                    false => self.co.counter_open(name, options, now),
                });
            }
            2..5 => drop(self.co.counter_add(counter, number.cast_signed(), now)),
            5 => drop(self.co.counter_advance(counter, tally, now)),
            6 => {
                if let Some(due) = self.co.poll_counter_due() {
                    drop(self.co.counter_collect(due, tally, now));
                }
                drop(self.co.counter_collect(counter, tally, now));
            }
            7 => drop(self.co.counter_value(counter, now)),
            8 => {
                let freshness = rng.pick(&[Freshness::Fresh, Freshness::AtLeast(Token(number))]);
                self.calls.extend(self.co.counter_read(counter, freshness, now));
            }
            9 => self.calls.extend(self.co.counter_flush(counter, now)),
            10 => {
                let epoch = rng.pick(&[None, Some(number)]);
                self.calls.extend(self.co.counter_reset(counter, epoch, now));
            }
            11 => {
                let prune = rng.pick(&[None, Some(span)]);
                self.calls.extend(self.co.counter_audit(counter, prune, now));
            }
            12 => {
                self.saved.extend(self.co.counter_snapshot(counter));
                drop(self.co.counter_journaled(counter, now));
            }
            _ => drop(self.co.counter_close(counter, now)),
        }
    }

    fn transact(&mut self, now: Time) {
        let rng = &mut self.rng;
        let id = rng.pick(&self.ids);
        let handle = rng.pick(&[&self.transactions[..], &[Handle(u64::MAX)]].concat());
        match rng.below(8) {
            0..4 => {
                let commands =
                    ["SET a 1", "INCRBY b 2", "APPEND c x", "GET d", "DEL a b", "HSET e f"];
                let odd = ["BLPOP a 0", "", "SET", "GET comity:1:t:{t}", "TTL a", "LPUSH l 1"];
                let all = [&commands[..], &commands[..], &odd[..]].concat();
                let words = |text: &str| text.split(' ').map(|w| w.as_bytes().to_vec()).collect();
                let commands: Vec<Words> =
                    (0..rng.below(4)).map(|_| words(rng.pick(&all))).collect();
                let key = rng.pick(&[&b"a"[..], b"b", b"", b"\xff"]).to_vec();
                let expectations = match rng.below(6) {
                    0 => vec![Expectation::Absent { key }],
                    1 => vec![Expectation::Exists { key }],
                    2 => vec![Expectation::Value { key, value: b"1".to_vec() }],
                    3 => {
                        let read = vec![b"GET".to_vec(), key];
                        vec![Expectation::Unchanged { read, reply: Reply::Nil }]
                    }
                    _ => Vec::new(),
                };
                let spans = [None, Some(0), Some(20_000), Some(2_000_000), Some(u64::MAX)];
                let span = |rng: &mut Rng| rng.pick(&spans).map(Span::from_micros);
                let (timeout, patience) = (span(rng), span(rng));
                let ack = rng.pick(&[Ack::Applied, Ack::Decided]);
                let copy = CopyLimits { elements: 2, bytes: rng.pick(&[0, 1_000]) };
                let replicas = rng.pick(&[0, 1, 64, 65]);
                let durability = match span(rng) {
                    Some(timeout) => transaction::Durability::Wait { replicas, timeout },
                    None => transaction::Durability::None,
                };
                let options = TransactionOptions { ack, timeout, patience, copy, durability };
                let begun = self.co.transaction_execute(&commands, &expectations, options, now);
                self.transactions.extend(begun);
            }
            4 => self.co.transaction_cancel(handle, now),
            5 => self.calls.extend(self.co.transaction_status(&id, now)),
            6 => {
                let heuristic = rng.pick(&[None, Some(Heuristic::Commit), Some(Heuristic::Abort)]);
                self.calls.extend(self.co.transaction_resolve(&id, heuristic, now));
            }
            _ => {
                let sweep = SweepOptions { shadows: rng.chance(500) };
                self.calls.extend(self.co.transaction_sweep(sweep, now));
            }
        }
    }

    fn call(&mut self) {
        self.now += self.rng.pick(&[0, 0, 1, 1_000, 100_000, 3_000_000]);
        let backwards = self.rng.pick(&[0, 0, 0, 5_000_000, self.now]);
        let now = Time::from_micros(self.now - backwards);
        let node = NodeId(self.rng.pick(&[0, 0, 1, 2, 77, u32::MAX]));
        let lock = self.rng.clone().pick(&[&self.locks[..], &[LockId(u64::MAX)]].concat());
        let rng = &mut self.rng;
        match rng.below(30) {
            26.. => self.transact(now),
            18..26 => self.count(now),
            0 | 1 => {
                let name = rng.pick(&[&b"a"[..], b"b", b"", b"}{\0", &[b'x'; 513]]);
                let ttl = Span::from_micros(rng.pick(&[0, 50_000, 5_000_000, u64::MAX]));
                let wait = rng.pick(&[None, Some(0), Some(1_000_000), Some(u64::MAX)]);
                let wait = wait.map(Span::from_micros);
                let max_hold =
                    rng.pick(&[None, Some(Span::ZERO), Some(Span::from_micros(u64::MAX))]);
                let label = vec![0; rng.pick(&[0, 3, 257])];
                let options = LockOptions { ttl, wait, renew: rng.chance(700), max_hold, label };
                self.locks.extend(self.co.lock_acquire(name, options, now));
            }
            2 => drop(self.co.lock_release(lock, now)),
            3 => self.co.lock_cancel(lock, now),
            4 => drop(self.co.lock_renew(lock, rng.pick(&[None, Some(Span::ZERO)]), now)),
            5 => self.calls.extend(self.co.lock_inspect(b"a", now)),
            6 => {
                let fence = Fence(rng.pick(&[0, 1 << 52, u64::MAX]));
                self.calls.extend(self.co.fence_check(b"r", fence, now));
            }
            7 => self.calls.extend(self.co.check_nodes(now).unwrap_or_default()),
            8 => {
                let change = rng.pick(&[
                    NodeChange::Connected,
                    NodeChange::Lost,
                    NodeChange::PushReady,
                    NodeChange::PushLost,
                ]);
                self.co.handle_node(node, change, now);
            }
            9 => {
                let channel = rng.pick(&[self.co.inbox().to_vec(), b"other".to_vec()]);
                let payload = self.push();
                self.co.handle_message(node, &channel, &payload, now);
            }
            10 => self.co.handle_clock_gap(now),
            11 => self.co.handle_timeout(now),
            12 => {
                let failure = rng.pick(&[Failure::NotSent, Failure::OutcomeUnknown]);
                let request = RequestId(rng.pick(&[0, 1, 5, 40, u64::MAX]));
                self.co.handle_failure(request, failure, now);
            }
            13..16 if !self.requests.is_empty() => {
                let at = rng.index(self.requests.len());
                let (request, real) = self.requests[at].clone();
                let reply = self.reply(real);
                self.co.handle_reply(request, &reply, now);
            }
            _ => {
                while let Some(command) = self.co.poll_command() {
                    let reply = self.store.execute(&command.argv, Time::from_micros(self.now));
                    self.requests.push((command.request, reply));
                }
            }
        }
        self.note_events();
    }

    fn note_events(&mut self) {
        while let Some(event) = self.co.poll_event() {
            let (kind, ended) = (event.kind(), self.ended);
            if let Some(counts) = kind.counts {
                *self.counted.entry(counts).or_default() += 1;
            }
            self.ended += 1;
            match event {
                Event::LockLost { lock, .. }
                | Event::LockReleased { lock, .. }
                | Event::LockFailed { lock, .. } => self.locks.retain(|other| *other != lock),
                Event::LockInspected { call, .. }
                | Event::FenceChecked { call, .. }
                | Event::NodeChecked { call, .. }
                | Event::CounterFlushed { call, .. }
                | Event::CounterRead { call, .. }
                | Event::CounterReset { call, .. }
                | Event::CounterAudited { call, .. }
                | Event::TransactionStatus { call, .. }
                | Event::TransactionResolved { call, .. }
                | Event::TransactionSwept { call, .. }
                | Event::CallFailed { call, .. } => {
                    let at = self.calls.iter().position(|other| *other == call);
                    self.calls.remove(at.expect("one last event of each call"));
                }
                Event::CounterClosed { counter, .. } => {
                    let at = self.counters.iter().position(|other| *other == counter);
                    self.counters.remove(at.expect("one last event of each counter"));
                }
                Event::TransactionCommitted { transaction, id, .. }
                | Event::TransactionFailed { transaction, id, .. }
                | Event::TransactionUnknown { transaction, id, .. } => {
                    self.ids.push(id);
                    let at = self.transactions.iter().position(|other| *other == transaction);
                    self.transactions.remove(at.expect("one last event of each transaction"));
                }
                Event::CounterJournal { bytes, .. } => {
                    self.saved.push(bytes);
                    self.ended -= 1;
                }
                _ => self.ended -= 1,
            }
            assert_eq!(kind.is_last, self.ended > ended, "{kind:?}");
        }
    }

    fn check_counts(&self) {
        let stats = self.co.stats().fields();
        for kind in Kind::ALL {
            let Some(counts) = kind.counts else { continue };
            let (_, stat) = stats.iter().find(|(name, _)| *name == counts).expect("it is one");
            assert_eq!(*stat, self.counted.get(counts).copied().unwrap_or(0), "{counts}");
        }
    }
}

#[test]
fn no_sequence_of_calls_panics_and_close_ends_it() {
    let mut ended = 0;
    for_seeds("any calls", RUNS, |seed| {
        let mut chaos = Chaos::new(seed);
        for _ in 0..CALLS {
            chaos.call();
        }
        chaos.co.close(Time::from_micros(chaos.now));
        let begun = chaos.now;
        for _ in 0..CALLS {
            chaos.call();
        }
        // Verbs after close are refused and change nothing.
        let now = Time::from_micros(chaos.now);
        let options = LockOptions::default();
        let codes = [
            chaos.co.lock_acquire(b"a", options, now).map_err(|e| e.code()).err(),
            chaos.co.lock_inspect(b"a", now).map_err(|e| e.code()).err(),
            chaos.co.check_nodes(now).map_err(|e| e.code()).err(),
            chaos.co.counter_open(b"c", CounterOptions::default(), now).map_err(|e| e.code()).err(),
            chaos.co.transaction_sweep(SweepOptions::default(), now).map_err(|e| e.code()).err(),
        ];
        assert_eq!(codes, [Some(ErrorCode::Closed); 5]);
        let held = chaos.co.lock_release(LockId(1), now).map_err(|e| e.code()).err();
        assert!(matches!(held, Some(ErrorCode::Closed | ErrorCode::LockLost)), "{held:?}");
        // With no more input than time it ends.
        while let Some(at) = chaos.co.next_deadline() {
            assert!(at.as_micros() <= chaos.now.max(begun + 60_000_000), "too late: {at:?}");
            chaos.co.handle_timeout(at);
            chaos.now = chaos.now.max(at.as_micros());
            while chaos.co.poll_command().is_some() {}
            chaos.note_events();
        }
        assert!(chaos.calls.is_empty(), "calls without an end: {:?}", chaos.calls);
        assert!(chaos.counters.is_empty(), "counters without an end: {:?}", chaos.counters);
        assert!(chaos.transactions.is_empty(), "without an end: {:?}", chaos.transactions);
        assert!(chaos.co.poll_command().is_none());
        chaos.check_counts();
        ended += chaos.ended;
    });
    println!("{} calls each; {ended} operations came to an end", 2 * CALLS);
    assert!(ended > 20, "{ended}");
}

#[test]
fn unknown_inputs_are_counted_and_change_nothing() {
    let now = Time::from_micros(1_000_000);
    let config = Config::new(vec![NodeSpec::new("n", 1)]);
    let mut co = Coordinator::new(config, [1; 32], now).expect("sound");
    co.handle_reply(RequestId(7), &Reply::ok(), now);
    co.handle_failure(RequestId(8), Failure::NotSent, now);
    co.handle_message(NodeId(0), b"nobody", b"GRANT", now);
    co.handle_node(NodeId(9), NodeChange::PushReady, now);
    co.handle_timeout(Time::from_micros(0));
    assert_eq!(co.stats().ignored, 3);
    assert!(co.poll_command().is_none() && co.poll_event().is_none());
    assert_eq!(co.next_deadline(), None);
}

#[test]
fn a_moment_that_no_clock_shows_is_like_any_other() {
    let (now, far) = (Time::from_micros(1_000_000), Time::MAX);
    let config = Config::new(vec![NodeSpec::new("n", 1)]);
    let mut co = Coordinator::new(config, [1; 32], now).expect("sound");
    co.lock_acquire(b"a", LockOptions::default(), now).expect("sound");
    let counter = co.counter_open(b"c", CounterOptions::default(), now).expect("sound");
    co.counter_add(counter, 1, now).expect("sound");
    while co.poll_command().is_some() {}
    // Whatever is due, and due again because of that, is done a few times at most.
    for at in [far, far, now] {
        co.handle_timeout(at);
        co.lock_acquire(b"b", LockOptions::default(), at).expect("sound");
        let words = [[b"SET".to_vec(), b"k".to_vec(), b"v".to_vec()].to_vec()];
        co.transaction_execute(&words, &[], TransactionOptions::default(), at).expect("sound");
        while co.poll_command().is_some() {}
    }
    co.close(far);
    while co.poll_command().is_some() {}
    assert!(co.next_deadline().is_none_or(|due| due.as_micros() > i64::MAX.unsigned_abs()));
}
