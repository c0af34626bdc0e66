//! One connection without its socket: commands go in and their bytes out, bytes come in and the core
//! is told what they answer.
//!
//! Whoever moves bytes owns none of this. A command is either in a list that others see or here, and
//! what has arrived is here until the core is told: each change is one call from Python, which nobody
//! gets in between of. No lock is held while the interpreter's is given up, so a fork copies none that
//! is taken.

use std::sync::{Mutex, MutexGuard, PoisonError};

use comity::redis::wire::{self, FrameBuf, Incoming, Purpose};
use comity::redis::{Reply, RequestId};
use comity::time::Time;
use pyo3::exceptions::{PyConnectionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::collector::Pause;
use crate::coordinator::at;
use crate::outbox::{NEVER, commands, late};
use crate::sink::Sink;

/// A reply of so many bytes is read without the interpreter's lock.
const LARGE: usize = 256 * 1024;

pub(crate) struct State {
    wire: wire::Connection,
    /// Whether bytes have come that nobody has looked at.
    fresh: bool,
    subscribed: bool,
    doubtful: bool,
    over: bool,
}

impl State {
    /// The bytes to be written next.
    pub(crate) fn rest(&self) -> &[u8] {
        self.wire.transmit()
    }

    /// So many of them may be on their way, although they do not count as written.
    pub(crate) fn committed(&mut self, count: usize) {
        self.wire.committed(count);
    }

    /// So many of them were written.
    pub(crate) fn written(&mut self, count: usize) {
        self.wire.transmitted(count);
    }

    /// Whether there is something that `answer` has to look at.
    pub(crate) const fn fresh(&self) -> bool {
        self.fresh
    }

    /// Takes what has arrived; when that was, `answer` says.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.wire.receive(bytes, Time::from_micros(0));
        self.fresh = true;
    }

    pub(crate) const fn over(&self) -> bool {
        self.over
    }

    /// Takes out what the core is to be told.
    fn heard(&mut self, now: Time) -> Heard {
        let mut heard = Heard::default();
        if !std::mem::take(&mut self.fresh) || self.over {
            return heard;
        }
        self.wire.receive(&[], now);
        loop {
            match self.wire.poll() {
                Ok(Some(Incoming::Reply { request, reply })) => {
                    match reply.error() {
                        Some(text) => self.doubtful |= text.starts_with(b"READONLY"),
                        None => self.subscribed = true,
                    }
                    let reply = if reply.size() < LARGE {
                        reply.to_reply()
                    } else {
                        heard.large.push((heard.told.len(), reply.to_buf()));
                        Reply::Nil
                    };
                    heard.told.push(Told::Reply(request, reply));
                }
                Ok(Some(Incoming::Message { channel, payload })) => {
                    heard.told.push(Told::Message(channel.to_vec(), payload.to_vec()));
                }
                Ok(Some(Incoming::Refused(text))) => {
                    heard.end = Some(text.escape_ascii().to_string());
                    heard.told.push(Told::Refused(text.to_vec()));
                    return heard;
                }
                Ok(Some(_)) => {}
                Ok(None) => return heard,
                Err(malformed) => {
                    heard.end = Some(malformed.to_string());
                    return heard;
                }
            }
        }
    }
}

/// One thing to tell the core.
pub(crate) enum Told {
    Reply(RequestId, Reply),
    Message(Vec<u8>, Vec<u8>),
    Refused(Vec<u8>),
}

#[derive(Default)]
struct Heard {
    told: Vec<Told>,
    /// Which of them are not read yet.
    large: Vec<(usize, FrameBuf)>,
    /// Why nothing that follows can be trusted.
    end: Option<String>,
}

impl Heard {
    /// Reads what is not read yet.
    fn read(&mut self) {
        for (at, bytes) in self.large.drain(..) {
            if let Told::Reply(_, reply) = &mut self.told[at] {
                *reply = bytes.as_frame().to_reply();
            }
        }
    }
}

/// The commands and bytes of one connection. Each call is one step, as those of `Baton`.
///
/// `core` is a coordinator, which is told what they answer without a Python object for any of it,
/// or whatever has its methods.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Connection(Mutex<State>);

impl Connection {
    pub(crate) fn of(wire: wire::Connection) -> Self {
        let (fresh, subscribed, doubtful, over) = (false, false, false, false);
        Self(Mutex::new(State { wire, fresh, subscribed, doubtful, over }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (now, *, messages=false))]
    fn new(now: u64, messages: bool) -> Self {
        let purpose = if messages { Purpose::Messages } else { Purpose::Commands };
        // Whoever made the connection has logged in.
        Self::of(wire::Connection::new(purpose, None, at(now)))
    }

    /// How many commands are not answered.
    #[getter]
    fn outstanding(&self) -> usize {
        self.state().wire.outstanding()
    }

    /// Whether there is anything still to be written.
    #[getter]
    fn unsent(&self) -> bool {
        !self.state().rest().is_empty()
    }

    /// When an answer is late or, of one for messages, `check` is to be called; 2**63 for
    /// never.
    #[getter]
    fn deadline(&self) -> u64 {
        self.state().wire.deadline().map_or(NEVER, Time::as_micros)
    }

    /// Whether a command was answered, and not by an error: on a connection for messages,
    /// whether they come.
    #[getter]
    fn subscribed(&self) -> bool {
        self.state().subscribed
    }

    /// Whether the server has refused to write: a new connection may lead elsewhere.
    #[getter]
    fn doubtful(&self) -> bool {
        self.state().doubtful
    }

    /// Whether it has ended.
    #[getter]
    fn over(&self) -> bool {
        self.state().over
    }

    /// Takes all commands out of `outbox`, to be written. Those that are late are not: `core`
    /// is told so. How many that were. Takes nothing once it is over.
    fn take(
        &self,
        outbox: &Bound<'_, PyList>,
        core: &Bound<'_, PyAny>,
        now: u64,
    ) -> PyResult<usize> {
        let py = outbox.py();
        let _pause = Pause::new(py);
        if self.state().over {
            return Ok(0);
        }
        let late = late(outbox, now)?;
        {
            let commands = commands(outbox)?;
            let mut state = self.state();
            for command in &commands {
                state.wire.send(command.get().inner());
            }
        }
        outbox.del_slice(0, outbox.len())?;
        Sink::of(core).not_sent(py, &late, now)?;
        Ok(late.len())
    }

    /// The bytes to be written next, which count as written from now on.
    fn transmit<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut state = self.state();
        let bytes = PyBytes::new(py, state.rest());
        state.written(bytes.as_bytes().len());
        bytes
    }

    /// Takes what has arrived, and `answer`s.
    fn receive(
        &self,
        data: &[u8],
        core: &Bound<'_, PyAny>,
        node: u32,
        now: u64,
    ) -> PyResult<usize> {
        self.state().feed(data);
        self.answer(core, node, now)
    }

    /// Whether the server has let it in: until then it is `enter`ed.
    #[getter]
    fn ready(&self) -> bool {
        self.state().wire.is_ready()
    }

    /// Takes what has arrived before the server has let it in. The server's words if it refuses.
    /// Raises `ValueError` where it is no reply.
    fn enter<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut state = self.state();
        state.wire.receive(data, Time::from_micros(0));
        loop {
            match state.wire.poll() {
                Ok(Some(Incoming::Refused(text))) => return Ok(Some(PyBytes::new(py, text))),
                // What comes behind that answers nothing.
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(malformed) => return Err(PyValueError::new_err(malformed.to_string())),
            }
        }
    }

    /// Tells `core` what has arrived from `node`. How much that was. Raises `ValueError` where
    /// it is no reply, or none to anything that was asked: then the connection is to be ended.
    fn answer(&self, core: &Bound<'_, PyAny>, node: u32, now: u64) -> PyResult<usize> {
        let py = core.py();
        let mut heard = self.state().heard(at(now));
        if !heard.large.is_empty() {
            py.detach(|| heard.read());
        }
        let count = heard.told.len();
        Sink::of(core).tell(py, heard.told, node, now)?;
        heard.end.map_or(Ok(count), |end| Err(PyValueError::new_err(end)))
    }

    /// To be called at `deadline`: a connection for messages that is silent is asked whether it
    /// lives, which is to be written. Raises `ValueError` if an answer is late.
    fn check(&self, now: u64) -> PyResult<()> {
        let checked = self.state().wire.handle_timeout(at(now));
        checked.map_err(|silent| PyValueError::new_err(silent.to_string()))
    }

    /// Ends it: nothing is written or read any more, and `core` is told of each command that has
    /// no answer, `not_sent` where not a byte of it can have left. How many those are. The second
    /// time there are none.
    fn end(&self, core: &Bound<'_, PyAny>, now: u64) -> PyResult<usize> {
        let lost = {
            let mut state = self.state();
            state.over = true;
            state.wire.end()
        };
        Sink::of(core).failed(core.py(), &lost, now)?;
        Ok(lost.len())
    }
}

/// What is said of a connection that has ended.
pub(crate) fn closed() -> PyErr {
    PyConnectionError::new_err("closed meanwhile")
}
