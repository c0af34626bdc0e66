//! A transaction is in doubt only where an outcome can exist, and not longer than its timeout is it
//! waited for: what never left, was refused before it was executed, or only reads, fails with the reason.

use comity::coordinator::{Config, Coordinator};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, NodeId, Reply};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{TransactionOptions, Words};

const NOW: Time = Time::from_micros(1_750_000_000_000_000);
/// The default timeout.
const TIMEOUT: Span = Span::from_secs(5);
/// The second of two servers.
const B: NodeId = NodeId(1);

struct World {
    co: Coordinator,
    stores: [MemoryStore; 2],
    now: Time,
    /// Commands to the second server.
    sent: u32,
}

/// What the second server, or the way to it, makes of a command.
enum Fate {
    Served,
    Refused(&'static str),
    Failed(Failure),
}

use Fate::{Failed, Refused, Served};

impl World {
    /// One whose clocks are known to the coordinator, and whose servers have the scripts.
    fn new() -> Self {
        let nodes = ["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec();
        let co = Coordinator::new(Config::new(nodes), [7; 32], NOW).expect("sound");
        let stores = [MemoryStore::new(), MemoryStore::new()];
        let mut world = Self { co, stores, now: NOW, sent: 0 };
        for line in [["INCR"; 2], ["GET"; 2]] {
            for only in [0..2, 0..1, 1..2] {
                world.begin(&line[only.clone()], only.start);
                let told = world.run(|_| Served);
                assert!(matches!(told[0], Event::TransactionCommitted { .. }), "{told:?}");
            }
        }
        world.sent = 0;
        world
    }

    /// A key of a server.
    fn key(&self, node: usize) -> Vec<u8> {
        let ring = self.co.ring();
        let mut names = (0..).map(|n| format!("k{n}").into_bytes());
        let on = |key: &Vec<u8>| ring.node(key).is_some_and(|n| n.number() as usize == node);
        names.find(on).expect("each has some")
    }

    /// One command for each server from this one on.
    fn begin(&mut self, names: &[&str], from: usize) {
        let of = |(node, name): (usize, &&str)| vec![name.as_bytes().to_vec(), self.key(node)];
        let commands: Vec<Words> = (from..).zip(names).map(of).collect();
        let options = TransactionOptions::default();
        self.co.transaction_execute(&commands, &[], options, self.now).expect("sound");
    }

    /// Delivers all there is, without letting time pass.
    fn deliver(&mut self, fate: impl Fn(&Command) -> Fate) {
        while let Some(command) = self.co.poll_command() {
            let fate = if command.node == B { fate(&command) } else { Served };
            self.sent += u32::from(command.node == B);
            match fate {
                Served => {
                    let store = &mut self.stores[command.node.0 as usize];
                    let reply = store.execute(&command.argv, self.now);
                    self.co.handle_reply(command.request, &reply, self.now);
                }
                Refused(words) => {
                    self.co.handle_reply(command.request, &Reply::error(words), self.now);
                }
                Failed(failure) => self.co.handle_failure(command.request, failure, self.now),
            }
        }
    }

    /// Until something is told.
    fn run(&mut self, fate: impl Fn(&Command) -> Fate + Copy) -> Vec<Event> {
        loop {
            self.deliver(fate);
            let told: Vec<_> = std::iter::from_fn(|| self.co.poll_event()).collect();
            if !told.is_empty() {
                return told;
            }
            self.now = self.co.next_deadline().expect("nothing is told and nothing to be done");
            self.co.handle_timeout(self.now);
        }
    }

    /// For so long; what was told.
    fn pass(&mut self, span: Span, fate: impl Fn(&Command) -> Fate + Copy) -> Vec<Event> {
        let (end, mut told) = (self.now + span, Vec::new());
        loop {
            self.deliver(fate);
            told.extend(std::iter::from_fn(|| self.co.poll_event()));
            let Some(next) = self.co.next_deadline().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.co.handle_timeout(self.now);
        }
        self.now = end;
        told
    }

    /// Whether the first server has nothing locked or left over.
    fn is_clean(&self) -> bool {
        let keyspace = self.stores[0].keyspace();
        !format!("{keyspace:?}").contains("comity:1:t:{t}:")
    }
}

fn failed(told: &[Event]) -> &Error {
    match told {
        [Event::TransactionFailed { error, .. }] => error,
        other => panic!("{other:?}"),
    }
}

/// On the second server alone, and on both.
const PLACES: [(usize, &[&str]); 2] = [(1, &["INCR"]), (0, &["INCR"; 2])];

#[test]
fn what_never_left_has_failed_and_nothing_goes_on() {
    for (from, names) in PLACES {
        let mut world = World::new();
        world.begin(names, from);
        let told = world.run(|_| Failed(Failure::NotSent));
        let error = failed(&told);
        assert_eq!((error.code(), error.node()), (ErrorCode::Unreachable, Some(B)), "{error}");
        let after = world.now.since(NOW);
        assert!(after <= TIMEOUT && after >= TIMEOUT.part(1, 2), "{after:?}");
        let sent = world.sent;
        assert_eq!(world.pass(Span::from_secs(3_600), |_| Failed(Failure::NotSent)), []);
        assert_eq!(world.sent, sent, "the server that is away is left alone");
        assert!(world.is_clean());
        world.begin(names, from);
        let told = world.run(|_| Served);
        assert!(matches!(told[0], Event::TransactionCommitted { .. }), "{told:?}");
    }
}

#[test]
fn what_a_server_refuses_is_told_at_once_in_its_words() {
    let refusals = [
        "NOPERM User app has no permissions to access one of the keys",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH Authentication required.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Errors writing to the AOF file: No space left",
        "NOREPLICAS Not enough good replicas to write.",
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
    ];
    let places = [PLACES[0], PLACES[1], (1, &["GET"]), (0, &["GET"; 2])];
    for (words, (from, names)) in refusals.into_iter().flat_map(|r| places.map(|p| (r, p))) {
        let mut world = World::new();
        world.begin(names, from);
        let told = world.run(|_| Refused(words));
        let error = failed(&told);
        assert_eq!((error.code(), error.node()), (ErrorCode::ServerRefused, Some(B)), "{error}");
        assert!(error.message().starts_with(words), "{error}");
        assert_eq!(world.now, NOW, "{words}: told at once");
        // All is over, also where the server never takes anything again.
        assert_eq!(world.pass(Span::from_secs(60), |_| Refused(words)), [], "{words}");
        assert!(world.is_clean(), "{words}");
    }
}

#[test]
fn a_server_that_does_not_tell_its_time_is_no_doubt() {
    let mut world = World::new();
    world.co.handle_node(B, comity::redis::NodeChange::Lost, NOW);
    world.begin(&["INCR"; 2], 0);
    let told = world.run(|_| Refused("NOPERM User app has no permissions to run 'time'"));
    assert_eq!((failed(&told).code(), world.now), (ErrorCode::ServerRefused, NOW));
}

#[test]
fn reads_are_never_in_doubt() {
    for (from, names) in [(1, &["GET"][..]), (0, &["GET"; 2])] {
        let mut world = World::new();
        world.begin(names, from);
        let told = world.run(|_| Failed(Failure::OutcomeUnknown));
        assert_eq!(failed(&told).code(), ErrorCode::NoAnswer);
        assert!(world.now.since(NOW) <= TIMEOUT);
        // The locks that the first server was asked for are given back.
        world.pass(Span::from_secs(10), |_| Served);
        assert!(world.is_clean());
    }
}

#[test]
fn doubt_is_told_by_the_timeout() {
    // A server that answers nothing, and one whose answers are nonsense.
    let fates: [fn(&Command) -> Fate; 2] =
        [|_| Failed(Failure::OutcomeUnknown), |_| Refused("ERR nonsense")];
    for fate in fates {
        let mut world = World::new();
        world.begin(&["INCR"], 1);
        let told = world.run(fate);
        let [Event::TransactionUnknown { error, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((error.code(), error.node()), (ErrorCode::OutcomeUnknown, Some(B)));
        assert!(world.now.since(NOW) <= TIMEOUT, "{:?}", world.now.since(NOW));
    }
}

#[test]
fn many_in_doubt_do_not_press_a_server_that_is_away() {
    let mut world = World::new();
    let silent = |_: &Command| Failed(Failure::OutcomeUnknown);
    let mut told = Vec::new();
    for _ in 0..300 {
        world.begin(&["INCR"], 1);
        told.extend(world.pass(Span::from_millis(100), silent));
    }
    told.extend(world.pass(TIMEOUT + TIMEOUT, silent));
    let doubts = told.iter().filter(|e| matches!(e, Event::TransactionUnknown { .. })).count();
    assert_eq!(doubts, told.len());
    assert!(doubts > 100, "{doubts}");
    world.sent = 0;
    world.pass(Span::from_secs(600), silent);
    assert!((200..1_500).contains(&world.sent), "{} in ten minutes", world.sent);
    // One answer, and all is found out.
    let told = world.pass(Span::from_secs(3), |_| Served);
    let ended = told.iter().filter(|e| matches!(e, Event::TransactionEnded { .. })).count();
    assert_eq!(ended, doubts);
    assert_eq!(world.co.next_deadline(), None);
}
