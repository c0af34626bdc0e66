//! Stores that belong to a ring already, for tests that are not about how they come to.

use std::sync::LazyLock;

use comity::coordinator::{Config, Coordinator};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Script};
use comity::ring::NodeSpec;
use comity::stamp::{Op, Stamp};
use comity::time::Time;
use comity::transaction;

use super::resp::{Client, items};

/// Where a server keeps its stamp.
pub(crate) const META: &[u8] = b"comity:1:t:{t}";

/// Made once, for a ring is dear and a model asks for one at each step.
static ALONE: LazyLock<MemoryStore> = LazyLock::new(|| {
    let mut stores = [MemoryStore::new()];
    stamp(&mut stores, Config::new(vec![NodeSpec::new("n", 1)]));
    let [store] = stores;
    store
});

/// A store that is used alone.
pub(crate) fn alone() -> MemoryStore {
    ALONE.clone()
}

/// Has the stores, in the order of their nodes' ids, belong to the ring of `config`.
pub(crate) fn stamp(stores: &mut [MemoryStore], config: Config) {
    let now = Time::from_micros(0);
    let mut co = Coordinator::new(config, [0; 32], now).expect("a sound configuration");
    co.check_nodes(now).expect("it is open");
    while let Some(command) = co.poll_command() {
        let reply = stores[command.node.0 as usize].execute(&command.argv, now);
        co.handle_reply(command.request, &reply, now);
    }
}

/// The stamp of a store that has one.
pub(crate) fn of(store: &MemoryStore) -> Stamp {
    let hash = store.keyspace().hash(META).expect("a hash").expect("it is stamped");
    Stamp::parse(&hash[&b"e"[..]]).expect("a stamp")
}

/// What that has as its stamp.
pub(crate) fn of_one() -> Vec<u8> {
    let hash = ALONE.keyspace().hash(META).expect("a hash").expect("it is stamped");
    hash[&b"e"[..]].clone()
}

/// What a script that goes by a server's id has as its last argument for this stamp.
pub(crate) fn push_member(op: &transaction::Op, stamp: Stamp, argv: &mut Argv) {
    if op.script().goes_by_id() {
        argv.push(format!("{:016x}", stamp.member).as_bytes());
    }
}

/// A command that gives a server this stamp.
pub(crate) fn claim(meta: &[u8], stamp: Stamp) -> Argv {
    let mut argv: Argv = ["EVAL", &Script::Stamp.text()].into_iter().collect();
    let op = Op::Claim { stamp, members: Vec::new(), replaced: Vec::new() };
    op.encode(meta, &mut argv);
    argv
}

/// Has a server be used alone.
pub(crate) fn stamp_server(redis: &mut Client) {
    let stamp = Stamp::parse(&of_one()).expect("a stamp");
    let stamped = redis.call(&claim(META, stamp));
    assert_eq!(items(&stamped).len(), 3, "{stamped:?}");
}
