//! The placement that other implementations must reproduce, as computed by one of them.

use comity::ring::{NodeSpec, Ring, RingConfig};
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/ring_native.json");

fn number(value: &Value) -> u64 {
    // JSON readers may round above 2^53, so 64-bit numbers are written as hexadecimal text.
    match value {
        Value::String(text) => u64::from_str_radix(text, 16).expect("hexadecimal"),
        value => value.as_u64().expect("a number"),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal text");
    let byte = |i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn native_rings_are_as_computed_elsewhere() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let rings = list(&vectors["rings"]);
    assert!(rings.len() >= 5);
    for expected in rings {
        let name = expected["name"].as_str().expect("a name");
        let weight = |node: &Value| u32::try_from(number(&node["weight"])).expect("a weight");
        let node = |node: &Value| NodeSpec::new(bytes(&node["id_hex"]), weight(node));
        let points_per_weight = number(&expected["points_per_weight"]).try_into().expect("a u32");
        let config = RingConfig { seed: number(&expected["seed_hex"]), points_per_weight };
        let ring = Ring::with_config(list(&expected["nodes"]).iter().map(node), config)
            .expect("a valid ring");

        assert_eq!(u64::from(ring.points()), number(&expected["points"]), "{name}");
        assert_eq!(ring.fingerprint(), number(&expected["fingerprint_hex"]), "{name}");
        let keys = list(&expected["keys"]);
        assert!(!keys.is_empty());
        for expected in keys {
            let key = bytes(&expected["key_hex"]);
            assert_eq!(ring.hash(&key), number(&expected["hash_hex"]), "{name}");
            let ids = ring.replicas(&key, 3).filter_map(|node| ring.node_id(node));
            let sought = list(&expected["replica_ids_hex"]).iter().map(bytes);
            assert_eq!(ids.collect::<Vec<_>>(), sought.collect::<Vec<_>>(), "{name}");
        }
        let shares = list(&expected["shares"]).iter().map(|share| {
            share.as_str().expect("decimal text").parse::<u128>().expect("decimal text")
        });
        assert_eq!(ring.shares(), shares.collect::<Vec<_>>(), "{name}");
    }
}
