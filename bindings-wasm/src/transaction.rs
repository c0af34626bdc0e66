//! The transactions of a coordinator.

use comity::time::Span;
use comity::transaction::{
    Ack, CopyLimits, Durability, Expectation, Handle, Heuristic, SweepOptions, TransactionOptions,
    Words,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::coordinator::{RawCoordinator, at, called, span};
use crate::error::{Result, outcome, unpacked};
use crate::pack::{Reader, number, whole};
use crate::reply;

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/coordinator.ts has the documentation")]
impl RawCoordinator {
    /// # Errors
    /// As thrown.
    #[allow(clippy::too_many_arguments, reason = "an object would cost as much as the call")]
    pub fn transaction_execute(
        &mut self,
        commands: &[u8],
        expectations: &[u8],
        decided: bool,
        timeout: Option<f64>,
        patience: Option<f64>,
        copy_elements: Option<u32>,
        copy_bytes: Option<u32>,
        replicas: Option<u32>,
        replicas_timeout: f64,
        now: f64,
    ) -> Result<f64> {
        let commands = unpacked(Reader::new(commands).each(words))?;
        let expectations = unpacked(Reader::new(expectations).each(expectation))?;
        let default = CopyLimits::default();
        let copy = CopyLimits {
            elements: copy_elements.unwrap_or(default.elements),
            bytes: copy_bytes.unwrap_or(default.bytes),
        };
        let [timeout, patience]: [Option<Span>; 2] = [timeout, patience].map(|us| us.map(span));
        let ack = if decided { Ack::Decided } else { Ack::Applied };
        let durability = replicas.map_or(Durability::None, |replicas| Durability::Wait {
            replicas,
            timeout: span(replicas_timeout),
        });
        let options = TransactionOptions { ack, timeout, patience, copy, durability };
        let begun = self.core.transaction_execute(&commands, &expectations, options, at(now));
        Ok(number(outcome(begun)?.0))
    }

    pub fn transaction_cancel(&mut self, transaction: f64, now: f64) {
        self.core.transaction_cancel(Handle(whole(transaction)), at(now));
    }

    /// # Errors
    /// As thrown.
    pub fn transaction_status(&mut self, id: &[u8], now: f64) -> Result<f64> {
        called(self.core.transaction_status(id, at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn transaction_resolve(
        &mut self,
        id: &[u8],
        commits: Option<bool>,
        now: f64,
    ) -> Result<f64> {
        let decision = |commits| if commits { Heuristic::Commit } else { Heuristic::Abort };
        called(self.core.transaction_resolve(id, commits.map(decision), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn transaction_sweep(&mut self, shadows: bool, now: f64) -> Result<f64> {
        called(self.core.transaction_sweep(SweepOptions { shadows }, at(now)))
    }
}

fn words(bytes: &mut Reader<'_>) -> Option<Words> {
    bytes.each(|bytes| bytes.bytes().map(<[u8]>::to_vec))
}

fn expectation(bytes: &mut Reader<'_>) -> Option<Expectation> {
    let kind = bytes.byte()?;
    let mut word = || bytes.bytes().map(<[u8]>::to_vec);
    Some(match kind {
        0 => Expectation::Value { key: word()?, value: word()? },
        1 => Expectation::Exists { key: word()? },
        2 => Expectation::Absent { key: word()? },
        3 => Expectation::Unchanged { read: words(bytes)?, reply: reply::read(bytes)? },
        _ => return None,
    })
}
