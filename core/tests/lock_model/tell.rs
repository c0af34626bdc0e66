//! States and steps as a person reads them, for the way to a violation.

use std::fmt;

use comity::redis::Argv;

use crate::client::Flight;
use crate::world::{State, Step};

impl State {
    /// A step from here, for a person.
    pub(crate) fn describe(&self, step: Step) -> String {
        let what = match step {
            Step::Execute { who, flight }
            | Step::Repeat { who, flight }
            | Step::Answer { who, flight }
            | Step::NotSent { who, flight }
            | Step::Lose { who, flight }
            | Step::Leave { who, flight } => words(&self.clients[who].flights[flight].argv),
            Step::Stray { stray } => words(&self.strays[stray]),
            _ => String::new(),
        };
        format!("{step:?} {what}")
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ops = |flights: &[Flight]| -> Vec<String> {
            flights.iter().map(|it| format!("{} = {:?}", words(&it.argv), it.reply)).collect()
        };
        let view = self.server.view();
        let holders = view.holders.iter().map(|it| format!("{} till {}", short(&it.id), it.till));
        let waiters = view.waiters.iter().map(|it| short(&it.id));
        let (holders, waiters) = (holders.collect::<Vec<_>>(), waiters.collect::<Vec<_>>());
        writeln!(f, "at {} us: holders {holders:?} waiters {waiters:?} {:?}", self.now, self.left)?;
        for (who, client) in self.clients.iter().enumerate() {
            let (lock, fence) = (client.lock, client.fence);
            let life = if client.co.is_some() { "" } else { " (dead)" };
            writeln!(
                f,
                "  {who}{life}: {lock:?} fence {fence:?} until {:?} due {:?} pushes {} flights {:?}",
                client.valid_until(),
                client.deadline(),
                client.pushes.len(),
                ops(&client.flights)
            )?;
        }
        let strays: Vec<String> = self.strays.iter().map(words).collect();
        write!(f, "  strays {strays:?} {:?} {:?}", self.history.broken, self.unrest)
    }
}

/// The operation and its id, for a person.
fn words(argv: &Argv) -> String {
    match argv.get(9).zip(argv.get(10)) {
        Some((op, id)) => format!("{} {}", op.escape_ascii(), short(id)),
        None => "SUBSCRIBE".into(),
    }
}

fn short(id: &[u8]) -> String {
    id.iter().take(4).copied().map(char::from).collect()
}
