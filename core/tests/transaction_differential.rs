//! The transaction in the embedded store against a real redis-server: the same random calls of all
//! scripts, and every answer and the whole key space compared.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

mod support;

use support::redis_server::RedisServer;
use support::seed;
use support::transaction_ops::TransactionOps;
use support::transaction_pair::{Difference, TransactionPair};

const OPERATIONS: u64 = 12_000;

fn run(pair: &mut TransactionPair, seed: u64, operations: u64) -> Result<(), (u64, Difference)> {
    let mut ops = TransactionOps::new(seed);
    (0..operations).try_for_each(|step| ops.step(pair).map_err(|what| (step, what)))
}

#[test]
fn the_embedded_store_does_as_redis_does() {
    let server = RedisServer::start();
    let (mut pair, seed) = (TransactionPair::new(&server), seed());
    println!("transaction differential: {OPERATIONS} operations, seed {seed}");
    let outcome = run(&mut pair, seed, OPERATIONS);
    for (kind, count) in &pair.seen {
        println!("{count:8} {kind}");
    }
    if let Err((step, what)) = outcome {
        panic!("COMITY_SEED={seed}: step {step}: {what}");
    }
}
