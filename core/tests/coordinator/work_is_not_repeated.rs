//! What is done for one caller does not grow with the number of the others, nor with that of the nodes.
//! What did would take a hundred times as long here and more; twenty times is allowed, of what half of the
//! steps take at most, so that the speed of the machine makes no difference.

use std::time::{Duration, Instant};

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::memory::MemoryStore;
use comity::ring::NodeSpec;
use comity::time::Time;
use comity::transaction::TransactionOptions;

const NOW: Time = Time::from_micros(1_750_000_000_000_000);

/// How long the steps of something take, each measured by itself: a machine that is busy with other things
/// interrupts few of them.
#[derive(Default)]
struct Steps(Vec<Duration>);

impl Steps {
    fn take<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = step();
        self.0.push(begun.elapsed());
        result
    }

    /// What half of them take at most, in seconds.
    fn typical(mut self) -> f64 {
        self.0.sort_unstable();
        self.0[self.0.len() / 2].as_secs_f64()
    }
}

#[test]
fn readers_of_one_key_do_not_wait_for_each_other() {
    let each = |count: u32| {
        let mut store = MemoryStore::new();
        let config = Config::new(vec![NodeSpec::new("a", 1)]);
        let mut co = Coordinator::new(config, [7; 32], NOW).expect("sound");
        let read = [vec![b"GET".to_vec(), b"k".to_vec()]];
        let (mut begin, mut serve) = (Steps::default(), Steps::default());
        for _ in 0..count {
            let options = TransactionOptions::default();
            begin.take(|| co.transaction_execute(&read, &[], options, NOW)).expect("sound");
        }
        while let Some(command) = serve.take(|| co.poll_command()) {
            let reply = store.execute(&command.argv, NOW);
            serve.take(|| co.handle_reply(command.request, &reply, NOW));
        }
        let told = std::iter::from_fn(|| co.poll_event());
        let done = |event: &Event| matches!(event, Event::TransactionCommitted { .. });
        assert_eq!(told.filter(done).count(), count as usize);
        begin.typical() + serve.typical()
    };
    let (few, many) = (each(100), each(10_000));
    assert!(
        many < 20.0 * few,
        "{:.1} us each of 100, {:.1} us each of 10000",
        few * 1e6,
        many * 1e6
    );
}

#[test]
fn nodes_without_commands_cost_nothing() {
    let each = |nodes: u32| {
        let ids = (0..nodes).map(|n| NodeSpec::new(format!("n{n}"), 1));
        let config = Config::new(ids.collect());
        let mut co = Coordinator::new(config, [7; 32], NOW).expect("sound");
        let mut calls = Steps::default();
        for _ in 0..500 {
            calls.take(|| {
                let lock = co.lock_acquire(b"x", LockOptions::default(), NOW).expect("sound");
                assert!(co.poll_command().is_some());
                assert!(co.poll_command().is_none());
                co.lock_cancel(lock, NOW);
                while co.poll_command().is_some() {}
            });
        }
        calls.typical()
    };
    let (few, many) = (each(1), each(4_000));
    assert!(many < 20.0 * few, "{:.1} us at 1 node, {:.1} us at 4000", few * 1e6, many * 1e6);
}
