//! A coordinator over two embedded stores, where each command to the second has the fate that a test
//! gives it.

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, NodeId, Reply};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{Handle, TransactionOptions, Words};

use super::desk::events;
use super::unanswered::Unanswered;

pub(crate) const NOW: Time = Time::from_micros(1_750_000_000_000_000);
/// The default timeout.
pub(crate) const TIMEOUT: Span = Span::from_secs(5);
/// The second of two servers.
pub(crate) const B: NodeId = NodeId(1);

pub(crate) struct World {
    pub(crate) co: Coordinator,
    pub(crate) stores: [MemoryStore; 2],
    pub(crate) now: Time,
    /// Commands to the second server.
    pub(crate) sent: u32,
    silent: Unanswered,
}

/// What the second server, or the way to it, makes of a command.
pub(crate) enum Fate {
    Served,
    Refused(&'static str),
    Failed(Failure),
    Answered(Reply),
    /// There is none, which the driver reports by the deadline.
    Silent,
}

use Fate::{Answered, Failed, Refused, Served, Silent};

impl World {
    /// One whose clocks are known to the coordinator, and whose servers have the scripts.
    pub(crate) fn new() -> Self {
        let nodes = ["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec();
        let co = Coordinator::new(Config::new(nodes), [7; 32], NOW).expect("sound");
        let stores = [MemoryStore::new(), MemoryStore::new()];
        let mut world = Self { co, stores, now: NOW, sent: 0, silent: Unanswered::default() };
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
    pub(crate) fn key(&self, node: usize) -> Vec<u8> {
        let ring = self.co.ring();
        let mut names = (0..).map(|n| format!("k{n}").into_bytes());
        let on = |key: &Vec<u8>| ring.node(key).is_some_and(|n| n.number() as usize == node);
        names.find(on).expect("each has some")
    }

    /// One command for each server from this one on.
    pub(crate) fn begin(&mut self, names: &[&str], from: usize) -> Handle {
        let of = |(node, name): (usize, &&str)| vec![name.as_bytes().to_vec(), self.key(node)];
        let commands: Vec<Words> = (from..).zip(names).map(of).collect();
        let options = TransactionOptions::default();
        self.co.transaction_execute(&commands, &[], options, self.now).expect("sound")
    }

    /// Delivers all there is, without letting time pass.
    pub(crate) fn deliver(&mut self, fate: impl Fn(&Command) -> Fate) {
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
                Answered(reply) => self.co.handle_reply(command.request, &reply, self.now),
                Silent => self.silent.push(&command),
                Failed(failure) => self.co.handle_failure(command.request, failure, self.now),
            }
        }
    }

    fn wake(&mut self, at: Time) {
        self.now = self.now.max(at);
        self.silent.wake(&mut self.co, self.now);
    }

    /// Until something is told.
    pub(crate) fn run(&mut self, fate: impl Fn(&Command) -> Fate + Copy) -> Vec<Event> {
        loop {
            self.deliver(fate);
            let told = events(&mut self.co);
            if !told.is_empty() {
                return told;
            }
            let next = self.silent.next(&self.co).expect("nothing is told and nothing to be done");
            self.wake(next);
        }
    }

    /// For so long; what was told.
    pub(crate) fn pass(
        &mut self,
        span: Span,
        fate: impl Fn(&Command) -> Fate + Copy,
    ) -> Vec<Event> {
        let (end, mut told) = (self.now + span, Vec::new());
        loop {
            self.deliver(fate);
            told.extend(events(&mut self.co));
            let Some(next) = self.silent.next(&self.co).filter(|next| *next <= end) else { break };
            self.wake(next);
        }
        self.now = end;
        told
    }

    /// Whether the first server has nothing locked or left over.
    pub(crate) fn is_clean(&self) -> bool {
        let keyspace = self.stores[0].keyspace();
        !format!("{keyspace:?}").contains("comity:1:t:{t}:")
    }
}
