//! Asking after a transaction whose commands are still on their way, and ending it: what comes then
//! is refused, and nothing is called over that may still come.

use crate::support::desk::events;
use crate::support::transaction_world::words;
use comity::coordinator::{Config, Coordinator};
use comity::event::{Event, TransactionOutcome};
use comity::memory::MemoryStore;
use comity::redis::Command;
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{TransactionId, TransactionOptions};

const START: Time = Time::from_micros(1_750_000_000_000_000);
const HOUR: Span = Span::from_secs(3_600);

/// Two stores, a client whose commands do not arrive yet, and somebody who asks after them.
struct Scene {
    stores: [MemoryStore; 2],
    now: Time,
    client: Coordinator,
    other: Coordinator,
    lines: Vec<Vec<Vec<u8>>>,
}

impl Scene {
    /// A transaction over so many servers, of a client that has been committed one before or none.
    fn new(servers: u32, used: bool) -> Self {
        let coordinator = |seed| {
            let nodes = ["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec();
            Coordinator::new(Config::new(nodes), [seed; 32], START).expect("sound")
        };
        let (client, other) = (coordinator(1), coordinator(2));
        let key = |server: u32| {
            let names = (0..1_000).map(|number| format!("k{number}"));
            let of = |name: &String| client.ring().node(name.as_bytes()).map(|node| node.number());
            names.into_iter().find(|name| of(name) == Some(server)).expect("one of many")
        };
        let lines = (0..servers).map(|server| words(&format!("INCR {}", key(server)))).collect();
        let stores = [MemoryStore::new(), MemoryStore::new()];
        let mut scene = Self { stores, now: START, client, other, lines };
        if used {
            scene.execute();
            assert!(scene.committed());
        }
        scene
    }

    fn execute(&mut self) {
        let options = TransactionOptions::default();
        self.client.transaction_execute(&self.lines, &[], options, self.now).expect("sound");
    }

    /// Executes another, of which nothing arrives.
    fn held_back(&mut self) -> Vec<Command> {
        self.execute();
        let mut held = Vec::new();
        while let Some(command) = self.client.poll_command() {
            if command.argv.get(0) == Some(b"TIME") {
                self.arrive(vec![command]);
            } else {
                held.push(command);
            }
        }
        held
    }

    fn arrive(&mut self, commands: Vec<Command>) {
        for command in commands {
            let reply = self.stores[command.node.0 as usize].execute(&command.argv, self.now);
            self.client.handle_reply(command.request, &reply, self.now);
        }
    }

    fn settle(&mut self) {
        for co in [&mut self.client, &mut self.other] {
            while let Some(command) = co.poll_command() {
                let reply = self.stores[command.node.0 as usize].execute(&command.argv, self.now);
                co.handle_reply(command.request, &reply, self.now);
            }
        }
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        self.other.handle_timeout(self.now);
    }

    /// What the client was told since it was last asked.
    fn committed(&mut self) -> bool {
        self.settle();
        events(&mut self.client).iter().any(|event| match event {
            Event::TransactionCommitted { .. } => true,
            Event::TransactionFailed { .. } | Event::TransactionUnknown { .. } => false,
            Event::TransactionEnded { outcome, .. } => *outcome == TransactionOutcome::Committed,
            other => panic!("{other:?}"),
        })
    }

    fn told(&mut self) -> TransactionOutcome {
        self.settle();
        match &events(&mut self.other)[..] {
            [
                Event::TransactionStatus { outcome, .. }
                | Event::TransactionResolved { outcome, .. },
            ] => *outcome,
            other => panic!("{other:?}"),
        }
    }

    fn status(&mut self, id: &[u8]) -> TransactionOutcome {
        self.other.transaction_status(id, self.now).expect("an id");
        self.told()
    }

    fn resolve(&mut self, id: &[u8]) -> TransactionOutcome {
        self.other.transaction_resolve(id, None, self.now).expect("an id");
        self.told()
    }
}

/// The id that a command carries, as its client would be told it.
fn id_of(command: &Command) -> Vec<u8> {
    let word = |at: usize| command.argv.get(at).expect("a word");
    let keys: usize = std::str::from_utf8(word(2)).expect("a number").parse().expect("a number");
    let not_after = &word(5 + keys)[16..];
    [word(3 + keys), b".", not_after, b"@a"].concat()
}

/// The same as an earlier version would have written it.
fn old(id: &[u8]) -> Vec<u8> {
    let id = TransactionId::parse(id).expect("an id");
    TransactionId { not_after: None, ..id }.to_text()
}

const ALL: [(u32, bool); 4] = [(1, false), (1, true), (2, false), (2, true)];

#[test]
fn what_is_on_its_way_is_not_heard_of_and_may_still_come() {
    for (servers, used) in ALL {
        let mut scene = Scene::new(servers, used);
        let late = scene.held_back();
        let id = id_of(&late[0]);
        for id in [&id, &old(&id)] {
            assert_eq!(scene.status(id), TransactionOutcome::Unheard);
        }
        scene.arrive(late);
        assert!(scene.committed());
        for id in [&id, &old(&id)] {
            assert_eq!(scene.status(id), TransactionOutcome::Committed);
            assert_eq!(scene.resolve(id), TransactionOutcome::Committed);
        }
    }
}

#[test]
fn what_is_resolved_before_it_comes_is_aborted_and_refused_then() {
    for (servers, used) in ALL {
        let mut scene = Scene::new(servers, used);
        let late = scene.held_back();
        let id = id_of(&late[0]);
        assert_eq!(scene.resolve(&id), TransactionOutcome::Aborted);
        assert_eq!(scene.status(&id), TransactionOutcome::Aborted);
        scene.arrive(late);
        assert!(!scene.committed());
        for id in [&id, &old(&id)] {
            assert_eq!(scene.resolve(id), TransactionOutcome::Aborted);
        }
    }
}

#[test]
fn what_is_called_over_does_not_come_any_more() {
    for (servers, used) in ALL {
        let mut scene = Scene::new(servers, used);
        let late = scene.held_back();
        let id = id_of(&late[0]);
        scene.pass(HOUR);
        // An earlier one that still has the slot shows that this one has not come.
        let (status, end) = match used {
            true => (TransactionOutcome::Unheard, TransactionOutcome::Aborted),
            false => (TransactionOutcome::Forgotten, TransactionOutcome::Forgotten),
        };
        assert_eq!(scene.status(&id), status);
        assert_eq!(scene.resolve(&id), end);
        scene.arrive(late);
        assert!(!scene.committed());
    }
}

#[test]
fn an_id_that_does_not_tell_until_when_ends_nothing_that_may_still_come() {
    let mut scene = Scene::new(2, true);
    let late = scene.held_back();
    let id = old(&id_of(&late[0]));
    assert_eq!(scene.resolve(&id), TransactionOutcome::Unheard);
    scene.arrive(late);
    assert!(scene.committed());
    // Once the slot was used again it is known to be over.
    scene.execute();
    assert!(scene.committed());
    assert_eq!(scene.status(&id), TransactionOutcome::Forgotten);
    assert_eq!(scene.resolve(&id), TransactionOutcome::Forgotten);
}
