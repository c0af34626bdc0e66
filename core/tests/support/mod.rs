//! What the tests of the core share.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part of this")]
#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "tests report what they did, and their numbers are small"
)]

pub(crate) mod acquire;
pub(crate) mod calls;
pub(crate) mod checked;
pub(crate) mod client;
pub(crate) mod common_clock;
pub(crate) mod counter_acts;
pub(crate) mod counter_desk;
pub(crate) mod counter_ops;
pub(crate) mod counter_process;
pub(crate) mod counter_world;
pub(crate) mod desk;
pub(crate) mod fated;
pub(crate) mod generator;
pub(crate) mod harness;
pub(crate) mod ledger;
pub(crate) mod network;
pub(crate) mod pair;
pub(crate) mod redis_server;
pub(crate) mod replica;
pub(crate) mod resp;
pub(crate) mod ringed;
pub(crate) mod rng;
pub(crate) mod short_ways;
pub(crate) mod snapshots;
pub(crate) mod stamping;
pub(crate) mod transaction_lines;
pub(crate) mod transaction_ops;
pub(crate) mod transaction_pair;
pub(crate) mod transaction_script;
pub(crate) mod transaction_world;
pub(crate) mod unanswered;
pub(crate) mod user;
pub(crate) mod view;
pub(crate) mod words;

pub(crate) use rng::{Rng, for_seeds, seed};
