//! Servers that no client has met yet, and clients of any of them under any ids.

use std::collections::{BTreeMap, BTreeSet};

use comity::coordinator::{Config, Coordinator};
use comity::counter::{CounterOptions, Freshness};
use comity::error::Error;
use comity::event::Event;
use comity::lock::{Fence, LockOptions};
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, Reply};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::TransactionOptions;

use super::stamping::META;

/// Servers by their names, one clock, and who is away.
pub(crate) struct Servers {
    pub(crate) stores: Vec<(String, MemoryStore)>,
    pub(crate) away: BTreeSet<String>,
    /// Who answers everything with these words.
    pub(crate) refusing: BTreeMap<String, &'static str>,
    pub(crate) now: Time,
    pub(crate) sent: usize,
    /// The last command is answered first.
    pub(crate) reversed: bool,
}

impl Servers {
    pub(crate) fn new() -> Self {
        let now = Time::from_micros(1_750_000_000_000_000);
        Self {
            stores: Vec::new(),
            away: BTreeSet::new(),
            refusing: BTreeMap::new(),
            now,
            sent: 0,
            reversed: false,
        }
    }

    pub(crate) fn store(&mut self, name: &str) -> &mut MemoryStore {
        let place = self.stores.iter().position(|(known, _)| known == name);
        let place = place.unwrap_or_else(|| {
            self.stores.push((name.into(), MemoryStore::new()));
            self.stores.len() - 1
        });
        &mut self.stores[place].1
    }

    /// A client of these servers, each given as `name` or as `id=name`.
    pub(crate) fn client(&self, servers: &str, seed: u8) -> Client {
        let pairs: Vec<(String, String)> = servers
            .split(' ')
            .map(|each| each.split_once('=').unwrap_or((each, each)))
            .map(|(id, name)| (id.to_string(), name.to_string()))
            .collect();
        let nodes = pairs.iter().map(|(id, _)| NodeSpec::new(id.as_str(), 1)).collect();
        let co = Coordinator::new(Config::new(nodes), [seed; 32], self.now).expect("sound");
        Client { co, pairs }
    }

    /// Answers everything, and lets time pass while something is waited for, at most for 10 s.
    pub(crate) fn run(&mut self, client: &mut Client) {
        let end = self.now + Span::from_secs(10);
        loop {
            loop {
                let mut commands: Vec<_> =
                    std::iter::from_fn(|| client.co.poll_command()).collect();
                if self.reversed {
                    commands.reverse();
                }
                if commands.is_empty() {
                    break;
                }
                for command in commands {
                    self.answer(client, &command);
                }
            }
            let next = client.co.next_deadline().filter(|next| *next <= end);
            let Some(next) = next.filter(|_| !client.is_done()) else { break };
            self.now = self.now.max(next);
            client.co.handle_timeout(self.now);
        }
    }

    /// Answers everything while so much time passes.
    pub(crate) fn pass(&mut self, client: &mut Client, span: Span) {
        let end = self.now + span;
        loop {
            while let Some(command) = client.co.poll_command() {
                self.answer(client, &command);
            }
            let next = client.co.next_deadline().filter(|next| *next <= end);
            self.now = next.unwrap_or(end).max(self.now);
            if next.is_none() {
                return;
            }
            client.co.handle_timeout(self.now);
        }
    }

    /// Answers one command, if there is one.
    pub(crate) fn answer_one(&mut self, client: &mut Client) {
        if let Some(command) = client.co.poll_command() {
            self.answer(client, &command);
        }
    }

    fn answer(&mut self, client: &mut Client, command: &Command) {
        self.sent += 1;
        let id = client.co.node_id(command.node).expect("a node").to_vec();
        let name = client.pairs.iter().find(|(known, _)| known.as_bytes() == id);
        let name = name.expect("it is as the client calls it").1.clone();
        if self.away.contains(&name) {
            client.co.handle_failure(command.request, Failure::NotSent, self.now);
        } else if let Some(words) = self.refusing.get(&name) {
            let reply = Reply::Error(words.as_bytes().to_vec());
            client.co.handle_reply(command.request, &reply, self.now);
        } else {
            let now = self.now;
            let reply = self.store(&name).execute(&command.argv, now);
            client.co.handle_reply(command.request, &reply, now);
        }
    }

    pub(crate) fn stamp_of(&mut self, name: &str) -> Vec<u8> {
        let hash = self.store(name).keyspace().hash(META).expect("a hash").cloned();
        hash.and_then(|hash| hash.get(&b"e"[..]).cloned()).unwrap_or_default()
    }

    pub(crate) fn set_stamp(&mut self, name: &str, stamp: &[u8]) {
        let put = |hash: &mut BTreeMap<_, _>| {
            hash.insert(b"e".to_vec(), stamp.to_vec());
        };
        self.store(name).keyspace_mut().with_hash(META, put).expect("a hash");
    }
}

pub(crate) struct Client {
    pub(crate) co: Coordinator,
    pub(crate) pairs: Vec<(String, String)>,
}

/// The verbs that have to compare.
pub(crate) const VERBS: [&str; 5] = ["lock", "inspect", "fence", "counter", "transaction"];

impl Client {
    /// Begins a verb on a key.
    pub(crate) fn begin(&mut self, verb: &str, key: &str, now: Time) {
        let name = key.as_bytes();
        let begun = match verb {
            "lock" => self.co.lock_acquire(name, LockOptions::default(), now).map(|_| ()),
            "inspect" => self.co.lock_inspect(name, now).map(|_| ()),
            "fence" => self.co.fence_check(name, Fence(1), now).map(|_| ()),
            "counter" => {
                let counter = self.co.counter_open(name, CounterOptions::default(), now);
                let read = |counter| self.co.counter_read(counter, Freshness::Fresh, now);
                counter.and_then(read).map(|_| ())
            }
            _ => return self.begin_transaction(&[key], now),
        };
        begun.expect("sound");
    }

    /// Begins a transaction that writes these keys.
    pub(crate) fn begin_transaction(&mut self, keys: &[impl AsRef<[u8]>], now: Time) {
        let set = |key: &[u8]| vec![b"SET".to_vec(), key.to_vec(), b"1".to_vec()];
        let words: Vec<_> = keys.iter().map(|key| set(key.as_ref())).collect();
        let options = TransactionOptions::default();
        self.co.transaction_execute(&words, &[], options, now).expect("sound");
    }

    /// What came of what was begun: its error if it failed.
    pub(crate) fn end(&mut self) -> Option<Result<(), Error>> {
        std::iter::from_fn(|| self.co.poll_event()).find_map(|event| match event {
            Event::LockFailed { error, .. }
            | Event::CallFailed { error, .. }
            | Event::TransactionFailed { error, .. } => Some(Err(error)),
            Event::LockGranted { .. }
            | Event::LockInspected { .. }
            | Event::FenceChecked { .. }
            | Event::CounterRead { .. }
            | Event::NodeChecked { .. }
            | Event::TransactionCommitted { .. } => Some(Ok(())),
            _ => None,
        })
    }

    pub(crate) fn is_done(&mut self) -> bool {
        !super::desk::events(&mut self.co.clone()).is_empty()
    }
}

pub(crate) fn check(servers: &mut Servers, client: &mut Client) -> Vec<Option<Error>> {
    let calls = client.co.check_nodes(servers.now).expect("open");
    let mut ends = Vec::new();
    for _ in 0..20 {
        servers.run(client);
        while let Some(event) = client.co.poll_event() {
            match event {
                Event::NodeChecked { .. } => ends.push(None),
                Event::CallFailed { error, .. } => ends.push(Some(error)),
                _ => {}
            }
        }
        if ends.len() == calls.len() {
            break;
        }
    }
    assert_eq!(ends.len(), calls.len(), "every check has an end");
    ends
}

pub(crate) fn call(
    servers: &mut Servers,
    client: &mut Client,
    verb: &str,
    key: &str,
) -> Result<(), Error> {
    client.begin(verb, key, servers.now);
    servers.run(client);
    client.end().unwrap_or_else(|| panic!("{verb} has no end"))
}

/// A key that a ring has on this server.
pub(crate) fn key_on(client: &Client, id: &str) -> String {
    let ring = client.co.ring();
    let on = |key: &String| {
        let node = ring.node(key.as_bytes()).expect("not empty");
        ring.node_id(node) == Some(id.as_bytes())
    };
    (0..).map(|number| format!("key {number}")).find(on).expect("one of many")
}
