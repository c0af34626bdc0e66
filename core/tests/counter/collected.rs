//! A host that keeps the numbers itself: asked before each flush, flushed at most a hundred times a
//! second, many counters at once; and the bound on what may be pending.

use std::collections::VecDeque;

use crate::support::stamping::alone;
use comity::coordinator::{Config, Coordinator};
use comity::counter::{CounterId, CounterOptions, Durability, Tally};
use comity::crdt::PNCounter;
use comity::error::ErrorCode;
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::redis::{Reply, RequestId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

const MS: u64 = 1_000;
/// A host as `docs/counter.md` describes it, with a network that takes its time.
struct Host {
    co: Coordinator,
    store: MemoryStore,
    now: u64,
    counters: Vec<(CounterId, Tally, bool)>,
    replies: VecDeque<(u64, RequestId, Reply)>,
    /// How many commands left in each write.
    writes: Vec<usize>,
    flushed: bool,
    /// How long a reply takes.
    away: u64,
}

impl Host {
    fn new(counters: usize, durability: Durability, away: u64) -> Self {
        let now = 1_750_000_000_000_000;
        let config = Config::new(vec![NodeSpec::new("n", 1)]);
        let mut co = Coordinator::new(config, [3; 32], Time::from_micros(now)).expect("sound");
        let options = CounterOptions { durability, collected: true };
        let mut open = |number: usize| {
            let name = format!("hits {number}");
            co.counter_open(name.as_bytes(), options, Time::from_micros(now)).expect("sound")
        };
        let counters = (0..counters).map(|number| (open(number), Tally::ZERO, false)).collect();
        let (store, replies, writes) = (alone(), VecDeque::new(), Vec::new());
        Self { co, store, now, counters, replies, writes, flushed: false, away }
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    /// Counts in the host's own cell; the core is told only of the first unit after a flush.
    fn add(&mut self, at: usize, amount: u64) {
        let time = self.time();
        let (id, tally, told) = &mut self.counters[at];
        tally.p += amount;
        if !*told {
            *told = true;
            self.co.counter_advance(*id, *tally, time).expect("it is open");
        }
    }

    /// Lets time go on to `until`, and happen what then happens.
    fn run(&mut self, until: u64) {
        loop {
            self.turn();
            let due = self.co.next_deadline().map(Time::as_micros);
            let reply = self.replies.front().map(|(at, ..)| *at);
            match [due, reply].into_iter().flatten().min().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            while self.replies.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, request, reply) = self.replies.pop_front().expect("just seen");
                self.co.handle_reply(request, &reply, self.time());
            }
            self.co.handle_timeout(self.time());
        }
        self.now = until;
    }

    /// Answers what the core asks, and sends what it wants sent.
    fn turn(&mut self) {
        while let Some(due) = self.co.poll_counter_due() {
            let time = self.time();
            let found = self.counters.iter_mut().find(|(id, ..)| *id == due);
            let (id, tally, told) = found.expect("one of ours");
            *told = false;
            self.co.counter_collect(*id, *tally, time).expect("it is open");
        }
        let mut written = 0;
        while let Some(command) = self.co.poll_command() {
            let reply = self.store.execute(&command.argv, self.time());
            self.replies.push_back((self.now + self.away, command.request, reply));
            written += 1;
        }
        if written > 0 {
            self.writes.push(written);
        }
        while let Some(event) = self.co.poll_event() {
            self.flushed |= matches!(event, Event::CounterFlushed { .. });
        }
    }

    fn value(&self, at: usize) -> i128 {
        self.co.counter_value(self.counters[at].0, self.time()).expect("it is open").value
    }

    /// What the server says, to somebody else.
    fn on_server(&mut self, at: usize) -> i128 {
        let (id, tally, _) = self.counters[at];
        self.co.counter_advance(id, tally, self.time()).expect("it is open");
        self.flushed = false;
        self.co.counter_flush(id, self.time()).expect("it is open");
        self.run(self.now + 1_000 * MS);
        assert!(self.flushed);
        assert!(self.co.counter_value(id, self.time()).expect("it is open").pending.is_zero());
        self.value(at)
    }
}

#[test]
fn a_counter_is_flushed_a_hundred_times_a_second_whatever_the_rate() {
    let batched = Durability::Batched { max_delay: Span::from_millis(10), max_units: u64::MAX };
    for away in [0, 1, 10, 300] {
        let mut host = Host::new(1, batched, away * MS);
        let begun = host.now;
        let mut counted = 0;
        while host.now < begun + 5_000 * MS {
            host.add(0, 7);
            counted += 7;
            host.run(host.now + 100);
        }
        let commands: usize = host.writes.iter().sum();
        let fit = 5_000 / away.max(10);
        assert!(commands as u64 <= fit + 3, "{commands} commands in 5 s, {away} ms away");
        assert!(commands as u64 * 3 > fit, "{commands} commands in 5 s, {away} ms away");
        assert_eq!(host.on_server(0), counted);
    }
}

#[test]
fn what_many_counters_have_to_tell_leaves_in_one_write() {
    let batched = Durability::Batched { max_delay: Span::from_millis(50), max_units: u64::MAX };
    let mut host = Host::new(100, batched, 10 * MS);
    let begun = host.now;
    while host.now < begun + 2_000 * MS {
        for at in 0..100 {
            host.add(at, 1);
        }
        host.run(host.now + MS);
    }
    let (writes, commands) = (host.writes.len(), host.writes.iter().sum::<usize>());
    // Each counter begins with its slot and then flushes about twenty times a second.
    assert!(commands > 2_000, "{commands} commands");
    assert!(writes * 25 < commands, "{commands} commands in {writes} writes");
    for at in [0, 50, 99] {
        assert_eq!(host.on_server(at), 2_000);
    }
}

#[test]
fn more_than_may_be_pending_is_refused_and_nothing_is_counted() {
    let now = Time::from_micros(1_000_000);
    let mut co =
        Coordinator::new(Config::new(vec![NodeSpec::new("n", 1)]), [1; 32], now).expect("sound");
    let max_delay = Span::from_secs(1);
    let durability = Durability::Batched { max_delay, max_units: 10 };
    let options = CounterOptions { durability, collected: false };
    let id = co.counter_open(b"hits", options, now).expect("sound");
    co.counter_add(id, 6, now).expect("there is room");
    co.counter_add(id, -4, now).expect("and for that");
    for amount in [1, -1, i64::MAX, i64::MIN] {
        let refused = co.counter_add(id, amount, now).expect_err("there is none left");
        assert_eq!(refused.code(), ErrorCode::LimitExceeded);
        assert!(refused.to_string().contains("10"), "{refused}");
    }
    let value = co.counter_value(id, now).expect("it is open");
    assert_eq!((value.value, value.pending), (2, Tally { p: 6, n: 4 }));

    let mut unbounded =
        Coordinator::new(Config::new(vec![NodeSpec::new("n", 1)]), [2; 32], now).expect("sound");
    let id = unbounded.counter_open(b"hits", CounterOptions::default(), now).expect("sound");
    for _ in 0..2 {
        unbounded.counter_add(id, i64::MAX, now).expect("within 64 bits");
    }
    unbounded.counter_add(id, 1, now).expect("the last");
    let refused = unbounded.counter_add(id, 1, now).expect_err("beyond 64 bits");
    assert_eq!(refused.code(), ErrorCode::Overflow);
    let value = unbounded.counter_value(id, now).expect("it is open");
    assert_eq!(value.value, i128::from(u64::MAX));
    assert_eq!(value.as_i64().expect_err("beyond 64 bits").code(), ErrorCode::Overflow);
}

#[test]
fn the_state_of_a_peer_counter_is_counted_once_however_often_it_is_merged() {
    let mut host = Host::new(2, Durability::Sync, 0);
    let mut peer = PNCounter::new(7);
    let mut other = PNCounter::new(8);
    peer.add(5).expect("it fits");
    other.add(-2).expect("it fits");
    peer.merge(&other.to_bytes()).expect("sound bytes");
    let (bytes, id) = (peer.to_bytes(), host.counters[0].0);
    host.add(0, 10);
    host.run(host.now + 100 * MS);
    for _ in 0..3 {
        host.co.counter_merge(id, &bytes, host.time()).expect("it is open");
        host.run(host.now + 100 * MS);
        assert_eq!(host.value(0), 13);
        assert_eq!(host.on_server(0), 13);
    }
    // More of it, before what was merged is on the server.
    peer.add(1).expect("it fits");
    host.co.counter_merge(id, &peer.to_bytes(), host.time()).expect("it is open");
    peer.add(1).expect("it fits");
    host.co.counter_merge(id, &peer.to_bytes(), host.time()).expect("it is open");
    assert_eq!(host.on_server(0), 15);
    // A slot of it is neither pruned nor does it make later incarnations impossible.
    host.run(host.now + 10_000 * MS);
    host.co.counter_audit(id, Some(Span::from_millis(1)), host.time()).expect("it is open");
    host.run(host.now + 1_000 * MS);
    host.add(1, 1);
    assert_eq!(host.on_server(1), 1);
    assert_eq!(host.on_server(0), 15);

    let refused = host.co.counter_merge(id, &bytes[..bytes.len() - 1], host.time());
    assert_eq!(refused.expect_err("it is cut").code(), ErrorCode::Corrupt);
    assert_eq!(host.value(0), 15);
}
