//! Counts on a real server how often the short ways in the scripts are taken: one that never is would
//! pass every comparison.

use comity::redis::Script;

use super::resp::{Client, bytes};

/// In front of the names of the keys that only tests have.
pub(crate) const PREFIX: &str = "test:";
/// The short ways: their names, the script, and the first place in it of the piece that ends one.
const SHORT_WAYS: [(&str, Script, &str); 7] = [
    ("ACQ", Script::Queue, "answer = {'QUEUED', now, now,"),
    ("REL", Script::Queue, "redis.call('ZREM', KEYS[3], first)"),
    (
        "REL of the last",
        Script::Queue,
        "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\nredis.call('SET',",
    ),
    ("REN", Script::Queue, "answer = {'OK', fence, now, ARGV[3]}"),
    ("ONE_PHASE", Script::OnePhase, "return {'DONE', replies}"),
    ("PREPARE", Script::Prepare, "return {'PREPARED', now, replies}"),
    ("FINISH", Script::Finish, "redis.pcall('HSET', T, slot, seq .. 'D' .. sub("),
];

/// A copy of a script that counts them.
pub(crate) fn counting(script: Script, text: &str) -> String {
    let its = SHORT_WAYS.iter().filter(|(_, its, _)| *its == script);
    its.fold(text.to_string(), |text, (name, _, piece)| {
        text.replacen(piece, &format!("redis.call('INCR', '{PREFIX}{name}')\n{piece}"), 1)
    })
}

/// Asserts that each of a script was taken so often.
pub(crate) fn assert_taken(redis: &mut Client, scripts: &[Script], at_least: u64) {
    for (name, _, _) in SHORT_WAYS.iter().filter(|(_, script, _)| scripts.contains(script)) {
        let reply = redis.command(["GET", &format!("{PREFIX}{name}")]);
        let count = match &reply {
            comity::redis::Reply::Bulk(_) => String::from_utf8_lossy(bytes(&reply)).into_owned(),
            _ => "0".into(),
        };
        println!("{count:>8} short ways of {name}");
        assert!(count.parse::<u64>().is_ok_and(|count| count >= at_least), "{name}: {count}");
    }
}
