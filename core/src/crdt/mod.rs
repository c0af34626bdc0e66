//! Replicated data without a server: what lives nowhere but in its replicas, which exchange bytes.

mod pn_counter;

pub use pn_counter::{PNCounter, Slots};
