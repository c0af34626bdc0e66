//! What is explored: who does what, and what may go wrong.

use std::sync::Arc;

use comity::redis::Reply;
use comity::stamp::Stamp;
use comity::time::Span;
use comity::transaction::model::plan;
use comity::transaction::{Ack, Durability, Expectation, PrepareOrder, TransactionPlan, Words};

use crate::mutation::Mutation;

/// How often each kind of fault may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// Of the next four together.
    pub(crate) faults: u8,
    /// Commands that are lost before they are executed, or whose answer is lost.
    pub(crate) losses: u8,
    /// Commands that are executed once more, or only after their driver has given up.
    pub(crate) strays: u8,
    /// Clients and recoverers that die.
    pub(crate) crashes: u8,
    /// Users that give up, and those that then go without an answer.
    pub(crate) limits: u8,
    /// Times that something is sent again after a pause.
    pub(crate) timers: u8,
    /// Recoveries.
    pub(crate) recoveries: u8,
    /// Recoveries by its id, also of what no server has heard of.
    pub(crate) resolves: u8,
    /// Whether the time of all transactions may be over.
    pub(crate) late: u8,
    /// Registers that are swept.
    pub(crate) sweeps: u8,
}

/// One transaction.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Whose. A user's next one begins when the outcome of the one before is known.
    pub(crate) user: usize,
    pub(crate) plan: Arc<TransactionPlan>,
    pub(crate) order: PrepareOrder,
    pub(crate) ack: Ack,
    /// The keys that it counts up, each by its own digit.
    pub(crate) writes: Vec<Vec<u8>>,
    /// The keys that it expects not to be there, as in the beginning.
    pub(crate) expects: Vec<Vec<u8>>,
    /// For each participant and operation the key.
    pub(crate) reads: Vec<Vec<Vec<u8>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) participants: usize,
    pub(crate) scripts: Vec<Script>,
    /// How many recoveries there are at one time.
    pub(crate) helpers: usize,
    pub(crate) budget: Budget,
    /// Whether replicas are to have them.
    pub(crate) durability: Durability,
    pub(crate) mutation: Option<Mutation>,
}

/// The stamp of the ring under which everybody places keys.
pub(crate) const RING: Stamp = Stamp::settled(7);

/// The participant with this number.
pub(crate) fn node(place: usize) -> Vec<u8> {
    format!("n{place}").into_bytes()
}

pub(crate) fn place_of(id: &[u8]) -> usize {
    usize::from(id[1] - b'0')
}

/// Key `a` is at the first participant, `b` at the second.
fn home(key: &[u8]) -> Vec<u8> {
    node(usize::from(key[0] - b'a'))
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

impl Scenario {
    pub(crate) fn new(name: &'static str, participants: usize, budget: Budget) -> Self {
        Self {
            name,
            participants,
            scripts: Vec::new(),
            helpers: 1,
            budget,
            durability: Durability::None,
            mutation: None,
        }
    }

    pub(crate) fn helpers(self, helpers: usize) -> Self {
        Self { helpers, ..self }
    }

    /// A replica of each participant is to have all of them.
    pub(crate) fn durable(self) -> Self {
        let durability = Durability::Wait { replicas: 1, timeout: Span::from_secs(3_600) };
        Self { durability, ..self }
    }

    /// Adds a transaction that counts up `writes` and reads `reads`, if `expects` are not there.
    pub(crate) fn with(self, user: usize, writes: &str, reads: &str, expects: &str) -> Self {
        self.ordered(user, writes, reads, expects, PrepareOrder::Parallel)
    }

    pub(crate) fn ordered(
        mut self,
        user: usize,
        writes: &str,
        reads: &str,
        expects: &str,
        order: PrepareOrder,
    ) -> Self {
        let unit = 10_i64.pow(u32::try_from(self.scripts.len()).expect("few"));
        let keys = |text: &str| text.split_terminator(' ').map(String::from).collect::<Vec<_>>();
        let incr = |key: &String| words(&format!("INCRBY {key} {unit}"));
        let get = |key: &String| words(&format!("GET {key}"));
        let commands: Vec<Words> =
            keys(writes).iter().map(incr).chain(keys(reads).iter().map(get)).collect();
        let expectations: Vec<_> = keys(expects)
            .into_iter()
            .map(|key| Expectation::Unchanged {
                read: words(&format!("GET {key}")),
                reply: Reply::Nil,
            })
            .collect();
        let plan = plan(&commands, &expectations, RING, home).expect("sound commands");
        let reads = plan.parts.iter().map(|part| {
            let key = |operation| part.work.key(operation).expect("a key").name.clone();
            part.work.operations.iter().map(key).collect()
        });
        let bytes = |text| keys(text).into_iter().map(String::into_bytes).collect();
        self.scripts.push(Script {
            user,
            reads: reads.collect(),
            plan: Arc::new(plan),
            order,
            ack: Ack::Decided,
            writes: bytes(writes),
            expects: bytes(expects),
        });
        self
    }

    /// The digit of transaction `script` in `value`.
    pub(crate) fn digit(value: i64, script: usize) -> i64 {
        value / 10_i64.pow(u32::try_from(script).expect("few")) % 10
    }
}
