//! Having the servers stamped, and what is done where one belongs to another ring: see `stamp`.
//!
//! Nothing is asked in advance. A command that is answered that its server has no stamp waits for a round,
//! which all share, and is sent again when that has stamped the server.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::dispatch::Input;
use super::{Coordinator, ReplyTarget, Request};
use crate::error::{Error, ErrorCode, Result};
use crate::lock::Lock;
use crate::machine::Refused;
use crate::redis::{Keys, NodeId, Origin, Reply, RequestId, readable};
use crate::ring::{NodeSpec, Ring};
use crate::stamp::{self, Answer, Members, Op, Round, SOLE, Seen, Stamp, Taken};
use crate::transaction::call;
use crate::transaction::{self, Reason, TransactionPlan};

/// The tag of the key where a participant keeps what is its own. A master has one for all keys.
const TAG: &[u8] = b"t";

/// How many servers that do not answer an error names.
const SHOWN: usize = 8;

/// A command that waits for its server to be stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AwaitingStamp {
    target: ReplyTarget,
    node: NodeId,
    background: bool,
}

/// What a coordinator knows of its ring, and the round that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stamping {
    /// Where a server keeps its stamp.
    pub(super) meta: Vec<u8>,
    /// That of the ring.
    pub(super) stamp: Stamp,
    /// That of each server, as text.
    texts: Vec<Vec<u8>>,
    members: Members,
    /// What earlier versions left where they used this ring.
    earlier: Vec<Vec<u8>>,
    /// What its caller calls a node that is alone.
    name: Option<Vec<u8>>,
    /// Counts the rounds.
    rounds: u32,
    round: Option<Round>,
    awaiting_stamp: Vec<AwaitingStamp>,
    origin: Option<Origin>,
}

impl Stamping {
    /// For the ring of the nodes as they were given: with it, the ring by which servers know them.
    pub(super) fn of(named: Ring, keys: &Keys) -> Result<(Ring, Self)> {
        let mut earlier = vec![stamp::earlier(&named)];
        let (ring, name) = match named.nodes() {
            [alone] => {
                for spelling in spellings(&alone.id) {
                    let spelt = Ring::new([NodeSpec::new(spelling, alone.weight)]);
                    earlier.extend(spelt.ok().map(|ring| stamp::earlier(&ring)));
                }
                (Ring::new([NodeSpec::new(SOLE, 1)])?, Some(alone.id.clone()))
            }
            _ => (named, None),
        };
        let stamp = Stamp::of(&ring, keys.prefix());
        earlier.push(stamp::without_member(stamp));
        let text = |node: &NodeSpec| stamp.at(&node.id).to_string().into_bytes();
        let stamping = Self {
            meta: keys.transactions(TAG),
            stamp,
            texts: ring.nodes().iter().map(text).collect(),
            members: Members::of(&ring),
            earlier,
            name,
            rounds: 0,
            round: None,
            awaiting_stamp: Vec::new(),
            origin: None,
        };
        Ok((ring, stamping))
    }

    /// What its caller calls a node that is alone.
    pub(super) fn name(&self, node: NodeId) -> Option<&[u8]> {
        self.name.as_deref().filter(|_| node == NodeId(0))
    }

    /// The operation that the commands of the round serve.
    pub(super) fn origin(&self) -> Origin {
        self.origin.unwrap_or(Origin::Background)
    }

    /// The stamp that `node` is to have.
    pub(super) fn text(&self, node: NodeId) -> &[u8] {
        self.texts.get(node.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a server with this stamp is one to be stamped.
    fn may_replace(&self, found: &[u8]) -> bool {
        found.is_empty() || self.earlier.iter().any(|old| old == found)
    }

    fn seen(&self, node: NodeId, found: Answer) -> Seen {
        match found.stamp {
            ref stamp if stamp == self.text(node) => Seen::Ours,
            ref stamp if self.may_replace(stamp) => Seen::Free,
            ref stamp => {
                let twin = self.texts.iter().position(|text| text == stamp);
                Seen::Other { found, twin }
            }
        }
    }
}

/// How else the address of a node that is alone may have been written in an earlier version.
fn spellings(id: &[u8]) -> Vec<Vec<u8>> {
    const LOCAL: [&str; 4] = ["localhost", "127.0.0.1", "::1", "[::1]"];
    let Ok(id) = core::str::from_utf8(id) else { return Vec::new() };
    let port = LOCAL.into_iter().find_map(|host| {
        id.strip_prefix(host).filter(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    let Some(rest) = port else { return Vec::new() };
    LOCAL.into_iter().map(|host| format!("{host}{rest}").into_bytes()).collect()
}

impl Coordinator {
    /// A server has not acted, for its stamp is not this client's.
    pub(super) fn on_other_stamp(&mut self, request: RequestId, pending: &Request, found: Answer) {
        let Request { target, node, background, .. } = *pending;
        if !self.stamping.may_replace(&found.stamp) {
            let error = self.mismatch(node, &found, false);
            return self.dispatch(target, node, background, Input::refused(error, false));
        }
        let stamped = self.nodes.get(node.0 as usize).is_some_and(|node| node.stamped >= request);
        if stamped {
            // It was sent before.
            return self.dispatch(target, node, background, Input::Again);
        }
        self.await_stamp(target, node, background);
    }

    /// `target` waits until `node` is stamped.
    pub(super) fn await_stamp(&mut self, target: ReplyTarget, node: NodeId, background: bool) {
        if let ReplyTarget::Lock(lock, _) = target {
            let message = format!(
                "server '{}' serves nothing until all servers of its ring have answered",
                self.called(node)
            );
            let error = Error::new(ErrorCode::Unreachable, message);
            self.step::<Lock, _>(lock, background, |machine, _| machine.is_held_up(error));
        }
        self.stamping.awaiting_stamp.push(AwaitingStamp { target, node, background });
        if self.stamping.round.is_some() {
            return;
        }
        self.stamping.origin = Some(self.origin(target, background));
        self.stamping.rounds = self.stamping.rounds.wrapping_add(1);
        self.stamping.round = Some(Round::new(self.nodes.len()));
        let round = self.stamping.rounds;
        for number in 0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) {
            self.send_stamp(round, NodeId(number), &Op::Ask);
        }
    }

    pub(super) fn on_stamp_reply(&mut self, round: u32, node: NodeId, reply: &Reply) {
        let seen = match (reply, Answer::decode(reply)) {
            (_, Some(answer)) => self.stamping.seen(node, answer),
            (Reply::Error(text), None) => {
                let Refused { error, transient, passes, .. } = Refused::of(text);
                Seen::Missing { error, lasting: !transient && !passes }
            }
            _ => Seen::Missing { error: Error::strange(), lasting: true },
        };
        self.on_seen(round, node, seen);
    }

    pub(super) fn on_seen(&mut self, number: u32, node: NodeId, seen: Seen) {
        let stamping = &mut self.stamping;
        let Some(round) = stamping.round.as_mut().filter(|_| stamping.rounds == number) else {
            return;
        };
        let claimed = round.on_seen(node.0 as usize, seen);
        if round.is_over() {
            return self.end_round();
        }
        for node in claimed {
            let (Some(spec), Ok(to)) = (self.ring.nodes().get(node), u32::try_from(node)) else {
                continue;
            };
            let op = Op::Claim {
                stamp: self.stamping.stamp.at(&spec.id),
                members: self.stamping.members.to_text(&spec.id),
                replaced: self.stamping.earlier.clone(),
            };
            self.send_stamp(number, NodeId(to), &op);
        }
    }

    fn end_round(&mut self) {
        let Some(round) = self.stamping.round.take() else { return };
        let last = self.last_request();
        for (node, seen) in self.nodes.iter_mut().zip(round.seen()) {
            if *seen == Seen::Ours {
                node.stamped = last;
            }
        }
        let other = round.other().and_then(|(at, found, twice)| {
            Some(self.mismatch(NodeId(u32::try_from(at).ok()?), found, twice))
        });
        // The stamp of one server needs the answers of all of them.
        let lasts = |seen: &Seen| matches!(seen, Seen::Missing { lasting: true, .. });
        let lasting = round.seen().iter().any(lasts);
        for AwaitingStamp { target, node, background } in
            core::mem::take(&mut self.stamping.awaiting_stamp)
        {
            let ours = round.seen().get(node.0 as usize) == Some(&Seen::Ours);
            let input = match &other {
                Some(error) => Input::refused(error.clone(), false),
                None if ours => Input::Again,
                None => Input::refused(self.missing(node, round.seen()), !lasting),
            };
            self.dispatch(target, node, background, input);
        }
    }

    /// Why `node` could not be stamped.
    fn missing(&self, node: NodeId, seen: &[Seen]) -> Error {
        let missing = (0..).zip(seen).filter_map(|(at, seen)| match seen {
            Seen::Missing { error, lasting } => Some((NodeId(at), error, lasting)),
            _ => None,
        });
        // First those for which waiting does not help.
        let (mut missing, others): (Vec<_>, Vec<_>) = missing.partition(|(.., lasting)| **lasting);
        missing.extend(others);
        let shown =
            missing.iter().take(SHOWN).map(|(node, ..)| format!("'{}'", self.called(*node)));
        let mut shown = shown.collect::<Vec<_>>().join(", ");
        if missing.len() > SHOWN {
            shown.push_str(&format!(" and {} more", missing.len() - SHOWN));
        }
        let Some((away, first, _)) = missing.first() else {
            // Nothing is missing only if another round has to be made.
            return Error::new(ErrorCode::Unreachable, "the server is not stamped").at(node);
        };
        let code = match first.code() {
            ErrorCode::NoAnswer => ErrorCode::Unreachable,
            code => code,
        };
        let said = first.message();
        if self.nodes.len() == 1 {
            return Error::new(code, said).at(node);
        }
        let message = format!(
            "server '{}' has no stamp yet, and serves nothing until every server of the ring has \
             answered; missing: {shown} ({said})",
            self.called(node)
        );
        Error::new(code, message).at(*away)
    }

    fn mismatch(&self, node: NodeId, found: &Answer, twice: bool) -> Error {
        let Stamping { stamp, members, meta, .. } = &self.stamping;
        let name = self.node_id(node).unwrap_or_default();
        Taken { name, ring: *stamp, members, key: meta }.mismatch(found, twice).at(node)
    }

    /// A node as messages call it.
    fn called(&self, node: NodeId) -> String {
        readable(self.node_id(node).unwrap_or_default())
    }

    /// The error that a reason is to the user of a transaction.
    pub(super) fn why(&self, reason: Reason, plan: &TransactionPlan) -> Error {
        if let Reason::Refused { place, why: transaction::Rejection::Ring { theirs, members } } =
            &reason
        {
            let node = plan.participant(*place).and_then(|id| self.node_named(id));
            let found = Answer { stamp: theirs.clone(), members: members.clone() };
            return self.mismatch(node.unwrap_or(NodeId(0)), &found, false);
        }
        call::error(reason, plan)
    }
}
