//! Transactions written down shortly, for the tests of single cases.

use comity::keyspace::ServerTime;
use comity::stamp::Stamp;
use comity::time::Span;
use comity::transaction::{
    Answer, Finish, Key, Mode, OnePhase, Op, Prepare, Query, Rejection, Role, Txid, Verdict, Work,
};

use super::resp::{Client, items};
use super::stamping::claim;
use super::transaction_ops::operation;
use super::transaction_pair::TransactionPair;

pub(crate) const META: &str = "comity:1:t:{a}";
pub(crate) const RING: Stamp = Stamp::settled(0x1234_5678_9abc_def0);

pub(crate) fn txid(slot: u8, seq: u64) -> Txid {
    Txid::new(0x0123_4567_89ab_cdef, slot, seq).expect("in range")
}

/// The work of operations that are given as words with the key second. Keys that a `GET` alone
/// names are shared, keys behind `lock` are exclusive.
pub(crate) fn work(lines: &[&str]) -> Work {
    let mut work = Work::default();
    for line in lines {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (key, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        let mode = match name {
            "GET" | "HGETALL" | "SMEMBERS" => Mode::Shared,
            "lock" => Mode::Exclusive,
            _ => Mode::Write,
        };
        let known = work.keys.iter().position(|known| known.name == key.as_bytes());
        let at = known.unwrap_or(work.keys.len());
        match known {
            Some(at) => work.keys[at].mode = work.keys[at].mode.max(mode),
            None => work.keys.push(Key { name: key.into(), mode }),
        }
        if name != "lock" {
            let line =
                if arguments.is_empty() { name.into() } else { format!("{name} {arguments}") };
            work.operations.push(operation(&line, at));
        }
    }
    work.check().expect("sound work");
    work
}

pub(crate) fn one_phase(txid: Txid, work: Work, now: u64) -> Op {
    Op::OnePhase(OnePhase {
        txid,
        ring: RING,
        not_after: ServerTime(now + 1_000_000),
        work: work.into(),
    })
}

/// A preparation at the primary.
pub(crate) fn prepare(txid: Txid, work: Work, now: u64) -> Op {
    let participants = vec![b"a".to_vec(), b"b".to_vec()];
    prepare_as(Role::Primary { participants }, txid, work, now)
}

/// A preparation at a secondary.
pub(crate) fn prepare_second(txid: Txid, work: Work, now: u64) -> Op {
    prepare_as(Role::Secondary { primary: b"a".to_vec() }, txid, work, now)
}

fn prepare_as(role: Role, txid: Txid, work: Work, now: u64) -> Op {
    let not_after = ServerTime(now + 1_000_000);
    let (patience, keep) = (Span::from_secs(5), false);
    Op::Prepare(Prepare { txid, ring: RING, not_after, role, patience, keep, work: work.into() })
}

pub(crate) fn finish(txid: Txid, verdict: Verdict, work: &Work, now: u64) -> Op {
    let not_after = ServerTime(now + 1_000_000);
    Op::Finish(Finish { txid, not_after, verdict, retain: false, keys: work.keys.clone() })
}

/// The same where somebody may have been told that the outcome is in doubt.
pub(crate) fn finish_retaining(txid: Txid, verdict: Verdict, work: &Work, now: u64) -> Op {
    let Op::Finish(finish) = finish(txid, verdict, work, now) else { unreachable!("an end") };
    Op::Finish(Finish { retain: true, ..finish })
}

pub(crate) fn query(txid: Txid, now: u64, force: bool) -> Query {
    Query { txid, not_after: ServerTime(now + 1_000_000), force }
}

/// Has a server serve transactions.
pub(crate) fn stamp(redis: &mut Client) {
    let stamped = redis.call(&claim(META.as_bytes(), RING));
    assert_eq!(items(&stamped).len(), 3, "{stamped:?}");
}

impl TransactionPair {
    /// Runs an operation that both have to answer alike.
    pub(crate) fn both(&mut self, op: &Op) -> Answer {
        self.run(META, op).unwrap_or_else(|what| panic!("{what}"))
    }

    /// Everything but the participant's hash, as text.
    pub(crate) fn data(&self) -> Vec<String> {
        let keys = self.store.keyspace().iter().filter(|(key, ..)| *key != META.as_bytes());
        keys.map(|(key, value, expiry)| {
            format!("{} = {value:?} until {expiry:?}", key.escape_ascii())
        })
        .collect()
    }

    /// The names of all shadows.
    pub(crate) fn shadows(&self) -> Vec<Vec<u8>> {
        let keys = self.store.keyspace().iter().map(|(key, ..)| key.to_vec());
        keys.filter(|key| key.len() > META.len() && key.starts_with(META.as_bytes())).collect()
    }
}

/// Which operation failed with what error.
pub(crate) fn failed(answer: &Answer) -> Option<(u32, String)> {
    match answer {
        Answer::Refused { why: Rejection::Failed { operation, error }, .. } => {
            Some((*operation, String::from_utf8_lossy(error).into_owned()))
        }
        _ => None,
    }
}
