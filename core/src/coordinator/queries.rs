//! Queries: each is sent, and sent again until it is answered or its time is over. Every query may be
//! executed twice without harm.

use alloc::string::String;
use alloc::vec::Vec;

use super::error_reply::NO_CLUSTER;
use super::{Coordinator, ReplyTarget, Timer};
use crate::error::{Error, ErrorCode};
use crate::event::{CallId, Event, TransactionOutcome};
use crate::lock::{Answer, AnswerKind, GuardAnswer, GuardOp, Op};
use crate::machine::{Backoff, Refused};
use crate::redis::{Argv, Fields, LockKeys, MAX_WORDS, NodeId, Reply, Script, shown};
use crate::stamp::Stamp;
use crate::time::{Span, Time};
use crate::transaction::{self, NEVER, TransactionId};

/// The oldest server that has every command the scripts use.
const OLDEST: (u64, u64) = (6, 2);
/// Before a query is sent again.
const BACKOFF: Backoff = Backoff { first: Span::from_millis(40), longest: Span::from_millis(640) };

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum QueryKind {
    Inspect {
        state_key: Vec<u8>,
    },
    Guard {
        key: Vec<u8>,
        op: GuardOp,
    },
    Check,
    /// What the primary of a transaction has decided.
    Status {
        key: Vec<u8>,
        id: TransactionId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Query {
    pub(super) node: NodeId,
    pub(super) kind: QueryKind,
    /// When it has failed.
    pub(super) limit: Time,
    /// When it is sent again.
    pub(super) wake: Option<Time>,
    pub(super) failures: u32,
    /// Why it was not answered yet.
    pub(super) trouble: Option<Error>,
    /// What its check came to, once that has only to be stamped.
    pub(super) checked: Option<Event>,
}

impl QueryKind {
    pub(super) const fn script(&self) -> Script {
        match self {
            Self::Inspect { .. } => Script::Queue,
            Self::Guard { .. } => Script::Guard,
            Self::Check => Script::Check,
            Self::Status { .. } => Script::Status,
        }
    }

    /// Appends number of keys, keys and arguments. `meta` is where the server's stamp is to be `stamp`.
    pub(super) fn encode(&self, inbox: &[u8], meta: &[u8], stamp: &[u8], argv: &mut Argv) {
        match self {
            Self::Inspect { state_key } => {
                argv.push(b"6");
                LockKeys::of_state(state_key).in_order().iter().for_each(|key| argv.push(key));
                argv.push(meta);
                Op::Inspect.encode(argv);
                argv.push(stamp);
            }
            Self::Guard { key, op } => {
                argv.push(b"2");
                argv.push(key);
                argv.push(meta);
                op.encode(argv);
                argv.push(stamp);
            }
            Self::Check => {
                argv.push(b"0");
                argv.push(inbox);
            }
            Self::Status { key, id } => {
                // An id of an earlier version does not say when it is over: where nothing is recorded
                // of it, nobody has heard of it.
                let not_after = id.not_after.unwrap_or(NEVER);
                let query = transaction::Query { txid: id.txid, not_after, force: false };
                transaction::Op::Status(query).encode(key, argv);
                argv.push(Stamp::of_member(stamp));
            }
        }
    }
}

impl Query {
    /// The event that `reply` means for it; an error where the reply is none of comity's.
    pub(super) fn answered(&self, call: CallId, reply: &Reply, push: bool) -> Result<Event, Error> {
        match &self.kind {
            QueryKind::Inspect { .. } => match Answer::decode(reply).map(|answer| answer.kind) {
                Some(AnswerKind::Info(inspection)) => Ok(Event::LockInspected { call, inspection }),
                _ => Err(Error::strange()),
            },
            QueryKind::Guard { .. } => {
                let GuardAnswer { accepted, highest } =
                    GuardAnswer::decode(reply).ok_or_else(Error::strange)?;
                Ok(Event::FenceChecked { call, accepted, highest })
            }
            QueryKind::Status { id, .. } => {
                let outcome = decided(reply, id).ok_or_else(Error::strange)??;
                Ok(Event::TransactionStatus { call, id: id.to_text(), outcome })
            }
            QueryKind::Check => {
                let mut fields = Fields::of(reply);
                fields.bytes().filter(|verb| verb == b"CHECKED").ok_or_else(Error::strange)?;
                let mut text =
                    || fields.bytes().map(|b| shown(&String::from_utf8_lossy(b), MAX_WORDS));
                let version = text().ok_or_else(Error::strange)?;
                let eviction_policy = text().ok_or_else(Error::strange)?;
                let refused = text().ok_or_else(Error::strange)?;
                let cluster = text().unwrap_or_default();
                check_version(&version)?;
                if cluster == "1" {
                    return Err(Error::new(ErrorCode::Unsupported, NO_CLUSTER));
                }
                if push && !refused.is_empty() {
                    return Err(Refused::of(refused.as_bytes()).error);
                }
                Ok(Event::NodeChecked { call, node: self.node, version, eviction_policy })
            }
        }
    }

    pub(super) const fn failed(&self, call: CallId, error: Error) -> Event {
        Event::CallFailed { call, node: self.node, error }
    }
}

impl Coordinator {
    pub(super) fn on_query_reply(&mut self, id: CallId, background: bool, reply: &Reply) {
        let Some(call) = self.queries.get(&id) else { return };
        let error = match reply {
            Reply::Error(text) => {
                let Refused { error, transient, .. } = Refused::of(text);
                return self.on_query_failed(id, error, transient);
            }
            _ => call.answered(id, reply, self.push),
        };
        match error {
            // Its ring is asked for last: a server that cannot serve is not stamped.
            Ok(Event::NodeChecked { node, .. }) if call.checked.is_none() => {
                if let (Ok(event), Some(call)) = (error, self.queries.get_mut(&id)) {
                    call.checked = Some(event);
                    self.await_stamp(ReplyTarget::Query(id), node, background);
                }
            }
            Ok(event) => self.end_query(id, |_, _| event),
            Err(error) => self.on_query_failed(id, error, false),
        }
    }

    /// Sends it again, or ends it with what is known by now.
    pub(super) fn resend_query(&mut self, id: CallId, background: bool) {
        match self.queries.get_mut(&id).and_then(|call| call.checked.take()) {
            Some(event) => self.end_query(id, |_, _| event),
            None => self.send_query(id, background),
        }
    }

    pub(super) fn on_query_timeout(&mut self, id: CallId) {
        let Some(call) = self.queries.get_mut(&id) else { return };
        call.wake = None;
        self.send_query(id, true);
    }

    /// It is asked again, if that may help.
    pub(super) fn on_query_failed(&mut self, id: CallId, error: Error, transient: bool) {
        let Some(call) = self.queries.get_mut(&id) else { return };
        let error = error.at(call.node).after(call.trouble.take());
        call.failures += 1;
        call.checked = None;
        let wake = self.now + BACKOFF.pause(call.failures, &mut self.entropy);
        if !transient || wake >= call.limit {
            self.end_query(id, |call, id| call.failed(id, error));
        } else {
            call.trouble = Some(error);
            call.wake = Some(wake);
            self.timers.insert(wake, Timer::Query(id));
        }
    }

    pub(super) fn end_query(&mut self, id: CallId, event: impl FnOnce(&Query, CallId) -> Event) {
        let Some(call) = self.queries.remove(&id) else { return };
        if let Some(wake) = call.wake {
            self.timers.remove(wake, Timer::Query(id));
        }
        self.emit(event(&call, id));
    }
}

/// What a primary has decided by its answer; none for an answer to another query.
fn decided(reply: &Reply, id: &TransactionId) -> Option<Result<TransactionOutcome, Error>> {
    use transaction::Answer;
    Some(Ok(match Answer::decode(reply)? {
        Answer::Committed { .. } => TransactionOutcome::Committed,
        Answer::Aborted => TransactionOutcome::Aborted,
        Answer::Staging(_) => TransactionOutcome::Pending,
        Answer::Nothing | Answer::Pending { .. } => TransactionOutcome::Unheard,
        Answer::Stale { .. } => TransactionOutcome::Forgotten,
        Answer::Mismatch => return Some(Err(id.misnamed())),
        _ => return None,
    }))
}

fn check_version(version: &str) -> Result<(), Error> {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u64>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return Ok(()) };
    if (major, minor) < OLDEST {
        return Err(Error::new(
            ErrorCode::Unsupported,
            alloc::format!("server version {version}: 6.2 or later is needed"),
        ));
    }
    Ok(())
}
