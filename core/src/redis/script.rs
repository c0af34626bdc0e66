//! The Lua scripts, and which servers are known to have them.

use alloc::vec::Vec;

/// A script that comity ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Script {
    /// The queued lock.
    Queue,
    /// The fencing guard.
    Guard,
    /// The counter.
    Counter,
    /// A transaction at a single participant.
    Exec1,
    /// A transaction's first phase.
    Prepare,
    /// Its second phase.
    Finish,
    /// What a transaction's primary has decided.
    Status,
    /// What a transaction's secondary has voted.
    Vote,
    /// What transactions have left over.
    Sweep,
    /// Which transactions are recorded, asked by a write.
    Confirm,
    /// What a server can do.
    Check,
}

/// A script of the transaction: the parts it needs, in this order.
macro_rules! transaction {
    ($($part:literal),*) => {
        concat!($(include_str!(concat!("../transaction/", $part))),*)
    };
}

impl Script {
    pub(crate) const ALL: [Self; 11] = [
        Self::Queue,
        Self::Guard,
        Self::Counter,
        Self::Exec1,
        Self::Prepare,
        Self::Finish,
        Self::Status,
        Self::Vote,
        Self::Sweep,
        Self::Confirm,
        Self::Check,
    ];

    /// Its text.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Queue => include_str!("../lock/queue.lua"),
            Self::Guard => include_str!("../lock/guard.lua"),
            Self::Counter => include_str!("../counter/counter.lua"),
            Self::Exec1 => transaction!(
                "run.lua",
                "direct.lua",
                "register.lua",
                "work.lua",
                "shadows.lua",
                "forbidden.lua",
                "apply.lua",
                "exec1.lua"
            ),
            Self::Prepare => transaction!(
                "run.lua",
                "register.lua",
                "work.lua",
                "shadows.lua",
                "forbidden.lua",
                "prepare.lua"
            ),
            Self::Finish => transaction!(
                "register.lua",
                "answers.lua",
                "locks.lua",
                "forbidden.lua",
                "apply.lua",
                "finish.lua"
            ),
            Self::Status => transaction!("register.lua", "answers.lua", "status.lua"),
            Self::Vote => transaction!("register.lua", "answers.lua", "vote.lua"),
            Self::Sweep => transaction!("register.lua", "locks.lua", "sweep.lua"),
            Self::Confirm => transaction!("register.lua", "confirm.lua"),
            Self::Check => include_str!("check.lua"),
        }
    }
}

/// The SHA-1 digests, as hexadecimal text, by which Redis knows the scripts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digests(Vec<[u8; 40]>);

impl Digests {
    pub(crate) fn new() -> Self {
        Self(Script::ALL.iter().map(|script| hex_sha1(script.text().as_bytes())).collect())
    }

    pub(crate) fn of(&self, script: Script) -> &[u8] {
        &self.0[script as usize]
    }

    /// The script with this digest, in either case of letters.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<Script> {
        Script::ALL.into_iter().find(|script| self.of(*script).eq_ignore_ascii_case(digest))
    }
}

/// The SHA-1 of `text` as hexadecimal text.
pub(crate) fn hex_sha1(text: &[u8]) -> [u8; 40] {
    let digest = sha1_smol::Sha1::from(text).digest().bytes();
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_redis() {
        // FIPS 180's test vector.
        assert_eq!(&hex_sha1(b"abc"), b"a9993e364706816aba3e25717850c26c9cd0d89d");
        let digests = Digests::new();
        for script in Script::ALL {
            assert_eq!(digests.find(&digests.of(script).to_ascii_uppercase()), Some(script));
        }
    }
}
