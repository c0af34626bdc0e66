//! A server's outage is told once, whatever fails for it, and so is its end.

use comity::coordinator::{Config, Coordinator};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::lock::LockOptions;
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, NodeChange, NodeId, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

const START: Time = Time::from_micros(1_750_000_000_000_000);
const NODE: NodeId = NodeId(1);

struct World {
    co: Coordinator,
    stores: [MemoryStore; 2],
    now: Time,
}

impl World {
    /// Keys are on the second of two nodes.
    fn new() -> Self {
        let nodes = vec![NodeSpec::new("a", 0), NodeSpec::new("b", 1)];
        let co = Coordinator::new(Config::new(nodes), [7; 32], START).expect("sound");
        Self { co, stores: [MemoryStore::new(), MemoryStore::new()], now: START }
    }

    fn acquire(&mut self, name: &str) {
        let options = LockOptions::default();
        self.co.lock_acquire(name.as_bytes(), options, self.now).expect("sound arguments");
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.co.poll_command()).collect()
    }

    /// Everything that is ready is answered.
    fn answer(&mut self) {
        while let Some(command) = self.co.poll_command() {
            if command.route == Route::Subscribe {
                self.co.handle_node(command.node, NodeChange::PushReady, self.now);
            } else {
                let store = &mut self.stores[command.node.0 as usize];
                let reply = store.execute(&command.argv, self.now);
                self.co.handle_reply(command.request, &reply, self.now);
            }
        }
    }

    /// Everything that is ready comes to nothing.
    fn fail(&mut self, failure: Failure) {
        for command in self.commands() {
            self.co.handle_failure(command.request, failure, self.now);
        }
    }

    /// What falls due within the span is done at its time, and all of it comes to nothing.
    fn pass(&mut self, span: Span, failure: Failure) {
        let end = self.now + span;
        loop {
            self.fail(failure);
            self.now = self.co.next_deadline().map_or(end, |due| due.min(end));
            self.co.handle_timeout(self.now);
            if self.now == end {
                return;
            }
        }
    }

    /// What was told of nodes.
    fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.co.poll_event())
            .filter(|event| matches!(event, Event::NodeDown { .. } | Event::NodeUp { .. }))
            .collect()
    }

    fn reason(&mut self) -> (ErrorCode, String) {
        match self.told().as_slice() {
            [Event::NodeDown { node: NODE, error, .. }] => {
                assert_eq!(error.node(), Some(NODE));
                (error.code(), error.message().to_string())
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_outage_is_told_once_and_its_end_with_its_length() {
    let mut world = World::new();
    for number in 0..20 {
        world.acquire(&format!("{number}"));
    }
    world.answer();
    // Another holds it: this client waits in line.
    let mut other = World::new();
    std::mem::swap(&mut other.stores, &mut world.stores);
    other.acquire("taken");
    other.answer();
    std::mem::swap(&mut other.stores, &mut world.stores);
    world.acquire("taken");
    world.answer();
    assert_eq!(world.told(), []);
    world.co.handle_unreachable(NODE, "closed by the server", false, world.now);
    world.pass(Span::from_secs(20), Failure::OutcomeUnknown);
    // The renewals of all of them, and the heartbeats, had no answer by then.
    let told = world.told();
    let [Event::NodeDown { node: NODE, error, waiting: 1 }] = told.as_slice() else {
        panic!("{told:?}")
    };
    let words = (error.code(), error.message());
    assert_eq!(words, (ErrorCode::Unreachable, "closed by the server"));
    world.co.handle_unreachable(NODE, "connection refused", false, world.now);
    world.co.handle_node(NODE, NodeChange::Lost, world.now);
    world.pass(Span::from_secs(5), Failure::NotSent);
    assert_eq!(world.told(), [], "it is one outage");
    // A connection may be one to a server that has stopped: an answer is the end.
    world.co.handle_node(NODE, NodeChange::Connected, world.now);
    assert_eq!(world.told(), []);
    world.answer();
    while world.told().is_empty() {
        world.now = world.co.next_deadline().expect("leases are renewed");
        world.co.handle_timeout(world.now);
        world.answer();
    }
    world.answer();
    assert_eq!(world.told(), [], "nor is its end told twice");
}

#[test]
fn the_length_of_an_outage_is_told() {
    let mut world = World::new();
    world.co.handle_unreachable(NODE, "connection refused", false, world.now);
    assert_eq!(world.reason(), (ErrorCode::Unreachable, "connection refused".to_string()));
    world.now = world.now + Span::from_secs(90);
    world.acquire("a");
    world.answer();
    let outage = Span::from_secs(90);
    assert_eq!(world.told(), [Event::NodeUp { node: NODE, outage }]);
    // Another outage is another one.
    world.co.handle_unreachable(NODE, "no route to host", false, world.now);
    assert_eq!(world.reason().1, "no route to host");
}

#[test]
fn the_reason_is_the_host_s_or_what_failed() {
    let late = |world: &mut World, failure, past| {
        world.acquire("a");
        let commands = world.commands();
        let command = commands.iter().find(|c| c.route == Route::Node).expect("an acquisition");
        world.now = command.deadline + past;
        world.co.handle_failure(command.request, failure, world.now);
    };
    for (failure, code, words) in [
        (Failure::NotSent, ErrorCode::Unreachable, "no connection was made"),
        (Failure::OutcomeUnknown, ErrorCode::NoAnswer, "the connection was lost"),
    ] {
        let mut world = World::new();
        world.acquire("a");
        world.fail(failure);
        assert_eq!(world.told(), [], "it may be the host's own doing");
        world.pass(Span::from_millis(50), failure);
        assert_eq!(world.reason(), (code, words.to_string()));
    }
    let mut world = World::new();
    late(&mut world, Failure::OutcomeUnknown, Span::ZERO);
    assert_eq!(world.reason(), (ErrorCode::NoAnswer, "no answer in time".to_string()));
    let mut world = World::new();
    late(&mut world, Failure::NotSent, Span::from_secs(3));
    assert_eq!(world.told(), [], "the host was busy elsewhere");
    let mut world = World::new();
    world.acquire("a");
    world.acquire("b");
    let commands = world.commands();
    let [first, second] = commands.as_slice() else { panic!("{commands:?}") };
    let reply = world.stores[1].execute(&first.argv, world.now);
    world.co.handle_reply(first.request, &reply, world.now);
    world.co.handle_failure(second.request, Failure::NotSent, world.now);
    assert_eq!(world.told(), [], "it answers, and there was too much to send");
    let mut world = World::new();
    world.acquire("a");
    world.acquire("b");
    let commands = world.commands();
    let [first, second, ..] = commands.as_slice() else { panic!("{commands:?}") };
    world.now = second.deadline;
    let reply = world.stores[1].execute(&first.argv, world.now);
    world.co.handle_reply(first.request, &reply, world.now);
    world.co.handle_failure(second.request, Failure::OutcomeUnknown, world.now);
    assert_eq!(world.told(), [], "it answers, more slowly than it is asked");
}

#[test]
fn a_pause_of_the_host_is_no_outage() {
    let mut world = World::new();
    world.acquire("a");
    world.answer();
    world.co.handle_clock_gap(world.now);
    world.now = world.now + Span::from_secs(3_600);
    world.co.handle_timeout(world.now);
    world.co.handle_clock_gap(world.now);
    assert_eq!(world.told(), []);
}

#[test]
fn nothing_is_told_of_servers_that_a_closed_coordinator_leaves() {
    let mut world = World::new();
    world.acquire("a");
    world.answer();
    world.co.close(world.now);
    world.pass(Span::from_secs(60), Failure::OutcomeUnknown);
    assert_eq!(world.told(), []);
}
