//! How fast a key finds its node.
//!
//! First ratios, measured here by hand: the contenders take turns over the same random 16-byte keys
//! in one process, and each is judged by the median of its turns, so that a machine that slows down
//! for a while slows all of them. The time of each includes hashing the key. Then criterion's
//! ordinary reports.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use comity::ring::{NodeSpec, Ring, RingConfig};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Too many for a branch predictor to learn.
const KEYS: u64 = 1 << 16;
/// Keys per batch, a list as a program may well have it at hand.
const BATCH: usize = 4096;
const TURNS: usize = 41;
/// Nodes and points per node.
const SIZES: [(u32, u32); 3] = [(16, 100), (32, 512), (320, 512)];

type Key = [u8; 16];

/// The textbook ring: sorted points, searched with the standard library.
struct BinarySearch {
    points: Vec<u64>,
    owners: Vec<u32>,
}

impl BinarySearch {
    fn new(nodes: &[NodeSpec], points_per_node: u32) -> Self {
        let mut points = Vec::new();
        for (index, node) in (0_u32..).zip(nodes) {
            for i in 0..points_per_node {
                let bytes = [node.id.as_slice(), &i.to_le_bytes()].concat();
                points.push((xxh3_64_with_seed(&bytes, 0), index));
            }
        }
        points.sort_unstable();
        Self {
            points: points.iter().map(|point| point.0).collect(),
            owners: points.iter().map(|point| point.1).collect(),
        }
    }

    #[inline]
    fn node(&self, key: &[u8]) -> u32 {
        let hash = xxh3_64_with_seed(key, 0);
        let at = self.points.partition_point(|point| *point < hash);
        self.owners[if at == self.points.len() { 0 } else { at }]
    }
}

fn specs(nodes: u32) -> Vec<NodeSpec> {
    (0..nodes).map(|i| NodeSpec::new(format!("node-{i}"), 1)).collect()
}

fn ring(nodes: u32, points_per_weight: u32) -> Ring {
    let config = RingConfig { points_per_weight, ..RingConfig::default() };
    Ring::with_config(specs(nodes), config).expect("within the limits")
}

fn random_keys() -> Vec<Key> {
    let half = |i, seed| xxh3_64_with_seed(&u64::to_le_bytes(i), seed).to_le_bytes();
    let key = |i| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&half(i, 1));
        key[8..].copy_from_slice(&half(i, 2));
        key
    };
    (0..KEYS).map(key).collect()
}

/// The key for step `i` of a chain in which each lookup waits for the answer of the last.
fn chained(keys: &[Key], i: usize, last: u32) -> &Key {
    // Owners are small numbers, so this adds 0, which the compiler cannot know.
    &keys[i + (last >> 31) as usize]
}

/// The median time per key of each contender, which all go over all keys in turns.
fn medians<const N: usize>(contenders: [&dyn Fn(); N]) -> [f64; N] {
    let mut times: [Vec<Duration>; N] = [const { Vec::new() }; N];
    for _ in 0..TURNS {
        for (contender, times) in contenders.iter().zip(&mut times) {
            // Once more than measured, so that none pays for what the one before put in the caches.
            contender();
            let start = Instant::now();
            contender();
            times.push(start.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[TURNS / 2].as_secs_f64() * 1e9 / KEYS as f64
    })
}

fn ratios() {
    println!("ns per lookup of a random 16-byte key, hashing it included");
    let keys = random_keys();
    for (nodes, per_node) in SIZES {
        let (ring, textbook) = (ring(nodes, per_node), BinarySearch::new(&specs(nodes), per_node));
        let sum = |owner: u32, sum: u32| sum.wrapping_add(owner);
        // Each must have found the same before its time counts for anything.
        for key in &keys {
            let found = ring.node(key).and_then(|node| ring.node_id(node));
            let sought = format!("node-{}", textbook.node(key));
            assert_eq!(found, Some(sought.as_bytes()));
        }
        let [search_chain, single_chain, hash, search, single, batch] = medians([
            &|| {
                let step = |last, i| textbook.node(chained(&keys, i, last));
                black_box((0..keys.len()).fold(0, step));
            },
            &|| {
                let step =
                    |last, i| ring.node(chained(&keys, i, last)).map_or(0, |node| node.number());
                black_box((0..keys.len()).fold(0, step));
            },
            &|| {
                black_box(keys.iter().fold(0, |sum, key| sum ^ ring.hash(key)));
            },
            &|| {
                black_box(keys.iter().fold(0, |s, key| sum(textbook.node(key), s)));
            },
            &|| {
                let owner = |key: &Key| ring.node(key).map_or(0, |node| node.number());
                black_box(keys.iter().fold(0, |s, key| sum(owner(key), s)));
            },
            &|| {
                for batch in keys.chunks(BATCH) {
                    black_box(ring.lookup_batch(batch));
                }
            },
        ]);
        let points = ring.points();
        println!(
            "ring lookup at {points} points: {:.1}x of binary search ({single:.1} ns against \
             {search:.1} ns)",
            search / single
        );
        println!(
            "ring lookup at {points} points, each waiting for the one before: {:.1}x of binary \
             search ({single_chain:.1} ns against {search_chain:.1} ns)",
            search_chain / single_chain
        );
        println!(
            "ring batch  at {points} points: {:.1}x of single lookups ({batch:.1} ns against \
             {single:.1} ns), the hash alone takes {hash:.1} ns",
            single / batch
        );
    }
}

fn reports(criterion: &mut Criterion) {
    let keys = random_keys();
    for (nodes, per_node) in SIZES {
        let ring = ring(nodes, per_node);
        let mut group = criterion.benchmark_group(format!("ring/{} points", ring.points()));
        group.throughput(Throughput::Elements(1));
        let mut next = keys.iter().cycle();
        group.bench_function("node", |b| {
            b.iter(|| ring.node(next.next().expect("a cycle has no end")));
        });
        let mut next = keys.iter().cycle();
        group.bench_function("replicas, 3 of them", |b| {
            b.iter(|| ring.replicas(next.next().expect("a cycle has no end"), 3).last());
        });
        group.throughput(Throughput::Elements(KEYS));
        group.bench_function("lookup_batch", |b| b.iter(|| ring.lookup_batch(&keys)));
        group.throughput(Throughput::Elements(1));
        group.bench_function("with_node", |b| {
            let node = NodeSpec::new("one more", 1);
            b.iter_batched(
                || node.clone(),
                |node| ring.with_node(node).expect("within the limits"),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("new", |b| {
            let config = ring.config();
            b.iter_batched(
                || specs(nodes),
                |nodes| Ring::with_config(nodes, config).expect("within the limits"),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

fn all(criterion: &mut Criterion) {
    ratios();
    reports(criterion);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(benches);
