//! Eight bytes that stand for all that decides where keys go.

use xxhash_rust::xxh3::Xxh3Default;

use super::RingConfig;
use super::node::NodeSpec;

/// The scheme's number; others may follow.
const NATIVE: u8 = 0;

/// As described at [`Ring::fingerprint`](super::Ring::fingerprint).
pub(super) fn of(config: RingConfig, nodes: &[NodeSpec]) -> u64 {
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let mut hash = Xxh3Default::new();
    hash.update(b"comity.ring.1");
    hash.update(&[NATIVE]);
    hash.update(&config.seed.to_le_bytes());
    hash.update(&config.points_per_weight.to_le_bytes());
    hash.update(&count.to_le_bytes());
    for node in nodes {
        let length = u16::try_from(node.id.len()).unwrap_or(u16::MAX);
        hash.update(&length.to_le_bytes());
        hash.update(&node.id);
        hash.update(&node.weight.to_le_bytes());
    }
    hash.digest()
}
