//! One connection: which reply belongs to which command, and what is known of those that get none.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::decoder::Decoder;
use super::frame::{Frame, Token};
use super::login::{Login, question, turns_away, without_password};
use super::malformed::{MAX_LINE, Malformed};
use crate::redis::{Argv, Command, Failure, RequestId};
use crate::time::{Span, Time};

/// How long a connection for messages may be silent before it is asked whether it still lives, and
/// then how long the answer may take.
pub const QUIET: Span = Span::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Commands and their replies.
    Commands,
    /// The commands of [`Route::Subscribe`](crate::redis::Route) and the messages that follow.
    Messages,
}

/// What has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming<'a> {
    /// The server has let the connection in: its commands leave from now on.
    Ready,
    /// The server has refused the connection, in these words, for
    /// [`Coordinator::handle_refused`](crate::coordinator::Coordinator::handle_refused). Then
    /// [`end`](Connection::end) it.
    Refused(&'a [u8]),
    /// For [`Coordinator::handle_reply`](crate::coordinator::Coordinator::handle_reply).
    Reply {
        /// What is answered.
        request: RequestId,
        /// The answer.
        reply: Frame<'a>,
    },
    /// For [`Coordinator::handle_message`](crate::coordinator::Coordinator::handle_message).
    Message {
        /// Where it was published.
        channel: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
}

/// Why a connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Silent {
    /// A command's deadline has passed and there was no answer.
    NoAnswer,
    /// A connection for messages does not answer whether it lives.
    NoPong,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "no answer in time",
            Self::NoPong => "silent",
        })
    }
}

impl core::error::Error for Silent {}

/// The bytes of one connection to a server, out and in. The host moves them:
///
/// - what [`transmit`](Self::transmit) gives is written, and [`transmitted`](Self::transmitted) told;
/// - what was read goes to [`receive`](Self::receive), and then [`poll`](Self::poll) says what it was
///   until there is nothing more;
/// - at [`deadline`](Self::deadline) [`handle_timeout`](Self::handle_timeout) is called;
/// - whatever breaks, [`end`](Self::end) says what became of each command.
#[derive(Clone)]
pub struct Connection {
    purpose: Purpose,
    decoder: Decoder,
    /// Replies to the login that have not come.
    greetings: usize,
    /// The server has only been asked whether it is there.
    asked: bool,
    refused: bool,
    /// What a refusal must not tell.
    password: Option<Vec<u8>>,
    /// The words of one.
    refusal: Vec<u8>,
    outstanding: VecDeque<Sent>,
    /// The first deadline of those.
    earliest: Option<Time>,
    out: Vec<u8>,
    /// How many of `out` are written.
    written: usize,
    /// Where `out` begins in all that was ever to be written.
    base: u64,
    /// Up to where bytes may have left.
    left: u64,
    /// Until the server has let us in no byte from here on leaves.
    gate: u64,
    heard: Time,
    pinged: bool,
}

#[derive(Clone, Copy)]
struct Sent {
    request: RequestId,
    deadline: Time,
    /// Where its first byte stands in all that was ever to be written.
    start: u64,
}

impl Connection {
    /// A connection that was made just now, where `login` is said first; with a login that has nothing to
    /// say the server is asked whether it is there, so that one of another kind is known before a command
    /// has left. `None`: whoever made the connection has logged in.
    #[must_use]
    pub fn new(purpose: Purpose, login: Option<&Login>, now: Time) -> Self {
        let mut commands = login.map(Login::commands).unwrap_or_default();
        let asked = login.is_some() && commands.is_empty();
        if asked {
            commands.push(question());
        }
        let mut out = Vec::new();
        for command in &commands {
            command.write_resp(&mut out);
        }
        Self {
            purpose,
            decoder: Decoder::new(),
            greetings: commands.len(),
            asked,
            refused: false,
            password: login.and_then(|login| login.password.clone()),
            refusal: Vec::new(),
            outstanding: VecDeque::new(),
            earliest: None,
            gate: out.len() as u64,
            out,
            written: 0,
            base: 0,
            left: 0,
            heard: now,
            pinged: false,
        }
    }

    /// Whether the server has let the connection in. Without a login it has from the beginning, and no
    /// [`Incoming::Ready`] comes.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.greetings == 0 && !self.refused
    }

    /// How many commands have no answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Queues a command behind those there are.
    pub fn send(&mut self, command: &Command) {
        self.send_words(command.request, command.deadline, &command.argv);
    }

    fn send_words(&mut self, request: RequestId, deadline: Time, argv: &Argv) {
        self.tidy();
        let start = self.end_of_out();
        self.outstanding.push_back(Sent { request, deadline, start });
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        argv.write_resp(&mut self.out);
    }

    /// The bytes to be written next; none if there is nothing to write.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        let end = if self.is_ready() { self.end_of_out() } else { self.gate };
        let end = usize::try_from(end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let end = end.min(self.out.len());
        &self.out[self.written.min(end)..end]
    }

    /// So many of the bytes of [`transmit`](Self::transmit) may be on their way from here on, although
    /// they do not count as written: they were given to a layer that does not say, like TLS.
    pub fn committed(&mut self, count: usize) {
        let upto = self.base + (self.written + count).min(self.out.len()) as u64;
        self.left = self.left.max(upto);
    }

    /// So many of the bytes of [`transmit`](Self::transmit) were written.
    pub fn transmitted(&mut self, count: usize) {
        self.committed(count);
        self.written = (self.written + count).min(self.out.len());
        self.tidy();
    }

    /// Takes what was read. [`poll`](Self::poll) says what it was.
    pub fn receive(&mut self, bytes: &[u8], now: Time) {
        self.decoder.feed(bytes);
        self.heard = self.heard.max(now);
        self.pinged = false;
    }

    /// What has arrived, the oldest first.
    ///
    /// # Errors
    /// It is no reply, or none to anything that was asked: [`end`](Self::end) the connection.
    pub fn poll(&mut self) -> Result<Option<Incoming<'_>>, Malformed> {
        let (range, sort) = loop {
            let Some(range) = self.decoder.advance()? else { return Ok(None) };
            if let Some(sort) = self.sort(&range)? {
                break (range, sort);
            }
        };
        let frame = self.decoder.frame(range);
        Ok(Some(match sort {
            Sort::Ready => Incoming::Ready,
            Sort::Refused => {
                let words = frame.error().unwrap_or_default();
                self.refusal = without_password(words, self.password.as_deref());
                Incoming::Refused(&self.refusal)
            }
            Sort::Reply(request) => Incoming::Reply { request, reply: frame },
            Sort::Message => {
                let (channel, payload) = published(frame).unwrap_or_default();
                Incoming::Message { channel, payload }
            }
        }))
    }

    /// What a frame is to the host, if anything.
    fn sort(&mut self, range: &Range<usize>) -> Result<Option<Sort>, Malformed> {
        let frame = self.decoder.frame(range.clone());
        let refusal = frame.error().is_some();
        if self.greetings > 0 && !frame.is_push() {
            if frame.error().is_some_and(|text| !self.asked || self.left == 0 || turns_away(text)) {
                self.refused = true;
                return Ok(Some(Sort::Refused));
            }
            if self.left == 0 {
                return Err(Malformed::Unasked);
            }
            if self.asked && !refusal && !is_pong(frame) {
                return Err(Malformed::NoPong);
            }
            self.greetings -= 1;
            return Ok((self.greetings == 0).then_some(Sort::Ready));
        }
        match self.purpose {
            // Whatever else the server has to say was not asked for.
            Purpose::Commands if frame.is_push() => return Ok(None),
            Purpose::Messages if published(frame).is_some() => return Ok(Some(Sort::Message)),
            Purpose::Messages if is_aside(frame) => return Ok(None),
            Purpose::Commands | Purpose::Messages => {}
        }
        // What has not left yet was not heard by whoever speaks here.
        let left = self.left;
        let Some(sent) = self.outstanding.pop_front_if(|sent| sent.start < left) else {
            // A server that takes no more clients says so at once.
            return if refusal { Ok(Some(Sort::Refused)) } else { Err(Malformed::Unasked) };
        };
        if self.earliest == Some(sent.deadline) {
            self.earliest = self.outstanding.iter().map(|sent| sent.deadline).min();
        }
        Ok(Some(Sort::Reply(sent.request)))
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let quiet = self.heard + QUIET + if self.pinged { QUIET } else { Span::ZERO };
        match self.purpose {
            Purpose::Commands => self.earliest,
            Purpose::Messages => Some(self.earliest.map_or(quiet, |earliest| earliest.min(quiet))),
        }
    }

    /// The first deadline of the commands alone.
    pub(crate) const fn earliest(&self) -> Option<Time> {
        self.earliest
    }

    /// Time has passed. Too early or twice does no harm.
    ///
    /// # Errors
    /// The server has not answered in time: [`end`](Self::end) the connection, for a reply that comes
    /// later still would be taken for that to the next command.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), Silent> {
        if self.earliest.is_some_and(|earliest| now >= earliest) {
            return Err(Silent::NoAnswer);
        }
        if self.purpose == Purpose::Messages && self.deadline().is_some_and(|due| now >= due) {
            if self.pinged {
                return Err(Silent::NoPong);
            }
            self.pinged = true;
            self.tidy();
            question().write_resp(&mut self.out);
        }
        Ok(())
    }

    /// Ends it, and says of each command without an answer what is known: [`Failure::NotSent`] where
    /// not a byte of it can have left. For
    /// [`Coordinator::handle_failure`](crate::coordinator::Coordinator::handle_failure). Nothing is to
    /// be sent on it any more.
    pub fn end(&mut self) -> Vec<(RequestId, Failure)> {
        let left = self.left;
        (self.out, self.decoder) = (Vec::new(), Decoder::new());
        (self.written, self.earliest, self.refused) = (0, None, true);
        let failure = |sent: &Sent| {
            if sent.start >= left { Failure::NotSent } else { Failure::OutcomeUnknown }
        };
        self.outstanding.drain(..).map(|sent| (sent.request, failure(&sent))).collect()
    }

    fn end_of_out(&self) -> u64 {
        self.base + self.out.len() as u64
    }

    /// Drops what is written, when all is.
    fn tidy(&mut self) {
        if self.written == self.out.len() {
            self.base += self.written as u64;
            self.out.clear();
            // After a large command the room is given back.
            self.out.shrink_to(MAX_LINE);
            self.written = 0;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: there are passwords among them.
        f.debug_struct("Connection")
            .field("purpose", &self.purpose)
            .field("ready", &self.is_ready())
            .field("outstanding", &self.outstanding.len())
            .field("unwritten", &(self.out.len() - self.written))
            .finish_non_exhaustive()
    }
}

/// What a frame is to the host.
enum Sort {
    Ready,
    Refused,
    Reply(RequestId),
    Message,
}

/// The channel and the payload of what was published.
fn published(frame: Frame<'_>) -> Option<(&[u8], &[u8])> {
    let mut tokens = frame.tokens();
    match (tokens.next()?, tokens.next()?, tokens.next()?, tokens.next()?) {
        (
            Token::Array(3) | Token::Push(3),
            Token::Bulk(b"message"),
            Token::Bulk(channel),
            Token::Bulk(payload),
        ) => Some((channel, payload)),
        _ => None,
    }
}

/// Whether it answers `PING`, as before any subscription.
fn is_pong(frame: Frame<'_>) -> bool {
    matches!(frame.tokens().next(), Some(Token::Simple(b"PONG") | Token::Bulk(b"PONG")))
}

/// Whether it is a pong, or a word about a subscription that nobody has asked about.
fn is_aside(frame: Frame<'_>) -> bool {
    let mut tokens = frame.tokens();
    match tokens.next() {
        Some(Token::Simple(b"PONG")) => true,
        Some(Token::Array(_) | Token::Push(_)) => tokens.next() != Some(Token::Bulk(b"subscribe")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn no_room_is_kept_for_what_is_over() {
        let now = Time::from_micros(1_000_000);
        let mut connection = Connection::new(Purpose::Commands, None, now);
        for _ in 0..1_000 {
            connection.send_words(RequestId(1), now, &question());
            connection.transmitted(connection.transmit().len());
            connection.receive(b"+PONG\r\n", now);
            assert!(matches!(connection.poll(), Ok(Some(Incoming::Reply { .. }))));
        }
        assert!(connection.out.capacity() < 1_000);
        let large: Argv = [vec![b'x'; 2 * MAX_LINE]].into_iter().collect();
        connection.send_words(RequestId(1), now, &large);
        connection.transmitted(MAX_LINE);
        assert_eq!(connection.transmit().len(), connection.out.len() - MAX_LINE);
        connection.transmitted(connection.transmit().len());
        assert!(connection.out.capacity() <= MAX_LINE);
        connection.receive(b"$1000\r\nabc", now);
        connection.end();
        assert_eq!((connection.decoder.pending(), connection.out.capacity()), (0, 0));
    }
}
