//! What becomes of a connection is told to its coordinator, in the order that it needs.

use comity::coordinator::{Config, Coordinator, NodeConnection};
use comity::lock::LockOptions;
use comity::redis::wire::{Login, QUIET};
use comity::redis::{Failure, NodeChange, NodeId, Reply, RequestId, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

const NODE: NodeId = NodeId(0);
const NOW: Time = Time::from_micros(1_750_000_000_000_000);

/// A coordinator and a connection to its one node.
struct Pair {
    co: Coordinator,
    connection: NodeConnection,
    now: Time,
}

impl Pair {
    fn new(route: Route, password: &str) -> Self {
        let config = Config::new(vec![NodeSpec::new("a", 1)]);
        let co = Coordinator::new(config, [7; 32], NOW).expect("a sound configuration");
        let login = Login { password: Some(password.into()), ..Login::default() };
        let login = Some(&login).filter(|_| !password.is_empty());
        Self { co, connection: NodeConnection::new(NODE, route, login, NOW), now: NOW }
    }

    /// One whose stream is made, and which the server has let in, with a command that was written.
    fn asked(route: Route) -> (Self, RequestId) {
        let mut pair = Self::new(route, "");
        pair.connection.connected(&mut pair.co, NOW);
        let request = pair.send();
        pair.write();
        (pair, request)
    }

    /// Whatever the coordinator asks: the connection does not look at it.
    fn send(&mut self) -> RequestId {
        let options = LockOptions::default();
        self.co.lock_acquire(b"a", options, self.now).expect("it is open");
        let command = self.co.poll_command().expect("an acquisition");
        self.connection.send(&command);
        command.request
    }

    fn write(&mut self) -> usize {
        let count = self.connection.transmit().len();
        self.connection.transmitted(count);
        count
    }

    /// Does something with the connection, which tells the coordinator the same as `told` does by hand.
    fn tells(
        &mut self,
        act: impl FnOnce(&mut NodeConnection, &mut Coordinator, Time),
        told: impl FnOnce(&mut Coordinator, Time),
    ) {
        let mut other = self.co.clone();
        act(&mut self.connection, &mut self.co, self.now);
        told(&mut other, self.now);
        assert!(self.co == other, "{:#?}\n{other:#?}", self.co);
    }

    fn receive(&mut self, text: &str, told: impl FnOnce(&mut Coordinator, Time)) {
        self.tells(|it, co, now| it.receive(co, text.as_bytes(), now), told);
    }

    fn connected(&mut self, told: impl FnOnce(&mut Coordinator, Time)) {
        self.tells(NodeConnection::connected, told);
    }

    fn late(&mut self, told: impl FnOnce(&mut Coordinator, Time)) {
        self.now = self.connection.deadline().expect("something is late one day");
        self.tells(NodeConnection::handle_timeout, told);
    }

    fn end(&mut self, reason: &str, told: impl FnOnce(&mut Coordinator, Time)) {
        self.tells(|it, co, now| it.end(co, reason, true, now), told);
        assert!(self.connection.ended().is_some() && self.connection.outstanding() == 0);
        assert_eq!((self.write(), self.connection.deadline()), (0, None));
    }
}

fn nothing(_: &mut Coordinator, _: Time) {}

fn change(change: NodeChange) -> impl FnOnce(&mut Coordinator, Time) {
    move |co, now| co.handle_node(NODE, change, now)
}

/// Why there is no answer, then that there is none.
fn failed(
    reason: &str,
    lasting: bool,
    request: RequestId,
    failure: Failure,
) -> impl FnOnce(&mut Coordinator, Time) {
    move |co, now| {
        co.handle_unreachable(NODE, reason, lasting, now);
        co.handle_failure(request, failure, now);
    }
}

#[test]
fn a_node_is_connected_once_its_server_has_let_the_connection_in() {
    let mut pair = Pair::new(Route::Node, "secret");
    let request = pair.send();
    assert_eq!(pair.write(), 0, "there is no stream");
    pair.receive("+OK\r\n", nothing);
    pair.connected(nothing);
    assert!(pair.write() > 0 && !pair.connection.is_ready());
    pair.receive("+OK\r\n", change(NodeChange::Connected));
    assert!(pair.write() > 0 && pair.connection.is_ready());
    pair.receive("-ERR no\r\n", |co, now| co.handle_reply(request, &Reply::error("ERR no"), now));

    let mut pair = Pair::new(Route::Blocking, "");
    pair.connected(change(NodeChange::Connected));
    pair.connected(nothing);
}

#[test]
fn who_is_refused_has_sent_nothing_and_is_not_lost() {
    let mut pair = Pair::new(Route::Node, "wrong");
    let request = pair.send();
    pair.connected(nothing);
    pair.write();
    pair.receive("-WRONGPASS \x1b no\r\n", |co, now| {
        co.handle_refused(NODE, b"WRONGPASS \x1b no", now);
        co.handle_failure(request, Failure::NotSent, now);
    });
    assert_eq!(pair.connection.ended(), Some("WRONGPASS \\u{1b} no"));
}

#[test]
fn what_is_outstanding_at_the_end_says_why_and_the_connection_is_lost() {
    let (mut pair, request) = Pair::asked(Route::Node);
    let second = pair.send();
    pair.end("cut", |co, now| {
        failed("cut", true, request, Failure::OutcomeUnknown)(co, now);
        co.handle_failure(second, Failure::NotSent, now);
        co.handle_node(NODE, NodeChange::Lost, now);
    });
    pair.end("again", nothing);
    pair.receive("+OK\r\n", nothing);
    pair.connected(nothing);
    assert_eq!(pair.connection.ended(), Some("cut"));

    // It never was there.
    let mut pair = Pair::new(Route::Node, "");
    let request = pair.send();
    pair.end("no route", failed("no route", true, request, Failure::NotSent));
}

#[test]
fn one_that_ends_while_nothing_is_asked_or_while_it_blocks_says_nothing_of_its_server() {
    let mut pair = Pair::new(Route::Node, "");
    pair.connected(change(NodeChange::Connected));
    pair.end("idle", change(NodeChange::Lost));

    let (mut pair, request) = Pair::asked(Route::Blocking);
    pair.end("cut", |co, now| {
        co.handle_failure(request, Failure::OutcomeUnknown, now);
        co.handle_node(NODE, NodeChange::Lost, now);
    });
}

#[test]
fn a_server_that_takes_no_writes_is_left_once_nothing_is_outstanding() {
    let (mut pair, first) = Pair::asked(Route::Node);
    let second = pair.send();
    pair.write();
    let no = "READONLY You can't write against a read only replica.";
    pair.receive(&format!("-{no}\r\n"), |co, now| co.handle_reply(first, &Reply::error(no), now));
    assert_eq!(pair.connection.ended(), None);
    pair.receive("-ERR no\r\n", |co, now| {
        co.handle_reply(second, &Reply::error("ERR no"), now);
        co.handle_node(NODE, NodeChange::Lost, now);
    });
    assert_eq!(pair.connection.ended(), Some("the server takes no writes any more"));
}

#[test]
fn messages_follow_a_subscription_and_are_lost_with_it() {
    let mut pair = Pair::new(Route::Subscribe, "");
    pair.connected(nothing);
    let request = pair.send();
    assert!(pair.write() > 0);
    pair.receive("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", |co, now| {
        let words = [Reply::bulk("subscribe"), Reply::bulk("c"), Reply::Integer(1)];
        co.handle_reply(request, &Reply::Array(words.into()), now);
    });
    pair.receive("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", |co, now| {
        co.handle_message(NODE, b"c", b"hi", now);
    });
    // A silent server is asked whether it lives.
    pair.late(nothing);
    assert!(pair.now == NOW + QUIET && pair.write() > 0);
    pair.late(change(NodeChange::PushLost));
    assert_eq!(pair.connection.ended(), Some("the server is silent"));
}

#[test]
fn a_subscription_that_is_refused_ends_it() {
    let (mut pair, request) = Pair::asked(Route::Subscribe);
    pair.receive("-NOPERM no\r\n", |co, now| {
        co.handle_reply(request, &Reply::error("NOPERM no"), now);
    });
    assert_eq!(pair.connection.ended(), Some("the server refuses the subscription"));
}

#[test]
fn who_has_never_answered_but_nonsense_will_not_by_waiting() {
    let mut pair = Pair::new(Route::Node, "secret");
    let request = pair.send();
    pair.connected(nothing);
    let why = "no reply: no reply begins with 'H'";
    pair.receive("HTTP/1.1\r\n", failed(why, true, request, Failure::NotSent));
    assert_eq!(pair.connection.ended(), Some(why));

    let (mut pair, request) = Pair::asked(Route::Node);
    pair.receive("HTTP/1.1\r\n", |co, now| {
        failed(why, false, request, Failure::OutcomeUnknown)(co, now);
        co.handle_node(NODE, NodeChange::Lost, now);
    });
}

#[test]
fn what_is_late_ends_it_and_says_how_far_it_came() {
    let mut pair = Pair::new(Route::Node, "secret");
    assert_eq!(pair.connection.deadline(), None, "nobody waits");
    let request = pair.send();
    pair.tells(NodeConnection::handle_timeout, nothing);
    pair.late(failed("no connection in time", false, request, Failure::NotSent));

    let mut pair = Pair::new(Route::Node, "secret");
    let request = pair.send();
    pair.connected(nothing);
    let why = "there is a connection, but nothing was answered in time";
    pair.late(failed(why, false, request, Failure::NotSent));

    let (mut pair, request) = Pair::asked(Route::Node);
    pair.late(|co, now| {
        failed("no answer in time", false, request, Failure::OutcomeUnknown)(co, now);
        co.handle_node(NODE, NodeChange::Lost, now);
    });
    assert!(pair.now > NOW + Span::from_secs(1));
}

#[test]
fn a_server_is_not_silent_before_there_is_a_stream() {
    let mut pair = Pair::new(Route::Subscribe, "");
    pair.now = NOW + Span::from_secs(3_600);
    pair.send();
    assert!(pair.connection.deadline() > Some(pair.now), "nobody is late");
    pair.tells(NodeConnection::handle_timeout, nothing);
    pair.connected(nothing);
    let asked = pair.write();
    pair.tells(NodeConnection::handle_timeout, nothing);
    pair.tells(NodeConnection::handle_timeout, nothing);
    assert!(asked > 0 && pair.write() == 0 && pair.connection.ended().is_none());
}
