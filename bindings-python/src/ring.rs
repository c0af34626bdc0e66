//! The ring as a value.

use std::hash::{DefaultHasher, Hash, Hasher};

use comity::ring::{self, NodeSpec, RingConfig};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::error::{invalid, raised};

/// See `_core.pyi`.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Ring(pub(crate) ring::Ring);

/// Bytes, or text as UTF-8.
fn bytes<'a>(value: &'a Bound<'_, PyAny>, what: &str) -> PyResult<&'a [u8]> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes());
    }
    match value.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.as_bytes()),
        Err(_) => {
            let kind = value.get_type().name()?;
            Err(invalid(value.py(), format!("{what}: a {kind}, not str or bytes")))
        }
    }
}

/// An id as text where it is UTF-8, else as bytes.
fn id<'py>(py: Python<'py>, id: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match core::str::from_utf8(id) {
        Ok(text) => text.into_bound_py_any(py),
        Err(_) => Ok(PyBytes::new(py, id).into_any()),
    }
}

fn weight(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    value.extract::<u32>().map_err(|_| {
        let shown = value.repr().map_or_else(|_| String::new(), |text| text.to_string());
        invalid(value.py(), format!("weight: {shown} is not an integer from 0 to {}", u32::MAX))
    })
}

fn node_spec(item: &Bound<'_, PyAny>) -> PyResult<NodeSpec> {
    if let Ok((node, number)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
        && item.cast::<PyString>().is_err()
        && item.cast::<PyBytes>().is_err()
    {
        return Ok(NodeSpec::new(bytes(&node, "node id")?, weight(&number)?));
    }
    Ok(NodeSpec::new(bytes(item, "node id")?, 1))
}

impl Ring {
    fn wrap(py: Python<'_>, ring: comity::error::Result<ring::Ring>) -> PyResult<Self> {
        ring.map(Self).map_err(|error| raised(py, &error))
    }
}

#[pymethods]
impl Ring {
    #[new]
    #[pyo3(signature = (nodes=None, *, seed=0, points_per_weight=512))]
    fn new(
        py: Python<'_>,
        nodes: Option<&Bound<'_, PyAny>>,
        seed: u64,
        points_per_weight: u32,
    ) -> PyResult<Self> {
        let specs = match nodes {
            Some(nodes) => {
                nodes.try_iter()?.map(|item| node_spec(&item?)).collect::<PyResult<Vec<_>>>()?
            }
            None => Vec::new(),
        };
        Self::wrap(py, ring::Ring::with_config(specs, RingConfig { seed, points_per_weight }))
    }

    fn node<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.0.node(bytes(key, "key")?);
        found.and_then(|index| self.0.node_id(index)).map(|node| id(key.py(), node)).transpose()
    }

    fn replicas<'py>(&self, key: &Bound<'py, PyAny>, n: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(key.py());
        for index in self.0.replicas(bytes(key, "key")?, n) {
            list.append(id(key.py(), self.0.node_id(index).unwrap_or_default())?)?;
        }
        Ok(list)
    }

    fn nodes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for node in self.0.nodes() {
            list.append((id(py, &node.id)?, node.weight))?;
        }
        Ok(list)
    }

    #[pyo3(signature = (id, weight=1))]
    fn with_node(&self, id: &Bound<'_, PyAny>, weight: u32) -> PyResult<Self> {
        Self::wrap(id.py(), self.0.with_node(NodeSpec::new(bytes(id, "node id")?, weight)))
    }

    fn without_node(&self, id: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::wrap(id.py(), self.0.without_node(bytes(id, "node id")?))
    }

    /// The share of all keys that `other` places on a different node: from 0 to 1.
    fn moved_share(&self, other: &Self) -> f64 {
        self.0.moved_share(&other.0) as f64 / 2_f64.powi(64)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.fingerprint().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("Ring({} nodes, fingerprint {:016x})", self.0.len(), self.0.fingerprint())
    }

    #[getter]
    fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
    }
}
