//! A coordinator, a store for each of its nodes, and all that passes between them and the test.

use std::collections::BTreeMap;

use comity::coordinator::{Config, Coordinator};
use comity::error::Result;
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, NodeChange, NodeId, RequestId, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use serde_json::{Value, json};

use crate::lines;

pub(crate) struct Recorder {
    pub(crate) co: Coordinator,
    stores: Vec<MemoryStore>,
    now: Time,
    /// Commands that have no answer yet.
    pub(crate) pending: BTreeMap<RequestId, Command>,
    lines: String,
}

impl Recorder {
    pub(crate) fn new(nodes: &[&str], seed: u8) -> Self {
        let now = Time::from_micros(1_750_000_000_000_000);
        let specs = nodes.iter().map(|id| NodeSpec::new(*id, 1)).collect();
        let co = Coordinator::new(Config::new(specs), [seed; 32], now).expect("a sound ring");
        let mut recorder = Self {
            co,
            stores: nodes.iter().map(|_| MemoryStore::default()).collect(),
            now,
            pending: BTreeMap::new(),
            lines: String::new(),
        };
        let begin = json!({
            "nodes": nodes,
            "entropy": format!("{seed:02x}").repeat(32),
            "timeout_us": 5_000_000,
            "push": true,
        });
        recorder.went_in(json!({ "begin": begin, "now": now.as_micros() }));
        recorder
    }

    pub(crate) fn finish(self) -> String {
        self.lines
    }

    pub(crate) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }

    /// Calls a verb, which `call` does as the line says.
    pub(crate) fn verb(
        &mut self,
        verb: &str,
        args: Value,
        options: Value,
        call: impl FnOnce(&mut Coordinator, Time) -> Result<Option<u64>>,
    ) -> u64 {
        let mut line = json!({
            "verb": verb,
            "args": args,
            "options": options,
            "now": self.now.as_micros(),
        });
        let gives = match call(&mut self.co, self.now) {
            Ok(gives) => {
                if let Some(number) = gives {
                    line["gives"] = json!(number);
                }
                gives
            }
            Err(error) => {
                line["refused"] = lines::error(&error);
                None
            }
        };
        self.went_in(line);
        gives.unwrap_or(0)
    }

    /// The store of its node answers a command.
    pub(crate) fn answer(&mut self, request: RequestId) {
        let Some(command) = self.pending.remove(&request) else { panic!("no such command") };
        if command.route == Route::Subscribe {
            return self.node(command.node, NodeChange::PushReady, "push_ready");
        }
        let store = &mut self.stores[command.node.0 as usize];
        let reply = store.execute(&command.argv, self.now);
        let now = self.now;
        self.co.handle_reply(request, &reply, now);
        let is = lines::reply(&reply);
        self.went_in(json!({ "reply": request.0, "is": is, "now": now.as_micros() }));
    }

    /// The store executes a command, and its answer is lost.
    pub(crate) fn lose(&mut self, request: RequestId) {
        let Some(command) = self.pending.remove(&request) else { panic!("no such command") };
        self.stores[command.node.0 as usize].execute(&command.argv, self.now);
        self.fail(request, Failure::OutcomeUnknown);
    }

    pub(crate) fn fail(&mut self, request: RequestId, failure: Failure) {
        self.pending.remove(&request);
        self.co.handle_failure(request, failure, self.now);
        let is = match failure {
            Failure::NotSent => "not_sent",
            Failure::OutcomeUnknown => "outcome_unknown",
        };
        self.went_in(json!({ "failure": request.0, "is": is, "now": self.now.as_micros() }));
    }

    pub(crate) fn node(&mut self, node: NodeId, change: NodeChange, is: &str) {
        self.co.handle_node(node, change, self.now);
        self.went_in(json!({ "node": node.0, "is": is, "now": self.now.as_micros() }));
    }

    /// Answers commands until there are none; what is published comes behind each.
    pub(crate) fn settle(&mut self) {
        while let Some(request) = self.pending.keys().next().copied() {
            self.answer(request);
            self.deliver();
        }
    }

    /// What the stores have published arrives.
    pub(crate) fn deliver(&mut self) {
        for node in 0..self.stores.len() {
            while let Some(message) = self.stores[node].poll_message() {
                if message.channel != self.co.inbox() {
                    continue;
                }
                let at = NodeId(u32::try_from(node).expect("few nodes"));
                self.co.handle_message(at, &message.channel, &message.payload, self.now);
                self.went_in(json!({
                    "message": node,
                    "channel": lines::text(&message.channel),
                    "payload": lines::text(&message.payload),
                    "now": self.now.as_micros(),
                }));
            }
        }
    }

    /// The next deadline comes.
    pub(crate) fn wait(&mut self) {
        let due = self.co.next_deadline().expect("there is something to wait for");
        self.now = self.now.max(due);
        self.co.handle_timeout(self.now);
        self.went_in(json!({ "time": self.now.as_micros() }));
    }

    /// Notes what went in, and what comes out of it.
    fn went_in(&mut self, line: Value) {
        self.line(&line);
        while let Some(command) = self.co.poll_command() {
            self.line(&lines::command(&command));
            self.pending.insert(command.request, command);
        }
        while let Some(event) = self.co.poll_event() {
            self.line(&lines::event(&event));
        }
        let deadline = self.co.next_deadline().map(Time::as_micros);
        self.line(&json!({ "deadline": deadline }));
    }

    fn line(&mut self, line: &Value) {
        self.lines.push_str(&line.to_string());
        self.lines.push('\n');
    }
}
