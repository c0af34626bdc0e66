//! A participant of the model.

use std::collections::BTreeMap;

use comity::keyspace::ServerTime;
use comity::redis::Reply;
use comity::transaction::{
    Answer, Check, Finish, Held, Key, Mode, Op, Operation, Prepare, Query, Refusal, Role, Sweep,
    Txid, Verdict, Work,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Register {
    Prepared,
    Done,
    Aborted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    seq: u64,
    state: Register,
    role: Option<Role>,
    keys: Vec<Key>,
    replies: Vec<Reply>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Server {
    registers: BTreeMap<(u64, u8), Entry>,
    locks: BTreeMap<Vec<u8>, Vec<(Txid, Vec<u8>, Mode)>>,
    values: BTreeMap<Vec<u8>, i64>,
    shadows: BTreeMap<(Txid, Vec<u8>), i64>,
    /// Every `not_after` is over.
    pub(crate) late: bool,
}

const NOW: ServerTime = ServerTime(0);

impl Server {
    pub(crate) fn value(&self, key: &[u8]) -> i64 {
        self.values.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn register(&self, txid: Txid) -> Option<Register> {
        let entry = self.registers.get(&(txid.session(), txid.slot()))?;
        (entry.seq == txid.seq()).then_some(entry.state)
    }

    /// Whether no lock and no shadow is left.
    pub(crate) fn is_clean(&self) -> bool {
        self.locks.is_empty() && self.shadows.is_empty()
    }

    fn look_up(&self, txid: Txid) -> Result<Option<&Entry>, Answer> {
        match self.registers.get(&(txid.session(), txid.slot())) {
            Some(entry) if entry.seq == txid.seq() => Ok(Some(entry)),
            Some(entry) if entry.seq > txid.seq() => Err(Answer::Stale { now: NOW }),
            _ => Ok(None),
        }
    }

    fn record(&mut self, txid: Txid, entry: Entry) {
        self.registers.insert((txid.session(), txid.slot()), entry);
    }

    fn aborted(&mut self, txid: Txid) {
        let (seq, state) = (txid.seq(), Register::Aborted);
        self.record(txid, Entry { seq, state, role: None, keys: vec![], replies: vec![] });
    }

    /// The vote of an earlier transaction of the slot.
    fn pending(&self, txid: Txid) -> Option<Answer> {
        let entry = self.registers.get(&(txid.session(), txid.slot()))?;
        let earlier = Txid::new(txid.session(), txid.slot(), entry.seq)?;
        (entry.seq < txid.seq() && entry.state == Register::Prepared)
            .then_some(Answer::Pending { earlier })
    }

    fn refusal(&self, txid: Txid, work: &Work) -> Option<Refusal> {
        for (place, key) in (0..).zip(&work.keys) {
            for (holder, primary, mode) in self.locks.get(&key.name).into_iter().flatten() {
                if *holder != txid && (key.mode != Mode::Shared || *mode != Mode::Shared) {
                    let (holder, primary) = (*holder, primary.clone());
                    let (not_after, deadline, now) = (NOW, NOW, NOW);
                    let key = place;
                    return Some(Refusal::Locked {
                        key,
                        holder,
                        primary,
                        not_after,
                        deadline,
                        now,
                    });
                }
            }
        }
        let wrong = work.checks.iter().position(|check| {
            let value = Reply::bulk(self.value(&work.key(&check.read).unwrap().name).to_string());
            Check::new(check.read.clone(), &value) != *check
        });
        wrong.map(|check| Refusal::Changed { check: u32::try_from(check).unwrap() })
    }

    /// Runs the operations; what is written is in the map.
    fn run(&self, work: &Work) -> (Vec<Reply>, BTreeMap<Vec<u8>, i64>) {
        let mut written = BTreeMap::new();
        let replies = work.operations.iter().map(|operation| {
            let key = &work.key(operation).unwrap().name;
            let value = written.get(key).copied().unwrap_or_else(|| self.value(key));
            let argument = |operation: &Operation| -> i64 {
                std::str::from_utf8(&operation.arguments[0]).unwrap().parse().unwrap()
            };
            match operation.name.as_slice() {
                b"GET" => Reply::bulk(value.to_string()),
                b"INCRBY" => {
                    written.insert(key.clone(), value + argument(operation));
                    Reply::Integer(value + argument(operation))
                }
                b"SET" => {
                    written.insert(key.clone(), argument(operation));
                    Reply::ok()
                }
                other => panic!("{other:?}"),
            }
        });
        (replies.collect(), written)
    }

    pub(crate) fn execute(&mut self, op: &Op) -> Answer {
        match op {
            Op::Exec1(op) => {
                match self.look_up(op.txid) {
                    Err(answer) => return answer,
                    Ok(Some(entry)) => return recorded(entry),
                    Ok(None) => {}
                }
                if let Some(answer) = self.pending(op.txid) {
                    return answer;
                }
                if self.late {
                    return Answer::Stale { now: NOW };
                }
                if let Some(why) = self.refusal(op.txid, &op.work) {
                    if op.work.writes() {
                        self.aborted(op.txid);
                    }
                    return Answer::Refused { recorded: op.work.writes(), why };
                }
                let (replies, written) = self.run(&op.work);
                self.values.extend(written);
                let (seq, state) = (op.txid.seq(), Register::Done);
                let entry =
                    Entry { seq, state, role: None, keys: vec![], replies: replies.clone() };
                self.record(op.txid, entry);
                Answer::Done { replies }
            }
            Op::Prepare(op) => self.prepare(op),
            Op::Finish(op) => self.finish(op),
            Op::Status(query) => self.status(query),
            Op::Vote(query) => self.vote(query),
            Op::Sweep(Sweep::Registers { txids }) => {
                for txid in txids {
                    let idle = [Some(Register::Done), Some(Register::Aborted)];
                    if idle.contains(&self.register(*txid)) {
                        self.registers.remove(&(txid.session(), txid.slot()));
                    }
                }
                Answer::Removed { count: 1 }
            }
            Op::Sweep(_) => panic!("not in this model"),
        }
    }

    fn prepare(&mut self, op: &Prepare) -> Answer {
        match self.look_up(op.txid) {
            Err(answer) => return answer,
            Ok(Some(entry)) => return recorded(entry),
            Ok(None) => {}
        }
        if let Some(answer) = self.pending(op.txid) {
            return answer;
        }
        if self.late {
            return Answer::Stale { now: NOW };
        }
        if let Some(why) = self.refusal(op.txid, &op.work) {
            let primary = matches!(op.role, Role::Primary { .. });
            let kept = op.keep && matches!(why, Refusal::Locked { .. });
            let recorded = primary && !kept;
            if recorded {
                self.aborted(op.txid);
            }
            return Answer::Refused { recorded, why };
        }
        let (replies, written) = self.run(&op.work);
        for (key, value) in written {
            self.shadows.insert((op.txid, key), value);
        }
        for key in &op.work.keys {
            let holder = (op.txid, op.role.primary().to_vec(), key.mode);
            self.locks.entry(key.name.clone()).or_default().push(holder);
        }
        let entry = Entry {
            seq: op.txid.seq(),
            state: Register::Prepared,
            role: Some(op.role.clone()),
            keys: op.work.keys.clone(),
            replies: replies.clone(),
        };
        self.record(op.txid, entry);
        Answer::Prepared { now: NOW, replies }
    }

    fn unlock(&mut self, txid: Txid, key: &[u8]) {
        if let Some(holders) = self.locks.get_mut(key) {
            holders.retain(|(holder, ..)| *holder != txid);
            if holders.is_empty() {
                self.locks.remove(key);
            }
        }
    }

    fn finish(&mut self, op: &Finish) -> Answer {
        let entry = match self.look_up(op.txid) {
            Err(answer) => return answer,
            Ok(entry) => entry.cloned(),
        };
        match (entry.as_ref().map(|entry| entry.state), op.verdict) {
            (Some(Register::Done), _) => Answer::Committed { participants: vec![] },
            (Some(Register::Aborted), _) => Answer::Aborted,
            (Some(Register::Prepared), verdict) => {
                let mut entry = entry.unwrap();
                for key in &op.keys {
                    let shadow = self.shadows.remove(&(op.txid, key.name.clone()));
                    if let (Some(value), Verdict::Commit) = (shadow, verdict) {
                        self.values.insert(key.name.clone(), value);
                    }
                    self.unlock(op.txid, &key.name);
                }
                let commit = verdict == Verdict::Commit;
                entry.state = if commit { Register::Done } else { Register::Aborted };
                self.record(op.txid, entry);
                if commit { Answer::Committed { participants: vec![] } } else { Answer::Aborted }
            }
            (None, Verdict::Release) => Answer::Nothing,
            (None, _) if self.pending(op.txid).is_some() => self.pending(op.txid).unwrap(),
            (None, _) if self.late => Answer::Stale { now: NOW },
            (None, Verdict::Commit) => Answer::Lost { keys: vec![] },
            (None, Verdict::Abort) => {
                self.aborted(op.txid);
                Answer::Aborted
            }
        }
    }

    fn status(&mut self, query: &Query) -> Answer {
        match self.look_up(query.txid) {
            Err(answer) => answer,
            Ok(Some(entry)) => match entry.state {
                Register::Prepared => Answer::Staging(held(entry)),
                Register::Aborted => Answer::Aborted,
                Register::Done => {
                    let participants = match &entry.role {
                        Some(Role::Primary { participants }) => participants.clone(),
                        _ => vec![],
                    };
                    Answer::Committed { participants }
                }
            },
            Ok(None) if self.pending(query.txid).is_some() => self.pending(query.txid).unwrap(),
            Ok(None) if self.late => Answer::Stale { now: NOW },
            Ok(None) if query.force => {
                self.aborted(query.txid);
                Answer::Aborted
            }
            Ok(None) => Answer::Nothing,
        }
    }

    fn vote(&mut self, query: &Query) -> Answer {
        match self.look_up(query.txid) {
            Err(answer) => answer,
            Ok(Some(entry)) => match entry.state {
                Register::Prepared => Answer::Yes(held(entry)),
                Register::Aborted => Answer::Aborted,
                Register::Done => Answer::Committed { participants: vec![] },
            },
            Ok(None) if self.pending(query.txid).is_some() => self.pending(query.txid).unwrap(),
            Ok(None) if self.late => Answer::Aborted,
            Ok(None) if query.force => {
                self.aborted(query.txid);
                Answer::Aborted
            }
            Ok(None) => Answer::Nothing,
        }
    }
}

fn recorded(entry: &Entry) -> Answer {
    let replies = entry.replies.clone();
    match entry.state {
        Register::Prepared => Answer::Prepared { now: NOW, replies },
        Register::Done => Answer::Done { replies },
        Register::Aborted => Answer::Aborted,
    }
}

fn held(entry: &Entry) -> Held {
    let (now, deadline, not_after) = (NOW, NOW, NOW);
    let (role, keys) = (entry.role.clone().unwrap(), entry.keys.clone());
    Held { now, deadline, not_after, role, keys }
}

// What can be taken out.
impl Server {
    pub(crate) fn forget(&mut self, txid: Txid) {
        if self.register(txid).is_some() {
            self.registers.remove(&(txid.session(), txid.slot()));
        }
    }

    pub(crate) fn forget_later(&mut self, txid: Txid) {
        if self.look_up(txid).is_err() {
            self.registers.remove(&(txid.session(), txid.slot()));
        }
    }

    pub(crate) fn take_locks(&mut self) {
        self.locks.clear();
    }

    pub(crate) fn put_locks(&mut self, old: &Self) {
        self.locks.clone_from(&old.locks);
    }

    pub(crate) fn drop_locks(&mut self, which: impl Fn(Mode) -> bool) {
        for holders in self.locks.values_mut() {
            holders.retain(|(_, _, mode)| !which(*mode));
        }
        self.locks.retain(|_, holders| !holders.is_empty());
    }
}
