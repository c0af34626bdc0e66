//! What the calls of `border.c` cost without a border: the same work, called from Rust. Prints a name and
//! nanoseconds a line; `cargo xtask bench c` runs both in turns.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use comity::coordinator::{Config, Coordinator};
use comity::lock::LockOptions;
use comity::ring::{NodeSpec, Ring};
use comity::time::Time;

/// Short, so that most of them are not interrupted; the median of all is told.
const BATCHES: u32 = 300;
const CALLS: usize = 8_192;
const KEYS: usize = 1 << 16;
const LOCKS: u32 = 512;

const NOW: Time = Time::from_micros(1_000_000);

fn coordinator(batch: u32) -> Coordinator {
    let mut entropy = [7; 32];
    entropy[..4].copy_from_slice(&batch.to_le_bytes());
    let config = Config::new(vec![NodeSpec::new("a", 1)]);
    Coordinator::new(config, entropy, NOW).expect("within the limits")
}

fn nothing() {
    let mut coordinator = coordinator(0);
    let batches = (0..BATCHES).map(|_| {
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(black_box(&mut coordinator).poll_event().is_some());
        }
        began.elapsed().as_secs_f64() / CALLS as f64
    });
    tell("no-op", batches.collect());
}

fn next_command() {
    let batches = (0..BATCHES).map(|batch| {
        let mut coordinator = coordinator(batch);
        for n in 0..LOCKS {
            let name = format!("lock:{n}");
            let options = LockOptions::default();
            coordinator.lock_acquire(name.as_bytes(), options, NOW).expect("within the limits");
        }
        let began = Instant::now();
        for _ in 0..LOCKS {
            let command = black_box(&mut coordinator).poll_command();
            // As C is given it: where each word is, and how long.
            for word in command.iter().flat_map(|command| command.argv.iter()) {
                black_box((word.as_ptr(), word.len()));
            }
        }
        began.elapsed().as_secs_f64() / f64::from(LOCKS)
    });
    tell("next command", batches.collect());
}

fn lookup() {
    let nodes: Vec<_> = (0..32).map(|n| NodeSpec::new(format!("node-{n}"), 1)).collect();
    let ring = Ring::new(nodes).expect("within the limits");
    let keys: Vec<[u8; 16]> = (0..KEYS).map(key).collect();
    let mut turn = 0;
    let batches = (0..BATCHES).map(|_| {
        let began = Instant::now();
        for _ in 0..CALLS {
            // Of a length that is not known before, as keys are.
            let index = ring.node(black_box(keys[turn % KEYS].as_slice()));
            black_box(index.and_then(|index| ring.node_id(index)));
            turn += 1;
        }
        began.elapsed().as_secs_f64() / CALLS as f64
    });
    tell("ring lookup", batches.collect());
}

/// As `border.c` makes it.
fn key(n: usize) -> [u8; 16] {
    let mut state = n as u64;
    let mut key = [0; 16];
    for half in key.chunks_mut(8) {
        // SplitMix64, for keys that no branch predictor learns.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    key
}

fn tell(name: &str, mut seconds_per_call: Vec<f64>) {
    seconds_per_call.sort_by(f64::total_cmp);
    println!("{name}: {:.2}", seconds_per_call[seconds_per_call.len() / 2] * 1e9);
}

fn main() {
    nothing();
    next_command();
    lookup();
}
