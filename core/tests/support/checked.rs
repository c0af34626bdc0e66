//! Executes a command on the embedded store and checks what must hold of any.

use std::collections::{BTreeMap, BTreeSet};

use comity::keyspace::command::{
    Access, COMMANDS, Command, Fails, KeyWords, MAX_REPLY, MAX_STRING,
};
use comity::keyspace::{Keyspace, ServerTime, Value};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Reply};
use comity::time::Time;

type Snapshot = BTreeMap<Vec<u8>, (Value, Option<ServerTime>)>;

fn snapshot(space: &Keyspace) -> Snapshot {
    space.iter().map(|(key, value, expiry)| (key.to_vec(), (value.clone(), expiry))).collect()
}

fn size(snapshot: &Snapshot) -> usize {
    let value = |value: &Value| -> usize {
        match value {
            Value::String(bytes) => bytes.len(),
            Value::Hash(fields) => fields.iter().map(|(k, v)| k.len() + v.len()).sum(),
            Value::Set(members) => members.iter().map(Vec::len).sum(),
            Value::List(elements) => elements.iter().map(Vec::len).sum(),
            Value::SortedSet(set) => set.iter().map(|(member, _)| member.len()).sum(),
        }
    };
    snapshot.iter().map(|(key, (held, _))| key.len() + value(held)).sum()
}

fn reply_size(reply: &Reply) -> usize {
    match reply {
        Reply::Bulk(bytes) | Reply::Simple(bytes) | Reply::Error(bytes) => bytes.len(),
        Reply::Array(items) => items.iter().map(reply_size).sum(),
        _ => 0,
    }
}

/// The words of the command that are keys.
fn keys<'a>(command: &Command, argv: &'a Argv) -> BTreeSet<&'a [u8]> {
    let count = match command.keys {
        KeyWords::First => 1,
        KeyWords::Two => 2,
        KeyWords::All => argv.len(),
    };
    argv.iter().skip(1).take(count).collect()
}

/// Whether the table allows a call to be refused because of what its keys hold.
fn may_be_refused(command: &Command, argv: &Argv) -> bool {
    match command.fails {
        Fails::Never => false,
        Fails::OnValue => true,
        Fails::WithOption(option) => argv.iter().any(|word| {
            let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
            word.eq_ignore_ascii_case(option.as_bytes())
        }),
    }
}

/// Executes `argv`. A refused call and a read change nothing, a write changes its keys only, what
/// the table says cannot be refused is not, and neither store nor reply grows out of bounds.
pub(crate) fn execute(store: &mut MemoryStore, argv: &Argv, now: Time) -> Reply {
    store.keyspace_mut().set_now(ServerTime(now.as_micros()));
    let before = snapshot(store.keyspace());
    let reply = store.execute(argv, now);
    let after = snapshot(store.keyspace());
    let refused = matches!(reply, Reply::Error(_));
    let given: usize = argv.iter().map(<[u8]>::len).sum();
    assert!(size(&after) <= 2 * size(&before) + given + MAX_STRING, "{argv:?} makes too much");
    let longest = MAX_REPLY + size(&before) + 4 * given + 64;
    assert!(reply_size(&reply) <= longest, "{argv:?} is answered with too much");
    let Some(command) = Command::find(argv.get(0).unwrap_or_default()) else {
        assert_eq!(before, after, "{argv:?} is no command of the table");
        return reply;
    };
    if refused || command.access == Access::Read {
        assert_eq!(before, after, "{argv:?} = {reply:?} has changed something");
    }
    let keys = keys(command, argv);
    for key in before.keys().chain(after.keys()).filter(|key| !keys.contains(key.as_slice())) {
        assert_eq!(before.get(key), after.get(key), "{argv:?} has changed {key:?}");
    }
    if refused && !may_be_refused(command, argv) {
        let alone = MemoryStore::new().execute(argv, now);
        assert_eq!(reply, alone, "{argv:?} was refused for what the keys hold");
    }
    reply
}

/// A call made of bytes, for a fuzzer: a byte for the name, one for how many words follow, and
/// each of them with its length in front. Some lengths name a word that is often right instead.
pub(crate) fn from_bytes<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<Argv> {
    const WORDS: [&str; 20] = [
        "a",
        "b",
        "0",
        "1",
        "-1",
        "10",
        "inf",
        "-inf",
        "(1",
        "[a",
        "+",
        "-",
        "NX",
        "XX",
        "GET",
        "EX",
        "LIMIT",
        "BYSCORE",
        "BYLEX",
        "9223372036854775807",
    ];
    let name = usize::from(*bytes.next()?);
    let mut argv = Argv::new();
    match COMMANDS.get(name) {
        Some(command) => argv.push(command.name.as_bytes()),
        None => argv.push(&[u8::try_from(name).unwrap_or(0)]),
    }
    for _ in 0..bytes.next()? % 9 {
        let length = usize::from(*bytes.next()?);
        match WORDS.get(length.wrapping_sub(100)) {
            Some(word) => argv.push(word.as_bytes()),
            None => argv.push(&bytes.by_ref().take(length % 40).copied().collect::<Vec<u8>>()),
        }
    }
    Some(argv)
}
