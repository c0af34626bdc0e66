//! comity: the coordination core.
//!
//! All decisions in pure state machines, all effects in the host: no sockets, no threads, no
//! clock, no global state. The same inputs give the same outputs on every platform.
//!
//! * [`coordinator`]: the facade that a driver talks to, and the whole border of the core.
//! * [`ring`]: placement of keys on nodes.
//! * [`lock`]: the queued lock; `docs/lock.md` says what it promises.
//! * [`counter`]: the counter; `docs/counter.md` says what it promises.
//! * [`crdt`]: the peer counter, which needs no server.
//! * [`transaction`]: what a participant is asked and answers.
//! * [`snapshot`]: the bytes of what outlives a process.
//! * [`redis`]: commands and replies, and the [`wire`](redis::wire) that they go over.
//! * [`memory`]: the embedded store, for programs without a server and for tests.
//!
//! ```
//! use comity::coordinator::{Config, Coordinator};
//! use comity::event::Event;
//! use comity::lock::LockOptions;
//! use comity::memory::MemoryStore;
//! use comity::ring::NodeSpec;
//! use comity::time::Time;
//!
//! let now = Time::from_micros(1_000_000);
//! let mut store = MemoryStore::new();
//! let mut co = Coordinator::new(Config::new(vec![NodeSpec::new("a", 1)]), [7; 32], now)?;
//! let lock = co.lock_acquire(b"invoice:42", LockOptions::default(), now)?;
//! while let Some(command) = co.poll_command() {
//!     let reply = store.execute(&command.argv, now);
//!     co.handle_reply(command.request, &reply, now);
//! }
//! assert!(matches!(co.poll_event(), Some(Event::LockGranted { .. })));
//! assert!(co.lock_is_held(lock, now));
//! # Ok::<(), comity::error::Error>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod coordinator;
pub mod counter;
pub mod crdt;
mod entropy;
pub mod error;
pub mod event;
pub mod keyspace;
pub mod lock;
mod machine;
pub mod memory;
pub mod redis;
pub mod ring;
pub mod snapshot;
pub mod stamp;
mod table;
pub mod time;
pub mod transaction;
