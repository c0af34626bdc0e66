//! The bytes of one connection to a server.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use comity::error::{Error, ErrorCode};
use comity::redis::wire::{Address, Connection, Endpoint, Incoming, Purpose};
use comity::redis::{Argv, Command, NodeId, Origin, RequestId, Route};
use comity::time::Time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::coordinator::at;
use crate::error::{Result, outcome, unpacked};
use crate::pack::{Reader, Writer, number};
use crate::reply;

// Kinds of what has arrived, as `js/core/wire.ts` has them.
const END: u8 = 0;
const READY: u8 = 1;
const REFUSED: u8 = 2;
const REPLY: u8 = 3;
const MESSAGE: u8 = 4;
const MALFORMED: u8 = 5;

/// A URL, read.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawEndpoint(Endpoint);

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/wire.ts has the documentation")]
impl RawEndpoint {
    /// # Errors
    /// As thrown.
    #[wasm_bindgen(constructor)]
    pub fn new(url: &str) -> Result<RawEndpoint> {
        let endpoint = Endpoint::parse(url)
            .map_err(|wrong| Error::new(ErrorCode::InvalidArgument, wrong.to_string()));
        outcome(endpoint).map(Self)
    }

    /// The host, or the path of a socket.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.0.address {
            Address::Tcp { host, .. } | Address::Tls { host, .. } => host.clone(),
            Address::Unix { path } => String::from_utf8_lossy(path).into_owned(),
        }
    }

    /// The port; none of a socket with a path.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.0.address {
            Address::Tcp { port, .. } | Address::Tls { port, .. } => Some(port),
            Address::Unix { .. } => None,
        }
    }

    #[must_use]
    pub fn tls(&self) -> bool {
        matches!(self.0.address, Address::Tls { .. })
    }

    /// A connection there, made just now; for messages, or for commands.
    #[must_use]
    pub fn wire(&self, messages: bool, now: f64) -> RawWire {
        let purpose = if messages { Purpose::Messages } else { Purpose::Commands };
        RawWire { connection: Connection::new(purpose, Some(&self.0.login), at(now)), sent: 0 }
    }
}

/// One connection.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawWire {
    connection: Connection,
    /// How many commands there were.
    sent: u64,
}

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/wire.ts has the documentation")]
impl RawWire {
    /// Queues commands, each of its words; replies are numbered as they are, from 1.
    ///
    /// # Errors
    /// As thrown.
    pub fn send(&mut self, packed: &[u8]) -> Result<()> {
        let commands: Vec<Argv> = unpacked(Reader::new(packed).each(|bytes| {
            let mut argv = Argv::new();
            bytes.each(|word| word.bytes().map(|word| argv.push(word)))?;
            Some(argv)
        }))?;
        for argv in commands {
            self.sent += 1;
            self.connection.send(&Command {
                request: RequestId(self.sent),
                node: NodeId(0),
                route: Route::Node,
                origin: Origin::Background,
                // Who sends them keeps their deadlines.
                deadline: Time::from_micros(u64::MAX),
                argv,
            });
        }
        Ok(())
    }

    /// What is to be written now, which counts as written.
    pub fn transmit(&mut self) -> Vec<u8> {
        let bytes = self.connection.transmit().to_vec();
        self.connection.transmitted(bytes.len());
        bytes
    }

    /// What has arrived with these bytes: for each its kind and what it has, then an end.
    pub fn receive(&mut self, bytes: &[u8], now: f64) -> Vec<u8> {
        let mut out = Writer::default();
        self.connection.receive(bytes, at(now));
        loop {
            match self.connection.poll() {
                Ok(None) => break,
                Ok(Some(incoming)) => arrived(&mut out, &incoming),
                Err(malformed) => {
                    out.byte(MALFORMED).bytes(malformed.to_string().as_bytes());
                    break;
                }
            }
        }
        out.byte(END);
        out.finish()
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.connection.is_ready()
    }

    /// When to call `handle_timeout`.
    #[must_use]
    pub fn deadline(&self) -> Option<f64> {
        self.connection.deadline().map(|deadline| number(deadline.as_micros()))
    }

    /// Whether the server still counts as there.
    pub fn handle_timeout(&mut self, now: f64) -> bool {
        self.connection.handle_timeout(at(now)).is_ok()
    }
}

fn arrived(out: &mut Writer, incoming: &Incoming<'_>) {
    match incoming {
        Incoming::Ready => _ = out.byte(READY),
        Incoming::Refused(text) => _ = out.byte(REFUSED).bytes(text),
        Incoming::Reply { request, reply } => {
            reply::write(out.byte(REPLY).number(request.0), &reply.to_reply());
        }
        Incoming::Message { channel, payload } => {
            _ = out.byte(MESSAGE).bytes(channel).bytes(payload);
        }
        // None of the kinds there are.
        _ => {}
    }
}
