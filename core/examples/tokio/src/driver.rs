//! The task that owns the coordinator.

use std::collections::HashMap;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use comity::coordinator::Coordinator;
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::redis::wire::{Endpoint, Incoming, Purpose};
use comity::redis::{Command, Failure, NodeChange, NodeId, Reply, Route};
use comity::time::Time;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::link::Link;

const NODE: NodeId = NodeId(0);

type Granted = Result<(LockId, u64), String>;

/// What tasks ask for.
pub(crate) enum Ask {
    Acquire { name: String, tell: oneshot::Sender<Granted> },
    Release { lock: LockId, tell: Option<oneshot::Sender<Result<(), String>>> },
}

/// Why a connection is of no more use.
enum Lost {
    Refused(Vec<u8>),
    Broken(String),
}

pub(crate) struct Driver {
    core: Coordinator,
    endpoint: Endpoint,
    tls: TlsConnector,
    asked: mpsc::UnboundedReceiver<Ask>,
    commands: Option<Link>,
    messages: Option<Link>,
    granting: HashMap<LockId, oneshot::Sender<Granted>>,
    releasing: HashMap<LockId, oneshot::Sender<Result<(), String>>>,
    began: Instant,
}

impl Driver {
    pub(crate) fn new(
        core: Coordinator,
        endpoint: Endpoint,
        tls: TlsConnector,
        asked: mpsc::UnboundedReceiver<Ask>,
    ) -> Self {
        Self {
            core,
            endpoint,
            tls,
            asked,
            commands: None,
            messages: None,
            granting: HashMap::new(),
            releasing: HashMap::new(),
            began: Instant::now(),
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Until nobody has a handle any more, and what was held is given back.
    pub(crate) async fn run(mut self) {
        let (mut replies, mut pushes) = (vec![0; 16_384], vec![0; 4_096]);
        let mut open = true;
        loop {
            while let Some(command) = self.core.poll_command() {
                self.send(command).await;
            }
            while let Some(event) = self.core.poll_event() {
                if matches!(event, Event::Closed { .. }) {
                    return;
                }
                self.tell(event);
            }
            let due = self.due();
            tokio::select! {
                ask = self.asked.recv(), if open => match ask {
                    Some(ask) => self.ask(ask),
                    None => {
                        open = false;
                        self.core.close(self.now());
                    }
                },
                read = exchanged(&mut self.commands, &mut replies) => {
                    self.arrived(Purpose::Commands, read.map(|count| &replies[..count]));
                }
                read = exchanged(&mut self.messages, &mut pushes) => {
                    self.arrived(Purpose::Messages, read.map(|count| &pushes[..count]));
                }
                () = sleep(due) => self.late(),
            }
        }
    }

    /// How long nothing is to be done for.
    fn due(&self) -> Duration {
        let links = [&self.commands, &self.messages].into_iter().flatten();
        let lates = links.filter_map(|link| link.connection.deadline());
        let due = lates.chain(self.core.next_deadline()).min();
        due.map_or(Duration::MAX, |due| Duration::from_micros(due.since(self.now()).as_micros()))
    }

    async fn send(&mut self, command: Command) {
        let purpose = match command.route {
            Route::Node => Purpose::Commands,
            Route::Subscribe => Purpose::Messages,
            // Transactions that wait for replicas want a third connection, which this host has not.
            _ => return self.core.handle_failure(command.request, Failure::NotSent, self.now()),
        };
        if self.link(purpose).is_none()
            && let Err(error) = self.open(purpose, command.deadline).await
        {
            // A certificate, or whatever else is no TLS, does not become one by waiting.
            let lasting = error.kind() == ErrorKind::InvalidData;
            self.core.handle_unreachable(NODE, &error.to_string(), lasting, self.now());
            return self.core.handle_failure(command.request, Failure::NotSent, self.now());
        }
        if let Some(link) = self.link(purpose) {
            link.connection.send(&command);
        }
    }

    fn link(&mut self, purpose: Purpose) -> &mut Option<Link> {
        match purpose {
            Purpose::Commands => &mut self.commands,
            Purpose::Messages => &mut self.messages,
        }
    }

    async fn open(&mut self, purpose: Purpose, until: Time) -> io::Result<()> {
        let patience = Duration::from_micros(until.since(self.now()).as_micros());
        let opening = Link::open(&self.endpoint, &self.tls, purpose, self.now());
        let link = match timeout(patience, opening).await {
            Ok(opened) => opened?,
            Err(_) => return Err(io::Error::new(ErrorKind::TimedOut, "no connection in time")),
        };
        *self.link(purpose) = Some(link);
        Ok(())
    }

    fn arrived(&mut self, purpose: Purpose, read: io::Result<&[u8]>) {
        let heard = match read {
            Ok(bytes) => self.hear(purpose, bytes),
            Err(error) => Err(Lost::Broken(error.to_string())),
        };
        if let Err(why) = heard {
            self.lose(purpose, why);
        }
    }

    fn hear(&mut self, purpose: Purpose, bytes: &[u8]) -> Result<(), Lost> {
        let now = self.now();
        let link = match purpose {
            Purpose::Commands => &mut self.commands,
            Purpose::Messages => &mut self.messages,
        };
        let Some(Link { connection, .. }) = link else { return Ok(()) };
        connection.receive(bytes, now);
        while let Some(incoming) =
            connection.poll().map_err(|malformed| Lost::Broken(malformed.to_string()))?
        {
            match incoming {
                Incoming::Reply { request, reply } => {
                    let reply = reply.to_reply();
                    if purpose == Purpose::Messages && !matches!(reply, Reply::Error(_)) {
                        self.core.handle_node(NODE, NodeChange::PushReady, now);
                    } else {
                        self.core.handle_reply(request, &reply, now);
                    }
                }
                Incoming::Message { channel, payload } => {
                    self.core.handle_message(NODE, channel, payload, now);
                }
                // Of one for messages the coordinator hears by the reply to its subscription.
                Incoming::Ready if purpose == Purpose::Commands => {
                    self.core.handle_node(NODE, NodeChange::Connected, now);
                }
                Incoming::Refused(text) => return Err(Lost::Refused(text.to_vec())),
                _ => {}
            }
        }
        Ok(())
    }

    /// A connection is of no more use, and what was outstanding there gets no answer.
    fn lose(&mut self, purpose: Purpose, why: Lost) {
        let Some(mut link) = self.link(purpose).take() else { return };
        let now = self.now();
        match why {
            Lost::Refused(text) => self.core.handle_refused(NODE, &text, now),
            Lost::Broken(why) => self.core.handle_unreachable(NODE, &why, false, now),
        }
        let was_in = link.connection.is_ready();
        for (request, failure) in link.connection.end() {
            self.core.handle_failure(request, failure, now);
        }
        if !was_in {
            return;
        }
        let change = match purpose {
            Purpose::Commands => NodeChange::Lost,
            Purpose::Messages => NodeChange::PushLost,
        };
        self.core.handle_node(NODE, change, now);
    }

    fn late(&mut self) {
        let now = self.now();
        for purpose in [Purpose::Commands, Purpose::Messages] {
            let link = self.link(purpose).as_mut();
            if let Some(Err(silent)) = link.map(|link| link.connection.handle_timeout(now)) {
                self.lose(purpose, Lost::Broken(silent.to_string()));
            }
        }
        self.core.handle_timeout(now);
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Acquire { name, tell } => {
                let options = LockOptions::default();
                match self.core.lock_acquire(name.as_bytes(), options, self.now()) {
                    Ok(lock) => _ = self.granting.insert(lock, tell),
                    Err(error) => _ = tell.send(Err(error.to_string())),
                }
            }
            Ask::Release { lock, tell } => match self.core.lock_release(lock, self.now()) {
                Ok(()) => self.releasing.extend(tell.map(|tell| (lock, tell))),
                // Of one that is dropped behind its release, or was lost.
                Err(error) => _ = tell.map(|tell| tell.send(Err(error.to_string()))),
            },
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::LockGranted { lock, fence, .. } => {
                let told = self.granting.remove(&lock).map(|tell| tell.send(Ok((lock, fence.0))));
                // Nobody waits for it any more.
                if !matches!(told, Some(Ok(()))) {
                    self.core.lock_cancel(lock, self.now());
                }
            }
            Event::LockReleased { lock, .. } => {
                self.releasing.remove(&lock).map(|tell| tell.send(Ok(())));
            }
            Event::LockFailed { lock, error, .. } | Event::LockLost { lock, error, .. } => {
                let why = error.to_string();
                self.granting.remove(&lock).map(|tell| tell.send(Err(why.clone())));
                self.releasing.remove(&lock).map(|tell| tell.send(Err(why)));
            }
            _ => {}
        }
    }
}

/// See `Link::exchange`. Never, where there is no connection.
async fn exchanged(link: &mut Option<Link>, into: &mut [u8]) -> io::Result<usize> {
    match link {
        Some(link) => link.exchange(into).await,
        None => pending().await,
    }
}
