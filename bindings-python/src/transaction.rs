//! Transactions in the words of Python.

use comity::redis::Reply;
use comity::time::Span;
use comity::transaction::{
    Ack, CopyLimits, Durability, Expectation, Heuristic, TransactionOptions, Words,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::convert;
use crate::error::invalid;

/// Commands, each its name and its arguments.
pub(crate) fn commands(commands: &Bound<'_, PyAny>) -> PyResult<Vec<Words>> {
    commands.try_iter()?.map(|words| self::words(&words?)).collect()
}

fn words(words: &Bound<'_, PyAny>) -> PyResult<Words> {
    let word = |word: PyResult<Bound<'_, PyAny>>| Ok(word?.cast::<PyBytes>()?.as_bytes().to_vec());
    words.try_iter()?.map(word).collect()
}

/// `("value", key, value)`, `("exists", key)`, `("absent", key)`, `("unchanged", words, reply)`.
pub(crate) fn expectations(items: &Bound<'_, PyAny>) -> PyResult<Vec<Expectation>> {
    items.try_iter()?.map(|item| expectation(&item?)).collect()
}

fn expectation(item: &Bound<'_, PyAny>) -> PyResult<Expectation> {
    let py = item.py();
    let parts: Vec<Bound<'_, PyAny>> = item.cast::<PyTuple>()?.iter().collect();
    let bytes = |at: usize| -> PyResult<Vec<u8>> {
        let part = parts.get(at).ok_or_else(|| invalid(py, "expectations: a part is missing"))?;
        Ok(part.cast::<PyBytes>()?.as_bytes().to_vec())
    };
    let kind: String = match parts.first() {
        Some(kind) => kind.extract()?,
        None => return Err(invalid(py, "expectations: an empty tuple")),
    };
    Ok(match (kind.as_str(), parts.len()) {
        ("value", 3) => Expectation::Value { key: bytes(1)?, value: bytes(2)? },
        ("exists", 2) => Expectation::Exists { key: bytes(1)? },
        ("absent", 2) => Expectation::Absent { key: bytes(1)? },
        ("unchanged", 3) => {
            let reply: Reply = convert::reply(&parts[2])?;
            Expectation::Unchanged { read: words(&parts[1])?, reply }
        }
        _ => {
            let message = format!("expectations: {kind:?} with {} parts is none", parts.len());
            return Err(invalid(py, message));
        }
    })
}

/// The options of a transaction.
pub(crate) fn options(
    py: Python<'_>,
    ack: &str,
    timeout_us: Option<u64>,
    patience_us: Option<u64>,
    copy_elements: Option<u32>,
    copy_bytes: Option<u32>,
    replicas: Option<(u32, u64)>,
) -> PyResult<TransactionOptions> {
    let ack = match ack {
        "applied" => Ack::Applied,
        "decided" => Ack::Decided,
        other => {
            return Err(invalid(py, format!("ack: {other:?} is not 'applied' or 'decided'")));
        }
    };
    let default = CopyLimits::default();
    let copy = CopyLimits {
        elements: copy_elements.unwrap_or(default.elements),
        bytes: copy_bytes.unwrap_or(default.bytes),
    };
    let [timeout, patience] = [timeout_us, patience_us].map(|us| us.map(Span::from_micros));
    let durability = replicas.map_or(Durability::None, |(replicas, timeout)| Durability::Wait {
        replicas,
        timeout: Span::from_micros(timeout),
    });
    Ok(TransactionOptions { ack, timeout, patience, copy, durability })
}

/// What an operator decides.
pub(crate) fn heuristic(py: Python<'_>, heuristic: Option<&str>) -> PyResult<Option<Heuristic>> {
    match heuristic {
        None => Ok(None),
        Some("commit") => Ok(Some(Heuristic::Commit)),
        Some("abort") => Ok(Some(Heuristic::Abort)),
        Some(other) => Err(invalid(py, format!("heuristic: {other:?} is not 'commit' or 'abort'"))),
    }
}
