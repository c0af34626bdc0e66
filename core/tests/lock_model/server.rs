//! The server of the model: the embedded store, and what can be taken out of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use comity::keyspace::{Keyspace, Score, ServerTime};
use comity::lock::{Answer, AnswerKind, Fence, Id, Op, Push};
use comity::memory::MemoryStore;
use comity::redis::{Argv, LockKeys, Reply, Script};
use comity::time::{Span, Time};

use crate::client::STATE;
use crate::support::stamping;
use crate::support::view::{View, number};

/// The server's clock at the beginning.
const EPOCH: u64 = 1_750_000_000_000_000;
/// Columns of the state string, from `record.rs`.
const RING: std::ops::Range<usize> = 33..125;
const USED: usize = 16;

/// What stands between a catastrophe and us. The proofs that the model would notice take one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// The server remembers which ids are over.
    Tombstones,
    /// A lease that is handed over is short until its winner has claimed it.
    Claim,
    /// A repeated acquisition finds what the first one left.
    SameId,
    /// The client takes 1 % and 2 ms off each lease.
    Drift,
}

/// What the server answers, and the grants that it publishes with their channels.
pub(crate) type Executed = (Reply, Vec<(Vec<u8>, Vec<u8>)>);

#[derive(Clone)]
pub(crate) struct Server {
    store: MemoryStore,
    /// What the store says of the lock, in time since the beginning.
    view: Arc<View>,
}

/// All else is the same in all states or follows from this: every message is taken at once, and
/// the scripts are loaded. Its count of calls only says when expired keys are purged; here they are
/// purged at once.
impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.space() == other.space()
    }
}

impl Eq for Server {}

impl Hash for Server {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Hash::hash(self.space(), state);
    }
}

impl Server {
    /// An empty store that has the script: loading it is the matter of other tests.
    pub(crate) fn new() -> Self {
        let mut store = stamping::alone();
        let text = Script::Queue.text();
        let mut argv: Argv = ["EVAL", &text, "6"].into_iter().collect();
        LockKeys::of_state(STATE).in_order().iter().for_each(|key| argv.push(key));
        argv.push(stamping::META);
        Op::Inspect.encode(&mut argv);
        argv.push(&stamping::of_one());
        store.execute(&argv, Time::from_micros(EPOCH));
        Self { store, view: Arc::default() }
    }

    pub(crate) const fn space(&self) -> &Keyspace {
        self.store.keyspace()
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, now: u64) {
        let space = self.store.keyspace_mut();
        space.set_now(ServerTime(EPOCH + now));
        space.purge_all();
        let mut view = View::of(space, STATE);
        view.holders.iter_mut().for_each(|holder| holder.till -= EPOCH);
        view.waiters.iter_mut().for_each(|waiter| waiter.till -= EPOCH);
        self.view = Arc::new(view);
    }

    /// Executes a command, but for what is taken out.
    pub(crate) fn execute(
        &mut self,
        argv: &Argv,
        now: u64,
        without: Option<Mechanism>,
    ) -> Executed {
        let mut argv = argv.clone();
        if let Some(Op::Acquire(mut acquire)) = op_of(&argv) {
            if without == Some(Mechanism::SameId) {
                forget(self.store.keyspace_mut(), acquire.id);
            }
            if without == Some(Mechanism::Claim) {
                acquire.handoff_ttl = acquire.ttl;
                let mut head: Argv = argv.iter().take(9).collect();
                Op::Acquire(acquire).encode(&mut head);
                head.push(argv.iter().last().unwrap_or_default());
                argv = head;
            }
        }
        let mut reply = self.store.execute(&argv, Time::from_micros(EPOCH + now));
        let messages = std::iter::from_fn(|| self.store.poll_message());
        let mut pushes: Vec<_> = messages.map(|m| (m.channel, m.payload)).collect();
        match without {
            Some(Mechanism::Tombstones) => bury_nobody(self.store.keyspace_mut()),
            Some(Mechanism::Drift) => {
                reply = undrifted(reply);
                for (_, payload) in &mut pushes {
                    let mut push = Push::decode(payload).expect("the store's own message");
                    push.expiry = stretched(push.now, push.expiry);
                    *payload = push.encode();
                }
            }
            _ => {}
        }
        self.pass(now);
        (reply, pushes)
    }

    /// Somebody looks at the lock, who has nothing to do with it.
    pub(crate) fn touch(&mut self, now: u64) {
        self.pass(now);
        let nobody = Op::Renew { id: Id::from_bits(0), ttl: Span::from_secs(1) };
        let keys = LockKeys::of_state(STATE);
        comity::lock::execute(self.store.keyspace_mut(), &keys, &nobody).expect("their types");
    }

    /// I10: the counts in the header are those of the records, and every id is in one place.
    pub(crate) fn counts_agree(&self) -> bool {
        let (space, keys, view) = (self.space(), LockKeys::of_state(STATE), &self.view);
        let state = space.get(&keys.state).ok().flatten().unwrap_or_default();
        let members = |key: &[u8]| -> Vec<(Vec<u8>, Score)> {
            let set = space.sorted_set(key).ok().flatten();
            set.into_iter().flat_map(|set| set.iter()).map(|(id, at)| (id.to_vec(), at)).collect()
        };
        let (holders, waiters) = (members(&keys.holders), members(&keys.queue));
        if state.first() != Some(&b'Q') {
            return holders.is_empty() && waiters.is_empty() && !space.exists(&keys.records);
        }
        let count = |from: usize| number(&state[from..from + 10]) as usize;
        let found = (view.holders.len(), view.waiters.len());
        let tills = |(id, till): &(Vec<u8>, Score)| {
            view.holder(id).is_some_and(|holder| holder.till + EPOCH == till.number())
        };
        let tickets = |(id, ticket): &(Vec<u8>, Score)| {
            view.waiters.iter().any(|w| w.id == *id && w.ticket == ticket.number())
        };
        (count(135), count(145)) == found
            && (holders.len(), waiters.len()) == found
            && holders.iter().all(tills)
            && waiters.iter().all(tickets)
    }
}

/// The operation of a command; none of a subscription.
pub(crate) fn op_of(argv: &Argv) -> Option<Op> {
    Op::decode(argv.iter().skip(9))
}

/// The fence that an answer tells.
pub(crate) fn fence_of(reply: &Reply) -> Option<Fence> {
    match Answer::decode(reply)?.kind {
        AnswerKind::Granted { fence, .. } | AnswerKind::Renewed { fence, .. } => Some(fence),
        _ => None,
    }
}

/// Nothing is known any more of ids that are over.
fn bury_nobody(space: &mut Keyspace) {
    let keys = LockKeys::of_state(STATE);
    space.delete(&keys.tombstones);
    let Ok(Some(state)) = space.get(&keys.state) else { return };
    let mut state = state.to_vec();
    for (place, byte) in state[RING].iter_mut().enumerate() {
        *byte = if place % 23 == 22 { b',' } else { b'.' };
    }
    if state[0] == b'I' {
        state.truncate(RING.end);
    }
    space.set_keeping_expiry(&keys.state, state);
}

/// Nothing is known any more of an id that holds or waits, as if it had never asked.
fn forget(space: &mut Keyspace, id: Id) {
    let keys = LockKeys::of_state(STATE);
    let Ok(Some(state)) = space.get(&keys.state) else { return };
    let mut state = state.to_vec();
    match state[0] {
        b'F' if state[RING.end..].starts_with(id.as_bytes()) => {
            state[0] = b'I';
            state.truncate(RING.end);
        }
        b'Q' => {
            let id = &id.as_bytes()[..];
            let took = |set: &mut comity::keyspace::SortedSet| set.remove(id);
            let held = space.with_sorted_set(&keys.holders, took).expect("its type");
            let waited = space.with_sorted_set(&keys.queue, took).expect("its type");
            space.with_hash(&keys.records, |records| records.remove(id)).expect("its type");
            for (gone, at, width) in [(held, 135, 10), (waited, 145, 10), (held, 155, USED)] {
                let count = number(&state[at..at + width]) - u64::from(gone);
                state[at..at + width].copy_from_slice(format!("{count:0width$}").as_bytes());
            }
        }
        _ => return,
    }
    space.set_keeping_expiry(&keys.state, state);
}

/// The end of a lease from which the client's allowance leaves what the server said.
fn stretched(now: ServerTime, expiry: ServerTime) -> ServerTime {
    let span = expiry.since(now).as_micros();
    now.after(Span::from_micros((span + 2_000).div_ceil(99) * 100))
}

fn undrifted(reply: Reply) -> Reply {
    let Some(mut answer) = Answer::decode(&reply) else { return reply };
    if let AnswerKind::Granted { now, expiry, .. } | AnswerKind::Renewed { now, expiry, .. } =
        &mut answer.kind
    {
        *expiry = stretched(*now, *expiry);
    }
    answer.encode()
}
