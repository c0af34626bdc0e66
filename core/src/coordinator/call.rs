//! A question that is asked once: sent, and sent again until it is answered or its time is over.
//! Every question may be executed twice without harm.

use alloc::string::String;
use alloc::vec::Vec;

use super::refusal::{NO_CLUSTER, Refusal};
use super::split;
use crate::error::{Error, ErrorCode};
use crate::event::{CallId, Event};
use crate::lock::{Answer, Body, GuardAnswer, GuardOp, Op};
use crate::redis::{Argv, Fields, LockKeys, NodeId, Reply, Script};
use crate::time::Time;
use crate::transaction::TransactionId;

/// The oldest server that has every command the scripts use.
const OLDEST: (u64, u64) = (6, 2);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
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
pub(super) struct Call {
    pub(super) node: NodeId,
    pub(super) question: Question,
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

impl Question {
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
            Self::Status { key, id } => split::encode_status(key, id, argv),
        }
    }
}

impl Call {
    /// The event that `reply` means for it; an error where the reply is none of comity's.
    pub(super) fn answered(&self, call: CallId, reply: &Reply, push: bool) -> Result<Event, Error> {
        let strange = || {
            Error::new(
                ErrorCode::Unsupported,
                "the server's answer is not one of comity's scripts'",
            )
        };
        match &self.question {
            Question::Inspect { .. } => match Answer::decode(reply).map(|answer| answer.body) {
                Some(Body::Info(inspection)) => Ok(Event::LockInspected { call, inspection }),
                _ => Err(strange()),
            },
            Question::Guard { .. } => {
                let GuardAnswer { accepted, highest } =
                    GuardAnswer::decode(reply).ok_or_else(strange)?;
                Ok(Event::FenceChecked { call, accepted, highest })
            }
            Question::Status { id, .. } => {
                let outcome = split::decode_status(reply, id).ok_or_else(strange)??;
                Ok(Event::TransactionStatus { call, id: id.to_text(), outcome })
            }
            Question::Check => {
                let mut fields = Fields::of(reply);
                fields.bytes().filter(|verb| verb == b"CHECKED").ok_or_else(strange)?;
                let mut text = || fields.bytes().map(|bytes| String::from_utf8_lossy(bytes).into());
                let version: String = text().ok_or_else(strange)?;
                let eviction_policy: String = text().ok_or_else(strange)?;
                let refused: String = text().ok_or_else(strange)?;
                let cluster: String = text().unwrap_or_default();
                check_version(&version)?;
                if cluster == "1" {
                    return Err(Error::new(ErrorCode::Unsupported, NO_CLUSTER));
                }
                if push && !refused.is_empty() {
                    return Err(Refusal::of(refused.as_bytes()).error);
                }
                Ok(Event::NodeChecked { call, node: self.node, version, eviction_policy })
            }
        }
    }

    pub(super) const fn failed(&self, call: CallId, error: Error) -> Event {
        Event::CallFailed { call, node: self.node, error }
    }
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
