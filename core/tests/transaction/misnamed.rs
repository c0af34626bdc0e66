//! An id that names a server which does not decide, and servers whose answers never do: whoever asks is
//! told so in time.

use crate::support::desk::events;
use crate::support::stamping;
use crate::support::transaction_script::work;
use comity::coordinator::{Config, Coordinator};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::keyspace::ServerTime;
use comity::memory::MemoryStore;
use comity::redis::Argv;
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{Op, Prepare, Role, TransactionId, Txid};

const START: Time = Time::from_micros(1_750_000_000_000_000);
const NOT_AFTER: ServerTime = ServerTime(START.as_micros() + 600_000_000);

struct Scene {
    stores: [MemoryStore; 2],
    co: Coordinator,
    now: Time,
}

impl Scene {
    fn new() -> Self {
        let nodes = ["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec();
        let co = Coordinator::new(Config::new(nodes), [1; 32], START).expect("sound");
        let mut stores = [MemoryStore::new(), MemoryStore::new()];
        stamping::stamp(
            &mut stores,
            Config::new(["a", "b"].map(|id| NodeSpec::new(id, 1)).to_vec()),
        );
        Self { stores, co, now: START }
    }

    fn id(seq: u64, primary: &[u8]) -> TransactionId {
        let txid = Txid::new(77, 0, seq).expect("in range");
        TransactionId { txid, not_after: Some(NOT_AFTER), primary: primary.to_vec() }
    }

    /// A vote at one of the servers.
    fn vote(&mut self, at: usize, id: &TransactionId, role: Role) {
        let op = Op::Prepare(Prepare {
            txid: id.txid,
            ring: stamping::of(&self.stores[at]),
            not_after: NOT_AFTER,
            role,
            patience: Span::from_secs(1),
            keep: false,
            work: work(&["INCR k"]).into(),
        });
        let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
        op.encode(b"comity:1:t:{t}", &mut argv);
        self.stores[at].execute(&argv, self.now);
    }

    /// What is told within the coordinator's timeout and a little more.
    fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        for _ in 0..80 {
            while let Some(command) = self.co.poll_command() {
                let store = &mut self.stores[command.node.0 as usize];
                let reply = store.execute(&command.argv, self.now);
                self.co.handle_reply(command.request, &reply, self.now);
            }
            told.extend(events(&mut self.co));
            self.now = self.now + Span::from_millis(100);
            self.co.handle_timeout(self.now);
        }
        told
    }

    fn failed(&mut self) -> (ErrorCode, String) {
        match &self.told()[..] {
            [Event::CallFailed { error, .. }] => (error.code(), error.message().into()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_secondary_does_not_decide_and_says_so() {
    let mut scene = Scene::new();
    let id = Scene::id(1, b"b");
    scene.vote(1, &id, Role::Secondary { primary: b"a".to_vec() });
    let text = id.to_text();
    for resolves in [false, true] {
        let now = scene.now;
        let asked = match resolves {
            true => scene.co.transaction_resolve(&text, None, now),
            false => scene.co.transaction_status(&text, now),
        };
        asked.expect("an id");
        let (code, message) = scene.failed();
        assert_eq!(code, ErrorCode::InvalidArgument, "{message}");
        assert!(message.contains("'b' is not the server that decides it"), "{message}");
    }
}

#[test]
fn whoever_resolves_what_the_servers_never_decide_is_told_so() {
    // A later one than that whose vote has the slot, as after a failover.
    let mut scene = Scene::new();
    let participants = vec![b"a".to_vec(), b"b".to_vec()];
    scene.vote(0, &Scene::id(1, b"a"), Role::Primary { participants });
    let now = scene.now;
    scene.co.transaction_resolve(&Scene::id(2, b"a").to_text(), None, now).expect("an id");
    assert_eq!(scene.failed().0, ErrorCode::InvalidState);
    // The other participant has a later one in the slot.
    let mut scene = Scene::new();
    let participants = vec![b"a".to_vec(), b"b".to_vec()];
    scene.vote(0, &Scene::id(1, b"a"), Role::Primary { participants });
    scene.vote(1, &Scene::id(2, b"a"), Role::Secondary { primary: b"a".to_vec() });
    let now = scene.now;
    scene.co.transaction_resolve(&Scene::id(1, b"a").to_text(), None, now).expect("an id");
    assert_eq!(scene.failed().0, ErrorCode::InvalidState);
}
