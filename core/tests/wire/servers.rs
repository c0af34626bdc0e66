//! The example over `std::net`, with a real server.

use std::io::{Read as _, Write as _};

use crate::std_net::lock_once;
use crate::support::redis_server::RedisServer;

#[test]
fn a_lock_is_taken_and_given_back() {
    let server = RedisServer::start();
    let first = lock_once(&server.url("", "")).expect("granted");
    let second = lock_once(&server.url("", "")).expect("granted");
    assert!(second > first);
}

#[test]
fn users_passwords_databases_and_names_reach_the_server() {
    let server = RedisServer::start();
    let mut client = server.connect();
    client.command(["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"]);
    for query in ["?client_name=me", "?protocol=3&client_name=me"] {
        lock_once(&server.url("app:pw@", &format!("/3{query}"))).expect("granted");
    }
    let keyspace = format!("{:?}", client.command(["INFO", "keyspace"]));
    assert!(keyspace.contains("db3") && !keyspace.contains("db0"), "{keyspace}");
}

#[test]
fn who_is_refused_is_told_in_the_servers_words() {
    let server = RedisServer::start();
    server.connect().command(["CONFIG", "SET", "requirepass", "right"]);
    let wrong = lock_once(&server.url(":wrong@", "")).expect_err("refused").to_string();
    assert!(wrong.contains("WRONGPASS") && !wrong.contains(":wrong@"), "{wrong}");
    let none = lock_once(&server.url("", "")).expect_err("refused").to_string();
    assert!(none.contains("NOAUTH"), "{none}");
}

/// A server that says `words` to each connection, and nothing else.
fn stranger(words: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            _ = stream.write_all(words.as_bytes());
            // Not before the other end does: what is unread would cut it short.
            _ = stream.read_to_end(&mut Vec::new());
        }
    });
    format!("redis://{at}")
}

#[test]
fn what_is_no_redis_is_told() {
    for (words, told) in [
        ("HTTP/1.1 400 Bad Request\r\n", "no reply begins with 'H'"),
        ("\x15\x03\x01", "a server that wants TLS"),
        ("-DENIED Redis is running in protected mode\r\n", "protected mode"),
    ] {
        let error = lock_once(&stranger(words)).expect_err("no Redis").to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn nobody_there_is_told_with_the_reason() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let url = format!("redis://127.0.0.1:{}", port.expect("a free port").port());
    let error = lock_once(&url).expect_err("nobody").to_string();
    assert!(error.contains("refused"), "{error}");
}
