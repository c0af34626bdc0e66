//! Makes up calls of the transaction's scripts for two servers side by side.

use comity::keyspace::{Keyspace, ServerTime, command};
use comity::stamp::Stamp;
use comity::transaction::{
    Answer, Check, Confirm, Finish, Key, Mode, OnePhase, Op, Operation, Prepare, Query, Role,
    Sweep, Txid, Verdict, Work,
};

use super::Rng;
use super::transaction_lines::{ANY, HASHES, LISTS, NUMBERS, PLAIN, READS, SETS, SORTED, STRINGS};
use super::transaction_pair::{Difference, TransactionPair};
use super::transaction_script::RING;

/// Two participants on one server.
pub(crate) const METAS: [&str; 2] = ["comity:1:t:{a}", "comity:1:t:{b}"];
const SESSIONS: [u64; 3] = [0x0123_4567_89ab_cdef, 0, u64::MAX];
const SLOTS: u64 = 4;
/// Some of each type, and some that change theirs.
const KEYS: [&str; 9] = ["s1", "s2", "n1", "n2", "h1", "l1", "e1", "z1", "any"];

pub(crate) struct TransactionOps {
    rng: Rng,
    /// The highest sequence taken, by participant, session and slot.
    seqs: [[[u64; SLOTS as usize]; 3]; 2],
    /// What was prepared and is not known to be finished.
    open: Vec<(usize, Prepare)>,
    /// What was sent, to be sent again.
    sent: Vec<(usize, Op)>,
}

impl TransactionOps {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            seqs: [[[1; SLOTS as usize]; 3]; 2],
            open: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(crate) fn step(&mut self, pair: &mut TransactionPair) -> Result<(), Difference> {
        if self.rng.chance(250) {
            let longest = match self.rng.below(40) {
                0 => 9_000_000_000,
                1..5 => 90_000_000,
                _ => 60_000,
            };
            pair.advance(self.rng.between(1, longest))?;
            if longest > 4_000_000_000 {
                (0..METAS.len()).try_for_each(|at| self.clean_up(at, pair))?;
            }
        }
        if self.rng.chance(150) {
            self.outsider(pair);
        }
        let at = self.rng.index(METAS.len());
        let (at, op) = match self.rng.below(100) {
            _ if self.open.len() > 8 => self.finish(pair.now),
            0..27 => (at, Op::Prepare(self.prepare(at, pair))),
            27..52 => (at, Op::OnePhase(self.one_phase(at, pair))),
            52..74 if !self.open.is_empty() => self.finish(pair.now),
            52..82 => self.question(at, pair.now),
            82..94 if !self.sent.is_empty() => self.rng.clone().pick(&self.sent),
            _ => (at, self.sweep(at, pair)),
        };
        self.rng.next();
        let answer = pair.run(METAS[at], &op)?;
        if let (Op::Prepare(prepare), Answer::Prepared { .. }) = (&op, &answer) {
            self.open.push((at, prepare.clone()));
        }
        self.sent.push((at, op));
        if self.sent.len() > 12 {
            let gone = self.rng.index(self.sent.len());
            self.sent.swap_remove(gone);
        }
        Ok(())
    }

    /// Looks for what is left and removes it, and what was used again in the meantime not.
    fn clean_up(&mut self, at: usize, pair: &mut TransactionPair) -> Result<(), Difference> {
        let page = Op::Sweep(Sweep::Page { cursor: 0 });
        let Answer::Page { found, .. } = pair.run(METAS[at], &page)? else { return Ok(()) };
        let txids: Vec<Txid> = found.into_iter().map(|swept| swept.txid).collect();
        let earlier =
            |txid: &Txid| Txid::new(txid.session(), txid.slot(), txid.seq().saturating_sub(1));
        let earlier: Vec<Txid> = txids.iter().filter_map(earlier).collect();
        for (txids, kept) in [(earlier, false), (txids.clone(), false), (txids, true)] {
            pair.run(METAS[at], &Op::Sweep(Sweep::Registers { txids, kept }))?;
        }
        Ok(())
    }

    fn txid(&mut self, at: usize) -> Txid {
        let (mut session, mut slot) = (self.rng.index(3), self.rng.index(SLOTS as usize));
        // Mostly a slot that is free, as clients do.
        for _ in 0..self.rng.below(5) {
            let name = (SESSIONS[session], slot as u8);
            let taken = |(there, open): &(usize, Prepare)| {
                *there == at && (open.txid.session(), open.txid.slot()) == name
            };
            if self.open.iter().any(taken) {
                (session, slot) = (self.rng.index(3), self.rng.index(SLOTS as usize));
            }
        }
        let last = &mut self.seqs[at][session][slot];
        let seq = match self.rng.below(20) {
            0 => last.saturating_sub(1),
            1..3 => *last,
            _ => *last + self.rng.between(1, 2),
        };
        *last = seq.max(*last);
        Txid::new(SESSIONS[session], slot as u8, seq).expect("in range")
    }

    fn not_after(&mut self, now: u64) -> ServerTime {
        match self.rng.below(12) {
            0 => ServerTime(now.saturating_sub(self.rng.between(0, 1))),
            1 => ServerTime(now + self.rng.below(100_000)),
            _ => ServerTime(now + 600_000_000),
        }
    }

    fn prepare(&mut self, at: usize, pair: &TransactionPair) -> Prepare {
        let voted = self.voted(at).filter(|_| self.rng.chance(20));
        let primary = self.rng.chance(500);
        let nodes: [&[u8]; 2] = [b"node-a", b"b\0:9"];
        let role = if primary {
            let count = self.rng.below(3) as usize;
            Role::Primary { participants: nodes[..count].iter().map(|id| id.to_vec()).collect() }
        } else {
            Role::Secondary { primary: nodes[0].to_vec() }
        };
        Prepare {
            txid: voted.unwrap_or_else(|| self.txid(at)),
            ring: self.ring(),
            not_after: self.not_after(pair.now),
            role,
            patience: comity::time::Span::from_micros(self.rng.pick(&[
                0,
                50_000,
                5_000_000,
                100_000_000,
            ])),
            keep: self.rng.chance(250),
            work: match voted {
                Some(_) => apart(at).into(),
                None => self.work(at, pair.store.keyspace()).into(),
            },
        }
    }

    /// One that comes behind a vote in its slot.
    fn voted(&self, at: usize) -> Option<Txid> {
        let voted = self.open.iter().find(|(there, _)| *there == at).map(|(_, open)| open.txid)?;
        Txid::new(voted.session(), voted.slot(), voted.seq() + 1)
    }

    fn one_phase(&mut self, at: usize, pair: &TransactionPair) -> OnePhase {
        if let Some(txid) = self.voted(at).filter(|_| self.rng.chance(60)) {
            let not_after = self.not_after(pair.now);
            return OnePhase { txid, ring: self.ring(), not_after, work: apart(at).into() };
        }
        OnePhase {
            txid: self.txid(at),
            ring: self.ring(),
            not_after: self.not_after(pair.now),
            work: self.work(at, pair.store.keyspace()).into(),
        }
    }

    fn ring(&mut self) -> Stamp {
        if self.rng.chance(20) { Stamp::settled(0xfeed) } else { RING }
    }

    /// Many changes of strings, so that there is much to undo when one fails.
    fn strings(&mut self, at: usize) -> Work {
        let mut work = Work::default();
        for name in ["s1", "s2", "n1", "n2", "h1"] {
            work.keys.push(Key { name: format!("{at}:{name}").into(), mode: Mode::Write });
        }
        for _ in 0..self.rng.between(2, 5) {
            let line =
                self.rng.pick(&["APPEND x", "INCR", "INCRBYFLOAT 1.5", "SETRANGE 0 7", "DEL"]);
            let key =
                if line.starts_with("IN") { self.rng.between(2, 3) } else { self.rng.below(5) };
            work.operations.push(operation(line, key as usize));
        }
        work
    }

    /// A few changes of strings, each of which can be made on its own.
    fn plain(&mut self, at: usize) -> Work {
        let mut work = Work::default();
        if self.rng.chance(60) {
            work.copy_bytes = self.rng.below(3) as u32;
        }
        let mut names = vec!["s1", "s2", "n1", "n2", "p1", "p2"];
        for key in 0..self.rng.between(1, 3) as usize {
            let name = names.swap_remove(self.rng.index(names.len()));
            work.keys.push(Key { name: format!("{at}:{name}").into(), mode: Mode::Write });
            for _ in 0..self.rng.between(1, 2) {
                let line = match name.as_bytes()[0] {
                    b'n' => self.rng.pick(&NUMBERS),
                    _ => self.rng.pick(&PLAIN),
                };
                work.operations.push(operation(line, key));
            }
        }
        work
    }

    fn work(&mut self, at: usize, space: &Keyspace) -> Work {
        match self.rng.below(20) {
            0..3 => return self.strings(at),
            3..9 => return self.plain(at),
            _ => {}
        }
        let mut work = Work::default();
        if self.rng.chance(200) {
            work.copy_elements = self.rng.below(2) as u32;
        }
        let mut names: Vec<&str> = KEYS.to_vec();
        for _ in 0..self.rng.between(1, 4) {
            let name = names.swap_remove(self.rng.index(names.len()));
            let mode = match self.rng.below(6) {
                0 | 1 => Mode::Shared,
                2 => Mode::Exclusive,
                _ => Mode::Write,
            };
            work.keys.push(Key { name: format!("{at}:{name}").into_bytes(), mode });
        }
        for _ in 0..self.rng.below(7) {
            let key = self.rng.index(work.keys.len());
            let operation = if work.keys[key].mode == Mode::Write {
                self.operation(&work.keys[key].name, key)
            } else {
                // The order of a reply that has none is the server's own.
                let read = self.read(key);
                if matches!(&read.name[..], b"SMEMBERS" | b"HGETALL") { continue } else { read }
            };
            work.operations.push(operation);
        }
        for _ in 0..self.rng.below(5).saturating_sub(2) {
            let key = self.rng.index(work.keys.len());
            let read = self.read(key);
            let mut words = vec![read.name.as_slice(), &work.keys[key].name];
            words.extend(read.arguments.iter().map(Vec::as_slice));
            let reply = command::execute(&mut space.clone(), &words);
            let mut check = Check::new(read.clone(), &reply);
            if self.rng.chance(80) {
                check = Check::new(read, &comity::redis::Reply::bulk("other"));
            }
            work.checks.push(check);
        }
        assert!(work.check().is_ok(), "{work:?}");
        work
    }

    fn read(&mut self, key: usize) -> Operation {
        let line = self.rng.pick(&READS);
        operation(line, key)
    }

    fn operation(&mut self, name: &[u8], key: usize) -> Operation {
        let of_type: &[&str] = match name[2] {
            b's' => &STRINGS,
            b'n' => &NUMBERS,
            b'h' => &HASHES,
            b'l' => &LISTS,
            b'e' => &SETS,
            b'z' => &SORTED,
            _ => &ANY,
        };
        let lists = [of_type, of_type, of_type, &ANY, &STRINGS, &HASHES];
        let at = if self.rng.chance(850) { self.rng.index(4) } else { self.rng.index(6) };
        let line = self.rng.pick(lists[at]);
        operation(line, key)
    }

    fn finish(&mut self, now: u64) -> (usize, Op) {
        let which = self.rng.index(self.open.len());
        let (at, prepare) = self.open[which].clone();
        let mut keys = prepare.work.keys.clone();
        if self.rng.chance(30) {
            keys.pop();
        } else if self.rng.chance(30) {
            keys.reverse();
        } else if self.rng.chance(800) {
            self.open.swap_remove(which);
        }
        let verdict = self.rng.pick(&[
            Verdict::Commit,
            Verdict::Commit,
            Verdict::Commit,
            Verdict::Abort,
            Verdict::Release,
        ]);
        let not_after = if self.rng.chance(900) { prepare.not_after } else { self.not_after(now) };
        let retain = self.rng.chance(200);
        (at, Op::Finish(Finish { txid: prepare.txid, not_after, verdict, retain, keys }))
    }

    fn question(&mut self, at: usize, now: u64) -> (usize, Op) {
        let known = self.rng.clone().pick(&[true, true, false]) && !self.open.is_empty();
        let (at, txid) = if known {
            let (at, prepare) = &self.open[self.rng.index(self.open.len())];
            (*at, prepare.txid)
        } else {
            (at, self.txid(at))
        };
        let query = Query { txid, not_after: self.not_after(now), force: self.rng.chance(400) };
        let op = match self.rng.below(6) {
            5 => {
                let next = Txid::new(txid.session(), txid.slot(), txid.seq() + 1);
                Op::Confirm(Confirm { txids: next.into_iter().chain([txid, txid]).collect() })
            }
            0 | 1 => Op::Status(query),
            2 | 3 => Op::Vote(query),
            _ => {
                let verdict = self.rng.pick(&[
                    Verdict::Commit,
                    Verdict::Abort,
                    Verdict::Abort,
                    Verdict::Release,
                ]);
                let (not_after, keys, retain) = (query.not_after, Vec::new(), self.rng.chance(200));
                Op::Finish(Finish { txid, not_after, verdict, retain, keys })
            }
        };
        (at, op)
    }

    fn sweep(&mut self, at: usize, pair: &TransactionPair) -> Op {
        if self.rng.chance(600) {
            return Op::Sweep(Sweep::Page { cursor: 0 });
        }
        if self.rng.chance(300) {
            return Op::Sweep(Sweep::Find { cursor: 0 });
        }
        let shadow = |key: &&[u8]| key.starts_with(METAS[at].as_bytes()) && key.len() > 14;
        let keys = pair.store.keyspace().iter().map(|(key, ..)| key);
        let mut names: Vec<Vec<u8>> = keys.filter(shadow).map(<[u8]>::to_vec).collect();
        names.extend(["0:s1", "nothing", METAS[at], "comity:1:t:{a}:x"].map(|name| name.into()));
        Op::Sweep(Sweep::Shadows { names })
    }

    /// Somebody who knows nothing of transactions, or an accident.
    fn outsider(&mut self, pair: &mut TransactionPair) {
        let at = self.rng.index(METAS.len());
        if self.rng.chance(160) {
            // A shadow or a field is lost, or one is left that nobody made.
            let space = pair.store.keyspace();
            let keys: Vec<Vec<u8>> = space.iter().map(|(key, ..)| key.to_vec()).collect();
            let shadows: Vec<&Vec<u8>> =
                keys.iter().filter(|key| key.starts_with(b"comity") && key.len() > 14).collect();
            let meta = METAS[at].as_bytes();
            let locks = space.hash(meta).ok().flatten().into_iter().flatten();
            let locks: Vec<Vec<u8>> =
                locks.map(|(f, _)| f.clone()).filter(|f| f.starts_with(b"k")).collect();
            match self.rng.below(5) {
                0 if !shadows.is_empty() => {
                    let name = self.rng.pick(&shadows).clone();
                    pair.command(&[b"DEL", &name]);
                }
                1 if !locks.is_empty() => {
                    let field = self.rng.pick(&locks);
                    pair.command(&[b"HDEL", meta, &field]);
                }
                // Another has the lock.
                4 if !locks.is_empty() => {
                    let field = self.rng.pick(&locks);
                    let lock = space.hash(meta).ok().flatten().and_then(|all| all.get(&field));
                    let mut lock = lock.cloned().unwrap_or_default();
                    if lock[0] == b'X' {
                        lock[1] = b'7';
                        pair.command(&[b"HSET", meta, &field, &lock]);
                    }
                }
                2 => {
                    let slot = self.rng.below(SLOTS);
                    for key in 0..3 {
                        let name = format!("{}:{:016x}.{slot:02}:{key}", METAS[at], SESSIONS[0]);
                        pair.command(&[b"DEL", name.as_bytes()]);
                        // What is a string can be gone on with.
                        let left = if key == 0 { "SET" } else { "RPUSH" };
                        pair.command(&[left.as_bytes(), name.as_bytes(), b"1"]);
                    }
                }
                _ => {}
            }
            return;
        }
        let name = self.rng.pick(&KEYS);
        let operation = self.operation(format!("{at}:{name}").as_bytes(), 0);
        let key = format!("{at}:{name}");
        let mut words = vec![operation.name.as_slice(), key.as_bytes()];
        words.extend(operation.arguments.iter().map(Vec::as_slice));
        pair.command(&words);
    }
}

/// Work that meets nothing but what its slot has.
fn apart(at: usize) -> Work {
    let mut work = Work::default();
    work.keys.push(Key { name: format!("{at}:apart").into(), mode: Mode::Write });
    work.operations.push(operation("INCR", 0));
    work
}

/// An operation from its words, the key left out.
pub(crate) fn operation(line: &str, key: usize) -> Operation {
    let mut words = line.split(' ');
    Operation {
        name: words.next().unwrap_or_default().into(),
        key: key as u32,
        arguments: words.map(Into::into).collect(),
    }
}
