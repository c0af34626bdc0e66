//! What belongs to what on a connection, what leaves it when, and what becomes of each command.

use comity::redis::wire::{Connection, Incoming, Login, Purpose, QUIET, Silent};
use comity::redis::{Argv, Command, Failure, NodeId, Origin, RequestId, Route};
use comity::time::{Span, Time};

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
    let (node, route, origin) = (NodeId(0), Route::Node, Origin::Background);
    let (request, deadline) = (RequestId(request), at(ms));
    connection.send(&Command { request, node, route, origin, deadline, argv });
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
                other => format!("{other:?}"),
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
        let login = Login { password: Some(b"secret".to_vec()), resp3: true, ..Login::default() };
        let mut connection = with(&login);
        let text = format!("-ERR unknown command 'HELLO', with args beginning with: {told}\r\n");
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
fn what_has_not_left_is_answered_by_nobody() {
    // Behind the answer to the login, in one piece.
    let mut connection = with(&Login::default());
    send(&mut connection, 1, 5, &["GET", "a"]);
    written(&mut connection);
    assert_eq!(received(&mut connection, b"+PONG\r\n+PONG\r\n"), ["ready", "a reply to nothing"]);
    assert_eq!(connection.end(), [(RequestId(1), Failure::NotSent)]);
    // Before anything was asked; an error is a refusal.
    for (told, found) in [("+PONG", "a reply to nothing"), ("-ERR go away", "refused: ERR go away")]
    {
        let mut connection = with(&Login::default());
        assert_eq!(received(&mut connection, format!("{told}\r\n").as_bytes()), [found]);
    }
    let mut connection = let_in(Purpose::Commands);
    send(&mut connection, 1, 5, &["GET", "a"]);
    send(&mut connection, 2, 5, &["GET", "b"]);
    connection.transmitted(10);
    assert_eq!(received(&mut connection, b"+x\r\n-ERR late\r\n"), ["1 +x", "refused: ERR late"]);
    assert_eq!(connection.end(), [(RequestId(2), Failure::NotSent)]);
}

#[test]
fn another_answer_than_pong_is_no_servers() {
    for answer in [":1", "$-1", "+hello", "*0"] {
        let mut connection = with(&Login::default());
        written(&mut connection);
        let found = received(&mut connection, format!("{answer}\r\n").as_bytes());
        assert_eq!(found, ["PING is not answered by PONG"]);
    }
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
}

#[test]
fn offsets_hold_over_many_writes() {
    let mut connection = let_in(Purpose::Commands);
    for request in 1..=1_000 {
        send(&mut connection, request, 5, &["PING"]);
        assert_eq!(written(&mut connection), "*1 $4 PING ");
        assert_eq!(received(&mut connection, b"+PONG\r\n").len(), 1);
    }
    let large = "x".repeat(100_000);
    send(&mut connection, 0, 5, &["SET", "k", &large]);
    connection.transmitted(100);
    assert!(written(&mut connection).ends_with("x "));
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
    written(&mut connection);
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
        written(&mut connection);
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
    written(&mut connection);
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
    written(&mut connection);
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
