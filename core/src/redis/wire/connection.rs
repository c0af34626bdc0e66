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
            if frame.error().is_some_and(|text| !self.asked || turns_away(text)) {
                self.refused = true;
                return Ok(Some(Sort::Refused));
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
        let Some(sent) = self.outstanding.pop_front() else {
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
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;

    use super::*;

    const T0: Time = Time::from_micros(1_000_000);

    fn at(ms: u64) -> Time {
        T0 + Span::from_millis(ms)
    }

    fn let_in(purpose: Purpose) -> Connection {
        Connection::new(purpose, None, T0)
    }

    fn with(login: &Login) -> Connection {
        Connection::new(Purpose::Commands, Some(login), T0)
    }

    fn send(connection: &mut Connection, request: u64, ms: u64, words: &[&str]) {
        let argv: Argv = words.iter().collect();
        connection.send_words(RequestId(request), at(ms), &argv);
    }

    fn written(connection: &mut Connection) -> String {
        let bytes = connection.transmit().to_vec();
        connection.transmitted(bytes.len());
        String::from_utf8_lossy(&bytes).replace("\r\n", " ")
    }

    fn received(connection: &mut Connection, bytes: &[u8]) -> Vec<String> {
        connection.receive(bytes, at(0));
        let mut found = Vec::new();
        loop {
            match connection.poll() {
                Ok(Some(incoming)) => found.push(match incoming {
                    Incoming::Ready => "ready".into(),
                    Incoming::Refused(text) => format!("refused: {}", text.escape_ascii()),
                    Incoming::Reply { request, reply } => format!("{} {reply:?}", request.0),
                    Incoming::Message { channel, payload } => {
                        format!("{}: {}", channel.escape_ascii(), payload.escape_ascii())
                    }
                }),
                Ok(None) => return found,
                Err(malformed) => {
                    found.push(malformed.to_string());
                    return found;
                }
            }
        }
    }

    #[test]
    fn replies_belong_to_commands_in_their_order() {
        let mut connection = let_in(Purpose::Commands);
        assert!(connection.is_ready());
        send(&mut connection, 1, 5, &["GET", "a"]);
        send(&mut connection, 2, 9, &["GET", "b"]);
        assert_eq!(written(&mut connection), "*2 $3 GET $1 a *2 $3 GET $1 b ");
        assert_eq!(received(&mut connection, b"$1\r\nx\r\n:"), ["1 \"x\""]);
        assert_eq!(received(&mut connection, b"7\r\n>1\r\n+invalidate\r\n"), ["2 :7"]);
        assert_eq!(received(&mut connection, b":8\r\n"), ["a reply to nothing"]);
    }

    #[test]
    fn nothing_leaves_before_the_server_has_let_us_in() {
        let login = Login {
            username: Some(b"u".to_vec()),
            password: Some(b"secret".to_vec()),
            database: 2,
            name: Some(b"me".to_vec()),
            resp3: false,
        };
        let mut connection = with(&login);
        send(&mut connection, 1, 5, &["PING"]);
        assert!(!format!("{connection:?} {login:?}").contains("secret"));
        let greeting = "*3 $4 AUTH $1 u $6 secret *3 $6 CLIENT $7 SETNAME $2 me *2 $6 SELECT $1 2 ";
        assert_eq!(written(&mut connection), greeting);
        assert!(received(&mut connection, b"+OK\r\n+OK\r\n").is_empty());
        assert_eq!(written(&mut connection), "");
        assert_eq!(received(&mut connection, b"+OK\r\n"), ["ready"]);
        assert_eq!(written(&mut connection), "*1 $4 PING ");
        assert_eq!(received(&mut connection, b"+PONG\r\n"), ["1 +PONG"]);
    }

    #[test]
    fn who_is_not_let_in_has_sent_nothing() {
        let login = Login { password: Some(b"x".to_vec()), resp3: true, ..Login::default() };
        let mut connection = with(&login);
        send(&mut connection, 1, 5, &["PING"]);
        assert_eq!(written(&mut connection), "*5 $5 HELLO $1 3 $4 AUTH $7 default $1 x ");
        let refused = received(&mut connection, b"-WRONGPASS no\r\n");
        assert_eq!(refused, ["refused: WRONGPASS no"]);
        assert!(!connection.is_ready());
        assert_eq!(written(&mut connection), "");
        assert_eq!(connection.end(), [(RequestId(1), Failure::NotSent)]);
        assert!(connection.end().is_empty());
        assert_eq!(written(&mut connection), "");
    }

    #[test]
    fn a_refusal_repeats_no_password() {
        for told in ["'3' 'AUTH' 'default' 'secret'", "`3`, `AUTH`, `default`, `secr"] {
            let login =
                Login { password: Some(b"secret".to_vec()), resp3: true, ..Login::default() };
            let mut connection = with(&login);
            let text =
                format!("-ERR unknown command 'HELLO', with args beginning with: {told}\r\n");
            let refused = received(&mut connection, text.as_bytes());
            assert_eq!(refused, [r"refused: ERR unknown command \'HELLO\'"]);
        }
        for (told, left) in [
            ("ERR no such user u:s%cr t, go", "ERR no such user u:***, go"),
            ("ERR AUTH s%cr ts%cr t", "ERR AUTH ******"),
            ("ERR //u:s%25cr%20t@host s%25cr t s%2", "ERR //u:***@host *** s%2"),
            ("s%cr t", "***"),
            ("ERR", "ERR"),
            ("", ""),
        ] {
            let login = Login { password: Some(b"s%cr t".to_vec()), ..Login::default() };
            let mut connection = with(&login);
            let refused = received(&mut connection, format!("-{told}\r\n").as_bytes());
            assert_eq!(refused, [format!("refused: {left}")]);
        }
    }

    #[test]
    fn a_server_that_takes_no_more_clients_refuses() {
        for mut connection in [let_in(Purpose::Commands), with(&Login::default())] {
            let refused = received(&mut connection, b"-ERR max number of clients reached\r\n");
            assert_eq!(refused, ["refused: ERR max number of clients reached"]);
            assert!(connection.end().is_empty());
        }
    }

    #[test]
    fn a_server_with_nothing_to_be_told_is_asked_whether_it_is_there() {
        for answer in ["+PONG", "-NOPERM no", "-LOADING a moment", "-NOAUTH who?"] {
            let mut connection = with(&Login::default());
            send(&mut connection, 1, 5, &["GET", "a"]);
            assert!(!connection.is_ready());
            assert_eq!(written(&mut connection), "*1 $4 PING ");
            assert_eq!(received(&mut connection, format!("{answer}\r\n").as_bytes()), ["ready"]);
            assert_eq!(written(&mut connection), "*2 $3 GET $1 a ");
            assert_eq!(received(&mut connection, b"$-1\r\n"), ["1 nil"]);
        }
        for stranger in ["\x15\x03\x03", "HTTP/1.1 400 Bad Request\r\n", "220 mail\r\n"] {
            let mut connection = with(&Login::default());
            send(&mut connection, 1, 5, &["GET", "a"]);
            written(&mut connection);
            let found = received(&mut connection, stranger.as_bytes());
            assert!(found.len() == 1 && !found[0].contains("ready"), "{found:?}");
            assert_eq!(connection.end(), [(RequestId(1), Failure::NotSent)]);
        }
        let mut connection = with(&Login::default());
        send(&mut connection, 1, 5, &["GET", "a"]);
        let refused = received(&mut connection, b"-DENIED Redis is running in protected mode\r\n");
        assert_eq!(refused, ["refused: DENIED Redis is running in protected mode"]);
        assert_eq!(connection.end(), [(RequestId(1), Failure::NotSent)]);
    }

    #[test]
    fn what_has_not_left_is_told_apart_from_what_may_have() {
        let mut connection = let_in(Purpose::Commands);
        for request in 1..=3 {
            send(&mut connection, request, 5, &["PING"]);
        }
        connection.transmitted(14 + 1);
        let unknown = Failure::OutcomeUnknown;
        let first =
            [(RequestId(1), unknown), (RequestId(2), unknown), (RequestId(3), Failure::NotSent)];
        assert_eq!(connection.clone().end(), first);
        // TLS may have sent what it does not count.
        connection.committed(connection.transmit().len());
        connection.receive(b"$1000\r\nabc", at(0));
        assert!(connection.end().iter().all(|(_, failure)| *failure == unknown));
        assert_eq!(connection.decoder.pending(), 0, "nothing is kept of what is over");
    }

    #[test]
    fn offsets_hold_over_many_writes() {
        let mut connection = let_in(Purpose::Commands);
        for request in 1..=1_000 {
            send(&mut connection, request, 5, &["PING"]);
            assert_eq!(written(&mut connection), "*1 $4 PING ");
            assert_eq!(received(&mut connection, b"+PONG\r\n").len(), 1);
        }
        assert!(connection.out.capacity() < 1_000);
        let large = "x".repeat(2 * MAX_LINE);
        send(&mut connection, 0, 5, &["SET", "k", &large]);
        connection.transmitted(MAX_LINE);
        assert_eq!(connection.transmit().len(), connection.out.len() - MAX_LINE);
        assert!(written(&mut connection).ends_with("x "));
        assert!(connection.out.capacity() <= MAX_LINE, "no room is kept for it");
        assert_eq!(received(&mut connection, b"+OK\r\n").len(), 1);
        send(&mut connection, 0, 5, &["PING"]);
        assert_eq!(connection.end(), [(RequestId(0), Failure::NotSent)]);
    }

    #[test]
    fn the_earliest_deadline_is_the_connections() {
        let mut connection = let_in(Purpose::Commands);
        assert_eq!(connection.deadline(), None);
        for (request, ms) in [(1, 7), (2, 5), (3, 9)] {
            send(&mut connection, request, ms, &["PING"]);
        }
        assert_eq!(connection.deadline(), Some(at(5)));
        received(&mut connection, b"+PONG\r\n+PONG\r\n");
        assert_eq!(connection.deadline(), Some(at(9)));
        assert_eq!(connection.handle_timeout(at(8)), Ok(()));
        assert_eq!(connection.handle_timeout(at(9)), Err(Silent::NoAnswer));
    }

    #[test]
    fn messages_come_besides_replies_in_both_protocols() {
        for kind in ["*", ">"] {
            let mut connection = let_in(Purpose::Messages);
            send(&mut connection, 1, 5, &["SUBSCRIBE", "c"]);
            let text = format!(
                "{kind}3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n\
                 {kind}3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n\
                 {kind}2\r\n$4\r\npong\r\n$0\r\n\r\n+PONG\r\n"
            );
            let found = received(&mut connection, text.as_bytes());
            assert_eq!(found, ["1 [\"subscribe\", \"c\", :1]", "c: hi"]);
        }
    }

    #[test]
    fn a_subscription_may_be_refused() {
        let mut connection = let_in(Purpose::Messages);
        send(&mut connection, 1, 5, &["SUBSCRIBE", "c"]);
        assert_eq!(received(&mut connection, b"-NOPERM no\r\n"), ["1 -NOPERM no"]);
    }

    #[test]
    fn a_quiet_connection_for_messages_is_asked_whether_it_lives() {
        let mut connection = let_in(Purpose::Messages);
        assert_eq!(connection.deadline(), Some(T0 + QUIET));
        assert_eq!(connection.handle_timeout(at(9_999)), Ok(()));
        assert_eq!(written(&mut connection), "");
        assert_eq!(connection.handle_timeout(at(10_000)), Ok(()));
        assert_eq!(written(&mut connection), "*1 $4 PING ");
        assert_eq!(connection.deadline(), Some(at(20_000)));
        connection.receive(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", at(15_000));
        assert!(matches!(connection.poll(), Ok(None)));
        assert_eq!(connection.deadline(), Some(at(25_000)));
        assert_eq!(connection.handle_timeout(at(25_000)), Ok(()));
        assert_eq!(connection.handle_timeout(at(35_000)), Err(Silent::NoPong));
    }

    #[test]
    fn large_and_odd_replies_do_not_confuse_the_pairing() {
        let mut connection = let_in(Purpose::Commands);
        send(&mut connection, 1, 5, &["LRANGE"]);
        send(&mut connection, 2, 5, &["GET"]);
        let mut bytes = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$100000\r\n".to_vec();
        bytes.extend(vec![b'\r'; 100_000]);
        bytes.extend(b"\r\n$-1\r\n");
        let mut found = Vec::new();
        for piece in bytes.chunks(1_000) {
            found.extend(received(&mut connection, piece));
        }
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], "2 nil");
    }
}
