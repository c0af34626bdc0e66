//! Replicas of the stores, and the connections on which `WAIT` blocks.

use std::collections::{BTreeMap, VecDeque};

use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, NodeChange, NodeId, Reply, RequestId};

use super::transaction_world::{MS, Packet, World};

/// A replica of one store.
#[derive(Default)]
pub(crate) struct Replica {
    store: MemoryStore,
    /// How many commands the store has executed, and how many of them the replica.
    written: u64,
    copied: u64,
    /// It copies nothing any more.
    pub(crate) stopped: bool,
    /// The store does not answer `WAIT`.
    pub(crate) refuses: bool,
}

/// A connection of one client to one node, which is used for what blocks.
#[derive(Default)]
pub(crate) struct Blocking {
    /// Rises when the connection is another.
    number: u64,
    /// Up to where this connection has written.
    written: Option<u64>,
    /// What was sent and not executed.
    queue: VecDeque<Command>,
    /// What was sent and not answered.
    outstanding: Vec<RequestId>,
    /// The `WAIT` that blocks it, and for how many replicas.
    waiting: Option<(RequestId, u64)>,
    /// Answers come in order.
    answered_at: u64,
}

pub(crate) type Connections = BTreeMap<(usize, u32), Blocking>;

impl World {
    pub(crate) fn wrote(&mut self, node: u32) {
        self.replicas[node as usize].written += 1;
        if !self.replicas[node as usize].stopped {
            self.post(Packet::Copy { node });
        }
    }

    /// The replica gets all that the store has by now.
    pub(crate) fn copy(&mut self, node: u32) {
        let replica = &mut self.replicas[node as usize];
        if replica.stopped || replica.copied == replica.written {
            return;
        }
        replica.copied = replica.written;
        replica.store = self.stores[node as usize].clone();
        for client in 0..self.clients.len() {
            self.go_on(client, node);
        }
    }

    /// The replica takes the place of the store.
    pub(crate) fn fail_over(&mut self, node: u32) {
        let replica = &mut self.replicas[node as usize];
        self.stores[node as usize] = replica.store.clone();
        replica.copied = replica.written;
        let now = self.time();
        for client in 0..self.clients.len() {
            self.cut(client, node);
            if let Some(co) = &mut self.clients[client] {
                co.handle_node(NodeId(node), NodeChange::Lost, now);
            }
        }
    }

    /// The blocking connection breaks.
    pub(crate) fn cut(&mut self, client: usize, node: u32) {
        let Some(connection) = self.connections.get_mut(&(client, node)) else { return };
        let number = connection.number + 1;
        let lost = std::mem::replace(connection, Blocking { number, ..Blocking::default() });
        let now = self.time();
        for request in lost.outstanding {
            if let Some(co) = &mut self.clients[client] {
                co.handle_failure(request, Failure::OutcomeUnknown, now);
            }
        }
    }

    /// Writes all of a batch on one connection. Sometimes it breaks on the way.
    pub(crate) fn write(&mut self, client: usize, node: u32, batch: Vec<Command>) {
        let words = |command: &Command| command.argv.get(0).map(<[u8]>::to_vec);
        let kinds: Vec<_> = batch.iter().filter_map(words).collect();
        let alone = kinds.iter().position(|word| word == b"WAIT");
        assert!(alone.is_some_and(|at| at > 0), "a WAIT behind nothing: {kinds:?}");
        if self.dead == Some(node) {
            self.count += 1;
            let at = batch[0].deadline.as_micros();
            for command in batch {
                self.count += 1;
                self.packets.insert((at, self.count), Packet::Failure { client, command });
            }
            return;
        }
        let connection = self.connections.entry((client, node)).or_default();
        connection.outstanding.extend(batch.iter().map(|command| command.request));
        let number = connection.number;
        let whole =
            if self.rng.chance(self.lost) { self.rng.index(batch.len()) } else { batch.len() };
        self.post(Packet::Batch { client, node, number, batch, whole });
    }

    pub(crate) fn arrive(
        &mut self,
        client: usize,
        node: u32,
        number: u64,
        batch: Vec<Command>,
        whole: usize,
    ) {
        let Some(connection) = self.connections.get_mut(&(client, node)) else { return };
        if connection.number != number {
            return;
        }
        let breaks = whole < batch.len();
        connection.queue.extend(batch.into_iter().take(whole));
        self.go_on(client, node);
        if breaks {
            self.cut(client, node);
        }
    }

    /// Executes what has arrived, up to a `WAIT` that blocks.
    fn go_on(&mut self, client: usize, node: u32) {
        let now = self.time();
        loop {
            let Some(connection) = self.connections.get_mut(&(client, node)) else { return };
            let replica = &self.replicas[node as usize];
            let count = |connection: &Blocking| {
                // Without a write of its own it would be told whatever.
                let up_to = connection.written.expect("a WAIT on a connection that has written");
                i64::from(replica.copied >= up_to)
            };
            if let Some((request, wanted)) = connection.waiting {
                let reached = count(connection);
                if (reached as u64) < wanted {
                    return;
                }
                connection.waiting = None;
                self.answer(client, node, request, Reply::Integer(reached));
                continue;
            }
            let Some(command) = connection.queue.pop_front() else { return };
            if command.argv.get(0) != Some(b"WAIT") || self.no_replicas {
                let reply = self.stores[node as usize].execute(&command.argv, now);
                self.wrote(node);
                let written = self.replicas[node as usize].written;
                if let Some(connection) = self.connections.get_mut(&(client, node)) {
                    connection.written = Some(written);
                }
                self.answer(client, node, command.request, reply);
                continue;
            }
            self.waits += 1;
            if replica.refuses {
                let reply = Reply::error("NOPERM this user has no permissions to run 'wait'");
                self.answer(client, node, command.request, reply);
                continue;
            }
            let number = |at: usize| {
                let text = command.argv.get(at).and_then(|word| std::str::from_utf8(word).ok());
                text.and_then(|text| text.parse::<u64>().ok()).expect("a number")
            };
            let (wanted, ms) = (number(1), number(2));
            assert!((1..=100).contains(&ms), "WAIT for {ms} ms");
            connection.waiting = Some((command.request, wanted));
            self.count += 1;
            let (at, request) = (self.now + ms * MS, command.request);
            let number = connection.number;
            let over = Packet::Over { client, node, number, request };
            self.packets.insert((at, self.count), over);
        }
    }

    /// The time of a `WAIT` is over.
    pub(crate) fn over(&mut self, client: usize, node: u32, number: u64, request: RequestId) {
        let Some(connection) = self.connections.get_mut(&(client, node)) else { return };
        if connection.number == number && connection.waiting.is_some_and(|(r, _)| r == request) {
            connection.waiting = None;
            let replica = &self.replicas[node as usize];
            let reached = connection.written.is_some_and(|up_to| replica.copied >= up_to);
            self.answer(client, node, request, Reply::Integer(reached.into()));
            self.go_on(client, node);
        }
    }

    fn answer(&mut self, client: usize, node: u32, request: RequestId, reply: Reply) {
        let away = if self.away == 0 { 0 } else { self.rng.below(self.away) };
        let Some(connection) = self.connections.get_mut(&(client, node)) else { return };
        connection.answered_at = connection.answered_at.max(self.now + away);
        let (at, number) = (connection.answered_at, connection.number);
        self.count += 1;
        let packet = Packet::Answer { client, node, number, request, reply };
        self.packets.insert((at, self.count), packet);
    }

    pub(crate) fn hear(
        &mut self,
        client: usize,
        node: u32,
        number: u64,
        request: RequestId,
        reply: &Reply,
    ) {
        let now = self.time();
        let Some(connection) = self.connections.get_mut(&(client, node)) else { return };
        if connection.number != number {
            return;
        }
        connection.outstanding.retain(|one| *one != request);
        if let Some(co) = &mut self.clients[client] {
            co.handle_reply(request, reply, now);
        }
    }
}
