//! Counters: what is counted counts once, whatever becomes of servers, replies and processes.

#[path = "../support/mod.rs"]
mod support;

mod asked_anew;
mod audit;
mod bounds;
mod clones;
mod collected;
mod differential;
mod failover;
mod fold;
mod full_memory;
mod invariants;
mod merge;
mod refused;
mod retired;
mod sums;
