//! A host over `std::net`: one thread, one server, one lock.
//!
//! `cargo run -p comity --example std_net redis://127.0.0.1:6379` takes a lock, prints its fence and
//! gives it back. The coordinator decides what is said and until when; the connection knows the bytes;
//! all that is left to a host is to move these and to tell the time.
#![allow(clippy::print_stdout, reason = "it shows what it has")]

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use comity::coordinator::{Config, Coordinator, NodeConnection};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::wire::{Address, Endpoint};
use comity::redis::{NodeId, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

const NODE: NodeId = NodeId(0);

struct Host {
    co: Coordinator,
    endpoint: Endpoint,
    link: Option<(TcpStream, NodeConnection)>,
    began: Instant,
}

impl Host {
    fn now(&self) -> Time {
        clock(self.began)
    }

    fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        let Address::Tcp { host, port } = &self.endpoint.address else {
            let why = "only redis:// here: TLS is any stream's that carries the same bytes";
            return Err(io::Error::new(ErrorKind::Unsupported, why));
        };
        let address = (host.as_str(), *port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("no such host"))?;
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends what is ready, and waits for what comes or is due next.
    fn turn(&mut self) {
        while let Some(command) = self.co.poll_command() {
            if let Some((_, connection)) = &mut self.link {
                connection.send(&command);
                continue;
            }
            let now = self.now();
            let login = Some(&self.endpoint.login);
            let mut connection = NodeConnection::new(NODE, Route::Node, login, now);
            connection.send(&command);
            let left = command.deadline.since(now).as_micros().max(1);
            let made = self.connect(Duration::from_micros(left));
            let now = self.now();
            match made {
                Ok(stream) => {
                    connection.connected(&mut self.co, now);
                    self.link = Some((stream, connection));
                }
                Err(why) => connection.end(&mut self.co, &why.to_string(), false, now),
            }
        }
        let (due, began) = (self.co.next_deadline(), self.began);
        if let Some((stream, connection)) = &mut self.link {
            let mut room = [0; 16384];
            match exchange(stream, connection, due, began, &mut room) {
                Ok(0) => {}
                Ok(count) => connection.receive(&mut self.co, &room[..count], clock(began)),
                Err(why) => connection.end(&mut self.co, &why.to_string(), false, clock(began)),
            }
            connection.handle_timeout(&mut self.co, clock(began));
            if connection.ended().is_some() {
                self.link = None;
            }
        }
        self.co.handle_timeout(self.now());
    }

    fn wait(&mut self) -> Event {
        loop {
            if let Some(event) = self.co.poll_event() {
                return event;
            }
            self.turn();
        }
    }
}

/// Writes what is to be written, and reads what comes until something is `due`.
fn exchange(
    stream: &mut TcpStream,
    connection: &mut NodeConnection,
    due: Option<Time>,
    began: Instant,
    room: &mut [u8],
) -> io::Result<usize> {
    while !connection.transmit().is_empty() {
        let count = stream.write(connection.transmit())?;
        connection.transmitted(count);
    }
    let due = [due, connection.deadline()].into_iter().flatten().min();
    let wait = due.map_or(1_000_000, |due| due.since(clock(began)).as_micros().max(1));
    stream.set_read_timeout(Some(Duration::from_micros(wait)))?;
    match stream.read(room) {
        Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "closed by the server")),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
        read => read,
    }
}

fn clock(began: Instant) -> Time {
    Time::from_micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Takes a lock of the server that `url` names, and gives it back; the fence.
pub(crate) fn lock_once(url: &str) -> Result<u64, Box<dyn Error>> {
    let mut entropy = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut entropy)?;
    let mut config = Config::new(vec![NodeSpec::new("0", 1)]);
    config.push = false; // grants are asked for: a second connection would want a second thread
    let (endpoint, began) = (Endpoint::parse(url)?, Instant::now());
    let co = Coordinator::new(config, entropy, Time::from_micros(0))?;
    let mut host = Host { co, endpoint, link: None, began };

    let options = LockOptions { wait: Some(Span::from_secs(5)), ..LockOptions::default() };
    let lock = host.co.lock_acquire(b"invoice:42", options, host.now())?;
    let mut granted = 0;
    loop {
        match host.wait() {
            Event::LockGranted { fence, .. } => {
                granted = fence.0;
                host.co.lock_release(lock, host.now())?;
            }
            Event::LockReleased { .. } => return Ok(granted),
            Event::LockFailed { error, .. } => return Err(error.to_string().into()),
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".into());
    println!("granted with fence {}, and given back", lock_once(&url)?);
    Ok(())
}
