//! The ring as a value.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use comity::ring::{self, NodeIndex, NodeSpec, RingConfig};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping, PyString, PyTuple};

use crate::amount::whole;
use crate::error::{invalid, raised};

/// Which node each key belongs to. An immutable value, which can be pickled.
///
/// Keys and ids are bytes, or str as UTF-8; an id comes back as it was given: `Ring[str]` has ids
/// of text, `Ring[bytes]` of bytes. The same nodes give the same placement in every process and
/// every language, whether their ids were text or bytes.
#[pyclass(frozen, generic, module = "comity._core")]
pub(crate) struct Ring {
    ring: ring::Ring,
    /// The ids of the nodes, in the order of their indexes, as they were given: str or bytes.
    ids: Vec<Py<PyAny>>,
}

/// Bytes, or text as UTF-8. Raises `InvalidArgument`.
fn bytes<'a>(value: &'a Bound<'_, PyAny>, what: &str) -> PyResult<&'a [u8]> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes());
    }
    match value.cast::<PyString>() {
        Ok(text) => text.to_str().map(str::as_bytes).map_err(|error| {
            let why = error.value(value.py());
            invalid(value.py(), format!("{what} is not valid Unicode: {why}"))
        }),
        Err(_) => {
            let kind = value.get_type().name()?;
            Err(invalid(value.py(), format!("{what}: a {kind}, not str or bytes")))
        }
    }
}

fn weight(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    whole(value, "weight", u32::MAX.into())
}

/// A node, and its id as it was given.
fn node_spec(item: &Bound<'_, PyAny>) -> PyResult<(NodeSpec, Py<PyAny>)> {
    if let Ok((node, number)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
        && !is_one_id(item)
    {
        let spec = NodeSpec::new(bytes(&node, "node id")?, weight(&number)?);
        return Ok((spec, node.unbind()));
    }
    Ok((NodeSpec::new(bytes(item, "node id")?, 1), item.clone().unbind()))
}

fn is_one_id(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyString>().is_ok() || value.cast::<PyBytes>().is_ok()
}

impl Ring {
    /// The ring with ids as they were given: those of `given`, in any order.
    fn wrap(
        py: Python<'_>,
        ring: comity::error::Result<ring::Ring>,
        given: impl IntoIterator<Item = Py<PyAny>>,
    ) -> PyResult<Self> {
        let ring = ring.map_err(|error| raised(py, &error))?;
        let given = given
            .into_iter()
            .map(|id| Ok((bytes(id.bind(py), "node id")?.to_vec(), id.clone_ref(py))))
            .collect::<PyResult<HashMap<_, _>>>()?;
        let ids = ring.nodes().iter().map(|node| match given.get(&node.id) {
            Some(id) => Ok(id.clone_ref(py)),
            None => text(py, &node.id),
        });
        let ids = ids.collect::<PyResult<_>>()?;
        Ok(Self { ring, ids })
    }

    /// A ring whose ids are text. What is no UTF-8 is escaped as in the names of files.
    pub(crate) fn of_text(py: Python<'_>, ring: ring::Ring) -> PyResult<Self> {
        Self::wrap(py, Ok(ring), [])
    }

    fn given(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.ids.iter().map(|id| id.clone_ref(py)).collect()
    }

    fn id(&self, py: Python<'_>, index: NodeIndex) -> Option<Py<PyAny>> {
        self.ids.get(index.number() as usize).map(|id| id.clone_ref(py))
    }
}

fn text(py: Python<'_>, id: &[u8]) -> PyResult<Py<PyAny>> {
    let text = PyBytes::new(py, id).call_method1("decode", ("utf-8", "surrogateescape"))?;
    Ok(text.unbind())
}

#[pymethods]
impl Ring {
    #[new]
    #[pyo3(
        signature = (nodes=None, *, seed=None, points_per_weight=None),
        text_signature = "(nodes=None, *, seed=0, points_per_weight=512)"
    )]
    fn new(
        py: Python<'_>,
        nodes: Option<&Bound<'_, PyAny>>,
        seed: Option<&Bound<'_, PyAny>>,
        points_per_weight: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut config = RingConfig::default();
        if let Some(seed) = seed {
            config.seed = whole(seed, "seed", u64::MAX)?;
        }
        if let Some(points) = points_per_weight {
            config.points_per_weight = whole(points, "points_per_weight", u32::MAX.into())?;
        }
        let mut specs = Vec::new();
        let mut given = Vec::new();
        if let Some(nodes) = nodes {
            if is_one_id(nodes) {
                let kind = nodes.get_type().name()?;
                let message = format!("nodes: a {kind} is one id, not several: give a list of ids");
                return Err(invalid(py, message));
            }
            // A mapping is of ids to weights.
            let mapped = nodes.cast::<PyMapping>().ok();
            let items = match mapped {
                Some(weights) => weights.items()?.into_any(),
                None => nodes.clone(),
            };
            let items = items.try_iter().map_err(|_| {
                let kind = nodes.get_type();
                invalid(
                    py,
                    format!("nodes: {kind} is no list of ids, and no dict of their weights"),
                )
            })?;
            for item in items {
                let (spec, id) = node_spec(&item?)?;
                specs.push(spec);
                given.push(id);
            }
        }
        let ring = ring::Ring::with_config(specs, config);
        Self::wrap(py, ring, given)
    }

    /// The node a key belongs to; None on an empty ring.
    fn node(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let found = self.ring.node(bytes(key, "key")?);
        Ok(found.and_then(|index| self.id(key.py(), index)))
    }

    /// The first `n` different nodes for a key, the owner first.
    fn replicas<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        n: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let n: usize = whole(n, "n", u64::MAX)?;
        let list = PyList::empty(key.py());
        for index in self.ring.replicas(bytes(key, "key")?, n) {
            list.append(self.id(key.py(), index))?;
        }
        Ok(list)
    }

    /// Ids and weights, sorted by id.
    fn nodes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for (node, id) in self.ring.nodes().iter().zip(&self.ids) {
            list.append((id, node.weight))?;
        }
        Ok(list)
    }

    /// A ring with one node more. Raises `InvalidArgument` for one that it has.
    #[pyo3(signature = (id, weight=None), text_signature = "($self, id, weight=1)")]
    fn with_node(
        &self,
        id: &Bound<'_, PyAny>,
        weight: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = id.py();
        let units = weight.map_or(Ok(1), self::weight)?;
        let ring = self.ring.with_node(NodeSpec::new(bytes(id, "node id")?, units));
        let given = self.given(py).into_iter().chain([id.clone().unbind()]);
        Self::wrap(py, ring, given)
    }

    /// A ring with another weight for one node. Raises `InvalidArgument` where there is none of
    /// this id.
    fn with_weight(&self, id: &Bound<'_, PyAny>, weight: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = id.py();
        let ring = self.ring.with_weight(bytes(id, "node id")?, self::weight(weight)?);
        Self::wrap(py, ring, self.given(py))
    }

    /// A ring with one node less. Raises `InvalidArgument` where there is none of this id.
    fn without_node(&self, id: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = id.py();
        Self::wrap(py, self.ring.without_node(bytes(id, "node id")?), self.given(py))
    }

    /// The share of all keys that `other` places elsewhere, 0.0..1.0.
    fn moved_share(&self, other: &Self) -> f64 {
        self.ring.moved_share(&other.ring) as f64 / 2_f64.powi(64)
    }

    /// For `pickle`: how to make the same ring.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Py<PyAny>, Bound<'py, PyTuple>)> {
        let RingConfig { seed, points_per_weight } = self.ring.config();
        let options = PyDict::new(py);
        options.set_item("seed", seed)?;
        options.set_item("points_per_weight", points_per_weight)?;
        let make = py.import("copyreg")?.getattr("__newobj_ex__")?.unbind();
        let arguments = (py.get_type::<Self>(), (self.nodes(py)?,), options);
        Ok((make, arguments.into_pyobject(py)?))
    }

    /// Nothing can change it: a copy is the same.
    const fn __copy__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// As `__copy__`.
    const fn __deepcopy__<'py>(
        slf: PyRef<'py, Self>,
        _memo: &Bound<'_, PyAny>,
    ) -> PyRef<'py, Self> {
        slf
    }

    fn __len__(&self) -> usize {
        self.ring.len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.ring == other.ring
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.ring.fingerprint().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("Ring({} nodes, fingerprint {:016x})", self.ring.len(), self.ring.fingerprint())
    }

    /// Equal for rings that place every key alike.
    #[getter]
    fn fingerprint(&self) -> u64 {
        self.ring.fingerprint()
    }
}
