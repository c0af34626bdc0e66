//! The counters of a coordinator.

use alloc::vec::Vec;

use comity::counter::{CounterId, CounterOptions, Durability, Freshness, Tally, Token};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::coordinator::{RawCoordinator, at, called, span};
use crate::error::{Result, outcome};
use crate::event::counted;
use crate::pack::{Writer, number, whole};

const fn counter(id: f64) -> CounterId {
    CounterId(whole(id))
}

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/coordinator.ts has the documentation")]
impl RawCoordinator {
    /// # Errors
    /// As thrown.
    #[allow(clippy::too_many_arguments, reason = "an object would cost as much as the call")]
    pub fn counter_open(
        &mut self,
        name: &[u8],
        durability: u8,
        max_delay: f64,
        max_units: u64,
        collected: bool,
        restore: Option<Vec<u8>>,
        now: f64,
    ) -> Result<f64> {
        let max_delay = span(max_delay);
        let durability = match durability {
            0 => Durability::Sync,
            1 => Durability::Batched { max_delay, max_units },
            _ => Durability::Journaled { max_delay },
        };
        let options = CounterOptions { durability, collected };
        let opened = match restore {
            Some(bytes) => self.core.counter_restore(name, options, &bytes, at(now)),
            None => self.core.counter_open(name, options, at(now)),
        };
        Ok(number(outcome(opened)?.0))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_add(&mut self, id: f64, amount: i64, now: f64) -> Result<()> {
        outcome(self.core.counter_add(counter(id), amount, at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_advance(&mut self, id: f64, p: u64, n: u64, now: f64) -> Result<()> {
        outcome(self.core.counter_advance(counter(id), Tally { p, n }, at(now)))
    }

    pub fn poll_counter_due(&mut self) -> Option<f64> {
        self.core.poll_counter_due().map(|due| number(due.0))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_collect(&mut self, id: f64, p: u64, n: u64, now: f64) -> Result<()> {
        outcome(self.core.counter_collect(counter(id), Tally { p, n }, at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_room(&self, id: f64) -> Result<u64> {
        outcome(self.core.counter_room(counter(id)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_value(&self, id: f64, now: f64) -> Result<Vec<u8>> {
        let value = outcome(self.core.counter_value(counter(id), at(now)))?;
        let mut out = Writer::default();
        counted(&mut out, &value);
        Ok(out.finish())
    }

    /// # Errors
    /// As thrown.
    pub fn counter_read(&mut self, id: f64, at_least: Option<f64>, now: f64) -> Result<f64> {
        let token = at_least.map(|token| Freshness::AtLeast(Token(whole(token))));
        called(self.core.counter_read(counter(id), token.unwrap_or(Freshness::Fresh), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_flush(&mut self, id: f64, now: f64) -> Result<f64> {
        called(self.core.counter_flush(counter(id), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_reset(&mut self, id: f64, epoch: Option<f64>, now: f64) -> Result<f64> {
        called(self.core.counter_reset(counter(id), epoch.map(whole), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_audit(&mut self, id: f64, prune: Option<f64>, now: f64) -> Result<f64> {
        called(self.core.counter_audit(counter(id), prune.map(span), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_snapshot(&mut self, id: f64) -> Result<Vec<u8>> {
        outcome(self.core.counter_snapshot(counter(id)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_journaled(&mut self, id: f64, now: f64) -> Result<()> {
        outcome(self.core.counter_journaled(counter(id), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_merge(&mut self, id: f64, bytes: &[u8], now: f64) -> Result<()> {
        outcome(self.core.counter_merge(counter(id), bytes, at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_take_up(&mut self, id: f64, bytes: &[u8], now: f64) -> Result<()> {
        outcome(self.core.counter_take_up(counter(id), bytes, at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn counter_close(&mut self, id: f64, now: f64) -> Result<()> {
        outcome(self.core.counter_close(counter(id), at(now)))
    }
}
