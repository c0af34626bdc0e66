//! The ring: where keys lie, and servers that agree on it.

#[path = "../support/mod.rs"]
mod support;

mod points;
mod stamp_differential;
mod stamped;
mod swapped;
mod vectors;
