//! A user whom an ACL forbids the channels of pushes: a grant stands though nobody is told of it, and the
//! answer says so, whichever way the script goes.

use crate::support::acquire::acquire;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, bytes, items};
use crate::support::stamping::{META, of_one};
use comity::lock::{Acquire, Id, Op};
use comity::redis::{Argv, LockKeys, Reply, Script};

fn call(redis: &mut Client, text: &str, op: &Op) -> Vec<Vec<u8>> {
    let keys = LockKeys::of_state(b"comity:1:lock:{mute}");
    let mut argv: Argv = ["EVAL", text, "6"].into_iter().collect();
    keys.in_order().into_iter().for_each(|key| argv.push(key));
    argv.push(META);
    op.encode(&mut argv);
    argv.push(&of_one());
    items(&redis.call(&argv)).iter().map(|word| bytes(word).to_vec()).collect()
}

#[test]
fn a_grant_that_cannot_be_published_stands_and_is_told_as_such() {
    let server = RedisServer::start();
    let mut admin = server.connect();
    let rules = ["ACL", "SETUSER", "user", "reset", "on", "nopass", "~*", "+@all", "resetchannels"];
    assert_eq!(admin.command(rules), Reply::ok());
    let mut user = server.connect();
    assert_eq!(user.command(["AUTH", "user", "any"]), Reply::ok());
    let short = Script::Queue.text();
    let long =
        short.replace("if form == 'Q' and sub(S, 126, 145) ==", "if form == 'none' and form ==");
    assert_ne!(short, long);
    for text in [short, long] {
        admin.command(["FLUSHALL"]);
        let stamp = of_one();
        admin.command([&b"HSET"[..], META, b"e", &stamp]);
        let ask = |bits| Op::Acquire(Acquire { inbox: b"inbox".to_vec(), ..acquire(bits) });
        assert_eq!(call(&mut user, &text, &ask(1))[0], b"GRANTED");
        assert_eq!(call(&mut user, &text, &ask(2))[0], b"QUEUED");
        let release = |bits| Op::Release { id: Id::from_bits(bits), clean: true };
        assert_eq!(call(&mut user, &text, &release(1)), [&b"RELEASED"[..], b"nopush"]);
        assert_eq!(call(&mut user, &text, &ask(2))[0], b"GRANTED");
        assert_eq!(call(&mut user, &text, &release(2)), [b"RELEASED"]);
    }
}
