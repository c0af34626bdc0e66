//! The Lua scripts that comity runs on servers.

use alloc::string::String;

/// A script that comity ships.
///
/// Its parts are listed in `build/main.rs`, which makes their texts and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Script {
    /// The queued lock.
    Queue,
    /// The fencing guard.
    Guard,
    /// The counter.
    Counter,
    /// A transaction at a single participant.
    OnePhase,
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
    /// Which ring a server belongs to.
    Stamp,
}

// The parts of each, each part once, and the digests.
include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

impl Script {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Queue,
        Self::Guard,
        Self::Counter,
        Self::OnePhase,
        Self::Prepare,
        Self::Finish,
        Self::Status,
        Self::Vote,
        Self::Sweep,
        Self::Confirm,
        Self::Check,
        Self::Stamp,
    ];

    /// Whether it goes by the id of its server, whatever the ring: its last argument is the id's print.
    #[must_use]
    pub const fn goes_by_id(self) -> bool {
        matches!(self, Self::Finish | Self::Status | Self::Vote | Self::Sweep | Self::Confirm)
    }

    /// Its text, as a server without it is sent it.
    #[must_use]
    pub fn text(self) -> String {
        self.parts().concat()
    }

    /// The script with this text.
    pub(crate) fn of_text(text: &[u8]) -> Option<Self> {
        let is_its = |script: &Self| {
            let mut parts = script.parts().iter();
            let rest = parts.try_fold(text, |rest, part| rest.strip_prefix(part.as_bytes()));
            rest.is_some_and(<[u8]>::is_empty)
        };
        Self::ALL.into_iter().find(is_its)
    }

    /// The script with this digest, in either case of letters.
    pub(crate) fn of_digest(digest: &[u8]) -> Option<Self> {
        let is_its = |script: &Self| script.digest().as_bytes().eq_ignore_ascii_case(digest);
        Self::ALL.into_iter().find(is_its)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_by_its_text_and_its_digest() {
        for script in Script::ALL {
            let text = script.text();
            assert_eq!(Script::of_text(text.as_bytes()), Some(script));
            assert_eq!(Script::of_text(&text.as_bytes()[1..]), None);
            assert_eq!(Script::of_text(&text.as_bytes()[..text.len() - 1]), None);
            assert_eq!(Script::of_text((text + "\n").as_bytes()), None);
            let digest = script.digest();
            assert_eq!(Script::of_digest(digest.as_bytes()), Some(script));
            assert_eq!(Script::of_digest(digest.to_ascii_uppercase().as_bytes()), Some(script));
            assert_eq!(Script::of_digest(&digest.as_bytes()[1..]), None);
        }
        assert_eq!(Script::of_text(b""), None);
        assert_eq!(Script::of_digest(b""), None);
    }

    #[test]
    fn a_text_has_only_what_is_executed() {
        for script in Script::ALL {
            for line in script.text().lines() {
                assert_eq!(line, line.trim(), "{script:?}");
                assert!(!line.is_empty(), "{script:?}");
                assert!(!line.contains("--"), "{script:?}: {line}");
            }
        }
    }
}
