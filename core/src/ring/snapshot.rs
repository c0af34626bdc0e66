//! A ring as bytes. Section 1: the scheme, 0 for the one there is, the seed and the points per
//! weight unit, as uvarints. Section 3: the nodes by rising id, each as the length of its id, the id,
//! and the weight.

use alloc::format;
use alloc::vec::Vec;

use super::{MAX_ID_BYTES, NodeSpec, Ring, RingConfig};
use crate::error::Result;
use crate::snapshot::{Reader, Sections, Snapshot, corrupt, write_uvarint};

const CONFIG: u64 = 1;
const NODES: u64 = 3;
const SCHEME: u64 = 0;

impl Snapshot for Ring {
    const KIND: u8 = 3;

    fn write(&self, sections: &mut Sections) {
        let RingConfig { seed, points_per_weight } = self.config();
        let mut config = Vec::new();
        for number in [SCHEME, seed, u64::from(points_per_weight)] {
            write_uvarint(&mut config, number);
        }
        sections.put(CONFIG, config);
        let mut nodes = Vec::new();
        for node in self.nodes() {
            write_uvarint(&mut nodes, node.id.len() as u64);
            nodes.extend_from_slice(&node.id);
            write_uvarint(&mut nodes, u64::from(node.weight));
        }
        sections.put(NODES, nodes);
    }

    fn read(sections: &mut Sections) -> Result<Self> {
        let (config, bytes) = (sections.take(CONFIG), sections.take(NODES));
        let mut reader = Reader::new(&config);
        let scheme = reader.uvarint()?;
        if scheme != SCHEME {
            return Err(corrupt(format!("scheme {scheme} is unknown here")));
        }
        let seed = reader.uvarint()?;
        let points_per_weight = small(reader.uvarint()?)?;
        if !reader.is_at_end() {
            return Err(corrupt(format!("{} bytes behind the configuration", reader.left())));
        }
        let mut reader = Reader::new(&bytes);
        let mut nodes: Vec<NodeSpec> = Vec::new();
        while !reader.is_at_end() {
            let length = small(reader.uvarint()?)? as usize;
            let id = reader.bytes(length.min(MAX_ID_BYTES + 1))?;
            if nodes.last().is_some_and(|last| last.id.as_slice() >= id) {
                return Err(corrupt(format!("node \"{}\" is out of order", id.escape_ascii())));
            }
            nodes.push(NodeSpec::new(id, small(reader.uvarint()?)?));
        }
        Self::with_config(nodes, RingConfig { seed, points_per_weight })
            .map_err(|error| corrupt(error.message()))
    }
}

fn small(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| corrupt(format!("the number {number} is above 2^32 - 1")))
}
