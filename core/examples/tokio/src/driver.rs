//! The task that owns the coordinator.

use std::collections::HashMap;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use comity::coordinator::{Coordinator, NodeConnection};
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::redis::wire::Endpoint;
use comity::redis::{Command, Failure, NodeId, Route};
use comity::time::Time;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::link::{Link, connect};

const NODE: NodeId = NodeId(0);

type Granted = Result<(LockId, u64), String>;

/// What tasks ask for.
pub(crate) enum Ask {
    Acquire { name: String, tell: oneshot::Sender<Granted> },
    Release { lock: LockId, tell: Option<oneshot::Sender<Result<(), String>>> },
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
        clock(self.began)
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
                if matches!(event, Event::Closed) {
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
                    let (read, now) = (read.map(|count| &replies[..count]), self.now());
                    arrived(&mut self.commands, &mut self.core, read, now);
                }
                read = exchanged(&mut self.messages, &mut pushes) => {
                    let (read, now) = (read.map(|count| &pushes[..count]), self.now());
                    arrived(&mut self.messages, &mut self.core, read, now);
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
        let began = self.began;
        let link = match command.route {
            Route::Node => &mut self.commands,
            Route::Subscribe => &mut self.messages,
            // Transactions that wait for replicas want a third connection, which this host has not.
            _ => return self.core.handle_failure(command.request, Failure::NotSent, self.now()),
        };
        if let Some(link) = link {
            return link.connection.send(&command);
        }
        let now = clock(began);
        let login = Some(&self.endpoint.login);
        let mut connection = NodeConnection::new(NODE, command.route, login, now);
        connection.send(&command);
        let patience = Duration::from_micros(command.deadline.since(now).as_micros());
        let opened = timeout(patience, connect(&self.endpoint, &self.tls)).await;
        let now = clock(began);
        let why = match opened {
            Ok(Ok(stream)) => {
                connection.connected(&mut self.core, now);
                *link = Some(Link { stream, connection });
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(ErrorKind::TimedOut, "no connection in time"),
        };
        // A certificate, or whatever else is no TLS, does not become one by waiting.
        let lasting = why.kind() == ErrorKind::InvalidData;
        connection.end(&mut self.core, &why.to_string(), lasting, now);
    }

    fn late(&mut self) {
        let now = self.now();
        for link in [&mut self.commands, &mut self.messages] {
            link.take_if(|Link { connection, .. }| {
                connection.handle_timeout(&mut self.core, now);
                connection.ended().is_some()
            });
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

fn clock(began: Instant) -> Time {
    Time::from_micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// What was read, or why there will be nothing more.
fn arrived(link: &mut Option<Link>, core: &mut Coordinator, read: io::Result<&[u8]>, now: Time) {
    link.take_if(|Link { connection, .. }| {
        match read {
            Ok(bytes) => connection.receive(core, bytes, now),
            Err(error) => connection.end(core, &error.to_string(), false, now),
        }
        connection.ended().is_some()
    });
}

/// See `Link::exchange`. Never, where there is no connection.
async fn exchanged(link: &mut Option<Link>, into: &mut [u8]) -> io::Result<usize> {
    match link {
        Some(link) => link.exchange(into).await,
        None => pending().await,
    }
}
