//! The counter against what it is made of and against the `crdts` crate: counting, merging 1000
//! replicas, and their sum. The contenders take turns in one process, and the median of the turns
//! counts.
#![allow(missing_docs, reason = "a program")]
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use comity::crdt::{PNCounter, Slots};
use crdts::{CmRDT, CvRDT};

const TURNS: usize = 21;
const ADDS: u64 = 1 << 20;
const REPLICAS: u64 = 1_000;
/// Merges and sums in one turn.
const ROUNDS: u64 = 200;

/// The median time of one of `count` steps of each contender, in nanoseconds.
fn medians(count: u64, contenders: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..TURNS {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let started = Instant::now();
            contender();
            times.push(started.elapsed().as_nanos() as f64 / count as f64);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[TURNS / 2]
    };
    times.into_iter().map(median).collect()
}

fn adds() {
    let (mut bare, atomic) = (0_u64, AtomicU64::new(0));
    let (mut counter, mut theirs) = (PNCounter::new(7), crdts::PNCounter::<u128>::new());
    let found = medians(
        ADDS,
        &mut [
            &mut || (0..ADDS).for_each(|_| bare = black_box(bare.wrapping_add(black_box(1)))),
            &mut || {
                (0..ADDS).for_each(|_| {
                    atomic.fetch_add(black_box(1), Ordering::Relaxed);
                });
            },
            &mut || {
                (0..ADDS).for_each(|_| {
                    let counted = black_box(&mut counter).add(black_box(1));
                    assert!(counted.is_ok());
                });
            },
            &mut || (0..ADDS).for_each(|_| theirs.apply(theirs.inc(black_box(7)))),
        ],
    );
    let [bare, atomic, ours, theirs] = found[..] else { return };
    println!(
        "counter add: {ours:.2} ns, {:.1}x of a bare addition ({bare:.2} ns; target <= 3x), \
         {:.1}x of an atomic one ({atomic:.2} ns), {:.0}x faster than crdts ({theirs:.0} ns)",
        ours / bare,
        ours / atomic,
        theirs / ours
    );
}

fn merge_and_sum() {
    let (mut ours, mut theirs) = (Slots::new(), crdts::PNCounter::<u128>::new());
    for replica in 0..u128::from(REPLICAS) {
        let mut one =
            PNCounter::new(replica.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        one.add(5).and(one.add(-2)).expect("far from the limit");
        ours.merge(one.slots()).expect("below the limit");
        theirs.apply(theirs.inc_many(replica, 5));
        theirs.apply(theirs.dec_many(replica, 2));
    }
    let value = 3 * i128::from(REPLICAS);
    let (mut into_ours, mut into_theirs) = (ours.clone(), theirs.clone());
    let found = medians(
        ROUNDS,
        &mut [
            &mut || (0..ROUNDS).for_each(|_| into_ours.merge(black_box(&ours)).expect("few")),
            &mut || (0..ROUNDS).for_each(|_| into_theirs.merge(black_box(&theirs).clone())),
            &mut || (0..ROUNDS).for_each(|_| drop(black_box(black_box(&theirs).clone()))),
            &mut || (0..ROUNDS).for_each(|_| assert_eq!(black_box(&ours).value(), value)),
            &mut || (0..ROUNDS).for_each(|_| drop(black_box(black_box(&theirs).read()))),
        ],
    );
    let [merge, their_merge, clone, sum, their_sum] = found[..] else { return };
    // Their merge takes its argument; the copy made for it is not counted.
    let their_merge = their_merge - clone;
    println!(
        "counter merge of {REPLICAS} replicas: {merge:.0} ns, {:.0}x faster than crdts \
         ({their_merge:.0} ns; target >= 10x)",
        their_merge / merge
    );
    println!(
        "counter sum of {REPLICAS} replicas: {sum:.0} ns, {:.0}x faster than crdts \
         ({their_sum:.0} ns; target >= 20x)",
        their_sum / sum
    );
}

fn main() {
    adds();
    merge_and_sum();
}
