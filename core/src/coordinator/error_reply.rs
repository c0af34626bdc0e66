//! What a server's error reply means for a command of ours.

use alloc::format;

use super::Request;
use crate::error::{Error, ErrorCode};
use crate::machine::{Outcome, Refused};
use crate::redis::{Reply, words};

/// Said before a script runs, by a server that will be able to run it later.
const TRANSIENT: [&[u8]; 3] = [b"LOADING", b"BUSY", b"MASTERDOWN"];

/// Said before a script runs, by a node of a Redis Cluster, and by nothing else.
const CLUSTER: [&[u8]; 5] = [b"MOVED", b"ASK", b"CROSSSLOT", b"TRYAGAIN", b"CLUSTERDOWN"];

/// Said by a server that will take writes again after a failover, or when its disk or replicas are back.
const PASSING: [&[u8]; 3] = [b"READONLY", b"MISCONF", b"NOREPLICAS"];

/// Said before a script has written anything. OOM, READONLY and the like come from the first write,
/// and no script of ours writes before all its reads are done.
const NOT_EXECUTED: [&[u8]; 9] = [
    b"NOSCRIPT",
    b"READONLY",
    b"OOM",
    b"MISCONF",
    b"NOREPLICAS",
    NOAUTH,
    b"NOPERM",
    b"WRONGPASS",
    b"DENIED",
];

/// Said to a client that has not authenticated.
const NOAUTH: &[u8] = b"NOAUTH";

/// What Redis answers, without a code word of its own, to a long command of such a client.
const UNAUTHENTICATED: &[u8] = b"ERR Protocol error: unauthenticated";

/// What Redis answers, without a code word of its own, to a connection beyond `maxclients` others. It
/// closes the connection then.
const CROWDED: &[u8] = b"ERR max number of clients";

/// What to do about it.
pub(super) const NO_CLUSTER: &str = "the server is a node of a Redis Cluster, which is not supported: \
     connect to servers with 'cluster-enabled no', all of them as nodes of the ring";

impl Request {
    /// What a reply means to the machine that has sent it, by the answer in it, if it is one.
    pub(super) fn outcome<Answer>(&self, reply: &Reply, answer: Option<Answer>) -> Outcome<Answer> {
        let mut refused = match (reply, answer) {
            (Reply::Error(text), _) => Refused::of(text),
            (_, Some(answer)) => return Outcome::Answered(answer, self.sent_at),
            (_, None) => Refused::new(Error::strange(), false, true),
        };
        refused.error = refused.error.at(self.node);
        Outcome::Refused(refused)
    }
}

impl Refused {
    /// A server's error reply.
    pub(super) fn of(text: &[u8]) -> Self {
        let unauthenticated = text.starts_with(UNAUTHENTICATED);
        // Servers before 7.0 wrap what a script raises: `ERR Error running script (...): ...: -OOM ...`.
        let wrapped = text.strip_prefix(b"ERR Error running script");
        let raised = wrapped.and_then(|wrapped| {
            let at = wrapped.windows(3).rposition(|window| window == b": -")?;
            wrapped.get(at + 3..)
        });
        let raised = if unauthenticated { NOAUTH } else { raised.unwrap_or(text) };
        let word = raised.split(|byte| *byte == b' ').next().unwrap_or_default();
        let cluster = CLUSTER.contains(&word);
        let wrong_type = text.windows(9).any(|window| window == b"WRONGTYPE");
        let code = if wrong_type { ErrorCode::WrongType } else { ErrorCode::ServerRefused };
        let crowded = Self::is_of_connection(text);
        let transient = crowded || TRANSIENT.contains(&word);
        let away = transient || word == NOAUTH;
        let passes = PASSING.contains(&word);
        let executed = !transient && !wrong_type && !cluster && !NOT_EXECUTED.contains(&word);
        let words = words(text);
        let message = match (unauthenticated, cluster) {
            (true, _) => format!("NOAUTH Authentication required ({words})"),
            (_, true) => format!("{words} ({NO_CLUSTER})"),
            _ => words,
        };
        Self { error: Error::new(code, message), transient, away, passes, executed }
    }

    /// Whether it is the answer to a new connection, in place of one to the first command.
    pub(super) fn is_of_connection(text: &[u8]) -> bool {
        text.starts_with(CROWDED)
    }

    /// Whether the server does not have the script.
    pub(super) fn is_no_script(text: &[u8]) -> bool {
        text.starts_with(b"NOSCRIPT")
    }
}
