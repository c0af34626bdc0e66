//! A host over `std::net`: one thread, one server, one lock.
//!
//! `cargo run -p comity --example std_net redis://127.0.0.1:6379` takes a lock, prints its fence and
//! gives it back. The coordinator decides what is said and until when; the connection knows the bytes;
//! all that is left to a host is to move these and to tell the time.
#![allow(clippy::print_stdout, reason = "it shows what it has")]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::wire::{Address, Connection, Endpoint, Incoming, Purpose};
use comity::redis::{Failure, NodeChange, NodeId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

const NODE: NodeId = NodeId(0);

/// Why a connection is of no more use.
enum Lost {
    Refused(Vec<u8>),
    Broken(String),
}

impl Lost {
    fn of(why: impl Error) -> Self {
        Self::Broken(why.to_string())
    }
}

struct Host {
    co: Coordinator,
    endpoint: Endpoint,
    wire: Option<(TcpStream, Connection)>,
    began: Instant,
}

impl Host {
    fn now(&self) -> Time {
        clock(self.began)
    }

    fn connect(&self, patience: Duration) -> Result<(TcpStream, Connection), String> {
        let Address::Tcp { host, port } = &self.endpoint.address else {
            return Err(
                "only redis:// here: TLS is any stream's that carries the same bytes".into()
            );
        };
        let addresses = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), *port));
        let address = addresses.map_err(|e| e.to_string())?.next().ok_or("no such host")?;
        let stream = TcpStream::connect_timeout(&address, patience).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let connection = Connection::new(Purpose::Commands, Some(&self.endpoint.login), self.now());
        Ok((stream, connection))
    }

    /// Sends what is ready, and waits for what comes or is due next.
    fn turn(&mut self) {
        while let Some(command) = self.co.poll_command() {
            if self.wire.is_none() {
                let left = command.deadline.since(self.now()).as_micros().max(1);
                match self.connect(Duration::from_micros(left)) {
                    Ok(wire) => self.wire = Some(wire),
                    Err(why) => {
                        self.co.handle_unreachable(NODE, &why, false, self.now());
                        self.co.handle_failure(command.request, Failure::NotSent, self.now());
                        continue;
                    }
                }
            }
            if let Some((_, connection)) = &mut self.wire {
                connection.send(&command);
            }
        }
        if let Err(why) = self.exchange()
            && let Some((_, mut connection)) = self.wire.take()
        {
            match why {
                Lost::Refused(text) => self.co.handle_refused(NODE, &text, self.now()),
                Lost::Broken(why) => self.co.handle_unreachable(NODE, &why, false, self.now()),
            }
            let was_in = connection.is_ready();
            for (request, failure) in connection.end() {
                self.co.handle_failure(request, failure, self.now());
            }
            if was_in {
                self.co.handle_node(NODE, NodeChange::Lost, self.now());
            }
        }
        self.co.handle_timeout(self.now());
    }

    fn exchange(&mut self) -> Result<(), Lost> {
        let due = self.co.next_deadline();
        let now = self.now();
        let Some((stream, connection)) = &mut self.wire else { return Ok(()) };
        while !connection.transmit().is_empty() {
            let count = stream.write(connection.transmit()).map_err(Lost::of)?;
            connection.transmitted(count);
        }
        let due = [due, connection.deadline()].into_iter().flatten().min();
        let wait = due.map_or(1_000_000, |due| due.since(now).as_micros().max(1));
        stream.set_read_timeout(Some(Duration::from_micros(wait))).map_err(Lost::of)?;
        let mut bytes = [0; 16384];
        let count = match stream.read(&mut bytes) {
            Ok(0) => return Err(Lost::Broken("closed by the server".into())),
            Ok(count) => count,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(e) => return Err(Lost::of(e)),
        };
        let now = clock(self.began);
        if count > 0 {
            connection.receive(&bytes[..count], now);
        }
        while let Some(incoming) = connection.poll().map_err(Lost::of)? {
            match incoming {
                Incoming::Reply { request, reply } => {
                    self.co.handle_reply(request, &reply.to_reply(), now);
                }
                Incoming::Ready => self.co.handle_node(NODE, NodeChange::Connected, now),
                Incoming::Refused(text) => return Err(Lost::Refused(text.to_vec())),
                _ => {}
            }
        }
        connection.handle_timeout(now).map_err(Lost::of)
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
    let mut host = Host { co, endpoint, wire: None, began };

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
