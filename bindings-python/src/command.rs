//! A command for the driver.

use comity::redis::{self, NodeId, Origin, RequestId, Route};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::coordinator::at;
use crate::error::invalid;

/// One Redis command, rendered. Send it once, before `deadline`, and report what came of it.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Command(redis::Command);

/// A command with what is to be known to put it where it belongs: its node, whom it serves, and
/// whether it goes over a connection of its own.
pub(crate) type Ready = (Command, u32, Option<u64>, bool);

impl Command {
    pub(crate) fn ready(command: redis::Command) -> Ready {
        let command = Self(command);
        let (node, origin) = (command.node(), command.origin());
        let aside = command.0.route != Route::Node;
        (command, node, origin, aside)
    }

    pub(crate) const fn inner(&self) -> &redis::Command {
        &self.0
    }
}

impl From<redis::Command> for Command {
    fn from(command: redis::Command) -> Self {
        Self(command)
    }
}

#[pymethods]
impl Command {
    /// One that no core has made, to try a driver with.
    #[new]
    #[pyo3(signature = (request, argv, deadline, *, node=0, origin=None, route="node"))]
    fn new(
        py: Python<'_>,
        request: u64,
        argv: Vec<Bound<'_, PyBytes>>,
        deadline: u64,
        node: u32,
        origin: Option<u64>,
        route: &str,
    ) -> PyResult<Self> {
        let route = match route {
            "node" => Route::Node,
            "subscribe" => Route::Subscribe,
            "blocking" => Route::Blocking,
            other => {
                let known = "'node', 'subscribe' or 'blocking'";
                return Err(invalid(py, format!("route: {other:?} is not {known}")));
            }
        };
        Ok(Self(redis::Command {
            request: RequestId(request),
            node: NodeId(node),
            route,
            origin: origin.map_or(Origin::Background, Origin::Operation),
            deadline: at(deadline),
            argv: argv.iter().map(|word| word.as_bytes()).collect(),
        }))
    }

    /// What to pass to `handle_reply` or `handle_failure`.
    #[getter]
    pub(crate) const fn request(&self) -> u64 {
        self.0.request.0
    }

    /// The number of the node it goes to.
    #[getter]
    const fn node(&self) -> u32 {
        self.0.node.0
    }

    /// `subscribe`: open the push connection and send it there. `blocking`: over a connection
    /// that serves this route alone. All of them that are ready for a node leave in one write;
    /// what cannot is not sent, and never sent on another connection.
    #[getter]
    const fn route(&self) -> &'static str {
        match self.0.route {
            Route::Subscribe => "subscribe",
            Route::Blocking => "blocking",
            _ => "node",
        }
    }

    /// The lock, counter, call or transaction it serves, or the end of which it follows; None is
    /// background work of the core.
    #[getter]
    pub(crate) const fn origin(&self) -> Option<u64> {
        match self.0.origin {
            Origin::Operation(number) => Some(number),
            Origin::Background => None,
        }
    }

    /// When to give up.
    #[getter]
    pub(crate) const fn deadline(&self) -> u64 {
        self.0.deadline.as_micros()
    }

    /// The command and its arguments.
    #[getter]
    fn argv<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.argv.iter().map(|word| PyBytes::new(py, word)))
    }

    /// The same as RESP bytes, ready for the socket.
    #[getter]
    fn packed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.argv.to_resp())
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
