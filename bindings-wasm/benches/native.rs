//! What native Rust takes for one key of the batch that `ring.mjs` measures, in nanoseconds: the
//! median of its turns, and nothing else, on standard output.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use comity::ring::{NodeSpec, Ring};

const TURNS: usize = 101;
const KEYS: u32 = 10_000;

fn main() {
    let nodes = (0..32).map(|node| NodeSpec::new(format!("node-{node}:6379"), 1));
    let Ok(ring) = Ring::new(nodes) else { return };
    let keys: Vec<Vec<u8>> = (0..KEYS).map(|key| format!("user:{key}:profile").into()).collect();
    let mut turns: Vec<Duration> = (0..TURNS)
        .map(|_| {
            let before = Instant::now();
            black_box(ring.lookup_batch(black_box(&keys)));
            before.elapsed()
        })
        .collect();
    turns.sort_unstable();
    println!("{:.2}", turns[TURNS / 2].as_secs_f64() * 1e9 / f64::from(KEYS));
}
