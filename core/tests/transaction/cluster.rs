//! The scripts on a server in cluster mode, where a slot is a participant: the hash and the shadows
//! are in the slot of its tag, beside the keys.

use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, bytes};
use crate::support::stamping::claim;
use crate::support::transaction_script::{RING, finish, one_phase, prepare, query, txid, work};
use comity::redis::{Argv, Reply};
use comity::transaction::{Answer, Op, Sweep, Verdict};

const NOW: u64 = 9_000_000_000_000_000;

fn run(redis: &mut Client, meta: &str, op: &Op) -> Answer {
    let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
    op.encode(meta.as_bytes(), &mut argv);
    crate::support::stamping::push_member(op, RING, &mut argv);
    let reply = redis.call(&argv);
    Answer::decode(&reply).unwrap_or_else(|| panic!("{op:?}: {reply:?}"))
}

#[test]
fn a_slot_is_a_participant() {
    let name = format!("comity-test-nodes-{}.conf", std::process::id());
    let arguments = ["--cluster-enabled", "yes", "--cluster-config-file", &name];
    let server = RedisServer::start_with(&arguments);
    let mut redis = server.connect();
    assert_eq!(redis.command(["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), Reply::ok());
    while !bytes(&redis.command(["CLUSTER", "INFO"])).starts_with(b"cluster_state:ok") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for (slot, tag) in [(0, "a"), (1, "b")] {
        let meta = format!("comity:1:t:{{{tag}}}");
        redis.call(&claim(meta.as_bytes(), RING));
        let lines = ["INCR {TAG}n", "HSET {TAG}h f 1", "DEL {TAG}d", "GET {TAG}r", "INCR {TAG}n"];
        let lines = lines.map(|line| line.replace("TAG", tag));
        let all = work(&lines.each_ref().map(String::as_str));
        let done = run(&mut redis, &meta, &one_phase(txid(slot, 1), all.clone(), NOW));
        assert!(matches!(done, Answer::Done { .. }), "{done:?}");
        let vote = run(&mut redis, &meta, &prepare(txid(slot, 2), all.clone(), NOW));
        assert!(matches!(vote, Answer::Prepared { .. }), "{vote:?}");
        let status = run(&mut redis, &meta, &Op::Status(query(txid(slot, 2), NOW, false)));
        assert!(matches!(status, Answer::Staging(_)), "{status:?}");
        let page = run(&mut redis, &meta, &Op::Sweep(Sweep::Page { cursor: 0 }));
        assert!(matches!(page, Answer::Page { .. }), "{page:?}");
        let end = run(&mut redis, &meta, &finish(txid(slot, 2), Verdict::Commit, &all, NOW));
        assert_eq!(end, Answer::Committed { participants: Vec::new() });
        assert_eq!(bytes(&redis.command(["GET", &format!("{{{tag}}}n")])), b"4");
    }
    // What is in another slot cannot be touched.
    let op = one_phase(txid(0, 3), work(&["SET {b}x 1"]), NOW);
    let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
    op.encode(b"comity:1:t:{a}", &mut argv);
    let crossed = redis.call(&argv);
    assert!(
        matches!(&crossed, Reply::Error(text) if text.starts_with(b"CROSSSLOT")),
        "{crossed:?}"
    );
    drop(server);
    let _ = std::fs::remove_file(std::env::temp_dir().join(name));
}
