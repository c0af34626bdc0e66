//! A redis-server of the test's own, on a free port of the loopback, gone when it is dropped.

use std::net::TcpListener;
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
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port of the loopback").port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed for this test");
        let server = Self { child, port };
        for _ in 0..500 {
            if Client::connect(port).is_ok() {
                return server;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("redis-server does not listen on port {port}");
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
