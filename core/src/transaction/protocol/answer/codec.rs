//! Answers as bulk strings, in both directions.

use alloc::vec::Vec;

use super::{Answer, Held, Rejection, State, Swept};
use crate::keyspace::ServerTime;
use crate::redis::{Argv, Fields, Reply};
use crate::stamp;
use crate::transaction::protocol::text::{push_time, read_counted, write_counted};
use crate::transaction::protocol::{Role, replies};
use crate::transaction::{Key, Mode, Txid};

impl Answer {
    /// The flat array of bulk strings that the script answers with.
    #[must_use]
    pub fn encode(&self) -> Reply {
        let mut out = Argv::new();
        self.push(&mut out);
        Reply::Array(out.iter().map(Reply::bulk).collect())
    }

    fn push(&self, out: &mut Argv) {
        match self {
            Self::Done { replies } => {
                out.push(b"DONE");
                out.push(&joined(replies));
            }
            Self::Prepared { now, replies } => {
                out.push(b"PREPARED");
                push_time(out, *now);
                out.push(&joined(replies));
            }
            Self::Refused { recorded, why } => why.push(out, *recorded),
            Self::Aborted => out.push(b"ABORTED"),
            Self::Committed { participants } => {
                out.push(b"COMMITTED");
                let mut text = Vec::new();
                participants.iter().for_each(|id| write_counted(&mut text, id));
                out.push(&text);
            }
            Self::Lost { keys } => {
                out.push(b"LOST");
                out.push_number(keys.len() as u64);
                keys.iter().for_each(|key| out.push(key));
            }
            Self::Staging(held) => held.push(out, b"STAGING"),
            Self::Yes(held) => held.push(out, b"YES"),
            Self::Nothing => out.push(b"NOTHING"),
            Self::Stale { now } => {
                out.push(b"STALE");
                push_time(out, *now);
            }
            Self::Pending { earlier } => {
                out.push(b"PENDING");
                out.push(&earlier.to_text());
            }
            Self::Unstamped { found } => {
                out.push(b"RING");
                out.push(found);
                out.push(b"");
            }
            Self::Mismatch => out.push(b"MISMATCH"),
            Self::Page { cursor, now, unreadable, found } => {
                out.push(b"PAGE");
                out.push_number(*cursor);
                push_time(out, *now);
                out.push_number(*unreadable);
                for Swept { txid, state, not_after, kept, role } in found {
                    out.push(&txid.to_text());
                    out.push(state.letter());
                    push_time(out, *not_after);
                    push_time(out, *kept);
                    out.push(&role.to_text());
                }
            }
            Self::Found { cursor, names } => {
                out.push(b"FOUND");
                out.push_number(*cursor);
                names.iter().for_each(|name| out.push(name));
            }
            Self::Removed { count } => {
                out.push(b"REMOVED");
                out.push_number(*count);
            }
            Self::Confirmed { states } => {
                out.push(b"CONFIRMED");
                let letter = |state: &Option<State>| state.map_or(b'-', |state| state.letter()[0]);
                out.push(&states.iter().map(letter).collect::<Vec<u8>>());
            }
        }
    }

    /// The answer in a reply; none if it is not one.
    #[must_use]
    pub fn decode(reply: &Reply) -> Option<Self> {
        let mut fields = Fields::of(reply);
        let fields = &mut fields;
        Some(match fields.bytes()? {
            b"DONE" => Self::Done { replies: replies::read(fields.bytes()?)? },
            b"PREPARED" => {
                Self::Prepared { now: time(fields)?, replies: replies::read(fields.bytes()?)? }
            }
            b"ABORTED" => Self::Aborted,
            b"COMMITTED" => Self::Committed { participants: read_counted(fields.bytes()?)? },
            b"LOST" => {
                let count = fields.number()?;
                let keys = (0..count).map_while(|_| fields.bytes().map(<[u8]>::to_vec));
                let keys: Vec<_> = keys.collect();
                (keys.len() as u64 == count).then_some(())?;
                Self::Lost { keys }
            }
            b"STAGING" => Self::Staging(Held::pull(fields)?),
            b"YES" => Self::Yes(Held::pull(fields)?),
            b"NOTHING" => Self::Nothing,
            b"STALE" => Self::Stale { now: time(fields)? },
            b"PENDING" => Self::Pending { earlier: Txid::parse(fields.bytes()?)? },
            b"MISMATCH" => Self::Mismatch,
            b"PAGE" => {
                let (cursor, now) = (fields.number()?, time(fields)?);
                let (unreadable, mut found) = (fields.number()?, Vec::new());
                while let Some(txid) = fields.bytes() {
                    found.push(Swept {
                        txid: Txid::parse(txid)?,
                        state: State::parse(fields.bytes()?)?,
                        not_after: time(fields)?,
                        kept: time(fields)?,
                        role: Role::parse(fields.bytes()?)?,
                    });
                }
                Self::Page { cursor, now, unreadable, found }
            }
            b"FOUND" => {
                let cursor = fields.number()?;
                let names = core::iter::from_fn(|| fields.bytes().map(<[u8]>::to_vec)).collect();
                Self::Found { cursor, names }
            }
            b"REMOVED" => Self::Removed { count: fields.number()? },
            b"CONFIRMED" => {
                let state = |letter: &u8| match letter {
                    b'-' => Some(None),
                    letter => State::parse(&[*letter]).map(Some),
                };
                Self::Confirmed {
                    states: fields.bytes()?.iter().map(state).collect::<Option<_>>()?,
                }
            }
            b"RING" if stamp::refusal(reply).is_some() => {
                Self::Unstamped { found: fields.bytes()?.to_vec() }
            }
            verb => {
                let recorded = fields.bytes()? == b"1";
                Self::Refused { recorded, why: Rejection::pull(verb, fields)? }
            }
        })
    }
}

impl Rejection {
    fn push(&self, out: &mut Argv, recorded: bool) {
        let mut verb = |verb: &[u8]| {
            out.push(verb);
            out.push(if recorded { b"1" } else { b"0" });
        };
        match self {
            Self::Locked { key, holder, primary, not_after, deadline, now } => {
                verb(b"LOCKED");
                out.push_number((*key).into());
                out.push(&holder.to_text());
                [not_after, deadline, now].into_iter().for_each(|time| push_time(out, *time));
                out.push(primary);
            }
            Self::Changed { check } => {
                verb(b"CHANGED");
                out.push_number((*check).into());
            }
            Self::Failed { operation, error } => {
                verb(b"FAILED");
                out.push_number((*operation).into());
                out.push(error);
            }
            Self::Large { key, size, limit } => {
                verb(b"LARGE");
                [(*key).into(), *size, *limit]
                    .into_iter()
                    .for_each(|number| out.push_number(number));
            }
            Self::Ring { theirs, members } => {
                verb(b"RING");
                out.push(theirs);
                out.push(members);
            }
        }
    }

    fn pull(verb: &[u8], fields: &mut Fields<'_>) -> Option<Self> {
        let mut index = || u32::try_from(fields.number()?).ok();
        Some(match verb {
            b"LOCKED" => Self::Locked {
                key: index()?,
                holder: Txid::parse(fields.bytes()?)?,
                not_after: time(fields)?,
                deadline: time(fields)?,
                now: time(fields)?,
                primary: fields.bytes()?.to_vec(),
            },
            b"CHANGED" => Self::Changed { check: index()? },
            b"FAILED" => {
                Self::Failed { operation: index()?, error: reason(fields.bytes()?).to_vec() }
            }
            b"LARGE" => {
                Self::Large { key: index()?, size: fields.number()?, limit: fields.number()? }
            }
            b"RING" => {
                Self::Ring { theirs: fields.bytes()?.to_vec(), members: fields.bytes()?.to_vec() }
            }
            _ => return None,
        })
    }
}

impl Held {
    fn push(&self, out: &mut Argv, verb: &[u8]) {
        out.push(verb);
        [self.now, self.deadline, self.not_after].into_iter().for_each(|time| push_time(out, time));
        out.push(&self.role.to_text());
        let modes: Vec<u8> = self.keys.iter().map(|key| key.mode.letter()).collect();
        out.push(&modes);
        self.keys.iter().for_each(|key| out.push(&key.name));
    }

    fn pull(fields: &mut Fields<'_>) -> Option<Self> {
        let (now, deadline, not_after) = (time(fields)?, time(fields)?, time(fields)?);
        let role = Role::parse(fields.bytes()?)?;
        let modes = fields.bytes()?;
        let key =
            |mode: &u8| Some(Key { mode: Mode::parse(*mode)?, name: fields.bytes()?.to_vec() });
        let keys = modes.iter().map(key).collect::<Option<_>>()?;
        Some(Self { now, deadline, not_after, role, keys })
    }
}

/// An error as the command alone would give it: before Redis 7, one that is raised before the
/// command is called has the place in the script in front, `@user_script: 22: -OOM ...`, and the end
/// of a line behind.
fn reason(error: &[u8]) -> &[u8] {
    let error = error.trim_ascii_end();
    let mut parts = error.splitn(3, |&byte| byte == b' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some([b'@', ..]), Some([.., b':']), Some(rest)) => rest.strip_prefix(b"-").unwrap_or(rest),
        _ => error,
    }
}

fn joined(all: &[Reply]) -> Vec<u8> {
    let mut text = Vec::new();
    all.iter().for_each(|reply| replies::write(&mut text, reply));
    text
}

fn time(fields: &mut Fields<'_>) -> Option<ServerTime> {
    fields.number().map(ServerTime)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn all() -> Vec<Answer> {
        let txid = Txid::new(u64::MAX, 7, 42).expect("in range");
        let (now, deadline, not_after) = (ServerTime(1), ServerTime(2), ServerTime(3));
        let name = |mode| Key { name: b"a\r\n".to_vec(), mode };
        let keys = vec![name(Mode::Shared), name(Mode::Write), name(Mode::Exclusive)];
        let primary = Role::Primary { participants: vec![b"1:x".to_vec(), b"".to_vec()] };
        let secondary = Role::Secondary { primary: b"p\0".to_vec() };
        let held = |role| Held { now, deadline, not_after, role, keys: keys.clone() };
        let replies = vec![Reply::Integer(-5), Reply::Nil, Reply::bulk("x\n")];
        let holder = b"node".to_vec();
        let refusals = [
            Rejection::Locked { key: 1, holder: txid, primary: holder, not_after, deadline, now },
            Rejection::Changed { check: 3 },
            Rejection::Failed { operation: 9, error: b"WRONGTYPE no".to_vec() },
            Rejection::Large { key: 0, size: 10_001, limit: 10_000 },
            Rejection::Ring { theirs: b"0.4".to_vec(), members: b"1;".to_vec() },
        ];
        let (state, kept, role) = (State::Done, deadline, secondary.clone());
        let swept = Swept { txid, state, not_after, kept, role };
        let mut all = vec![
            Answer::Done { replies: replies.clone() },
            Answer::Prepared { now, replies },
            Answer::Aborted,
            Answer::Committed { participants: vec![b"b".to_vec(), b"a".to_vec()] },
            Answer::Lost { keys: vec![b"k".to_vec()] },
            Answer::Staging(held(primary)),
            Answer::Yes(held(secondary)),
            Answer::Nothing,
            Answer::Stale { now },
            Answer::Pending { earlier: txid },
            Answer::Mismatch,
            Answer::Unstamped { found: Vec::new() },
            Answer::Unstamped { found: b"0123456789abcdef".to_vec() },
            Answer::Page { cursor: 7, now, unreadable: 2, found: vec![swept] },
            Answer::Found { cursor: 9, names: vec![b"t:x".to_vec(), Vec::new()] },
            Answer::Removed { count: 4 },
            Answer::Confirmed { states: vec![Some(State::Done), None, Some(State::Prepared)] },
        ];
        for why in refusals {
            let recorded = matches!(why, Rejection::Changed { .. });
            all.push(Answer::Refused { recorded, why });
        }
        all
    }

    #[test]
    fn answers_come_back_as_they_were() {
        for answer in all() {
            assert_eq!(Answer::decode(&answer.encode()).as_ref(), Some(&answer));
        }
    }

    #[test]
    fn errors_of_older_servers_are_those_of_newer_ones() {
        for (error, expected) in [
            ("@user_script: 22: -OOM command not allowed.\r\n", "OOM command not allowed."),
            ("@user_script: 7: Wrong number of args", "Wrong number of args"),
            ("WRONGTYPE Operation: against", "WRONGTYPE Operation: against"),
            ("@user_script:", "@user_script:"),
            ("", ""),
        ] {
            assert_eq!(reason(error.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn what_is_cut_is_no_answer_or_a_shorter_one() {
        for answer in all() {
            let Reply::Array(fields) = answer.encode() else { unreachable!("an array") };
            for end in 0..fields.len() {
                assert_ne!(
                    Answer::decode(&Reply::Array(fields[..end].to_vec())),
                    Some(answer.clone())
                );
            }
        }
        assert_eq!(Answer::decode(&Reply::error("ERR")), None);
        assert_eq!(
            Answer::decode(&Reply::Array(vec![Reply::bulk("HELLO"), Reply::bulk("1")])),
            None
        );
    }
}
