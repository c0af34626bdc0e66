//! Whom a connection tells what has come of its commands.

use comity::redis::{Failure, NodeId, RequestId};
use pyo3::intern;
use pyo3::prelude::*;

use crate::collector::Pause;
use crate::connection::Told;
use crate::convert::value;
use crate::coordinator::{Coordinator, at};

/// A coordinator, which is told within Rust; or whatever has its methods, by which a driver can be
/// tried and a coordinator be watched.
pub(crate) enum Sink<'a, 'py> {
    Core(&'a Coordinator),
    Other(&'a Bound<'py, PyAny>),
}

impl<'a, 'py> Sink<'a, 'py> {
    pub(crate) fn of(core: &'a Bound<'py, PyAny>) -> Self {
        core.cast::<Coordinator>().map_or(Self::Other(core), |core| Self::Core(core.get()))
    }

    /// In the order in which it came from `node`.
    pub(crate) fn tell(
        &self,
        py: Python<'_>,
        told: Vec<Told>,
        node: u32,
        now: u64,
    ) -> PyResult<()> {
        let (node, number) = (NodeId(node), node);
        match self {
            _ if told.is_empty() => Ok(()),
            Self::Core(core) => core.input(py, now, |core| {
                for one in told {
                    match one {
                        Told::Reply(request, reply) => core.handle_reply(request, &reply, at(now)),
                        Told::Message(channel, payload) => {
                            core.handle_message(node, &channel, &payload, at(now));
                        }
                        Told::Refused(text) => core.handle_refused(node, &text, at(now)),
                    }
                }
            }),
            Self::Other(core) => {
                let _pause = Pause::new(py);
                told.into_iter().try_for_each(|one| {
                    let told = match one {
                        Told::Reply(request, reply) => {
                            let arguments = (request.0, value(py, &reply)?, now);
                            core.call_method1(intern!(py, "handle_reply"), arguments)
                        }
                        Told::Message(channel, payload) => {
                            let arguments = (number, channel.as_slice(), payload.as_slice(), now);
                            core.call_method1(intern!(py, "handle_message"), arguments)
                        }
                        Told::Refused(text) => {
                            let arguments = (number, text.as_slice(), now);
                            core.call_method1(intern!(py, "handle_refused"), arguments)
                        }
                    };
                    told.map(drop)
                })
            }
        }
    }

    /// These have got no answer.
    pub(crate) fn failed(
        &self,
        py: Python<'_>,
        lost: &[(RequestId, Failure)],
        now: u64,
    ) -> PyResult<()> {
        match self {
            _ if lost.is_empty() => Ok(()),
            Self::Core(core) => core.input(py, now, |core| {
                for (request, failure) in lost {
                    core.handle_failure(*request, *failure, at(now));
                }
            }),
            Self::Other(core) => {
                let _pause = Pause::new(py);
                lost.iter().try_for_each(|(request, failure)| {
                    let failure = match failure {
                        Failure::NotSent => "not_sent",
                        Failure::OutcomeUnknown => "outcome_unknown",
                    };
                    let arguments = (request.0, failure, now);
                    core.call_method1(intern!(py, "handle_failure"), arguments).map(drop)
                })
            }
        }
    }

    /// Not a byte of these has left.
    pub(crate) fn not_sent(&self, py: Python<'_>, requests: &[u64], now: u64) -> PyResult<()> {
        let lost = |request: &u64| (RequestId(*request), Failure::NotSent);
        self.failed(py, &requests.iter().map(lost).collect::<Vec<_>>(), now)
    }
}
