//! Where a server is, and how to be let in there: what a URL says.

use comity::redis::wire::{self, Address, Purpose};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::connection::Connection;
use crate::coordinator::at;
use crate::error::invalid;

/// What a URL says. Users and passwords stay inside.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Endpoint(wire::Endpoint);

#[pymethods]
impl Endpoint {
    /// Raises `InvalidArgument`, naming the part that is wrong; nothing of the URL is in its words.
    #[new]
    fn new(py: Python<'_>, url: &str) -> PyResult<Self> {
        wire::Endpoint::parse(url).map(Self).map_err(|wrong| invalid(py, wrong.to_string()))
    }

    /// A name or an address; None of a socket with a path.
    #[getter]
    fn host(&self) -> Option<&str> {
        match &self.0.address {
            Address::Tcp { host, .. } | Address::Tls { host, .. } => Some(host),
            Address::Unix { .. } => None,
        }
    }

    /// The port; None of a socket with a path.
    #[getter]
    const fn port(&self) -> Option<u16> {
        match self.0.address {
            Address::Tcp { port, .. } | Address::Tls { port, .. } => Some(port),
            Address::Unix { .. } => None,
        }
    }

    /// The path of a socket of this machine.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.0.address {
            Address::Unix { path } => Some(PyBytes::new(py, path)),
            _ => None,
        }
    }

    /// Whether TLS is spoken.
    #[getter]
    const fn tls(&self) -> bool {
        matches!(self.0.address, Address::Tls { .. })
    }

    /// The commands and bytes of a connection there that was made just now.
    #[pyo3(signature = (now, *, messages=false))]
    fn connection(&self, now: u64, messages: bool) -> Connection {
        let purpose = if messages { Purpose::Messages } else { Purpose::Commands };
        Connection::of(wire::Connection::new(purpose, Some(&self.0.login), at(now)))
    }
}
