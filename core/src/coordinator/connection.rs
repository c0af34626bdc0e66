//! What a connection tells the coordinator.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use super::Coordinator;
use crate::redis::wire::{Connection, Incoming, Login, Purpose, Silent};
use crate::redis::{Command, NodeChange, NodeId, Route, words};
use crate::time::Time;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no stream yet.
    Waiting,
    Open,
    /// It has ended, for this reason.
    Over(String),
}

/// One connection to one node for the commands of one route, without its stream. It tells the coordinator
/// what is answered, what comes as a message, and that the node is connected, refuses, is silent or lost,
/// each in the order that the coordinator needs. The host moves the bytes:
///
/// - once there is a stream, [`connected`](Self::connected) is called;
/// - what [`transmit`](Self::transmit) gives is written, and [`transmitted`](Self::transmitted) told;
/// - what was read goes to [`receive`](Self::receive);
/// - at [`deadline`](Self::deadline) [`handle_timeout`](Self::handle_timeout) is called;
/// - when there is no stream or it breaks, [`end`](Self::end) is called.
///
/// Whatever ends it, [`ended`](Self::ended) says why from then on: its stream is to be closed, and the next
/// command for the node and route needs a new one. Commands may be queued before there is a stream.
#[derive(Clone, Debug)]
pub struct NodeConnection {
    wire: Connection,
    node: NodeId,
    route: Route,
    stage: Stage,
    /// The coordinator knows that it is there: it can be lost.
    told: bool,
    /// Its server is no master any more: a new connection may lead to another.
    doubtful: bool,
}

impl NodeConnection {
    /// A connection to `node` for the commands of `route`, and for the messages that follow where that is
    /// [`Route::Subscribe`]. `login` is said first, as by [`Connection::new`].
    #[must_use]
    pub fn new(node: NodeId, route: Route, login: Option<&Login>, now: Time) -> Self {
        let purpose = match route {
            Route::Subscribe => Purpose::Messages,
            Route::Node | Route::Blocking => Purpose::Commands,
        };
        let wire = Connection::new(purpose, login, now);
        Self { wire, node, route, stage: Stage::Waiting, told: false, doubtful: false }
    }

    /// The node that it is to.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The route whose commands it takes.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.route
    }

    /// Whether there is a stream.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether the server has let the connection in: its commands leave then.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_connected() && self.wire.is_ready()
    }

    /// Why it has ended, if it has: the host's words, or the server's as messages have them.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        if let Stage::Over(why) = &self.stage { Some(why) } else { None }
    }

    /// How many commands have neither a reply nor a failure.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.wire.outstanding()
    }

    /// Queues a command for the node and route behind those there are. None is taken after the end: such a
    /// one is a [`NotSent`](crate::redis::Failure::NotSent) to be reported.
    pub fn send(&mut self, command: &Command) {
        self.wire.send(command);
    }

    /// The stream is made. The coordinator is told that the node is connected, at once or as soon as the
    /// server has let the connection in. Twice is harmless.
    pub fn connected(&mut self, co: &mut Coordinator, now: Time) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Open;
            // From here on the server can be silent.
            self.wire.receive(&[], now);
            if self.wire.is_ready() {
                self.let_in(co, now);
            }
        }
    }

    /// The server has let it in.
    fn let_in(&mut self, co: &mut Coordinator, now: Time) {
        // Of one for messages the coordinator hears by the reply to its subscription.
        if self.route != Route::Subscribe {
            self.told = true;
            co.handle_node(self.node, NodeChange::Connected, now);
        }
    }

    /// The bytes to be written next; none if there is nothing to write, or no stream.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        if self.is_connected() { self.wire.transmit() } else { &[] }
    }

    /// So many of them may be on their way from here on, as [`Connection::committed`] has it.
    pub fn committed(&mut self, count: usize) {
        self.wire.committed(count);
    }

    /// So many of them were written.
    pub fn transmitted(&mut self, count: usize) {
        self.wire.transmitted(count);
    }

    /// Takes what was read, in pieces of any size, and tells the coordinator what it is.
    ///
    /// The connection ends where the server refuses it or its subscription, and where it says what is no
    /// reply, or none to anything that was asked; and once nothing is outstanding where the server takes no
    /// writes any more, for a new one may lead to another server.
    pub fn receive(&mut self, co: &mut Coordinator, bytes: &[u8], now: Time) {
        if !self.is_connected() {
            return;
        }
        self.wire.receive(bytes, now);
        loop {
            match self.wire.poll() {
                Ok(Some(Incoming::Ready)) => self.let_in(co, now),
                Ok(Some(Incoming::Reply { request, reply })) => {
                    let error = reply.error();
                    self.doubtful |= error.is_some_and(|text| text.starts_with(b"READONLY"));
                    let of_messages = self.route == Route::Subscribe;
                    let refused = of_messages && error.is_some();
                    co.handle_reply(request, &reply.to_reply(), now);
                    if refused {
                        return self.end(co, "the server refuses the subscription", false, now);
                    }
                    self.told |= of_messages;
                }
                Ok(Some(Incoming::Message { channel, payload })) => {
                    co.handle_message(self.node, channel, payload, now);
                }
                Ok(Some(Incoming::Refused(text))) => {
                    co.handle_refused(self.node, text, now);
                    let why = words(text);
                    return self.finish(co, why, now);
                }
                Ok(None) => break,
                Err(malformed) => {
                    // Whoever has never answered is no Redis.
                    let lasting = !self.wire.is_ready();
                    return self.end(co, &format!("no reply: {malformed}"), lasting, now);
                }
            }
        }
        if self.doubtful && self.wire.outstanding() == 0 {
            self.end(co, "the server takes no writes any more", false, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Over(_) => None,
            Stage::Waiting => self.wire.earliest(),
            Stage::Open => self.wire.deadline(),
        }
    }

    /// Time has passed: a connection with a command that was not answered by its deadline ends, and so does
    /// one for messages that does not answer whether it lives. Too early or twice does no harm.
    pub fn handle_timeout(&mut self, co: &mut Coordinator, now: Time) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let reason = match self.wire.handle_timeout(now) {
            Ok(()) => return,
            Err(Silent::NoAnswer) if self.stage == Stage::Waiting => "no connection in time",
            Err(Silent::NoAnswer) if !self.wire.is_ready() => {
                "there is a connection, but nothing was answered in time"
            }
            Err(Silent::NoAnswer) => "no answer in time",
            Err(Silent::NoPong) => "the server is silent",
        };
        self.end(co, reason, false, now);
    }

    /// Ends it, for a reason in the host's words, as [`Coordinator::handle_unreachable`] has it: its stream
    /// is closed, or could not be made. The coordinator is told of each command without a reply, and that
    /// the connection is lost if it was told that it was there. Nothing may be written any more. Twice is
    /// harmless, and the first reason holds.
    pub fn end(&mut self, co: &mut Coordinator, reason: &str, lasting: bool, now: Time) {
        if self.ended().is_some() {
            return;
        }
        // One that ends while nothing is asked says nothing of its server, nor does a `WAIT` that takes its
        // time.
        if self.wire.outstanding() > 0 && self.route != Route::Blocking {
            co.handle_unreachable(self.node, reason, lasting, now);
        }
        self.finish(co, reason.to_owned(), now);
    }

    fn finish(&mut self, co: &mut Coordinator, why: String, now: Time) {
        self.stage = Stage::Over(why);
        for (request, failure) in self.wire.end() {
            co.handle_failure(request, failure, now);
        }
        if self.told {
            let change = match self.route {
                Route::Subscribe => NodeChange::PushLost,
                Route::Node | Route::Blocking => NodeChange::Lost,
            };
            co.handle_node(self.node, change, now);
        }
    }
}
