//! Servers whose clocks are far apart: transactions over all of them are committed, also after a delay,
//! and what a client that vanished has left is ended by whoever meets it.

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::redis::{Command, Reply, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{SweepOptions, TransactionOptions};

struct World {
    stores: [MemoryStore; 2],
    skews: [Span; 2],
    now: Time,
}

impl World {
    fn client(&self, seed: u8) -> Coordinator {
        let nodes = ["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec();
        Coordinator::new(Config::new(nodes), [seed; 32], self.now).expect("sound")
    }

    fn execute(&mut self, command: &Command) -> Reply {
        let node = command.node.0 as usize;
        match command.route {
            Route::Subscribe => Reply::Array(vec![]),
            _ => self.stores[node].execute(&command.argv, self.now + self.skews[node]),
        }
    }

    /// Until something is told.
    fn run(&mut self, co: &mut Coordinator) -> Event {
        loop {
            while let Some(command) = co.poll_command() {
                let reply = self.execute(&command);
                co.handle_reply(command.request, &reply, self.now);
            }
            if let Some(event) = co.poll_event() {
                return event;
            }
            self.now = co.next_deadline().expect("nothing is told and nothing to be done");
            co.handle_timeout(self.now);
        }
    }

    /// One key of each server, counted up.
    fn begin(&self, co: &mut Coordinator) {
        let ring = co.ring().clone();
        let key = |node: u32| {
            let mut names = (0..).map(|n| format!("k{n}").into_bytes());
            names.find(|key| ring.node(key).is_some_and(|n| n.number() == node)).expect("some")
        };
        let line = [0, 1].map(|node| vec![b"INCR".to_vec(), key(node)]);
        co.transaction_execute(&line, &[], TransactionOptions::default(), self.now).expect("sound");
    }

    fn committed(&mut self, co: &mut Coordinator) -> Vec<Reply> {
        self.begin(co);
        match self.run(co) {
            Event::TransactionCommitted { replies, .. } => replies.expect("by this client"),
            other => panic!("{:?}: {other:?}", self.skews),
        }
    }
}

#[test]
fn clocks_far_apart_are_no_hindrance() {
    for minutes in [11, 59, 300] {
        let skew = Span::from_secs(60 * minutes);
        for skews in [[Span::ZERO, skew], [skew, Span::ZERO]] {
            let stores = [MemoryStore::new(), MemoryStore::new()];
            let now = Time::from_micros(1_750_000_000_000_000);
            let mut world = World { stores, skews, now };
            let (mut one, mut other) = (world.client(1), world.client(2));
            assert_eq!(world.committed(&mut one), [1, 1].map(Reply::Integer));
            // All have voted, and the client is gone.
            world.begin(&mut one);
            let votes: Vec<_> = std::iter::from_fn(|| one.poll_command()).collect();
            assert_eq!(votes.len(), 2);
            for vote in &votes {
                world.execute(vote);
            }
            drop(one);
            world.now = world.now + Span::from_secs(6);
            assert_eq!(world.committed(&mut other), [3, 3].map(Reply::Integer), "two and this one");
            // A copy of a vote that comes late is not taken again.
            for vote in &votes {
                world.execute(vote);
            }
            assert_eq!(world.committed(&mut other), [4, 4].map(Reply::Integer));
            world.now = world.now + skew + Span::from_secs(2 * 3_600);
            let mut sweeper = world.client(3);
            sweeper.transaction_sweep(SweepOptions::default(), world.now).expect("the first");
            let told = world.run(&mut sweeper);
            assert!(matches!(told, Event::TransactionSwept { .. }), "{told:?}");
            for store in &world.stores {
                assert!(!format!("{:?}", store.keyspace()).contains(":t:{t}:"), "{store:?}");
            }
        }
    }
}
