//! One process of the counter's world, and the account of what it was told of its units.

use std::collections::BTreeMap;

use comity::coordinator::Coordinator;
use comity::counter::{CounterId, Tally, Token};
use comity::event::CallId;
use comity::time::Time;

pub(super) struct Process {
    pub(super) co: Coordinator,
    pub(super) counter: CounterId,
    pub(super) journaled: bool,
    /// How far its clock is ahead of the world's.
    pub(super) ahead: u64,
    /// What was counted in this life.
    pub(super) counted: Tally,
    /// Up to where of it the counter has said that it is safe.
    pub(super) safe: Tally,
    /// What of it was counted before this process was cloned: that is the original's.
    pub(super) inherited: Tally,
    /// What of its own was reported lost.
    pub(super) missed: Tally,
    pub(super) flushes: BTreeMap<CallId, Tally>,
    /// What is written down, and what of `counted` is in it.
    pub(super) disk: Option<(Vec<u8>, Tally)>,
    pub(super) wake: Option<u64>,
    pub(super) token: Token,
    pub(super) regressed: bool,
}

pub(super) fn plus(a: Tally, b: Tally) -> Tally {
    Tally { p: a.p + b.p, n: a.n + b.n }
}

pub(super) fn least(a: Tally, b: Tally) -> Tally {
    Tally { p: a.p.min(b.p), n: a.n.min(b.n) }
}

impl Process {
    pub(super) fn new(co: Coordinator, counter: CounterId, journaled: bool) -> Self {
        Self {
            co,
            counter,
            journaled,
            ahead: 0,
            counted: Tally::ZERO,
            safe: Tally::ZERO,
            inherited: Tally::ZERO,
            missed: Tally::ZERO,
            flushes: BTreeMap::new(),
            disk: None,
            wake: None,
            token: Token(0),
            regressed: false,
        }
    }

    /// The same memory once more, with a clock that was set on meanwhile.
    pub(super) fn cloned(&self, ahead: u64) -> Self {
        Self {
            co: self.co.clone(),
            ahead: self.ahead + ahead,
            inherited: self.counted,
            missed: Tally::ZERO,
            flushes: BTreeMap::new(),
            disk: None,
            wake: None,
            ..*self
        }
    }

    /// Its clock, at the world's `now`.
    pub(super) const fn at(&self, now: u64) -> Time {
        Time::from_micros(now + self.ahead)
    }

    pub(super) fn on_flushed(&mut self, call: CallId) {
        // A copy hears of its original's calls, too: they are the original's.
        let upto = self.flushes.remove(&call).unwrap_or(self.safe);
        self.safe = self.safe.max(upto);
    }

    pub(super) fn on_lost(&mut self, lost: Tally) {
        // C5: what was acknowledged is not lost, but by a server that has lost it, or where a journal
        // is what acknowledged it.
        let kept =
            self.journaled || self.regressed || self.safe.is_within(self.counted.since(lost));
        assert!(kept, "C5: {lost:?} lost of {:?}, and {:?} were safe", self.counted, self.safe);
        // The last of what was counted; what a copy has of its original is the original's to miss.
        self.missed = plus(self.missed, least(lost, self.counted.since(self.inherited)));
    }

    /// What it has counted itself and was told to be safe, without what was reported lost: at least
    /// so much.
    pub(super) fn acknowledged(&self) -> Tally {
        self.safe.since(self.inherited).since(self.missed)
    }

    pub(super) fn is_open(&self) -> bool {
        self.co.counter_value(self.counter, Time::from_micros(0)).is_ok()
    }

    /// What is pending and has no slot on the server. Two copies of it cannot be told apart, by
    /// anybody: nothing says yet whose it is.
    pub(super) fn unnamed(&self, now: u64) -> Tally {
        let value = self.co.counter_value(self.counter, self.at(now)).expect("open");
        // Only looked at: nobody restores this one.
        let bytes = self.co.clone().counter_snapshot(self.counter).expect("open");
        value.pending.since(pending_of(&bytes))
    }
}

/// What is pending of all slots in a snapshot. `journal.rs` tells the format.
fn pending_of(bytes: &[u8]) -> Tally {
    let mut at = 8;
    uvarint(bytes, &mut at);
    let mut pending = Tally::ZERO;
    while at < bytes.len() - 4 {
        let (tag, length) = (uvarint(bytes, &mut at), uvarint(bytes, &mut at));
        let end = at + length as usize;
        while tag == 3 && at < end {
            at += 16;
            let [_, p, n, sent_p, sent_n] = [(); 5].map(|()| uvarint(bytes, &mut at));
            let sent = Tally { p: sent_p, n: sent_n };
            pending = plus(pending, Tally { p, n }.since(sent));
        }
        at = end;
    }
    pending
}

fn uvarint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return number;
        }
        shift += 7;
    }
}
