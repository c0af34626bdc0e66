//! What is asked as the words of an argv, in both directions.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Confirm, Finish, OnePhase, Op, Prepare, Query, Role, Sweep, Verdict};
use crate::keyspace::ServerTime;
use crate::redis::{Argv, Script, parse_number, write_padded};
use crate::stamp::Stamp;
use crate::time::Span;
use crate::transaction::plan::execution::{ExecutionPlan, Need, read_order};
use crate::transaction::plan::work::ReplyOrder;
use crate::transaction::protocol::text::{parse_hex, push_time, write_hex};
use crate::transaction::protocol::{COLUMN_END, WIDTH, shadow};
use crate::transaction::{Check, Key, MAX_PATIENCE, Mode, Operation, Txid, Work};

impl Op {
    /// Appends the number of keys, the keys and the arguments, as the script takes them. `meta` is
    /// the participant's hash.
    pub fn encode(&self, meta: &[u8], argv: &mut Argv) {
        match self {
            Self::OnePhase(op) => {
                push_keys(argv, meta, op.txid, &op.work.keys);
                push_work(argv, op.txid, op.ring, op.not_after, &op.work);
                let plan = ExecutionPlan::of(&op.work);
                argv.push(&plan.word());
                argv.push(&plan.order());
                push_checks(argv, &op.work);
                let all = &op.work.operations;
                match &plan {
                    ExecutionPlan::Shadows => push_for_shadows(argv, all),
                    ExecutionPlan::Direct { steps, .. } => {
                        for step in steps {
                            if let Some(operation) = all.get(step.operation) {
                                let letter = match operation.need() {
                                    Need::Read => b'r',
                                    _ if step.undone => b'u',
                                    _ if operation.frees() => b'f',
                                    _ => b'-',
                                };
                                operation.encode(argv, letter, None);
                            }
                        }
                    }
                }
            }
            Self::Prepare(op) => {
                push_keys(argv, meta, op.txid, &op.work.keys);
                push_work(argv, op.txid, op.ring, op.not_after, &op.work);
                let mut patience = vec![if op.keep { b'k' } else { b'-' }];
                write_padded(&mut patience, op.patience.min(MAX_PATIENCE).as_micros(), 1);
                argv.push(&patience);
                argv.push(&op.role.to_text());
                push_checks(argv, &op.work);
                push_for_shadows(argv, &op.work.operations);
            }
            Self::Finish(op) => {
                push_keys(argv, meta, op.txid, &op.keys);
                argv.push(&op.txid.to_text());
                push_time(argv, op.not_after);
                argv.push(op.verdict.word());
                argv.push(&modes(&op.keys));
                argv.push(if op.retain { b"1" } else { b"0" });
            }
            Self::Status(query) | Self::Vote(query) => {
                push_keys(argv, meta, query.txid, &[]);
                argv.push(&query.txid.to_text());
                push_time(argv, query.not_after);
                argv.push(if query.force { b"1" } else { b"0" });
            }
            Self::Sweep(sweep) => {
                let names: &[Vec<u8>] = match sweep {
                    Sweep::Shadows { names } => names,
                    Sweep::Page { .. } | Sweep::Registers { .. } | Sweep::Find { .. } => &[],
                };
                argv.push_number(1 + names.len() as u64);
                argv.push(meta);
                names.iter().for_each(|name| argv.push(name));
                match sweep {
                    Sweep::Page { cursor } => {
                        argv.push(b"P");
                        argv.push_number(*cursor);
                    }
                    Sweep::Registers { txids, kept } => {
                        argv.push(if *kept { b"K" } else { b"R" });
                        txids.iter().for_each(|txid| argv.push(&txid.to_text()));
                    }
                    Sweep::Find { cursor } => {
                        argv.push(b"F");
                        argv.push_number(*cursor);
                    }
                    Sweep::Shadows { .. } => argv.push(b"S"),
                }
            }
            Self::Confirm(Confirm { txids }) => {
                argv.push(b"1");
                argv.push(meta);
                txids.iter().for_each(|txid| argv.push(&txid.to_text()));
            }
        }
    }

    /// The operation in a script's keys, without the participant's hash, and arguments; none if
    /// they are not one.
    pub(crate) fn decode<'a>(
        script: Script,
        names: &[&'a [u8]],
        words: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        if script == Script::Sweep {
            return Sweep::decode(names, words).map(Self::Sweep);
        }
        if script == Script::Confirm {
            let txids = words.map(Txid::parse).collect::<Option<Vec<_>>>()?;
            return (!txids.is_empty()).then_some(Self::Confirm(Confirm { txids }));
        }
        let txid = Txid::parse(words.next()?)?;
        match script {
            Script::OnePhase | Script::Prepare => {
                let ring = Stamp::parse(words.next()?)?;
                let (digest, not_after) = words.next()?.split_at_checked(16)?;
                let not_after = ServerTime(parse_number(not_after)?);
                let mut work = Work { keys: keys(names, words.next()?)?, ..Work::default() };
                let mut number = || u32::try_from(parse_number(words.next()?)?).ok();
                let (checks, operations) = (number()?, number()?);
                (work.copy_elements, work.copy_bytes) = (number()?, number()?);
                let (first, second) = (words.next()?, words.next()?);
                let order = if script == Script::OnePhase { second } else { b"" };
                for _ in 0..checks {
                    let (_, count) = words.next()?.split_at_checked(1)?;
                    let expected = words.next()?.to_vec();
                    work.checks.push(Check { read: Operation::decode(count, words)?, expected });
                }
                let order = read_order(order, usize::try_from(operations).ok()?)?;
                let mut all = Vec::new();
                all.resize_with(order.len(), || None);
                for place in order {
                    let (_, count) = words.next()?.split_at_checked(1)?;
                    *all.get_mut(place)? = Some(Operation::decode(count, words)?);
                }
                work.operations = all.into_iter().collect::<Option<_>>()?;
                work.check().ok()?;
                (parse_hex(digest)? == work.digest()).then_some(())?;
                let work = Arc::new(work);
                if script == Script::OnePhase {
                    return Some(Self::OnePhase(OnePhase { txid, ring, not_after, work }));
                }
                let (keep, patience) = first.split_first()?;
                Some(Self::Prepare(Prepare {
                    txid,
                    ring,
                    not_after,
                    role: Role::parse(second)?,
                    patience: Span::from_micros(parse_number(patience)?).min(MAX_PATIENCE),
                    keep: *keep == b'k',
                    work,
                }))
            }
            Script::Finish => {
                let not_after = ServerTime(parse_number(words.next()?)?);
                let verdict = Verdict::parse(words.next()?)?;
                let keys = keys(names, words.next()?)?;
                let retain = words.next()? == b"1";
                Some(Self::Finish(Finish { txid, not_after, verdict, retain, keys }))
            }
            Script::Status | Script::Vote => {
                let not_after = ServerTime(parse_number(words.next()?)?);
                let query = Query { txid, not_after, force: words.next()? == b"1" };
                Some(if script == Script::Vote { Self::Vote(query) } else { Self::Status(query) })
            }
            _ => None,
        }
    }
}

impl Verdict {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Commit => b"C",
            Self::Abort => b"A",
            Self::Release => b"Q",
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        [Self::Commit, Self::Abort, Self::Release].into_iter().find(|one| one.word() == word)
    }
}

impl Sweep {
    fn decode<'a>(names: &[&[u8]], words: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Some(match words.next()? {
            b"P" => Self::Page { cursor: parse_number(words.next()?)? },
            verb @ (b"R" | b"K") => Self::Registers {
                txids: words.map(Txid::parse).collect::<Option<_>>()?,
                kept: verb == b"K",
            },
            b"F" => Self::Find { cursor: parse_number(words.next()?)? },
            b"S" => Self::Shadows { names: names.iter().map(|name| name.to_vec()).collect() },
            _ => return None,
        })
    }
}

/// The participant's hash, the keys, and a shadow for each that is written.
fn push_keys(argv: &mut Argv, meta: &[u8], txid: Txid, keys: &[Key]) {
    let written = || keys.iter().enumerate().filter(|(_, key)| key.mode == Mode::Write);
    argv.push_number(1 + keys.len() as u64 + written().count() as u64);
    argv.push(meta);
    keys.iter().for_each(|key| argv.push(&key.name));
    written().for_each(|(index, _)| argv.push(&shadow(meta, txid, index)));
}

/// The keys with these modes; the names behind them are those of shadows.
fn keys(names: &[&[u8]], modes: &[u8]) -> Option<Vec<Key>> {
    let written = modes.iter().filter(|mode| **mode == Mode::Write.letter()).count();
    (names.len() == modes.len() + written).then_some(())?;
    let key =
        |(name, mode): (&&[u8], &u8)| Some(Key { name: name.to_vec(), mode: Mode::parse(*mode)? });
    names.iter().zip(modes).map(key).collect()
}

fn push_work(argv: &mut Argv, txid: Txid, ring: Stamp, not_after: ServerTime, work: &Work) {
    argv.push(&txid.to_text());
    argv.push(ring.to_string().as_bytes());
    let mut columns = Vec::with_capacity(32);
    write_hex(&mut columns, work.digest());
    write_padded(&mut columns, not_after.0.min(COLUMN_END - 1), WIDTH);
    argv.push(&columns);
    argv.push(&modes(&work.keys));
    argv.push_number(work.checks.len() as u64);
    argv.push_number(work.operations.len() as u64);
    argv.push_number(work.copy_elements.into());
    argv.push_number(work.copy_bytes.into());
}

fn push_checks(argv: &mut Argv, work: &Work) {
    for Check { read, expected } in &work.checks {
        read.encode(argv, ReplyOrder::of(&read.name).letter(), Some(expected));
    }
}

fn push_for_shadows(argv: &mut Argv, operations: &[Operation]) {
    for operation in operations {
        operation.encode(argv, operation.need().letter(), None);
    }
}

fn modes(keys: &[Key]) -> Vec<u8> {
    keys.iter().map(|key| key.mode.letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Reply;

    fn work(operations: &[(&str, u32, &[&str])]) -> Work {
        let key = |number: u8| Key { name: vec![b'k', number], mode: Mode::Write };
        let operation = |(name, key, arguments): &(&str, u32, &[&str])| Operation {
            name: name.as_bytes().to_vec(),
            key: *key,
            arguments: arguments.iter().map(|word| word.as_bytes().to_vec()).collect(),
        };
        let shared = Key { name: b"read".to_vec(), mode: Mode::Shared };
        let read = Operation { name: b"get".to_vec(), key: 3, arguments: Vec::new() };
        Work {
            keys: (0..3).map(key).chain([shared]).collect(),
            checks: vec![Check::new(read, &Reply::Nil), Check::exists(1, true)],
            operations: operations.iter().map(operation).collect(),
            ..Work::default()
        }
    }

    #[test]
    fn operations_come_back_as_they_were() {
        let txid = Txid::new(7, 3, 9).expect("in range");
        let (ring, not_after) = (Stamp::settled(u64::MAX - 1), ServerTime(1_750_000_000_000_000));
        let reordered = work(&[("SET", 0, &["a"]), ("INCR", 1, &[]), ("APPEND", 2, &["x\0"])]);
        let on_shadows = work(&[("SET", 0, &["a"]), ("INCR", 0, &[])]);
        let participants = vec![b"a:1".to_vec(), Vec::new()];
        let roles = [Role::Primary { participants }, Role::Secondary { primary: b"p".to_vec() }];
        let mut ops = Vec::new();
        for work in [reordered, on_shadows, Work::default()].map(Arc::new) {
            for (keep, role) in [false, true].into_iter().zip(&roles) {
                let (role, patience, work) = (role.clone(), Span::from_secs(1), work.clone());
                ops.push(Op::Prepare(Prepare {
                    txid,
                    ring,
                    not_after,
                    role,
                    patience,
                    keep,
                    work,
                }));
            }
            for verdict in [Verdict::Commit, Verdict::Abort, Verdict::Release] {
                let (keys, retain) = (work.keys.clone(), verdict == Verdict::Abort);
                ops.push(Op::Finish(Finish { txid, not_after, verdict, retain, keys }));
            }
            ops.push(Op::OnePhase(OnePhase { txid, ring, not_after, work }));
        }
        for force in [false, true] {
            let query = Query { txid, not_after, force };
            ops.extend([Op::Status(query), Op::Vote(query)]);
        }
        ops.push(Op::Sweep(Sweep::Page { cursor: u64::MAX }));
        for kept in [false, true] {
            ops.push(Op::Sweep(Sweep::Registers { txids: vec![txid, txid], kept }));
        }
        ops.push(Op::Sweep(Sweep::Find { cursor: 7 }));
        ops.push(Op::Sweep(Sweep::Shadows { names: vec![b"x".to_vec()] }));
        ops.push(Op::Confirm(Confirm { txids: vec![txid, txid] }));
        for op in ops {
            let mut argv = Argv::new();
            op.encode(b"meta", &mut argv);
            let keys = argv.get(0).and_then(parse_number).and_then(|n| usize::try_from(n).ok());
            let keys = keys.expect("a number of keys");
            let names: Vec<&[u8]> = argv.iter().skip(2).take(keys - 1).collect();
            let decoded = Op::decode(op.script(), &names, &mut argv.iter().skip(1 + keys));
            assert_eq!(decoded.as_ref(), Some(&op));
        }
    }
}
