//! The server side of the counter over [`Keyspace`]: `counter.lua` again, step by step. The
//! embedded store runs it, and the differential test holds the two equal.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::protocol::parse_total;
use super::slot::{Slot, TIME_WIDTH};
use super::{
    Answer, FlushStamp, MAX_PEERS, MAX_SLOTS, Op, Part, Scanned, SlotId, Tally, Token, Totals,
    Verb, View,
};
use crate::keyspace::{Keyspace, Result, ServerTime};
use crate::redis::{base64url, parse_number, write_padded};
use crate::time::Span;

/// How long a retired slot is kept by itself before it may be folded.
const RETENTION: Span = Span::from_secs(7 * 24 * 3_600);
/// How far ahead of the clock an incarnation may be that comes from outside.
const AHEAD: Span = Span::from_secs(3_600);
/// Numbers from here on are not issued: the script could not count them.
const INCARNATIONS: u64 = 1 << 53;
/// The most retired slots that one call folds.
const BOUND: usize = 16;
/// The length of an id in a bin, with its comma, and the most of them there.
const ENTRY: usize = SlotId::LEN + 1;
const BIN: usize = 256;
/// How many resets are remembered.
const RESETS: usize = 8;
/// How many fields there are besides the slots.
const FIELDS: usize = 15;
/// How many fields a part is taken from.
const PAGE: usize = 256;

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

/// Executes `op` on the counter at `key`.
///
/// # Errors
/// The key holds another type; nothing is changed.
pub fn execute(space: &mut Keyspace, key: &[u8], op: &Op) -> Result<Answer> {
    let empty = Hash::new();
    let now = space.now();
    let hash = space.hash(key)?.unwrap_or(&empty);
    let mut call = Call::load(hash, now);
    let answer = call.run(op);
    let Call { writes, drops, .. } = call;
    if !writes.is_empty() {
        space.with_hash(key, |hash| {
            hash.extend(writes);
            for field in drops {
                hash.remove(&field);
            }
        })?;
    }
    Ok(answer)
}

/// What becomes of a slot besides its being raised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    Retire,
    Fold,
}

/// One call: what it has read, and what it will write.
struct Call<'a> {
    hash: &'a Hash,
    now: ServerTime,
    view: View,
    writes: Vec<(Vec<u8>, Vec<u8>)>,
    drops: Vec<Vec<u8>>,
}

impl<'a> Call<'a> {
    fn load(hash: &'a Hash, now: ServerTime) -> Self {
        let total = |field: &str| hash.get(field.as_bytes()).and_then(|text| parse_total(text));
        let totals = |p, n| Totals { p: total(p).unwrap_or(0), n: total(n).unwrap_or(0) };
        let mut call =
            Self { hash, now, view: View::default(), writes: Vec::new(), drops: Vec::new() };
        call.view = View {
            own: Tally::ZERO,
            totals: totals("tp", "tn"),
            zero: totals("zp", "zn"),
            epoch: call.number("ep"),
            version: Token(call.number("v")),
        };
        call
    }

    fn number(&self, field: &str) -> u64 {
        self.hash.get(field.as_bytes()).and_then(|text| parse_number(text)).unwrap_or(0)
    }

    fn bytes(&self, field: &str) -> Vec<u8> {
        self.hash.get(field.as_bytes()).cloned().unwrap_or_default()
    }

    fn slot(&self, id: &[u8]) -> Option<Slot> {
        self.hash.get(id).and_then(|bytes| Slot::decode(bytes))
    }

    /// The ids that were folded and are in the same bin as this one, the oldest first.
    fn folded(&self, id: &[u8]) -> &[u8] {
        self.hash.get(bin(id).as_slice()).map_or(&[], Vec::as_slice)
    }

    fn is_folded(&self, id: &[u8]) -> bool {
        self.folded(id).chunks(ENTRY).any(|entry| entry.get(1..) == Some(id))
    }

    fn put(&mut self, field: &[u8], value: impl Into<Vec<u8>>) {
        self.writes.push((field.to_vec(), value.into()));
    }

    fn put_totals(&mut self, p: &str, n: &str, totals: Totals) {
        self.put(p.as_bytes(), totals.p.to_string());
        self.put(n.as_bytes(), totals.n.to_string());
    }

    /// The version and moment of this change.
    fn tick(&mut self) -> u64 {
        let version = self.now.0.max(self.view.version.0 + 1);
        self.view.version = Token(version);
        self.put(b"v", version.to_string());
        version
    }

    fn answer(&self, verb: Verb, before: Option<&Slot>, own: Option<Tally>) -> Answer {
        let (before, flush_stamp) =
            before.map_or((Tally::ZERO, FlushStamp(0)), |slot| (slot.tally, slot.flush_stamp));
        let view = View { own: own.unwrap_or_default(), ..self.view };
        Answer { verb, before, flush_stamp, view }
    }

    fn run(&mut self, op: &Op) -> Answer {
        match op {
            Op::Join => {
                let incarnation = self.now.0.max(self.number("hw").saturating_add(1));
                if incarnation >= INCARNATIONS {
                    return self.answer(Verb::Ahead, None, None);
                }
                self.put(b"hw", incarnation.to_string());
                self.answer(Verb::Joined(incarnation), None, None)
            }
            Op::Add { id, tally, flush_stamp, known } => {
                self.raise(id, (*tally, *flush_stamp), *known, End::None)
            }
            Op::Retire { id, tally, flush_stamp, known } => {
                self.raise(id, (*tally, *flush_stamp), *known, End::Retire)
            }
            Op::Fold { id, tally, flush_stamp, known } => {
                self.raise(id, (*tally, *flush_stamp), *known, End::Fold)
            }
            Op::Get { id } => {
                let text = id.map(|id| id.to_text());
                let slot = text.and_then(|text| self.slot(&text));
                let gone = match text.is_some_and(|text| self.is_folded(&text)) {
                    true => Verb::Folded,
                    false => Verb::None,
                };
                let verb = slot.as_ref().map_or(gone, state);
                self.answer(verb, slot.as_ref(), slot.as_ref().map(|slot| slot.tally))
            }
            Op::Reset { op, epoch, id } => self.reset(*op, *epoch, *id),
            Op::Scan { cursor } => self.scan(*cursor),
            Op::Fix { version, totals } => {
                if *version != self.view.version {
                    return self.answer(Verb::Moved, None, None);
                }
                self.view.totals = *totals;
                self.put_totals("tp", "tn", *totals);
                self.tick();
                self.answer(Verb::Fixed, None, None)
            }
        }
    }

    /// `ADD`, `RETIRE` and `FOLD`: the slot becomes the maximum of what it was and of what is sent.
    fn raise(
        &mut self,
        id: &SlotId,
        (tally, flush_stamp): (Tally, FlushStamp),
        known: Tally,
        end: End,
    ) -> Answer {
        let text = id.to_text();
        let slot = self.slot(&text);
        if slot.is_none()
            && let Some(refused) = self.refusal(id, &text)
        {
            return self.answer(refused, None, None);
        }
        let old = slot.as_ref().map_or(Tally::ZERO, |slot| slot.tally);
        let new = old.max(tally);
        let raised = new != old;
        if slot.is_none() && !raised {
            return self.answer(Verb::None, None, None);
        }
        let was_retired = slot.as_ref().is_some_and(|slot| slot.retired.is_some());
        let end = if was_retired || id.is_peer() { End::None } else { end };
        let end = match end {
            // What somebody else has raised is not folded by an owner that does not know of it.
            End::Fold if !old.is_within(tally) => End::Retire,
            _ => end,
        };
        if let Some(slot) = slot.as_ref().filter(|_| !raised && end == End::None) {
            return self.answer(state(slot), Some(slot), Some(old));
        }
        let fields = self.hash.len().saturating_sub(self.count("bins"));
        let full = slot.is_none() && end != End::Fold && fields >= MAX_SLOTS + FIELDS;
        let peers = self.count("peers");
        if slot.is_none() && id.is_peer() && peers >= MAX_PEERS {
            return self.answer(Verb::Full, None, None);
        }
        let mut head = self.bytes("head");
        if end == End::Retire || full {
            self.fold_retired(&mut head, full);
        }
        if full && self.drops.is_empty() {
            return self.answer(Verb::Full, None, None);
        }
        let version = self.tick();
        let before = slot.clone();
        let mut slot =
            slot.unwrap_or(Slot { tally: Tally::ZERO, flush_stamp, stamp: version, retired: None });
        if before.is_none() && id.is_peer() {
            self.put(b"peers", (peers + 1).to_string());
        } else if before.is_none() {
            let highest = self.number("hw").max(id.incarnation);
            self.put(b"hw", highest.to_string());
        }
        if raised {
            self.view.totals.p += u128::from(new.p - old.p);
            self.view.totals.n += u128::from(new.n - old.n);
            let totals = self.view.totals;
            self.put_totals("tp", "tn", totals);
            // What was not acknowledged to the owner, somebody else has told: a copy of it, or who
            // restored its bytes.
            let foreign = flush_stamp != FlushStamp::REPLAY && !old.is_within(known);
            slot.tally = new;
            slot.flush_stamp = match slot.flush_stamp {
                FlushStamp::REPLAY if foreign => FlushStamp::REPLAY,
                _ if foreign => FlushStamp::SHARED,
                _ => flush_stamp,
            };
        }
        if !was_retired {
            slot.stamp = version;
        }
        if end == End::Fold {
            self.fold(&text, new);
            return self.answer(Verb::Folded, before.as_ref(), Some(new));
        }
        if end == End::Retire {
            slot.retired = Some(Vec::new());
        }
        self.put(&text, slot.encode());
        if end == End::Retire {
            self.append(&head, &text);
        }
        self.answer(state(&slot), before.as_ref(), Some(new))
    }

    /// Why an id that has no slot gets none, if it does not. One that is gone was counted and folded,
    /// or may have been; one from after now is of a server whose clock was ahead, or of nobody.
    fn refusal(&self, id: &SlotId, text: &[u8]) -> Option<Verb> {
        if self.is_folded(text) {
            return Some(Verb::Folded);
        }
        if id.incarnation <= self.number("gc") {
            return Some(Verb::Unknown);
        }
        let latest = self.number("hw").max(self.now.after(AHEAD).0);
        (!id.is_peer() && id.incarnation > latest).then_some(Verb::Ahead)
    }

    /// Folds the old ones at the head of the list of retired slots, and the first one whatever its age
    /// where its place is needed.
    fn fold_retired(&mut self, head: &mut Vec<u8>, full: bool) {
        let mut folded = Totals { p: self.total("fp"), n: self.total("fn") };
        let mut floor = self.number("gc");
        while !head.is_empty() && self.drops.len() < BOUND {
            let Some(slot) = self.slot(head) else { break };
            let kept = ServerTime(slot.stamp).after(RETENTION) > self.now;
            if kept && !(full && self.drops.is_empty()) {
                break;
            }
            folded.p += u128::from(slot.tally.p);
            folded.n += u128::from(slot.tally.n);
            floor = floor.max(incarnation_of(head));
            let next = slot.retired.unwrap_or_default();
            self.drops.push(core::mem::replace(head, next));
        }
        if !self.drops.is_empty() {
            self.put_totals("fp", "fn", folded);
            self.put_floor(floor);
            self.put(b"head", head.as_slice());
        }
    }

    /// Appends to the list of retired slots, whose first is `head`.
    fn append(&mut self, head: &[u8], id: &[u8]) {
        let tail = self.bytes("tail");
        match self.hash.get(&tail).filter(|_| !head.is_empty()) {
            Some(last) => self.put(&tail, [last.as_slice(), id].concat()),
            None => self.put(b"head", id),
        }
        self.put(b"tail", id);
    }

    /// Leaves of a slot its id alone. What leaves the list of ids is refused by the floor.
    fn fold(&mut self, id: &[u8], tally: Tally) {
        let ids = self.folded(id);
        let new = ids.is_empty();
        let ids = [ids, b",", id].concat();
        let mut floor = self.number("gc");
        let mut rest = ids.as_slice();
        while let Some((first, others)) = rest.split_at_checked(ENTRY)
            && !others.is_empty()
        {
            let incarnation = incarnation_of(&first[1..]);
            if rest.len() <= ENTRY * BIN && ServerTime(incarnation).after(RETENTION) > self.now {
                break;
            }
            floor = floor.max(incarnation);
            rest = others;
        }
        if new {
            self.put(b"bins", (self.count("bins") + 1).to_string());
        }
        let (p, n) = (u128::from(tally.p), u128::from(tally.n));
        self.put_totals("fp", "fn", Totals { p: self.total("fp") + p, n: self.total("fn") + n });
        self.put_floor(floor);
        self.put(&bin(id), rest);
        self.drops.push(id.to_vec());
    }

    fn put_floor(&mut self, floor: u64) {
        let mut padded = Vec::new();
        write_padded(&mut padded, floor, TIME_WIDTH);
        self.put(b"gc", padded);
    }

    fn count(&self, field: &str) -> usize {
        usize::try_from(self.number(field)).unwrap_or(usize::MAX)
    }

    fn total(&self, field: &str) -> u128 {
        self.hash.get(field.as_bytes()).and_then(|text| parse_total(text)).unwrap_or(0)
    }

    fn reset(&mut self, op: u128, epoch: u64, id: Option<SlotId>) -> Answer {
        const ENTRY: usize = 22 + TIME_WIDTH;
        let own = id.and_then(|id| self.slot(&id.to_text()));
        let tally = own.as_ref().map(|slot| slot.tally);
        let mut resets = self.bytes("ops");
        let name = base64url(op);
        let known = resets.chunks(ENTRY).find_map(|entry| entry.strip_prefix(&name));
        if let Some(began) = known.and_then(parse_number) {
            return self.answer(Verb::Reset(began), own.as_ref(), tally);
        }
        if epoch != self.view.epoch {
            return self.answer(Verb::Conflict, own.as_ref(), tally);
        }
        self.view.zero = self.view.totals;
        self.view.epoch += 1;
        self.put_totals("zp", "zn", self.view.zero);
        self.put(b"ep", self.view.epoch.to_string());
        resets.truncate(ENTRY * (RESETS - 1));
        let entry = format!("{:016}", self.view.epoch);
        self.put(b"ops", [&name, entry.as_bytes(), &resets].concat());
        self.tick();
        self.answer(Verb::Reset(self.view.epoch), own.as_ref(), tally)
    }

    /// Redis gives a small hash whole; otherwise the parts are its own, and only their sum counts.
    fn scan(&self, cursor: u64) -> Answer {
        let from = usize::try_from(cursor).unwrap_or(usize::MAX);
        let page = self.hash.iter().skip(from).take(PAGE);
        let slots = page.filter_map(|(field, bytes)| {
            let (id, slot) = (SlotId::parse(field)?, Slot::decode(bytes)?);
            let Slot { tally, flush_stamp, stamp, retired } = slot;
            Some(Scanned { id, tally, flush_stamp, stamp, retired: retired.is_some() })
        });
        let next = from.saturating_add(PAGE);
        let part = Part {
            cursor: if next < self.hash.len() { cursor + PAGE as u64 } else { 0 },
            folded: Totals { p: self.total("fp"), n: self.total("fn") },
            now_us: self.now.0,
            slots: slots.collect(),
        };
        self.answer(Verb::Part(part), None, None)
    }
}

/// In which of 256 fields an id is kept when its slot is folded.
fn bin(id: &[u8]) -> [u8; 2] {
    let [first, second] = [0, 1].map(|at| id.get(at).copied().unwrap_or_default());
    [first, b'0' + second % 4]
}

fn incarnation_of(id: &[u8]) -> u64 {
    SlotId::parse(id).map_or(0, |id| id.incarnation)
}

const fn state(slot: &Slot) -> Verb {
    if slot.retired.is_some() { Verb::Retired } else { Verb::Live }
}
