//! A state of the model, and the steps that lead from one to the next.

use std::sync::Arc;

use comity::lock::Op;
use comity::redis::{Argv, Failure, NodeChange, Reply, Route};

use crate::client::{Client, Flight, NODE};
use crate::history::{Broken, History};
use crate::model::Lock;
use crate::rest::Unrest;
use crate::server::{Server, op_of};

/// How often each kind of fault may still happen, and all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    pub(crate) faults: u8,
    /// Commands and replies that are lost.
    pub(crate) losses: u8,
    /// Commands that are executed once more, or only after their driver has given up.
    pub(crate) strays: u8,
    /// Pushes that are lost.
    pub(crate) pushes: u8,
    /// Push connections that are cut.
    pub(crate) cuts: u8,
    /// Clients that die.
    pub(crate) crashes: u8,
    /// Users that give up.
    pub(crate) cancels: u8,
    /// Steps of time while something is on its way or due: a slow network, a paused client.
    pub(crate) delays: u8,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The server executes a command of a client.
    Execute {
        who: usize,
        flight: usize,
    },
    /// The server executes it, and will once more.
    Repeat {
        who: usize,
        flight: usize,
    },
    /// The reply arrives.
    Answer {
        who: usize,
        flight: usize,
    },
    /// The driver could not send it.
    NotSent {
        who: usize,
        flight: usize,
    },
    /// The driver gives it up: it or its reply is lost.
    Lose {
        who: usize,
        flight: usize,
    },
    /// The driver gives it up, but it is still on its way.
    Leave {
        who: usize,
        flight: usize,
    },
    /// The server executes a command that nobody waits for.
    Stray {
        stray: usize,
    },
    /// A push arrives.
    Push {
        who: usize,
        push: usize,
    },
    /// A push is lost.
    LosePush {
        who: usize,
        push: usize,
    },
    /// The push connection is cut.
    Cut {
        who: usize,
    },
    /// The client's timer goes off.
    Timer {
        who: usize,
    },
    Crash {
        who: usize,
    },
    Release {
        who: usize,
    },
    Cancel {
        who: usize,
    },
    Ask {
        who: usize,
    },
    /// Time passes, to the next moment at which anything is due or ends.
    Pass,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// True time, and the server's since its beginning.
    pub(crate) now: u64,
    pub(crate) server: Arc<Server>,
    pub(crate) clients: Vec<Arc<Client>>,
    /// Commands that nobody waits for. They may never arrive.
    pub(crate) strays: Vec<Argv>,
    pub(crate) left: Budget,
    pub(crate) history: Arc<History>,
    /// Where no time is left: what then does not come to rest.
    pub(crate) unrest: Option<Unrest>,
}

impl State {
    /// Everybody has asked, and nothing has left.
    pub(crate) fn beginning(lock: &Lock, clocks: &[i64]) -> Self {
        let mut state = Self {
            now: 0,
            server: Arc::new(Server::new()),
            clients: Vec::new(),
            strays: Vec::new(),
            left: lock.faults,
            history: Arc::default(),
            unrest: None,
        };
        state.pass(0);
        for (who, ppm) in clocks.iter().enumerate() {
            let seed = u8::try_from(who + 1).expect("few clients");
            let client = Client::new(seed, *ppm, lock.users[who].0, lock.subscribed);
            state.clients.push(Arc::new(client));
            state.ask(lock, who);
        }
        state
    }

    fn ask(&mut self, lock: &Lock, who: usize) {
        let now = self.now;
        self.client(who).ask(lock.options(who), now);
        self.input(who, |_, _| ());
    }

    pub(crate) fn client(&mut self, who: usize) -> &mut Client {
        Arc::make_mut(&mut self.clients[who])
    }

    /// What can happen next.
    pub(crate) fn steps(&self, lock: &Lock, steps: &mut Vec<Step>) {
        let left = if self.left.faults == 0 { Budget::default() } else { self.left };
        for (who, client) in self.clients.iter().enumerate() {
            for (flight, it) in client.flights.iter().enumerate() {
                if it.reply.is_some() {
                    steps.push(Step::Answer { who, flight });
                } else {
                    steps.push(Step::Execute { who, flight });
                    if left.strays > 0 && it.route == Route::Node {
                        steps.push(Step::Repeat { who, flight });
                        steps.push(Step::Leave { who, flight });
                    }
                    if left.losses > 0 {
                        steps.push(Step::NotSent { who, flight });
                    }
                }
                if left.losses > 0 {
                    steps.push(Step::Lose { who, flight });
                }
            }
            for push in 0..client.pushes.len() {
                steps.push(Step::Push { who, push });
                if left.pushes > 0 {
                    steps.push(Step::LosePush { who, push });
                }
            }
            if client.deadline().is_some_and(|deadline| deadline <= self.now) {
                steps.push(Step::Timer { who });
            }
            if left.cuts > 0 && client.subscribed {
                steps.push(Step::Cut { who });
            }
            // A client that has nothing under way dies without a trace.
            if left.crashes > 0 && client.lock.is_some() {
                steps.push(Step::Crash { who });
            }
            if client.is_held(self.now) {
                steps.push(Step::Release { who });
            }
            if left.cancels > 0 && client.lock.is_some() {
                steps.push(Step::Cancel { who });
            }
            if client.lock.is_none() && client.asks > 0 {
                steps.push(Step::Ask { who });
            }
        }
        steps.extend((0..self.strays.len()).map(|stray| Step::Stray { stray }));
        if self.next(lock).is_some() && (self.is_quiet() || left.delays > 0) {
            steps.push(Step::Pass);
        }
    }

    /// Nothing is on its way, and nothing is due.
    pub(crate) fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| {
            client.flights.is_empty()
                && client.pushes.is_empty()
                && client.deadline().is_none_or(|deadline| deadline > self.now)
        })
    }

    /// The next moment of interest within the horizon; none while a driver has to give up first.
    pub(crate) fn next(&self, lock: &Lock) -> Option<u64> {
        let clients = || self.clients.iter();
        let given_up = clients().flat_map(|client| client.flights.iter().map(|f| f.deadline));
        if given_up.clone().any(|deadline| deadline <= self.now) {
            return None;
        }
        let ends = self.server.view().holders.iter().map(|holder| holder.till);
        let all = clients().filter_map(|client| client.deadline()).chain(given_up).chain(ends);
        all.filter(|at| *at > self.now).min().filter(|at| *at <= lock.horizon)
    }

    pub(crate) fn step(&mut self, lock: &Lock, step: Step) {
        let before = self.left;
        match step {
            Step::Execute { who, flight } => self.execute(lock, who, flight),
            Step::Repeat { who, flight } => {
                self.left.strays -= 1;
                let argv = self.clients[who].flights[flight].argv.clone();
                self.run(lock, &argv);
            }
            Step::Answer { who, flight } => {
                let Flight { request, reply, .. } = self.client(who).flights.remove(flight);
                let reply = reply.unwrap_or(Reply::Nil);
                self.input(who, |co, now| co.handle_reply(request, &reply, now));
            }
            Step::NotSent { who, flight } => {
                self.left.losses -= 1;
                self.give_up(who, flight, Failure::NotSent);
            }
            Step::Lose { who, flight } => {
                self.left.losses -= 1;
                self.give_up(who, flight, Failure::OutcomeUnknown);
            }
            Step::Leave { who, flight } => {
                self.left.strays -= 1;
                let argv = self.clients[who].flights[flight].argv.clone();
                self.strays.push(argv);
                self.give_up(who, flight, Failure::OutcomeUnknown);
            }
            Step::Stray { stray } => {
                let argv = self.strays.remove(stray);
                self.run(lock, &argv);
            }
            Step::Push { who, push } => {
                let payload = self.client(who).pushes.remove(push);
                self.input(who, |co, now| {
                    let inbox = co.inbox().to_vec();
                    co.handle_message(NODE, &inbox, &payload, now);
                });
            }
            Step::LosePush { who, push } => {
                self.left.pushes -= 1;
                self.client(who).pushes.remove(push);
            }
            Step::Cut { who } => {
                self.left.cuts -= 1;
                self.client(who).subscribed = false;
                self.client(who).pushes.clear();
                self.input(who, |co, now| co.handle_node(NODE, NodeChange::PushLost, now));
            }
            Step::Timer { who } => self.input(who, |co, now| co.handle_timeout(now)),
            Step::Crash { who } => {
                self.left.crashes -= 1;
                let client = self.client(who);
                let flights = std::mem::take(&mut client.flights);
                client.crash();
                let unread = flights.into_iter().filter(|f| f.reply.is_none());
                let left = unread.filter(|f| f.route == Route::Node).map(|f| f.argv);
                self.strays.extend(left);
            }
            Step::Release { who } => self.release(who),
            Step::Cancel { who } => {
                self.left.cancels -= 1;
                if let Some(wanted) = self.client(who).lock.take() {
                    self.client(who).fence = None;
                    self.input(who, |co, now| co.lock_cancel(wanted, now));
                }
            }
            Step::Ask { who } => self.ask(lock, who),
            Step::Pass => {
                if !self.is_quiet() {
                    self.left.delays -= 1;
                }
                if let Some(next) = self.next(lock) {
                    self.pass(next);
                }
            }
        }
        if self.left != before {
            self.left.faults -= 1;
            if self.left.faults == 0 {
                self.left = Budget::default();
            }
        }
        self.strays.sort_by(|a, b| a.iter().cmp(b.iter()));
    }

    pub(crate) fn pass(&mut self, to: u64) {
        self.now = to;
        Arc::make_mut(&mut self.server).pass(to);
    }

    pub(crate) fn release(&mut self, who: usize) {
        if let Some(held) = self.clients[who].lock {
            self.input(who, |co, now| co.lock_release(held, now).expect("it is held"));
        }
    }

    pub(crate) fn input(
        &mut self,
        who: usize,
        input: impl FnOnce(&mut comity::coordinator::Coordinator, comity::time::Time),
    ) {
        let now = self.now;
        // I7: who was told that the lock is given back does not hold it any more.
        if self.client(who).input(now, input) {
            let (view, id) = (self.server.view(), self.clients[who].ids.last());
            if id.and_then(|id| view.holder(id)).is_some_and(|holder| holder.till > now) {
                Arc::make_mut(&mut self.history).broken.insert(Broken::Over);
            }
        }
    }

    fn give_up(&mut self, who: usize, flight: usize, failure: Failure) {
        let request = self.client(who).flights.remove(flight).request;
        self.input(who, |co, now| co.handle_failure(request, failure, now));
    }

    pub(crate) fn execute(&mut self, lock: &Lock, who: usize, flight: usize) {
        let Flight { route, argv, .. } = self.clients[who].flights[flight].clone();
        let reply = match route {
            Route::Subscribe => {
                self.client(who).subscribed = true;
                Reply::Array(vec![Reply::bulk("subscribe")])
            }
            _ => self.run(lock, &argv),
        };
        self.client(who).flights[flight].reply = Some(reply);
    }

    /// The server executes a command and publishes what is to be published.
    fn run(&mut self, lock: &Lock, argv: &Argv) -> Reply {
        let (old, now) = (Arc::clone(&self.server), self.now);
        let server = Arc::make_mut(&mut self.server);
        let (reply, pushes) = server.execute(argv, now, lock.without);
        let history = Arc::make_mut(&mut self.history);
        history.note(argv, &reply, old.view(), server, now);
        // I6: once more, at the same moment, changes nothing.
        if let Some(Op::Acquire(_)) = op_of(argv) {
            let mut twice = server.clone();
            twice.execute(argv, now, lock.without);
            if twice.view() != server.view() {
                history.broken.insert(Broken::Repeat);
            }
        }
        for (channel, payload) in pushes {
            let hears = |client: &Client| {
                client.subscribed && client.co.as_ref().is_some_and(|co| co.inbox() == channel)
            };
            if let Some(who) = self.clients.iter().position(|client| hears(client)) {
                self.client(who).pushes.push(payload);
            }
        }
        reply
    }
}
