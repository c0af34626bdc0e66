//! Any bytes as what a server sends: nothing panics, what is kept is bounded, and in whatever pieces they
//! come the same replies are read. The tests in `core/src/redis/wire/decoder.rs` check the same of random bytes.
#![no_main]

use comity::redis::Reply;
use comity::redis::wire::{Decoder, MAX_LINE, Malformed};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], size: usize) -> Result<Vec<Reply>, Malformed> {
    let mut decoder = Decoder::new();
    let mut found = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.feed(piece);
        while let Some(frame) = decoder.next()? {
            found.push(frame.to_reply());
        }
        assert!(decoder.pending() <= bytes.len().max(MAX_LINE));
    }
    Ok(found)
}

fuzz_target!(|data: (u8, &[u8])| {
    let (size, bytes) = data;
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(size).max(1)), whole);
});
