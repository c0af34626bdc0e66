//! The extension module `comity._core`: the core as it is, for Python. `comity/_core.pyi` has its
//! documentation. Everything here converts; nothing decides.

mod amount;
mod baton;
mod cell;
mod collector;
mod command;
mod connection;
mod convert;
mod coordinator;
mod counter;
mod dropped;
mod endpoint;
mod error;
mod event;
mod exchange;
mod host;
mod memory;
mod outbox;
mod peer;
mod ring;
mod sink;
mod transaction;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::baton::{Baton, forward};
    #[pymodule_export]
    use super::command::Command;
    #[pymodule_export]
    use super::connection::Connection;
    #[pymodule_export]
    use super::convert::ErrorReply;
    #[pymodule_export]
    use super::coordinator::Coordinator;
    #[pymodule_export]
    use super::counter::Counter;
    #[pymodule_export]
    use super::dropped::leave;
    #[pymodule_export]
    use super::endpoint::Endpoint;
    #[pymodule_export]
    use super::event::Event;
    #[pymodule_export]
    use super::exchange::Exchange;
    #[pymodule_export]
    use super::memory::MemoryStore;
    #[pymodule_export]
    use super::outbox::{hand_over, refuse, refuse_late};
    #[pymodule_export]
    use super::peer::{PNCounter, forked};
    #[pymodule_export]
    use super::ring::Ring;
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let codes = PyDict::new(module.py());
        for code in comity::error::ErrorCode::ALL {
            codes.set_item(code.name(), code.number())?;
        }
        module.add("ERROR_CODES", codes)?;
        module.add("LAST_EVENTS", Event::last(module.py())?)
    }
}
