//! A redis-server of the test's own, on a free port of the loopback, gone when it is dropped.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::resp::Client;

pub(crate) struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        // A free port may be taken by another test before our server has it.
        (0..20).find_map(|_| Self::try_start(arguments)).expect("a port for a redis-server")
    }

    fn try_start(arguments: &[&str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port of the loopback").port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(std::env::temp_dir())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed for this test");
        let mut server = Self { child, port };
        for _ in 0..2_000 {
            if server.child.try_wait().is_ok_and(|exit| exit.is_some()) {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server.is_it().then_some(server);
            }
            sleep(Duration::from_millis(10));
        }
        panic!("redis-server does not listen on port {port}");
    }

    /// Whether the server that answers is the one that was started. Another test's may be about to
    /// end, and then says nothing.
    fn is_it(&self) -> bool {
        let line = format!("process_id:{}\r\n", self.child.id());
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(b"INFO server\r\n")?;
            let (mut text, mut part) = (Vec::new(), [0; 4_096]);
            while !text.windows(12).any(|window| window == b"uptime_in_se") {
                match stream.read(&mut part)? {
                    0 => break,
                    count => text.extend_from_slice(&part[..count]),
                }
            }
            Ok(String::from_utf8_lossy(&text).contains(&line))
        };
        ask().unwrap_or(false)
    }

    /// Its URL with these users and passwords, and what comes behind the port.
    pub(crate) fn url(&self, user: &str, rest: &str) -> String {
        format!("redis://{user}127.0.0.1:{}{rest}", self.port)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.port).expect("the test's own server is up")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
