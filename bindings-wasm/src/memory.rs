//! The embedded store.

use alloc::vec::Vec;

use comity::memory;
use comity::redis::Argv;
use comity::time::Time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Result, unpacked};
use crate::pack::{Reader, Writer, whole};
use crate::reply;

/// A small Redis in this process.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct RawMemoryStore(memory::MemoryStore);

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/memory.ts has the documentation")]
impl RawMemoryStore {
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// # Errors
    /// As thrown.
    pub fn execute(&mut self, words: &[u8], now: f64) -> Result<Vec<u8>> {
        let words = unpacked(Reader::new(words).each(Reader::bytes))?;
        let argv: Argv = words.into_iter().collect();
        let mut out = Writer::default();
        let now = Time::from_micros(whole(now));
        reply::write(&mut out, &self.0.execute(&argv, now));
        Ok(out.finish())
    }

    /// Channel and payload.
    pub fn poll_message(&mut self) -> Option<Vec<u8>> {
        let message = self.0.poll_message()?;
        let mut out = Writer::default();
        out.bytes(&message.channel).bytes(&message.payload);
        Some(out.finish())
    }
}
