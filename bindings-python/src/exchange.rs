//! What goes over one connection: commands out, bytes in.
//!
//! Whoever moves bytes owns none of this. A command is either in a list that others see or here, and
//! what has arrived is here until its answers are given to the core: each change is one call from
//! Python, which nobody gets in between of.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyConnectionError, PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::collector::Pause;
use crate::outbox::{NEVER, fail, late, numbers};

/// As much is read at once.
const CHUNK: usize = 65536;

/// A command that is not answered yet.
struct Sent {
    request: u64,
    deadline: u64,
    /// Where its first byte stands in all that was ever to be written.
    start: u64,
}

#[derive(Default)]
struct State {
    outstanding: VecDeque<Sent>,
    unsent: Vec<u8>,
    /// How many of `unsent` have been written.
    written: usize,
    /// Where `unsent` begins in all that was ever to be written.
    start: u64,
    /// Up to where bytes may have left.
    left: u64,
    inbox: Vec<u8>,
    /// Where the socket's bytes go first: made once, for most reads find few or none.
    scratch: Vec<u8>,
    /// Another one after each change of `inbox`.
    mark: u64,
    /// Whether something has arrived that nobody has looked at.
    fresh: bool,
    /// A call of the program's socket is under way.
    busy: bool,
    over: bool,
}

impl State {
    fn put(&mut self, bytes: &[u8]) {
        if self.written == self.unsent.len() {
            self.start += self.unsent.len() as u64;
            self.unsent.clear();
            self.written = 0;
        }
        self.unsent.extend_from_slice(bytes);
    }

    fn end(&self) -> u64 {
        self.start + self.unsent.len() as u64
    }

    fn rest(&self) -> &[u8] {
        &self.unsent[self.written..]
    }

    fn has_written(&mut self, count: usize) {
        self.written = (self.written + count).min(self.unsent.len());
        self.left = self.left.max(self.start + self.written as u64);
        if self.written == self.unsent.len() {
            self.put(&[]);
        }
    }

    /// More has come into the inbox.
    fn has_read(&mut self) {
        self.mark += 1;
        self.fresh = true;
    }

    /// May be called again while it is under way, by what has interrupted it.
    fn begin(&mut self) -> PyResult<()> {
        if self.over {
            return Err(closed());
        }
        if self.busy {
            return Err(PyConnectionError::new_err("interrupted in the middle of it"));
        }
        Ok(())
    }
}

/// The commands and bytes of one connection. `plain`: `sock` can be written and read by its
/// descriptor; otherwise by its own methods, as those of TLS, and what interrupts these finds the
/// connection to be of no more use. Each call is one step, as those of `Baton`.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Exchange {
    sock: Py<PyAny>,
    plain: bool,
    state: Mutex<State>,
}

impl Exchange {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a method of the socket, in which code of the program may run.
    fn call<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.state().busy = true;
        let result = call(self.sock.bind(py));
        let mut state = self.state();
        state.busy = false;
        if state.over {
            return Err(result.err().unwrap_or_else(closed));
        }
        result
    }

    fn write_plain(&self, py: Python<'_>) -> PyResult<()> {
        let mut stream = stream_of(self.sock.bind(py))?;
        let mut state = self.state();
        while !state.rest().is_empty() {
            match stream.write(state.rest()) {
                Ok(count) => state.has_written(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(raised(py, &error)),
            }
        }
        Ok(())
    }
}

#[pymethods]
impl Exchange {
    #[new]
    fn new(sock: Py<PyAny>, plain: bool) -> Self {
        Self { sock, plain, state: Mutex::default() }
    }

    /// How many commands are not answered.
    #[getter]
    fn outstanding(&self) -> usize {
        self.state().outstanding.len()
    }

    /// Whether there is anything still to be written.
    #[getter]
    fn unsent(&self) -> bool {
        !self.state().rest().is_empty()
    }

    /// The first deadline of a command that is not answered; 2**63 if there is none.
    #[getter]
    fn deadline(&self) -> u64 {
        self.state().outstanding.iter().map(|sent| sent.deadline).min().unwrap_or(NEVER)
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
        for command in outbox.iter() {
            let packed = command.getattr(intern!(py, "packed"))?;
            let packed = packed.cast::<PyBytes>()?;
            let (request, deadline) = numbers(&command)?;
            let mut state = self.state();
            let start = state.end();
            state.outstanding.push_back(Sent { request, deadline, start });
            state.put(packed.as_bytes());
        }
        outbox.del_slice(0, outbox.len())?;
        fail(core, &late, "not_sent", now)?;
        Ok(late.len())
    }

    /// Has `data` written, which is no command.
    fn put(&self, data: &[u8]) {
        self.state().put(data);
    }

    /// Writes what the socket takes. Raises `BlockingIOError`, or what TLS has for it, if that
    /// is not all, and `OSError` if it is broken.
    fn write(&self, py: Python<'_>) -> PyResult<()> {
        self.state().begin()?;
        if self.plain {
            return self.write_plain(py);
        }
        loop {
            let rest = {
                let mut state = self.state();
                // A record that has begun may be on its way although it counts as unwritten.
                state.left = if state.rest().is_empty() { state.left } else { state.end() };
                PyBytes::new(py, state.rest())
            };
            if rest.as_bytes().is_empty() {
                return Ok(());
            }
            let count = self.call(py, |sock| sock.call_method1(intern!(py, "send"), (rest,)))?;
            self.state().has_written(count.extract()?);
        }
    }

    /// Reads what has arrived. Whether there is anything to be looked at: see `arrived`. Where
    /// TLS waits for something it raises what it has for that, and `OSError` where it is broken or
    /// has come to its end.
    fn read(&self, py: Python<'_>) -> PyResult<bool> {
        self.state().begin()?;
        if self.state().fresh {
            return Ok(true);
        }
        if self.plain {
            let mut stream = stream_of(self.sock.bind(py))?;
            let mut state = self.state();
            let state = &mut *state;
            state.scratch.resize(CHUNK, 0);
            let count = loop {
                match stream.read(&mut state.scratch) {
                    Ok(count) => break count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(raised(py, &error)),
                }
            };
            if count == 0 {
                return Err(ended());
            }
            state.inbox.extend_from_slice(&state.scratch[..count]);
            state.has_read();
            return Ok(true);
        }
        let data = self.call(py, |sock| sock.call_method1(intern!(py, "recv"), (CHUNK,)))?;
        let data = data.cast::<PyBytes>()?.as_bytes();
        if data.is_empty() {
            return Err(ended());
        }
        let mut state = self.state();
        state.inbox.extend_from_slice(data);
        state.has_read();
        Ok(true)
    }

    /// What has arrived and was not taken out, and a mark for `answer`.
    fn arrived<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, u64) {
        let state = self.state();
        (PyBytes::new(py, &state.inbox), state.mark)
    }

    /// Takes `used` bytes out, which are `replies`, and gives these to `core` as the answers to
    /// the oldest commands. Nothing if more has arrived or was taken out since `mark`; whether it
    /// did. Raises `ValueError` for an answer to nothing.
    fn answer(
        &self,
        mark: u64,
        used: usize,
        replies: &Bound<'_, PyList>,
        core: &Bound<'_, PyAny>,
        now: u64,
    ) -> PyResult<bool> {
        let py = replies.py();
        let _pause = Pause::new(py);
        if !self.consume(mark, used) {
            return Ok(false);
        }
        for reply in replies.iter() {
            let Some(sent) = self.state().outstanding.pop_front() else {
                return Err(PyValueError::new_err("an answer to nothing"));
            };
            core.call_method1(intern!(py, "handle_reply"), (sent.request, reply, now))?;
        }
        Ok(true)
    }

    /// Takes `used` bytes out, which are `messages` that arrived at `node`, each channel and
    /// payload, and gives these to `core`. As `answer`.
    fn deliver(
        &self,
        mark: u64,
        used: usize,
        messages: &Bound<'_, PyList>,
        core: &Bound<'_, PyAny>,
        node: u32,
        now: u64,
    ) -> PyResult<bool> {
        let py = messages.py();
        let _pause = Pause::new(py);
        if !self.consume(mark, used) {
            return Ok(false);
        }
        for message in messages.iter() {
            let (channel, payload): (Bound<'_, PyAny>, Bound<'_, PyAny>) = message.extract()?;
            let arguments = (node, channel, payload, now);
            core.call_method1(intern!(py, "handle_message"), arguments)?;
        }
        Ok(true)
    }

    /// Ends it: nothing is written or read any more, and `core` is told of each command that has
    /// no answer, `not_sent` where not a byte of it can have left. How many those are. The second
    /// time there are none.
    fn end(&self, core: &Bound<'_, PyAny>, now: u64) -> PyResult<usize> {
        let py = core.py();
        let _pause = Pause::new(py);
        let (never, unknown): (Vec<Sent>, Vec<Sent>) = {
            let mut state = self.state();
            state.over = true;
            state.unsent.clear();
            state.written = 0;
            let left = state.left;
            std::mem::take(&mut state.outstanding).into_iter().partition(|sent| sent.start >= left)
        };
        let requests = |sent: &[Sent]| sent.iter().map(|one| one.request).collect::<Vec<_>>();
        fail(core, &requests(&never), "not_sent", now)?;
        fail(core, &requests(&unknown), "outcome_unknown", now)?;
        Ok(never.len() + unknown.len())
    }
}

impl Exchange {
    /// Whether these are the next bytes; they are taken out.
    fn consume(&self, mark: u64, used: usize) -> bool {
        let mut state = self.state();
        if state.over || state.mark != mark || used > state.inbox.len() {
            return false;
        }
        state.inbox.drain(..used);
        state.mark += 1;
        state.fresh = false;
        true
    }
}

/// The descriptor of a socket, to be written and read within one call from Python.
#[allow(unsafe_code, reason = "there is no other way to it")]
fn stream_of(sock: &Bound<'_, PyAny>) -> PyResult<ManuallyDrop<TcpStream>> {
    let number: i64 = sock.call_method0(intern!(sock.py(), "fileno"))?.extract()?;
    if number < 0 {
        return Err(closed());
    }
    let failed = |_| closed();
    // SAFETY: the socket is open, stays so within a call that nobody gets in between of, and goes on
    // owning the descriptor. `TcpStream` does nothing that another kind of stream could not do.
    #[cfg(unix)]
    let stream = unsafe { std::os::fd::FromRawFd::from_raw_fd(number.try_into().map_err(failed)?) };
    #[cfg(windows)]
    let stream = unsafe {
        std::os::windows::io::FromRawSocket::from_raw_socket(number.try_into().map_err(failed)?)
    };
    Ok(ManuallyDrop::new(stream))
}

fn closed() -> PyErr {
    PyConnectionError::new_err("closed meanwhile")
}

fn ended() -> PyErr {
    PyConnectionError::new_err("closed by the server")
}

/// The system's error as Python has it.
fn raised(py: Python<'_>, error: &io::Error) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyErr::from(io::Error::new(error.kind(), error.to_string()));
    };
    let words = py.import("os").and_then(|os| os.call_method1("strerror", (number,)));
    match words {
        Ok(words) => PyOSError::new_err((number, words.unbind())),
        Err(failure) => failure,
    }
}
