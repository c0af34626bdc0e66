//! The consistent-hash ring.

use comity::error::Result;
use comity::ring::{NodeIndex, NodeSpec, Ring};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::convert::{bytes, invalid, property, thrown, u32_from};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r"
/** Bytes; a string stands for its UTF-8. */
export type Bytes = string | Uint8Array;

/** A member of a ring. */
export interface NodeSpec {
  /** Identity, 1 to 256 bytes, unique within a ring. */
  id: Bytes;
  /** Share of the keys relative to the other nodes, 1 by default; 0 = listed, but given no keys. */
  weight?: number | bigint;
}
";

#[wasm_bindgen]
extern "C" {
    /// A list of `NodeSpec`.
    #[wasm_bindgen(typescript_type = "NodeSpec[]")]
    pub type NodeSpecs;

    /// A string or `Uint8Array`.
    #[wasm_bindgen(typescript_type = "Bytes")]
    pub type Bytes;

    /// The owner of a key, or null.
    #[wasm_bindgen(typescript_type = "Bytes | null")]
    pub type Owner;

    /// The owners of a key.
    #[wasm_bindgen(typescript_type = "Bytes[]")]
    pub type Owners;

    /// A safe integer or `BigInt`.
    #[wasm_bindgen(typescript_type = "number | bigint")]
    pub type Integer;
}

/// A consistent-hash ring. It never changes.
#[wasm_bindgen(js_name = Ring)]
#[derive(Debug)]
pub struct JsRing {
    ring: Ring,
    /// The ids in the ring's order as they were given, so that a lookup creates nothing.
    ids: Vec<JsValue>,
}

#[wasm_bindgen(js_class = Ring)]
impl JsRing {
    /// A ring of the given nodes, in any order. No nodes at all make a ring that finds no node.
    ///
    /// Throws a `ComityError` with code 1 for a value of another type or range, an empty id or
    /// one that is there twice; with code 2 beyond 65536 nodes, 4194304 points (512 per
    /// weight unit) or 256 bytes of an id.
    ///
    /// # Errors
    ///
    /// As thrown.
    #[wasm_bindgen(constructor)]
    pub fn new(nodes: &NodeSpecs) -> std::result::Result<JsRing, JsValue> {
        Self::build(nodes).map_err(|error| thrown(&error))
    }

    /// How many nodes it has, those of weight 0 included.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn size(&self) -> usize {
        self.ring.len()
    }

    /// The id of the node that owns a key, a string if it was given as one, else a `Uint8Array`;
    /// null if no node has a weight.
    ///
    /// Throws a `ComityError` with code 1 if the key is neither string nor `Uint8Array`.
    ///
    /// # Errors
    ///
    /// As thrown.
    pub fn node(&self, key: &Bytes) -> std::result::Result<Owner, JsValue> {
        let key = bytes(key, "key").map_err(|error| thrown(&error))?;
        let id = self.ring.node(&key).map_or(JsValue::NULL, |node| self.id(node));
        Ok(id.unchecked_into())
    }

    /// The ids of the first `n` nodes that hold a key: distinct, the owner first. Fewer if fewer
    /// nodes have a weight.
    ///
    /// Throws a `ComityError` with code 1 if the key is neither string nor `Uint8Array`, or `n` not
    /// a whole number from 0 to 4294967295.
    ///
    /// # Errors
    ///
    /// As thrown.
    pub fn replicas(&self, key: &Bytes, n: &Integer) -> std::result::Result<Owners, JsValue> {
        let find = || -> Result<Array> {
            let (key, n) = (bytes(key, "key")?, u32_from(n, "n")?);
            Ok(self.ring.replicas(&key, n as usize).map(|node| self.id(node)).collect())
        };
        find().map(JsCast::unchecked_into).map_err(|error| thrown(&error))
    }

    /// 64 bits as a `BigInt` that stand for the nodes, their weights and the configuration: peers
    /// with equal ones place keys alike.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.ring.fingerprint()
    }
}

impl JsRing {
    fn build(nodes: &JsValue) -> Result<Self> {
        let Some(nodes) = nodes.dyn_ref::<Array>() else {
            return Err(invalid("nodes must be an array".into()));
        };
        let specs: Vec<(NodeSpec, bool)> =
            nodes.iter().map(|node| spec(&node)).collect::<Result<_>>()?;
        let ring = Ring::new(specs.iter().map(|(spec, _)| spec.clone()))?;
        let mut ids = vec![JsValue::NULL; ring.len()];
        for (spec, text) in specs {
            let at = ring.index_of(&spec.id).map(|node| node.number() as usize);
            if let Some(id) = at.and_then(|at| ids.get_mut(at)) {
                // A copy, so that nobody changes what the ring gives others.
                *id = match String::from_utf8(spec.id) {
                    Ok(id) if text => id.into(),
                    Ok(id) => Uint8Array::from(id.as_bytes()).into(),
                    Err(id) => Uint8Array::from(id.as_bytes()).into(),
                };
            }
        }
        Ok(Self { ring, ids })
    }

    fn id(&self, node: NodeIndex) -> JsValue {
        let Some(id) = self.ids.get(node.number() as usize) else { return JsValue::NULL };
        match id.dyn_ref::<Uint8Array>() {
            // Unlike a string it could be changed by who gets it.
            Some(bytes) => bytes.slice(0, bytes.length()).into(),
            None => id.clone(),
        }
    }
}

/// A node and whether its id was given as text.
fn spec(node: &JsValue) -> Result<(NodeSpec, bool)> {
    let id = property(node, "id")?;
    let weight = match property(node, "weight")? {
        weight if weight.is_undefined() => 1,
        weight => u32_from(&weight, "weight")?,
    };
    Ok((NodeSpec::new(bytes(&id, "id")?, weight), id.is_string()))
}
