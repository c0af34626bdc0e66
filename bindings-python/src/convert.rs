//! Replies between Python values and the core.

use comity::redis::{Reply, words};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
};

use crate::error::invalid;

/// Deeper than any reply of a Redis command.
const MAX_DEPTH: u32 = 32;

/// An error as a server sent it, code word and all. `str` gives it as messages have it: short,
/// and without control characters.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct ErrorReply {
    /// The server's words.
    #[pyo3(get)]
    text: Py<PyBytes>,
}

#[pymethods]
impl ErrorReply {
    #[new]
    const fn new(text: Py<PyBytes>) -> Self {
        Self { text }
    }

    /// As messages have it.
    fn __str__(&self, py: Python<'_>) -> String {
        words(self.text.as_bytes(py))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ErrorReply({})", self.text.bind(py).repr()?))
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> bool {
        self.text.as_bytes(py) == other.text.as_bytes(py)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.text.bind(py).hash()
    }
}

/// A reply as the driver got it.
pub(crate) fn reply(value: &Bound<'_, PyAny>) -> PyResult<Reply> {
    nested(value, MAX_DEPTH)
}

fn nested(value: &Bound<'_, PyAny>, depth: u32) -> PyResult<Reply> {
    let py = value.py();
    let deeper = depth
        .checked_sub(1)
        .ok_or_else(|| invalid(py, format!("reply: nested more than {MAX_DEPTH} levels deep")));
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Reply::Bulk(bytes.as_bytes().to_vec()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        let deeper = deeper?;
        return list
            .iter()
            .map(|item| nested(&item, deeper))
            .collect::<PyResult<_>>()
            .map(Reply::Array);
    }
    if value.is_none() {
        return Ok(Reply::Nil);
    }
    if let Ok(error) = value.cast::<ErrorReply>() {
        return Ok(Reply::Error(error.get().text.as_bytes(py).to_vec()));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Reply::Boolean(flag.is_true()));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return Ok(match number.extract::<i64>() {
            Ok(number) => Reply::Integer(number),
            Err(_) => Reply::BigNumber(number.str()?.to_str()?.into()),
        });
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Reply::Simple(text.to_str()?.into()));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Reply::Double(number.repr()?.to_str()?.into()));
    }
    if let Ok(pairs) = value.cast::<PyDict>() {
        let deeper = deeper?;
        let pairs =
            pairs.iter().map(|(key, item)| Ok((nested(&key, deeper)?, nested(&item, deeper)?)));
        return pairs.collect::<PyResult<_>>().map(Reply::Map);
    }
    let set = value.cast::<PySet>().is_ok() || value.cast::<PyFrozenSet>().is_ok();
    if set || value.cast::<PyTuple>().is_ok() {
        let deeper = deeper?;
        let items = value.try_iter()?.map(|item| nested(&item?, deeper));
        let items = items.collect::<PyResult<Vec<_>>>()?;
        return Ok(if set { Reply::Set(items) } else { Reply::Array(items) });
    }
    Err(invalid(
        py,
        format!("reply: a {} is none of the values of a reply", value.get_type().name()?),
    ))
}

/// A reply as Python sees it.
pub(crate) fn value<'py>(py: Python<'py>, reply: &Reply) -> PyResult<Bound<'py, PyAny>> {
    match reply {
        Reply::Nil => Ok(py.None().into_bound(py)),
        Reply::Simple(text) => String::from_utf8_lossy(text).into_bound_py_any(py),
        Reply::Error(text) => {
            ErrorReply::new(PyBytes::new(py, text).unbind()).into_bound_py_any(py)
        }
        Reply::Integer(number) => number.into_bound_py_any(py),
        Reply::Bulk(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
        Reply::Double(text) => py.get_type::<PyFloat>().call1((String::from_utf8_lossy(text),)),
        Reply::BigNumber(text) => py.get_type::<PyInt>().call1((String::from_utf8_lossy(text),)),
        Reply::Boolean(flag) => flag.into_bound_py_any(py),
        Reply::Array(items) | Reply::Set(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(value(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Reply::Map(pairs) => {
            let dict = PyDict::new(py);
            for (key, item) in pairs {
                dict.set_item(value(py, key)?, value(py, item)?)?;
            }
            Ok(dict.into_any())
        }
        _ => Err(invalid(py, "reply: of a kind that this binding does not know")),
    }
}
