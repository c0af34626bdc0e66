//! What a ring promises, as properties of random rings, each over whole hashes and over hashes cut
//! to a few bits, where points and keys collide all the time.

use std::collections::{BTreeMap, BTreeSet};

use comity::error::ErrorCode;
use comity::ring::{MAX_ID_BYTES, MAX_NODES, MAX_POINTS, NodeIndex, NodeSpec, Ring, RingConfig};
use proptest::prelude::*;
use proptest::sample::Index;

/// How much of each hash is kept: all of it, or so little that collisions are common.
fn hash_bits() -> impl Strategy<Value = u32> {
    prop_oneof![Just(64), 8..=16_u32]
}

/// Members of a ring with few points, so that a case is quick and ranges are wide.
fn members() -> impl Strategy<Value = BTreeMap<Vec<u8>, u32>> {
    prop::collection::btree_map(id(), 0..4_u32, 0..24)
}

fn id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..6),
        prop::collection::vec(any::<u8>(), MAX_ID_BYTES),
        "[a-c]{1,2}".prop_map(String::into_bytes),
    ]
}

fn config() -> impl Strategy<Value = RingConfig> {
    (any::<u64>(), 1..40_u32)
        .prop_map(|(seed, points_per_weight)| RingConfig { seed, points_per_weight })
}

fn specs(members: &BTreeMap<Vec<u8>, u32>) -> Vec<NodeSpec> {
    members.iter().map(|(id, weight)| NodeSpec::new(id.clone(), *weight)).collect()
}

fn build(nodes: Vec<NodeSpec>, config: RingConfig, bits: u32) -> Ring {
    Ring::with_cut_hash(nodes, config, bits).expect("within the limits")
}

/// Keys of several lengths, enough to meet every node of a small ring.
fn keys() -> Vec<Vec<u8>> {
    (0..300_u32).map(|i| i.to_le_bytes().repeat(1 + i as usize % 7)).collect()
}

/// Hashes where an owner may change: the ends, every point and its neighbours.
fn edges(ring: &Ring) -> Vec<u64> {
    let points = ring.positions().map(|(position, _)| position);
    let around = points.flat_map(|at| [at.wrapping_sub(1), at, at.wrapping_add(1)]);
    [0, 1, u64::MAX - 1, u64::MAX].into_iter().chain(around).collect()
}

/// The owner by the definition: the first of all points at or after the hash, else the first.
fn oracle(ring: &Ring, hash: u64) -> Option<NodeIndex> {
    let mut points: Vec<_> = ring.positions().collect();
    points.sort_by_key(|(position, node)| (*position, node.number()));
    let found = points.iter().find(|(position, _)| *position >= hash).or(points.first());
    found.map(|(_, node)| *node)
}

fn owner_id(ring: &Ring, hash: u64) -> Option<&[u8]> {
    ring.node_for_hash(hash).and_then(|node| ring.node_id(node))
}

/// All hashes worth asking two rings about.
fn probes(a: &Ring, b: &Ring) -> Vec<u64> {
    let keys = keys().into_iter().map(|key| a.hash(&key));
    edges(a).into_iter().chain(edges(b)).chain(keys).collect()
}

/// The part of the hash space whose owner differs, by asking at every place where it may change.
fn moved_by_asking(a: &Ring, b: &Ring) -> u128 {
    let ends: BTreeSet<u64> =
        a.positions().chain(b.positions()).map(|point| point.0).chain([u64::MAX]).collect();
    let (mut next, mut moved) = (0, 0);
    for end in ends {
        if owner_id(a, end) != owner_id(b, end) {
            moved += u128::from(end) + 1 - next;
        }
        next = u128::from(end) + 1;
    }
    moved
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_1_the_order_of_nodes_does_not_matter(
        (members, shuffled) in members().prop_flat_map(|members| {
            let specs = specs(&members);
            (Just(members), Just(specs).prop_shuffle())
        }),
        config in config(),
        bits in hash_bits(),
    ) {
        let sorted = build(specs(&members), config, bits);
        let ring = build(shuffled.clone(), config, bits);
        prop_assert_eq!(ring.nodes(), sorted.nodes());
        prop_assert!(ring.positions().eq(sorted.positions()));
        prop_assert_eq!(ring.fingerprint(), sorted.fingerprint());

        // Grown node by node, with a detour, it is the same again.
        let mut grown = build(Vec::new(), config, bits);
        for node in shuffled {
            grown = grown
                .with_node(NodeSpec::new(node.id.clone(), 3))
                .and_then(|ring| ring.with_node(NodeSpec::new("a detour", 1)))
                .and_then(|ring| ring.with_weight(&node.id, node.weight))
                .and_then(|ring| ring.without_node(b"a detour"))
                .expect("no other node has these ids");
        }
        prop_assert!(grown.positions().eq(sorted.positions()));
        prop_assert_eq!(grown.fingerprint(), sorted.fingerprint());
        prop_assert_eq!(&grown, &sorted);

        let total: u32 = members.values().sum();
        prop_assert_eq!(ring.points(), total * config.points_per_weight, "no point is dropped");
        prop_assert_eq!(ring.positions().count(), ring.points() as usize);
    }

    #[test]
    fn invariant_2_a_node_moves_only_its_own_keys(
        members in members(), new in id(), weight in 0..4_u32, config in config(), bits in hash_bits(),
    ) {
        prop_assume!(!members.contains_key(&new));
        let without = build(specs(&members), config, bits);
        let with = without.with_node(NodeSpec::new(new.clone(), weight)).expect("new");
        for hash in probes(&without, &with) {
            let (before, after) = (owner_id(&without, hash), owner_id(&with, hash));
            prop_assert!(before == after || after == Some(&new));
        }
        let removed = with.without_node(&new).expect("just added");
        prop_assert!(removed.positions().eq(without.positions()));
        prop_assert_eq!(&removed, &without);

        // All that moved went to the new node, and that is its whole share.
        let index = with.index_of(&new).expect("just added");
        prop_assert_eq!(without.moved_share(&with), with.share(index));
        prop_assert_eq!(with.moved_share(&without), with.share(index));
    }

    #[test]
    fn invariant_4_a_raised_weight_moves_keys_only_to_its_node(
        members in members(), chosen in any::<Index>(), raise in 1..4_u32,
        config in config(), bits in hash_bits(),
    ) {
        prop_assume!(!members.is_empty());
        let before = build(specs(&members), config, bits);
        let node = chosen.get(before.nodes()).clone();
        let after = before.with_weight(&node.id, node.weight + raise).expect("there");
        for hash in probes(&before, &after) {
            let (old, new) = (owner_id(&before, hash), owner_id(&after, hash));
            prop_assert!(old == new || new == Some(&node.id));
        }
        let mut changed = members.clone();
        changed.insert(node.id.clone(), node.weight + raise);
        let rebuilt = build(specs(&changed), config, bits);
        prop_assert!(rebuilt.positions().eq(after.positions()));
        prop_assert_eq!(&rebuilt, &after);
        prop_assert_eq!(&after.with_weight(&node.id, node.weight).expect("there"), &before);
    }

    #[test]
    fn invariant_6_all_ways_to_ask_agree(
        members in members(), config in config(), bits in hash_bits(),
    ) {
        let ring = build(specs(&members), config, bits);
        let keys = keys();
        let batch = ring.lookup_batch(&keys);
        prop_assert_eq!(batch.len(), keys.len());
        for (key, batched) in keys.iter().zip(batch) {
            let node = ring.node(key);
            prop_assert_eq!(node, oracle(&ring, ring.hash(key)));
            prop_assert_eq!(node, ring.node_for_hash(ring.hash(key)));
            prop_assert_eq!(node, batched);
            prop_assert_eq!(node, ring.replicas(key, 3).next());
        }
        prop_assert_eq!(ring.node(b"key").is_some(), members.values().any(|weight| *weight > 0));
    }

    #[test]
    fn invariant_7_replicas_are_distinct_and_as_many_as_there_are(
        members in members(), n in 0..30_usize, config in config(), bits in hash_bits(),
    ) {
        let ring = build(specs(&members), config, bits);
        let eligible = members.values().filter(|weight| **weight > 0).count();
        for key in keys().iter().take(40) {
            let replicas = ring.replicas(key, n);
            prop_assert_eq!(replicas.len(), n.min(eligible));
            let replicas: Vec<_> = replicas.collect();
            prop_assert_eq!(replicas.len(), n.min(eligible));
            let distinct: BTreeSet<_> = replicas.iter().collect();
            prop_assert_eq!(distinct.len(), replicas.len());
            for node in &replicas {
                prop_assert!(ring.get(*node).expect("of this ring").weight > 0);
            }
            // By the definition: clockwise from the key, each node at its first point.
            let hash = ring.hash(key);
            let (behind, ahead): (Vec<_>, Vec<_>) =
                ring.positions().partition(|(position, _)| *position < hash);
            let mut clockwise = Vec::new();
            for (_, node) in ahead.into_iter().chain(behind) {
                if !clockwise.contains(&node) {
                    clockwise.push(node);
                }
            }
            clockwise.truncate(n);
            prop_assert_eq!(replicas, clockwise);
        }
    }

    #[test]
    fn invariant_9_shares_are_exact(
        members in members(), others in members(), config in config(), bits in hash_bits(),
    ) {
        let (ring, other) = (build(specs(&members), config, bits), build(specs(&others), config, bits));
        let shares = ring.shares();
        let whole = if ring.points() > 0 { 1 << 64 } else { 0 };
        prop_assert_eq!(shares.iter().sum::<u128>(), whole);
        for (index, share) in (0..).zip(&shares) {
            prop_assert_eq!(ring.share(NodeIndex::new(index)), *share);
        }
        prop_assert_eq!(ring.moved_share(&other), moved_by_asking(&ring, &other));
        prop_assert_eq!(ring.moved_share(&ring.clone()), 0);
    }

    #[test]
    fn invariant_11_owners_change_at_points_only(
        members in members(), config in config(), bits in hash_bits(),
    ) {
        let ring = build(specs(&members), config, bits);
        for hash in edges(&ring) {
            prop_assert_eq!(ring.node_for_hash(hash), oracle(&ring, hash), "{:x}", hash);
        }
    }
}

#[test]
fn invariant_9_equal_nodes_own_about_the_same() {
    let nodes = 20;
    let ring = Ring::new((0..nodes).map(|i| NodeSpec::new(format!("node-{i}"), 1))).unwrap();
    let mean = (2_f64).powi(64) / f64::from(nodes);
    let off = |share: u128| (share as f64 / mean - 1.0).powi(2);
    let deviation = (ring.shares().into_iter().map(off).sum::<f64>() / f64::from(nodes)).sqrt();
    assert!(deviation <= 1.3 / f64::from(ring.config().points_per_weight).sqrt(), "{deviation}");
    assert!(deviation > 0.0);
}

#[test]
fn colliding_points_are_all_kept_and_go_to_the_lower_id() {
    let nodes = ["b", "a", "c"].map(|id| NodeSpec::new(id, 1));
    let ring = Ring::with_cut_hash(nodes, RingConfig::default(), 8).unwrap();
    assert_eq!(ring.points(), 3 * 512);
    let mut shared = 0;
    let points: Vec<_> = ring.positions().collect();
    for pair in points.windows(2) {
        let [(low, first), (high, second)] = pair else { unreachable!() };
        assert!((low, first) <= (high, second));
        if low == high && first != second {
            shared += 1;
        }
    }
    assert!(shared > 100, "the cut makes nodes share positions: {shared}");
    // 512 points on 256 positions leave hardly anything to the last id.
    assert!(ring.shares()[0] > ring.shares()[2]);
}

#[test]
fn a_ring_without_points_finds_nobody() {
    for nodes in [vec![], vec![NodeSpec::new("listed", 0)]] {
        let ring = Ring::new(nodes).unwrap();
        assert_eq!(ring.node(b"key"), None);
        assert_eq!(ring.node_for_hash(u64::MAX), None);
        assert_eq!(ring.replicas(b"key", 5).len(), 0);
        assert_eq!(ring.replicas(b"key", 5).next(), None);
        assert_eq!(ring.lookup_batch(&[b"key"; 40]), [None; 40]);
        assert_eq!(ring.share(NodeIndex::new(0)), 0);
        let other = ring.with_node(NodeSpec::new("x", 1)).unwrap();
        assert_eq!(ring.moved_share(&other), 1 << 64);
        assert_eq!(other.moved_share(&ring), 1 << 64);
        assert_eq!(other.node(b"key"), other.index_of(b"x"));
    }
}

#[test]
fn what_cannot_be_a_ring_is_an_error_that_names_the_limit() {
    let code = |nodes: Vec<NodeSpec>| Ring::new(nodes).unwrap_err().code();
    let message = |nodes: Vec<NodeSpec>| Ring::new(nodes).unwrap_err().message().to_owned();

    assert_eq!(code(vec![NodeSpec::new("", 1)]), ErrorCode::InvalidArgument);
    let twice = vec![NodeSpec::new("a", 1), NodeSpec::new("b", 1), NodeSpec::new("a", 2)];
    assert_eq!(code(twice.clone()), ErrorCode::InvalidArgument);
    assert!(message(twice).contains("\"a\""));

    Ring::new([NodeSpec::new(vec![0; MAX_ID_BYTES], 1)]).unwrap();
    let long = vec![NodeSpec::new(vec![0; MAX_ID_BYTES + 1], 1)];
    assert_eq!(code(long.clone()), ErrorCode::LimitExceeded);
    assert!(message(long).contains("256"));

    let heavy = vec![NodeSpec::new("a", MAX_POINTS / 512), NodeSpec::new("b", 1)];
    assert_eq!(code(heavy.clone()), ErrorCode::LimitExceeded);
    assert!(message(heavy).contains("4194304"));
    let all = |_| NodeSpec::new("a", u32::MAX);
    assert_eq!(code((0..2).map(all).take(1).collect()), ErrorCode::LimitExceeded);

    let many = |count: u32| (0..count).map(|i| NodeSpec::new(i.to_le_bytes(), 0));
    let full = Ring::new(many(MAX_NODES)).unwrap();
    let error = Ring::new(many(MAX_NODES + 1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
    assert!(error.message().contains("65536"));
    let error = full.with_node(NodeSpec::new("one more", 0)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);

    let config = RingConfig { points_per_weight: 0, ..RingConfig::default() };
    let error = Ring::with_config([], config).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);

    let ring = Ring::new([NodeSpec::new("a", 1)]).unwrap();
    let codes = [
        ring.with_node(NodeSpec::new("a", 1)),
        ring.with_node(NodeSpec::new("", 1)),
        ring.without_node(b"b"),
        ring.with_weight(b"b", 1),
    ];
    for result in codes {
        assert_eq!(result.unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    let error = ring.with_weight(b"a", u32::MAX).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
}

#[test]
fn the_largest_ring_still_finds_its_points() {
    let config = RingConfig { points_per_weight: MAX_POINTS / 4, seed: 7 };
    let ring = Ring::with_config(["a", "b", "c", "d"].map(|id| NodeSpec::new(id, 1)), config);
    let ring = ring.unwrap();
    assert_eq!(ring.points(), MAX_POINTS);
    let mut last = None;
    for (position, node) in ring.positions() {
        // Of points at one position the first counts.
        if last != Some(position) {
            assert_eq!(ring.node_for_hash(position), Some(node));
        }
        last = Some(position);
    }
    assert_eq!(ring.shares().iter().sum::<u128>(), 1 << 64);
}

#[test]
fn many_replicas_of_a_large_ring_are_distinct() {
    let config = RingConfig { points_per_weight: 3, ..RingConfig::default() };
    let nodes = (0..1000_u32).map(|i| NodeSpec::new(i.to_le_bytes(), 1));
    let ring = Ring::with_config(nodes, config).unwrap();
    for n in [15, 16, 17, 64, 999, 1000, usize::MAX] {
        let nodes: BTreeSet<_> = ring.replicas(b"key", n).collect();
        assert_eq!(nodes.len(), n.min(1000));
    }
}

#[test]
fn a_ring_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone>() {}
    shareable::<Ring>();
}
