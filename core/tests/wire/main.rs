//! The bytes of a connection: random replies in random pieces, and a real server by the example over
//! `std::net`.

#[path = "../../examples/std_net.rs"]
#[allow(dead_code, reason = "its `main` is called by nobody here")]
mod std_net;
#[path = "../support/mod.rs"]
mod support;

mod connection;
mod replies;
mod servers;
