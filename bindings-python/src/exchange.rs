//! A connection's bytes between it and its socket, which Python has made.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyConnectionError, PyOSError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::connection::{Connection, closed};

/// As much is read at once, or given to a socket of Python's.
const CHUNK: usize = 65536;
/// So often at most, until what has arrived is looked at.
const READS: usize = 16;

/// Moves the bytes of `connection` over `sock`. `plain`: it can be written and read by its
/// descriptor; otherwise by its own methods, as those of TLS, and what interrupts these finds the
/// connection to be of no more use. Each call is one step, as those of `Baton`.
#[pyclass(frozen, module = "comity._core")]
pub(crate) struct Exchange {
    sock: Py<PyAny>,
    plain: bool,
    connection: Py<Connection>,
    /// A call of the program's socket is under way.
    busy: AtomicBool,
    /// Where the socket's bytes go first: made once, for most reads find few or none.
    scratch: Mutex<Vec<u8>>,
}

impl Exchange {
    /// May be called again while it is under way, by what has interrupted it.
    fn begin(&self) -> PyResult<()> {
        if self.connection.get().state().over() {
            return Err(closed());
        }
        if self.busy.load(SeqCst) {
            return Err(PyConnectionError::new_err("interrupted in the middle of it"));
        }
        Ok(())
    }

    /// Calls a method of the socket, in which code of the program may run.
    fn call<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.busy.store(true, SeqCst);
        let result = call(self.sock.bind(py));
        self.busy.store(false, SeqCst);
        if self.connection.get().state().over() {
            return Err(result.err().unwrap_or_else(closed));
        }
        result
    }

    fn write_plain(&self, py: Python<'_>) -> PyResult<()> {
        let stream = stream_of(self.sock.bind(py))?;
        // What is raised is made when no lock is held: Python's own code may run there.
        self.write_to(&stream).map_err(|error| raised(py, &error))
    }

    fn write_to(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut state = self.connection.get().state();
        while !state.rest().is_empty() {
            match stream.write(state.rest()) {
                Ok(count) => state.written(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_plain(&self, py: Python<'_>) -> PyResult<bool> {
        let stream = stream_of(self.sock.bind(py))?;
        match self.read_from(&stream) {
            Ok(()) => Ok(true),
            // What has arrived before it comes first.
            Err(_) if self.connection.get().state().fresh() => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(ended()),
            Err(error) => Err(raised(py, &error)),
        }
    }

    /// Until nothing more is there, or enough to look at.
    fn read_from(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut state = self.connection.get().state();
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.resize(CHUNK, 0);
        for _ in 0..READS {
            match stream.read(&mut scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    state.feed(&scratch[..count]);
                    if count < CHUNK {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[pymethods]
impl Exchange {
    #[new]
    fn new(connection: Py<Connection>, sock: Py<PyAny>, plain: bool) -> Self {
        Self { sock, plain, connection, busy: AtomicBool::default(), scratch: Mutex::default() }
    }

    /// Writes what the socket takes. Raises `BlockingIOError`, or what TLS has for it, if that
    /// is not all, and `OSError` if it is broken.
    fn write(&self, py: Python<'_>) -> PyResult<()> {
        self.begin()?;
        if self.plain {
            return self.write_plain(py);
        }
        loop {
            let rest = {
                let mut state = self.connection.get().state();
                let rest = PyBytes::new(py, &state.rest()[..state.rest().len().min(CHUNK)]);
                // A record that has begun may be on its way although it counts as unwritten.
                state.committed(rest.as_bytes().len());
                rest
            };
            if rest.as_bytes().is_empty() {
                return Ok(());
            }
            let count = self.call(py, |sock| sock.call_method1(intern!(py, "send"), (rest,)))?;
            self.connection.get().state().written(count.extract()?);
        }
    }

    /// Reads what has arrived. Whether there is anything for `Connection.answer`. Where TLS
    /// waits for something it raises what it has for that, and `OSError` where it is broken or has
    /// come to its end.
    fn read(&self, py: Python<'_>) -> PyResult<bool> {
        self.begin()?;
        if self.connection.get().state().fresh() {
            return Ok(true);
        }
        if self.plain {
            return self.read_plain(py);
        }
        let data = self.call(py, |sock| sock.call_method1(intern!(py, "recv"), (CHUNK,)))?;
        let data = data.cast::<PyBytes>()?.as_bytes();
        if data.is_empty() {
            return Err(ended());
        }
        self.connection.get().state().feed(data);
        Ok(true)
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
