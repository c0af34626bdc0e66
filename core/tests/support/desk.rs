//! For scenarios told step by step: one store, one clock, and commands that the test hands over
//! itself, in the order and with the losses it likes.

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::keyspace::ServerTime;
use comity::lock::{LockId, LockOptions};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Command, NodeId, Reply, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

use super::stamping;
use super::view::View;

pub(crate) const NODE: NodeId = NodeId(0);
/// The lock that the scenarios are about, and its state key.
pub(crate) const NAME: &[u8] = b"job";
pub(crate) const STATE: &[u8] = b"comity:1:lock:{job}";

pub(crate) struct Desk {
    pub(crate) store: MemoryStore,
    pub(crate) now: Time,
}

impl Desk {
    /// A store that has the scripts, so that no scenario but that one has to do with loading.
    pub(crate) fn new() -> Self {
        let mut desk = Self::without_scripts();
        let mut co = desk.coordinator(255);
        co.lock_inspect(NAME, desk.now).expect("a sound name");
        desk.run(&mut co);
        desk
    }

    pub(crate) fn without_scripts() -> Self {
        Self { store: stamping::alone(), now: Time::from_micros(1_750_000_000_000_000) }
    }

    pub(crate) fn coordinator(&self, seed: u8) -> Coordinator {
        let config = Config::new(vec![NodeSpec::new("n", 1)]);
        Coordinator::new(config, [seed; 32], self.now).expect("a sound configuration")
    }

    /// A coordinator that holds the lock.
    pub(crate) fn holder(&mut self, seed: u8) -> (Coordinator, LockId) {
        let mut co = self.coordinator(seed);
        let lock = self.ask(&mut co);
        self.run(&mut co);
        assert!(co.lock_is_held(lock, self.now));
        while co.poll_event().is_some() {}
        (co, lock)
    }

    /// A coordinator that waits for the lock, its push connection open.
    pub(crate) fn waiter(&mut self, seed: u8) -> (Coordinator, LockId) {
        let mut co = self.coordinator(seed);
        let lock = self.ask(&mut co);
        self.run(&mut co);
        assert!(events(&mut co).iter().any(|event| matches!(event, Event::LockQueued { .. })));
        (co, lock)
    }

    /// Asks for the lock, for as long as it takes.
    pub(crate) fn ask(&self, co: &mut Coordinator) -> LockId {
        co.lock_acquire(NAME, LockOptions::default(), self.now).expect("sound arguments")
    }

    pub(crate) fn execute(&mut self, argv: &Argv) -> Reply {
        self.store.execute(argv, self.now)
    }

    /// Executes a command and hands over the reply.
    pub(crate) fn answer(&mut self, co: &mut Coordinator, command: &Command) -> Reply {
        let reply = match command.route {
            Route::Subscribe => Reply::Array(vec![Reply::bulk("subscribe")]),
            _ => self.execute(&command.argv),
        };
        co.handle_reply(command.request, &reply, self.now);
        reply
    }

    /// Answers everything until there is no command left.
    pub(crate) fn run(&mut self, co: &mut Coordinator) {
        while let Some(command) = co.poll_command() {
            self.answer(co, &command);
        }
    }

    /// Lets time pass, with every command answered at once and every push delivered.
    pub(crate) fn pass(&mut self, span: Span, cos: &mut [&mut Coordinator]) {
        let end = self.now + span;
        loop {
            self.settle(cos);
            let next = cos.iter().filter_map(|co| co.next_deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            cos.iter_mut().for_each(|co| co.handle_timeout(self.now));
        }
        self.now = end;
        cos.iter_mut().for_each(|co| co.handle_timeout(self.now));
        self.settle(cos);
    }

    /// Answers and delivers until nothing is left.
    pub(crate) fn settle(&mut self, cos: &mut [&mut Coordinator]) {
        loop {
            cos.iter_mut().for_each(|co| self.run(co));
            let Some(message) = self.store.poll_message() else { break };
            for co in cos.iter_mut().filter(|co| co.inbox() == message.channel) {
                co.handle_message(NODE, &message.channel, &message.payload, self.now);
            }
        }
    }

    /// The lock as it lies in the store.
    pub(crate) fn view(&mut self) -> View {
        let now = ServerTime(self.now.as_micros());
        self.store.keyspace_mut().set_now(now);
        View::of(self.store.keyspace(), STATE)
    }

    /// Nobody holds the lock and nobody waits for it.
    pub(crate) fn is_free(&mut self) -> bool {
        let now = self.now.as_micros();
        let view = self.view();
        view.weight(now) == 0 && view.waiters.is_empty()
    }
}

/// The next command, which must be this operation.
pub(crate) fn take(co: &mut Coordinator, op: &str) -> Command {
    let command = co.poll_command().unwrap_or_else(|| panic!("no command, {op} was expected"));
    assert_eq!(op_of(&command), op, "{:?}", command.argv);
    command
}

/// The operation of a command, `SUBSCRIBE` for that.
pub(crate) fn op_of(command: &Command) -> String {
    let place = if command.route == Route::Subscribe { 0 } else { 9 };
    String::from_utf8_lossy(command.argv.get(place).unwrap_or_default()).into_owned()
}

/// All that happened since it was last asked, to operations: of servers there are tests of their own.
pub(crate) fn events(co: &mut Coordinator) -> Vec<Event> {
    let of_node = |event: &Event| matches!(event, Event::NodeDown { .. } | Event::NodeUp { .. });
    std::iter::from_fn(|| co.poll_event()).filter(|event| !of_node(event)).collect()
}
