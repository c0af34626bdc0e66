//! Transactions that wait for others of the same coordinator: what they waited for is told, and who
//! shares no key with any of them does not wait.

use std::collections::BTreeMap;

use crate::support::unanswered::Unanswered;
use comity::coordinator::{Config, Coordinator};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::redis::NodeId;
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{Handle, TransactionOptions, Words};

const START: Time = Time::from_micros(1_750_000_000_000_000);
/// The default timeout.
const TIMEOUT: Span = Span::from_secs(5);
/// The second of two servers.
const B: NodeId = NodeId(1);

#[derive(Clone)]
struct World {
    co: Coordinator,
    stores: [MemoryStore; 2],
    now: Time,
    b_is_away: bool,
    open: Unanswered,
    ended: BTreeMap<Handle, (Option<Error>, Span)>,
}

impl World {
    /// Servers that are stamped, whose clocks the coordinator knows or not.
    fn new(known: bool) -> Self {
        let nodes = ["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec();
        let config = Config::new(nodes);
        let co = Coordinator::new(config.clone(), [7; 32], START).expect("sound");
        let (stores, open) = ([MemoryStore::new(), MemoryStore::new()], Unanswered::default());
        let ended = BTreeMap::new();
        let mut world = Self { co, stores, now: START, b_is_away: false, open, ended };
        let (on_a, on_b) = (world.keys(0), world.keys(1));
        let first = world.begin("INCR", &[&on_a[0], &on_b[0]]);
        world.run(1);
        assert_eq!(world.ended.remove(&first), Some((None, Span::ZERO)));
        if !known {
            world.co = Coordinator::new(config, [8; 32], START).expect("sound");
        }
        world
    }

    /// The keys of a server.
    fn keys(&self, node: usize) -> Vec<Vec<u8>> {
        let ring = self.co.ring();
        let names = (0..).map(|n| format!("k{n}").into_bytes());
        let on = |key: &Vec<u8>| ring.node(key).is_some_and(|n| n.number() as usize == node);
        names.filter(on).take(3).collect()
    }

    fn begin(&mut self, name: &str, keys: &[&Vec<u8>]) -> Handle {
        self.begin_for(name, keys, TIMEOUT)
    }

    fn begin_for(&mut self, name: &str, keys: &[&Vec<u8>], timeout: Span) -> Handle {
        let of = |key: &&Vec<u8>| vec![name.as_bytes().to_vec(), (*key).clone()];
        let commands: Vec<Words> = keys.iter().map(of).collect();
        let options =
            TransactionOptions { timeout: Some(timeout), ..TransactionOptions::default() };
        self.co.transaction_execute(&commands, &[], options, self.now).expect("sound")
    }

    fn deliver(&mut self) {
        while let Some(command) = self.co.poll_command() {
            if command.node == B && self.b_is_away {
                self.open.push(&command);
                continue;
            }
            let store = &mut self.stores[command.node.0 as usize];
            let reply = store.execute(&command.argv, self.now);
            self.co.handle_reply(command.request, &reply, self.now);
        }
        let since = self.now.since(START);
        while let Some(event) = self.co.poll_event() {
            match event {
                Event::TransactionCommitted { transaction, .. } => {
                    self.ended.insert(transaction, (None, since));
                }
                Event::TransactionFailed { transaction, error, .. }
                | Event::TransactionUnknown { transaction, error, .. } => {
                    self.ended.insert(transaction, (Some(error), since));
                }
                _ => {}
            }
        }
    }

    /// Until so many have ended.
    fn run(&mut self, count: usize) {
        self.deliver();
        while self.ended.len() < count {
            self.now = self.now.max(self.open.next(&self.co).expect("something is due"));
            self.open.wake(&mut self.co, self.now);
            self.deliver();
        }
    }

    /// How it failed; of server b, by its own time.
    fn error(&self, transaction: Handle) -> &Error {
        let (error, after) = &self.ended[&transaction];
        let error = error.as_ref().expect("it failed");
        assert_eq!(error.node(), Some(B), "{error}");
        assert!(*after <= TIMEOUT + Span::from_millis(25), "{after:?}: {error}");
        error
    }
}

#[test]
fn who_waits_behind_a_server_that_is_away_is_told_which() {
    for known in [false, true] {
        let mut world = World::new(known);
        let (on_a, on_b) = (world.keys(0), world.keys(1));
        world.b_is_away = true;
        let first = world.begin("INCR", &[&on_a[0], &on_b[0]]);
        // Shorter than those before them, and as long.
        for timeout in [Span::from_secs(3), TIMEOUT] {
            let mut world = world.clone();
            let second = world.begin_for("INCR", &[&on_a[0], &on_b[1]], timeout);
            let reader = world.begin_for("GET", &[&on_a[0]], timeout);
            let behind = world.begin_for("INCR", &[&on_a[1], &on_a[0]], timeout);
            let alone = world.begin("INCR", &[&on_a[2]]);
            // It shares a key with one in line, whose own turn has not come.
            let last = world.begin_for("INCR", &[&on_a[1]], timeout);
            world.run(1);
            assert_eq!(world.ended[&alone], (None, Span::ZERO), "it waits for nobody");
            world.run(6);
            world.error(first);
            world.error(second);
            for (transaction, key) in [(reader, 0), (behind, 0), (last, 1)] {
                if timeout == TIMEOUT && world.ended[&transaction].0.is_none() {
                    continue; // its turn came while there was time
                }
                let error = world.error(transaction);
                let key = String::from_utf8_lossy(&on_a[key]);
                let words = format!(
                    "(an earlier transaction of this coordinator has key '{key}' and waits for server 'b')"
                );
                let turned = "an earlier transaction of this coordinator had its keys";
                assert_eq!(error.code(), ErrorCode::Aborted);
                assert!(
                    error.message().contains(&words)
                        || ((timeout == TIMEOUT || transaction == last)
                            && error.message().contains(turned)),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn one_that_is_not_decided_in_time_names_the_server_that_is_missing() {
    for known in [false, true] {
        let mut world = World::new(known);
        let (on_a, on_b) = (world.keys(0), world.keys(1));
        world.b_is_away = true;
        let commands: Vec<Words> =
            [&on_a[0], &on_b[0]].map(|key| vec![b"GET".to_vec(), key.clone()]).to_vec();
        // Too short a time for a command to be given up before.
        let options = TransactionOptions {
            timeout: Some(Span::from_millis(50)),
            ..TransactionOptions::default()
        };
        let now = world.now;
        let short = world.co.transaction_execute(&commands, &[], options, now).expect("sound");
        world.run(1);
        let error = world.error(short);
        assert!(error.message().contains("server 'b'") || error.code() == ErrorCode::NoAnswer);
    }
}
