//! Messages that nobody takes, and transactions of others that are met, are not kept without end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::keyspace::ServerTime;
use comity::memory::{MAX_MESSAGES, MemoryStore};
use comity::redis::{Command, Reply};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{Answer, Rejection, TransactionOptions, Txid};

/// Counts what each thread, and so each test, has allocated and not freed.
struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: usize, sign: i64) {
    // A thread that ends frees what is no test's business.
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let _ = LIVE.try_with(|live| live.set(live.get() + sign * bytes));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn messages_that_nobody_takes() {
    let mut store = MemoryStore::new();
    let total = MAX_MESSAGES + 1_000;
    for number in 0..total {
        let argv = ["PUBLISH", "c", &number.to_string()].into_iter().collect();
        store.execute(&argv, Time::from_micros(1));
    }
    let left: Vec<_> = std::iter::from_fn(|| store.poll_message()).collect();
    assert_eq!(left.len(), MAX_MESSAGES);
    assert_eq!(left[0].payload, b"1000", "the oldest are gone");
    assert_eq!(left[MAX_MESSAGES - 1].payload, (total - 1).to_string().as_bytes());
}

const NOW: Time = Time::from_micros(1_750_000_000_000_000);
const SERVER: ServerTime = ServerTime(NOW.as_micros());

/// A client whose transactions always meet a lock of somebody else's.
struct Client {
    co: Coordinator,
    now: Time,
}

impl Client {
    fn new() -> Self {
        let config = Config::new(vec![NodeSpec::new("a", 1)]);
        Self { co: Coordinator::new(config, [1; 32], NOW).expect("sound"), now: NOW }
    }

    /// Meets the lock of one transaction, which others may end from `deadline` on.
    fn meet(&mut self, holder: Txid, deadline: ServerTime) {
        let set = vec![vec![b"SET".to_vec(), b"k".to_vec(), b"1".to_vec()]];
        let options = TransactionOptions::default();
        let own = self.co.transaction_execute(&set, &[], options, self.now).expect("sound");
        let mut met = false;
        while let Some(Command { request, argv, .. }) = self.co.poll_command() {
            let words: Vec<_> = argv.iter().collect();
            let reply = match words[0] {
                b"TIME" => Reply::Array(vec![Reply::bulk("1750000000"), Reply::bulk("0")]),
                // It is a transaction's: the keys are the hash, `k`, and its shadow.
                _ if words[2] == b"3" => {
                    met = true;
                    let not_after = SERVER.after(Span::from_secs(600));
                    let primary = b"0".to_vec();
                    let now = SERVER;
                    let why =
                        Rejection::Locked { key: 0, holder, primary, not_after, deadline, now };
                    Answer::Refused { recorded: true, why }.encode()
                }
                // What would end the other is on its way for ever.
                _ => continue,
            };
            self.co.handle_reply(request, &reply, self.now);
        }
        assert!(met, "it was sent");
        self.co.transaction_cancel(own, self.now);
        let ends = std::iter::from_fn(|| self.co.poll_event());
        let ends = ends.filter(|event| matches!(event, Event::TransactionFailed { .. }));
        assert_eq!(ends.count(), 1);
    }
}

/// How much more there is after `times` repetitions than after 1,000.
fn growth(times: u32, mut step: impl FnMut(u32)) -> i64 {
    (0..1_000).for_each(&mut step);
    let before = LIVE.with(Cell::get);
    (1_000..times).for_each(step);
    LIVE.with(Cell::get) - before
}

#[test]
fn transactions_of_others_that_are_met() {
    let mut client = Client::new();
    let far = SERVER.after(Span::from_secs(5));
    let grown = growth(20_000, |number| {
        client.meet(Txid::new(u64::from(number) + 1, 0, 1).expect("in range"), far);
    });
    assert!(grown < 100_000, "19,000 more transactions were met: {grown} bytes");
}

#[test]
fn where_a_transaction_is_met_while_it_is_ended() {
    let mut client = Client::new();
    let holder = Txid::new(7, 0, 1).expect("in range");
    let grown = growth(20_000, |_| client.meet(holder, SERVER));
    assert_eq!(client.co.stats().transaction_recoveries, 1);
    assert!(grown < 100_000, "it was met 19,000 times more: {grown} bytes");
}
