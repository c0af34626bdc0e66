//! Many coordinators, one embedded store and a bad network in virtual time. All that happens
//! follows from the seed; after each happening the ledger is checked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::keyspace::ServerTime;
use comity::lock::{self, Id, LockId, Op};
use comity::memory::MemoryStore;
use comity::redis::{
    Argv, Command, Failure, LockKeys, NodeChange, NodeId, Reply, RequestId, Route,
};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

use super::Rng;
use super::client::{Client, Workload};
use super::ledger::{Belief, Ledger};
use super::network::{Fate, Faults};
use super::stamping;
use super::view::assert_at_rest;

/// The server's clock at the beginning.
const SERVER_EPOCH: u64 = 1_750_000_000_000_000;
/// No driver keeps a command for longer.
const LONGEST_STRAGGLER: u64 = 59_000_000;
const NODE: NodeId = NodeId(0);

pub(crate) const SECOND: u64 = 1_000_000;

/// What happens to a client, or on its behalf at the server.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Execute { argv: Argv, answer: Option<RequestId>, again: bool },
    Subscribe { request: RequestId },
    Reply { request: RequestId, reply: Reply },
    Failure { request: RequestId, failure: Failure },
    Message { channel: Vec<u8>, payload: Vec<u8> },
    PushLost,
    Wake,
    Resume { clock_stood: u64 },
    Act,
    End { lock: LockId, how: Ending },
}

/// What a user does with a lock in the end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Release,
    Cancel,
    Renew(u64),
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) store: MemoryStore,
    pub(crate) clients: Vec<Client>,
    pub(crate) faults: Faults,
    pub(crate) workload: Workload,
    pub(crate) ledger: Ledger,
    traced: bool,
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: BTreeMap<u64, Happening>,
    count: u64,
    /// No new locks are asked for.
    pub(crate) winding_down: bool,
}

impl World {
    pub(crate) fn new(seed: u64, workload: Workload, faults: Faults) -> Self {
        let mut rng = Rng::new(seed);
        let (now, mut clients) = (1_000, Vec::new());
        for _ in 0..workload.clients {
            let mut config = Config::new(vec![NodeSpec::new("n", 1)]);
            config.push = workload.push;
            let ppm = rng.below(2 * workload.ppm + 1) as i64 - workload.ppm as i64;
            let origin = rng.below(1 << 40);
            let mut client = Client {
                co: None,
                origin,
                ppm,
                stood: 0,
                asleep_until: 0,
                subscribed: false,
                wake: None,
                open: BTreeMap::new(),
                events: Vec::new(),
            };
            let co = Coordinator::new(config, rng.bytes32(), client.local(now));
            client.co = Some(co.expect("a sound configuration"));
            clients.push(client);
        }
        let mut world = Self {
            now,
            rng,
            store: stamping::alone(),
            clients,
            faults,
            workload,
            ledger: Ledger::default(),
            traced: std::env::var_os("COMITY_TRACE").is_some(),
            heap: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            count: 0,
            winding_down: false,
        };
        for client in 0..world.clients.len() {
            let at = world.rng.below(SECOND);
            world.plan(client, at, Happening::Act);
        }
        world
    }

    pub(crate) const fn server_now(&self) -> u64 {
        SERVER_EPOCH + self.now
    }

    pub(super) fn plan(&mut self, client: usize, after: u64, what: Happening) {
        self.count += 1;
        self.happenings.insert(self.count, what);
        self.heap.push(Reverse((self.now + after, self.count, client)));
    }

    /// With `COMITY_TRACE` set, tells what happens.
    fn trace(&self, line: impl FnOnce() -> String) {
        if self.traced {
            println!("{}", line());
        }
    }

    /// Runs for `us` microseconds of true time.
    pub(crate) fn run(&mut self, us: u64) {
        let end = self.now + us;
        while let Some(&Reverse((at, number, client))) = self.heap.peek() {
            if at > end {
                break;
            }
            self.heap.pop();
            self.now = self.now.max(at);
            let Some(what) = self.happenings.remove(&number) else { continue };
            self.happen(client, what);
            self.check();
        }
        self.now = end;
    }

    fn happen(&mut self, who: usize, what: Happening) {
        // What the server does needs no client.
        match what {
            Happening::Execute { argv, answer, again } => {
                return self.execute(who, argv, answer, again);
            }
            Happening::Subscribe { request } => {
                self.clients[who].subscribed = true;
                let reply = Reply::Array(vec![Reply::bulk("subscribe")]);
                let delay = self.faults.delay(&mut self.rng);
                return self.plan(who, delay, Happening::Reply { request, reply });
            }
            _ => {}
        }
        let asleep = self.clients[who].asleep_until;
        if asleep > self.now && !matches!(what, Happening::Resume { .. }) {
            return self.plan(who, asleep - self.now, what);
        }
        if let Happening::Resume { clock_stood } = what {
            self.clients[who].stood += clock_stood;
        }
        let now = self.clients[who].local(self.now);
        if !matches!(what, Happening::Wake | Happening::Failure { .. } | Happening::Act) {
            self.trace(|| format!("{:7} {who} {now:?} {what:?}", self.now / 1_000));
        }
        let Some(co) = self.clients[who].co.as_mut() else { return };
        match what {
            Happening::Reply { request, reply } => co.handle_reply(request, &reply, now),
            Happening::Failure { request, failure } => co.handle_failure(request, failure, now),
            Happening::Message { channel, payload } => {
                co.handle_message(NODE, &channel, &payload, now);
            }
            Happening::PushLost => co.handle_node(NODE, NodeChange::PushLost, now),
            Happening::Resume { clock_stood } if clock_stood > 0 => co.handle_clock_gap(now),
            Happening::Wake | Happening::Resume { .. } => {
                self.clients[who].wake = None;
                if let Some(co) = self.clients[who].co.as_mut() {
                    co.handle_timeout(now);
                }
            }
            Happening::Act => self.act(who, now),
            Happening::End { lock, how } => match how {
                // The lock may be lost by now: then the verb is refused, and nothing is changed.
                Ending::Release => drop(co.lock_release(lock, now)),
                Ending::Renew(ms) => {
                    drop(co.lock_renew(lock, Some(Span::from_millis(ms)), now));
                }
                Ending::Cancel => {
                    co.lock_cancel(lock, now);
                    self.clients[who].open.remove(&lock);
                }
            },
            Happening::Execute { .. } | Happening::Subscribe { .. } => {}
        }
        self.pump(who);
    }

    fn execute(&mut self, who: usize, argv: Argv, answer: Option<RequestId>, again: bool) {
        let (now, space) = (self.server_now(), self.store.keyspace());
        self.ledger.before(space, &argv, now);
        let reply = self.store.execute(&argv, Time::from_micros(now));
        self.trace(|| format!("{:7} {who} executes {argv:?} = {reply:?}", self.now / 1_000));
        self.ledger.after(self.store.keyspace(), &argv, &reply, now);
        self.deliver();
        if self.rng.chance(self.faults.script_flush) {
            let flush = ["SCRIPT", "FLUSH"].into_iter().collect();
            self.store.execute(&flush, Time::from_micros(now));
        }
        let Some(request) = answer else { return };
        let delay = self.faults.delay(&mut self.rng);
        if again {
            let later = delay + self.rng.below(5 * SECOND);
            self.plan(who, later, Happening::Reply { request, reply: reply.clone() });
        }
        self.plan(who, delay, Happening::Reply { request, reply });
    }

    /// Hands out what was published.
    fn deliver(&mut self) {
        while let Some(message) = self.store.poll_message() {
            for who in 0..self.clients.len() {
                let client = &self.clients[who];
                let hears = client.co.as_ref().is_some_and(|co| co.inbox() == message.channel);
                if !hears || !client.subscribed || self.rng.chance(self.faults.lost_push) {
                    continue;
                }
                let times = 1 + u64::from(self.rng.chance(self.faults.repeated_push));
                for _ in 0..times {
                    let (channel, payload) = (message.channel.clone(), message.payload.clone());
                    let delay = self.faults.delay(&mut self.rng);
                    self.plan(who, delay, Happening::Message { channel, payload });
                }
            }
        }
    }

    /// Sends what a client wants sent, takes note of its events, and keeps its one timer.
    fn pump(&mut self, who: usize) {
        while let Some(command) = self.clients[who].co.as_mut().and_then(Coordinator::poll_command)
        {
            self.send(who, command);
        }
        while let Some(event) = self.clients[who].co.as_mut().and_then(Coordinator::poll_event) {
            self.trace(|| format!("{:7} {who} {event:?}", self.now / 1_000));
            self.on_event(who, &event);
            self.clients[who].events.push((self.now, event));
        }
        let client = &self.clients[who];
        let next = client.co.as_ref().and_then(Coordinator::next_deadline);
        // I12: whoever waits for something has a moment at which to do something about it.
        assert!(next.is_some() || client.open.is_empty(), "I12: {who} hangs: {:?}", client.open);
        let Some(at) = next.map(|next| client.true_time(next).max(self.now)) else { return };
        if client.wake.is_none_or(|wake| wake > at) {
            self.clients[who].wake = Some(at);
            self.plan(who, at - self.now, Happening::Wake);
        }
    }

    fn send(&mut self, who: usize, command: Command) {
        let Command { request, deadline, argv, route, .. } = command;
        let fate = Fate::of(&self.faults, &mut self.rng);
        let there = self.faults.delay(&mut self.rng);
        let given_up = self.clients[who].true_time(deadline).max(self.now) - self.now;
        let failure = match fate {
            Fate::NotSent => Failure::NotSent,
            _ => Failure::OutcomeUnknown,
        };
        // A driver gives up at the deadline; a reply that comes before is booked before.
        let sooner = fate != Fate::Answered && self.rng.chance(500);
        let at = if sooner { self.rng.below(given_up + 1) } else { given_up };
        let failure = Happening::Failure { request, failure };
        if route == Route::Subscribe {
            if fate == Fate::Answered {
                self.plan(who, there, Happening::Subscribe { request });
            }
            return self.plan(who, at, failure);
        }
        let executed = |answered: bool, again| Happening::Execute {
            argv: argv.clone(),
            answer: answered.then_some(request),
            again,
        };
        match fate {
            Fate::Answered | Fate::AnsweredTwice => {
                self.plan(who, there, executed(true, fate == Fate::AnsweredTwice));
                self.plan(who, given_up, failure);
            }
            Fate::ExecutedTwice => {
                // The second one before the first one's reply: later there is no straggler.
                self.plan(who, there, executed(false, false));
                self.plan(who, there + 1, executed(true, false));
                self.plan(who, given_up, failure);
            }
            Fate::NotSent | Fate::LostCommand => self.plan(who, at, failure),
            Fate::LostReply => {
                self.plan(who, there, executed(false, false));
                self.plan(who, at, failure);
            }
            Fate::Straggler => {
                let later = self.rng.below(LONGEST_STRAGGLER);
                self.plan(who, later, executed(false, false));
                self.plan(who, at, failure);
            }
        }
    }

    fn check(&mut self) {
        let mut beliefs = Vec::new();
        for (who, client) in self.clients.iter().enumerate() {
            // Nothing runs in a process whose clock stands still.
            let (Some(co), now) = (&client.co, client.local(self.now)) else { continue };
            for (lock, (name, fence)) in &client.open {
                if !co.lock_is_held(*lock, now) || client.asleep_until > self.now {
                    continue;
                }
                let until = co.lock_valid_until(*lock).unwrap_or(now);
                let state_key = [&b"comity:1:lock:{"[..], name, b"}"].concat();
                beliefs.push(Belief {
                    client: who,
                    name: state_key,
                    fence: fence.expect("a lock that is held was granted"),
                    until: SERVER_EPOCH + client.true_time(until),
                });
            }
        }
        let now = self.server_now();
        self.ledger.believe(&beliefs, now);
    }

    /// Ends the faults and the work, and waits until every client has nothing more to do.
    pub(crate) fn wind_down(&mut self) {
        (self.faults, self.winding_down) = (Faults::NONE, true);
        for _ in 0..400 {
            self.run(SECOND);
            if self.clients.iter().all(|client| client.open.is_empty()) {
                return;
            }
        }
        let open: BTreeSet<_> = self.clients.iter().flat_map(|client| client.open.keys()).collect();
        panic!("I12: still open long after the faults: {open:?}");
    }

    /// A client is gone for ever, without a word.
    pub(crate) fn crash(&mut self, who: usize) {
        let client = &mut self.clients[who];
        (client.co, client.subscribed) = (None, false);
        client.open.clear();
    }

    pub(crate) fn close_all(&mut self) {
        for who in 0..self.clients.len() {
            let now = self.clients[who].local(self.now);
            if let Some(co) = &mut self.clients[who].co {
                co.close(now);
                self.pump(who);
            }
        }
    }

    /// Whoever looks at a lock now finds it idle, and every key ends by itself.
    pub(crate) fn assert_reaped(&mut self) {
        let now = ServerTime(self.server_now());
        let space = self.store.keyspace_mut();
        space.set_now(now);
        for name in 0..self.workload.names {
            let keys = LockKeys::of_state(format!("comity:1:lock:{{lock {name}}}").as_bytes());
            let nobody = Op::Renew { id: Id::from_bits(0), ttl: Span::from_secs(1) };
            lock::execute(space, &keys, &nobody).expect("the keys have their types");
        }
        assert_at_rest(space);
    }
}
