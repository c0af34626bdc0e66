//! A Redis server of our own, for as long as a task needs one.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::{Failure, Session};

const START_LIMIT: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);
/// Between finding a free port and the server's taking it, somebody else may take it.
const TRIES: u32 = 3;

/// A running `redis-server` on a loopback port, with nothing stored on disk. It ends when this
/// value is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start(session: &Session) -> Result<Self, Failure> {
        let program = session
            .find("redis-server")
            .ok_or_else(|| Failure::new("redis-server is not on the PATH"))?;
        let mut last = String::new();
        for _ in 0..TRIES {
            match Self::try_start(&program) {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(Failure::new(format!("cannot start {}: {last}", program.display())))
    }

    fn try_start(program: &Path) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let port = free_port().map_err(text)?;
        let folder =
            std::env::temp_dir().join(format!("comity-redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).map_err(text)?;
        let log = folder.join("log");
        println!("starting {} on 127.0.0.1:{port}", program.display());
        let child = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).map_err(text)?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        // From here on dropping the value stops the server and removes the folder.
        let mut server = Self { child, port, folder };
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = server.child.try_wait() {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("it ended at once ({status}):\n{log}"));
            }
            if server.answers() {
                return Ok(server);
            }
            if started.elapsed() > START_LIMIT {
                return Err(format!("no answer to PING within {} s", START_LIMIT.as_secs()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The server's address as clients take it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect_timeout(&address, PING_LIMIT)?;
            stream.set_read_timeout(Some(PING_LIMIT))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG\r\n")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is stored, so there is nothing to end gracefully. A server that already ended
        // by itself is fine, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_until_it_is_dropped() {
        let session = Session::new();
        if session.find("redis-server").is_none() {
            // `cargo xtask test core` provides it; this crate's own tests shall run anywhere.
            return;
        }
        let server = Server::start(&session).expect("redis-server is on the PATH");
        let (url, port, folder) = (server.url(), server.port, server.folder.clone());
        assert!(server.answers());
        assert!(folder.is_dir());
        assert!(url.ends_with(&port.to_string()));
        drop(server);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        assert!(!folder.exists());
    }

    #[test]
    fn a_program_that_is_no_server_is_reported() {
        let error = Server::try_start(Path::new("/bin/false")).err();
        assert!(error.expect("`false` ends at once").contains("ended at once"));
    }
}
