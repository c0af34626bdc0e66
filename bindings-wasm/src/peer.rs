//! The counter without a server.

use alloc::vec::Vec;

use comity::counter::Overflow;
use comity::crdt;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Result, outcome, unpacked};
use crate::pack::Writer;

/// A replica of a peer counter.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawPNCounter(crdt::PNCounter);

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/peer.ts has the documentation")]
impl RawPNCounter {
    /// # Errors
    /// As thrown.
    #[wasm_bindgen(constructor)]
    pub fn new(replica: &[u8]) -> Result<RawPNCounter> {
        let id = u128::from_be_bytes(unpacked(replica.try_into().ok())?);
        Ok(Self(crdt::PNCounter::new(id)))
    }

    /// # Errors
    /// As thrown.
    pub fn count(&mut self, up: u64, down: u64) -> Result<()> {
        outcome(self.0.count(up, down).map_err(|overflow: Overflow| overflow.into()))
    }

    #[must_use]
    pub fn value(&self) -> i128 {
        self.0.value()
    }

    /// # Errors
    /// As thrown.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        outcome(self.0.merge(bytes))
    }

    pub fn snapshot(&mut self) -> Vec<u8> {
        self.0.to_bytes()
    }

    #[must_use]
    pub fn replica(&self) -> Vec<u8> {
        self.0.replica().to_be_bytes().to_vec()
    }

    /// Ids, increments and decrements.
    pub fn slots(&mut self) -> Vec<u8> {
        let mut out = Writer::default();
        out.each(self.0.slots().iter(), |out, (id, tally)| {
            out.bytes(&id.to_be_bytes()).wide(tally.p).wide(tally.n);
        });
        out.finish()
    }
}
