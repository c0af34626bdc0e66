//! Several coordinators over three stores: a network that loses, repeats and delays, clients that
//! vanish, and a replica of each store.

use std::collections::BTreeMap;

use comity::coordinator::{Config, Coordinator};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::keyspace::command;
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, Reply, RequestId, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{Expectation, Handle, TransactionOptions, Words};

use super::replica::{Connections, Replica};
use super::rng::Rng;
use super::stamping;

pub(crate) const MS: u64 = 1_000;
pub(crate) const START: u64 = 1_750_000_000_000_000;

pub(crate) fn words(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Something that reaches somebody later.
pub(crate) enum Packet {
    Command {
        client: usize,
        command: Command,
    },
    Reply {
        client: usize,
        command: Command,
        reply: Reply,
    },
    Failure {
        client: usize,
        command: Command,
    },
    /// What was written at once on a blocking connection, which breaks behind so many of it.
    Batch {
        client: usize,
        node: u32,
        number: u64,
        batch: Vec<Command>,
        whole: usize,
    },
    Answer {
        client: usize,
        node: u32,
        number: u64,
        request: RequestId,
        reply: Reply,
    },
    Over {
        client: usize,
        node: u32,
        number: u64,
        request: RequestId,
    },
    /// A replica gets what its store has.
    Copy {
        node: u32,
    },
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) clients: Vec<Option<Coordinator>>,
    pub(crate) stores: Vec<MemoryStore>,
    pub(crate) packets: BTreeMap<(u64, u64), Packet>,
    pub(crate) count: u64,
    pub(crate) rng: Rng,
    /// Per mille of commands and of replies that are lost, and of commands that come twice.
    pub(crate) lost: u64,
    /// The longest that a packet is on its way, in microseconds.
    pub(crate) away: u64,
    /// A node that does not answer.
    pub(crate) dead: Option<u32>,
    pub(crate) events: Vec<(usize, Event)>,
    pub(crate) replicas: Vec<Replica>,
    /// How often somebody waited for a replica.
    pub(crate) waits: u64,
    /// `WAIT` is left to the stores, which have none.
    pub(crate) no_replicas: bool,
    pub(crate) connections: Connections,
}

impl World {
    pub(crate) fn new(clients: usize, seed: u64) -> Self {
        let coordinator = |number: usize| {
            let nodes = ["a", "b", "c"].map(|id| NodeSpec::new(id, 1)).to_vec();
            let mut entropy = [7; 32];
            entropy[..8].copy_from_slice(&(seed * 100 + number as u64).to_le_bytes());
            let mut config = Config::new(nodes);
            config.timeout = Span::from_millis(2_000);
            Coordinator::new(config, entropy, Time::from_micros(START)).expect("sound")
        };
        let mut stores: Vec<_> = (0..3).map(|_| MemoryStore::new()).collect();
        let nodes = ["a", "b", "c"].map(|id| NodeSpec::new(id, 1)).to_vec();
        stamping::stamp(&mut stores, Config::new(nodes));
        Self {
            now: START,
            clients: (0..clients).map(|number| Some(coordinator(number))).collect(),
            stores,
            packets: BTreeMap::new(),
            count: 0,
            rng: Rng::new(seed),
            lost: 0,
            away: 0,
            dead: None,
            events: Vec::new(),
            waits: 0,
            no_replicas: false,
            replicas: (0..3).map(|_| Replica::default()).collect(),
            connections: Connections::default(),
        }
    }

    pub(crate) fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    pub(crate) fn client(&mut self, client: usize) -> &mut Coordinator {
        self.clients[client].as_mut().expect("it lives")
    }

    pub(crate) fn execute(&mut self, client: usize, commands: &[&str]) -> Handle {
        self.execute_with(client, commands, &[], TransactionOptions::default()).expect("sound")
    }

    pub(crate) fn execute_with(
        &mut self,
        client: usize,
        commands: &[&str],
        expectations: &[Expectation],
        options: TransactionOptions,
    ) -> comity::error::Result<Handle> {
        let commands: Vec<Words> = commands.iter().map(|text| words(text)).collect();
        let now = self.time();
        let handle = self.client(client).transaction_execute(&commands, expectations, options, now);
        self.drain();
        handle
    }

    pub(crate) fn post(&mut self, packet: Packet) {
        self.count += 1;
        let away = if self.away == 0 { 0 } else { self.rng.below(self.away) };
        self.packets.insert((self.now + away, self.count), packet);
    }

    /// Takes out what the coordinators have ready.
    pub(crate) fn drain(&mut self) {
        for client in 0..self.clients.len() {
            let mut blocking: BTreeMap<u32, Vec<Command>> = BTreeMap::new();
            while let Some(command) =
                self.clients[client].as_mut().and_then(Coordinator::poll_command)
            {
                if command.route == Route::Blocking {
                    blocking.entry(command.node.0).or_default().push(command);
                    continue;
                }
                let deadline = command.deadline.as_micros();
                if self.dead == Some(command.node.0) || self.rng.chance(self.lost) {
                    self.count += 1;
                    self.packets
                        .insert((deadline, self.count), Packet::Failure { client, command });
                    continue;
                }
                if self.rng.chance(self.lost) {
                    self.post(Packet::Command { client, command: command.clone() });
                }
                self.post(Packet::Command { client, command });
            }
            for (node, batch) in blocking {
                self.write(client, node, batch);
            }
            // Of servers there are tests of their own.
            let told = self.clients[client].as_mut().map(super::desk::events).unwrap_or_default();
            self.events.extend(told.into_iter().map(|event| (client, event)));
        }
    }

    /// Lets everything happen up to `until`.
    pub(crate) fn run(&mut self, until: u64) {
        loop {
            self.drain();
            let due = |co: &Option<Coordinator>| co.as_ref()?.next_deadline().map(Time::as_micros);
            let timer = self.clients.iter().filter_map(due).min();
            let packet = self.packets.keys().next().map(|(at, _)| *at);
            let Some(next) = [timer, packet].into_iter().flatten().min().filter(|at| *at <= until)
            else {
                break;
            };
            self.now = self.now.max(next);
            let now = self.time();
            while let Some(((at, _), _)) = self.packets.first_key_value()
                && *at <= self.now
            {
                let (_, packet) = self.packets.pop_first().expect("just seen");
                self.deliver(packet);
            }
            for co in self.clients.iter_mut().flatten() {
                co.handle_timeout(now);
            }
        }
        self.now = until;
        self.drain();
    }

    pub(crate) fn deliver(&mut self, packet: Packet) {
        let now = self.time();
        match packet {
            Packet::Command { client, command } => {
                let reply = self.stores[command.node.0 as usize].execute(&command.argv, now);
                self.wrote(command.node.0);
                if self.rng.chance(self.lost) {
                    self.post(Packet::Failure { client, command });
                } else {
                    self.post(Packet::Reply { client, command, reply });
                }
            }
            Packet::Reply { client, command, reply } => {
                if let Some(co) = &mut self.clients[client] {
                    co.handle_reply(command.request, &reply, now);
                }
            }
            Packet::Failure { client, command } => {
                if let Some(co) = &mut self.clients[client] {
                    co.handle_failure(command.request, Failure::OutcomeUnknown, now);
                }
            }
            Packet::Batch { client, node, number, batch, whole } => {
                self.arrive(client, node, number, batch, whole);
            }
            Packet::Answer { client, node, number, request, reply } => {
                self.hear(client, node, number, request, &reply);
            }
            Packet::Over { client, node, number, request } => {
                self.over(client, node, number, request);
            }
            Packet::Copy { node } => self.copy(node),
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.run(self.now + ms * MS);
    }

    /// A plain command to the store that has its key.
    pub(crate) fn plain(&mut self, text: &str) -> Reply {
        let words = words(text);
        let co = self.clients.iter().flatten().next().expect("somebody lives");
        let node = co.ring().node(&words[1]).expect("there are nodes").number();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        command::execute(self.stores[node as usize].keyspace_mut(), &words)
    }

    /// What of the machinery is left in the stores but registers.
    pub(crate) fn left_over(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for store in &mut self.stores {
            let space = store.keyspace_mut();
            let keys = space.iter().map(|(key, ..)| key.escape_ascii().to_string());
            let shadow = |key: &String| key.starts_with("comity:1:t:{t}:");
            found.extend(keys.filter(shadow));
            let Reply::Array(fields) = command::execute(space, &[b"HGETALL", b"comity:1:t:{t}"])
            else {
                continue;
            };
            let locks = fields
                .chunks(2)
                .filter(|pair| matches!(&pair[0], Reply::Bulk(field) if field.starts_with(b"k")));
            found.extend(locks.map(|lock| format!("{lock:?}")));
        }
        found
    }

    pub(crate) fn end_of(&mut self, client: usize, handle: Handle) -> Event {
        for _ in 0..1_000 {
            let found = self.events.iter().find(|(who, event)| {
                *who == client
                    && match event {
                        Event::TransactionCommitted { transaction, .. }
                        | Event::TransactionFailed { transaction, .. }
                        | Event::TransactionUnknown { transaction, .. } => *transaction == handle,
                        _ => false,
                    }
            });
            if let Some((_, event)) = found {
                return event.clone();
            }
            self.pass(10);
        }
        panic!("transaction {handle:?} does not end");
    }

    pub(crate) fn committed(&mut self, client: usize, handle: Handle) -> Vec<Reply> {
        match self.end_of(client, handle) {
            Event::TransactionCommitted { replies: Some(replies), .. } => replies,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn error(&mut self, client: usize, handle: Handle) -> (ErrorCode, String) {
        match self.end_of(client, handle) {
            Event::TransactionFailed { error, .. } => (error.code(), error.message().into()),
            other => panic!("{other:?}"),
        }
    }
}

/// Keys on different nodes, and some on the same.
pub(crate) const ACCOUNTS: [&str; 8] = ["ada", "ben", "cleo", "dan", "eve", "fay", "gus", "hal"];
