//! What a connection tells its coordinator.

use std::ffi::CString;

use comity::coordinator::Coordinator;
use comity::redis::wire::{Frame, Incoming, Silent, Token};
use comity::redis::{NodeChange, Route, words};
use comity::time::Time;

use super::{Stage, comity_connection};

/// How a connection ends.
pub(super) enum End<'a> {
    /// The server refuses it, in these words.
    Refused(&'a [u8]),
    /// For any other reason.
    Broken { reason: &'a str, lasting: bool },
}

impl comity_connection {
    pub(super) fn connected(&mut self, co: &mut Coordinator, now: Time) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Open;
            if self.wire.is_ready() {
                self.let_in(co, now);
            }
        }
    }

    /// The server has let it in.
    fn let_in(&mut self, co: &mut Coordinator, now: Time) {
        // Of one for messages the coordinator hears by the reply to its subscription.
        if self.route != Route::Subscribe {
            self.told = true;
            co.handle_node(self.node, NodeChange::Connected, now);
        }
    }

    /// What may be written now.
    pub(super) fn next_bytes(&self) -> &[u8] {
        if self.stage == Stage::Open { self.wire.transmit() } else { &[] }
    }

    pub(super) fn receive(&mut self, co: &mut Coordinator, bytes: &[u8], now: Time) {
        if self.stage == Stage::Over {
            return;
        }
        self.wire.receive(bytes, now);
        loop {
            match self.wire.poll() {
                Ok(Some(Incoming::Ready)) => self.let_in(co, now),
                Ok(Some(Incoming::Reply { request, reply })) => {
                    let refused = is_refused(reply, self.route, &mut self.doubtful);
                    co.handle_reply(request, &reply.to_reply(), now);
                    if refused {
                        let reason = "the server refuses the subscription";
                        return self.end(co, &End::Broken { reason, lasting: false }, now);
                    }
                    self.told |= self.route == Route::Subscribe;
                }
                Ok(Some(Incoming::Message { channel, payload })) => {
                    co.handle_message(self.node, channel, payload, now);
                }
                Ok(Some(Incoming::Refused(text))) => {
                    let text = text.to_vec();
                    return self.end(co, &End::Refused(&text), now);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(malformed) => {
                    let reason = format!("no reply: {malformed}");
                    // Whoever has never answered is no Redis.
                    let lasting = !self.wire.is_ready();
                    return self.end(co, &End::Broken { reason: &reason, lasting }, now);
                }
            }
        }
        if self.doubtful && self.wire.outstanding() == 0 {
            let reason = "the server takes no writes any more";
            self.end(co, &End::Broken { reason, lasting: false }, now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Over => None,
            // There is nobody yet who could be silent.
            Stage::Waiting if self.wire.outstanding() == 0 => None,
            Stage::Waiting | Stage::Open => self.wire.deadline(),
        }
    }

    pub(super) fn handle_timeout(&mut self, co: &mut Coordinator, now: Time) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let reason = match self.wire.handle_timeout(now) {
            Ok(()) => return,
            Err(Silent::NoAnswer) if self.stage == Stage::Waiting => "no connection in time",
            Err(Silent::NoAnswer) if !self.wire.is_ready() => {
                "there is a connection, but nothing was answered in time"
            }
            Err(Silent::NoAnswer) => "no answer in time",
            Err(_) => "the server is silent",
        };
        self.end(co, &End::Broken { reason, lasting: false }, now);
    }

    /// Ends it, and tells the coordinator what that means.
    pub(super) fn end(&mut self, co: &mut Coordinator, how: &End<'_>, now: Time) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Over;
        let lost = self.wire.end();
        let why = match how {
            End::Refused(text) => {
                co.handle_refused(self.node, text, now);
                words(text)
            }
            End::Broken { reason, lasting } => {
                // One that ends while nothing is asked says nothing of its server, nor does a `WAIT` that
                // takes its time.
                if !lost.is_empty() && self.route != Route::Blocking {
                    co.handle_unreachable(self.node, reason, *lasting, now);
                }
                (*reason).to_owned()
            }
        };
        // Text for C ends at its first zero byte, so none may stand inside.
        self.why = CString::new(why.replace('\0', "\\0")).unwrap_or_default();
        for (request, failure) in lost {
            co.handle_failure(request, failure, now);
        }
        if self.told {
            let change = match self.route {
                Route::Subscribe => NodeChange::PushLost,
                _ => NodeChange::Lost,
            };
            co.handle_node(self.node, change, now);
        }
    }
}

/// Whether a reply says that there will be no messages. Notes whether it says that the server is no master.
fn is_refused(reply: Frame<'_>, route: Route, doubtful: &mut bool) -> bool {
    let Some(Token::Error(text)) = reply.tokens().next() else { return false };
    *doubtful |= text.starts_with(b"READONLY");
    route == Route::Subscribe
}
