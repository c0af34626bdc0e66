//! The core of one coordinator, and the host's part in its counters: to keep their numbers and to
//! tell them when the core asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity::coordinator::Coordinator;
use comity::counter::{CounterId, CounterOptions, CounterValue};
use comity::error::{Error, ErrorCode, Result};
use comity::event::Event;
use comity::time::Time;

use crate::cell::{Cell, State};

pub(crate) struct Host {
    pub(crate) core: Coordinator,
    cells: BTreeMap<CounterId, Arc<Cell>>,
}

impl Host {
    pub(crate) const fn new(core: Coordinator) -> Self {
        Self { core, cells: BTreeMap::new() }
    }

    /// Calls the core, then tells it the numbers that it asks for.
    pub(crate) fn call<T>(&mut self, now: Time, call: impl FnOnce(&mut Coordinator) -> T) -> T {
        let result = call(&mut self.core);
        while let Some(due) = self.core.poll_counter_due() {
            if let Some(cell) = self.cells.get(&due) {
                // In this order: who counts after the reading sees that it has to tell.
                cell.listen();
                let tally = cell.read();
                cell.tell(tally);
                // It is open, or it would not have been asked for.
                let _ = self.core.counter_collect(due, tally, now);
            }
        }
        result
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let event = self.core.poll_event();
        if let Some(Event::CounterClosed { counter, .. }) = event
            && let Some(cell) = self.cells.remove(&counter)
        {
            cell.shut(State::Closed);
        }
        event
    }

    pub(crate) fn close(&mut self, now: Time) {
        for cell in self.cells.values().cloned().collect::<Vec<_>>() {
            self.shut(&cell, now);
        }
        self.call(now, |core| core.close(now));
    }

    /// In the child of a fork: what was counted is the parent's, and nothing more is counted.
    pub(crate) fn orphan(&mut self) {
        for cell in std::mem::take(&mut self.cells).into_values() {
            cell.shut(State::Foreign);
        }
    }

    /// The counter's numbers: those of this coordinator's counter if it is open already.
    pub(crate) fn counter(
        &mut self,
        name: &[u8],
        options: Option<CounterOptions>,
        restore: Option<&[u8]>,
        now: Time,
    ) -> Result<Arc<Cell>> {
        let known = self.cells.values().find(|cell| cell.name == name);
        if let Some(cell) = known.filter(|cell| cell.state() == State::Open) {
            if options.is_some_and(|options| options != cell.options) || restore.is_some() {
                let message = "the counter is open already: its durability is what it was opened \
                               with, and nothing can be restored into it but by restore()";
                return Err(Error::new(ErrorCode::InvalidState, message));
            }
            return Ok(cell.clone());
        }
        let options =
            options.unwrap_or(CounterOptions { collected: true, ..CounterOptions::default() });
        let id = self.call(now, |core| match restore {
            Some(bytes) => core.counter_restore(name, options, bytes, now),
            None => core.counter_open(name, options, now),
        })?;
        let cell = Arc::new(Cell::new(id, name, options));
        cell.allow(self.core.counter_room(id)?);
        self.cells.insert(id, cell.clone());
        Ok(cell)
    }

    /// Something was counted while the core thought that nothing was, or much was.
    pub(crate) fn begin(&mut self, counter: CounterId, now: Time) -> Result<()> {
        let cell = self.cell(counter).ok_or_else(|| shut(State::Closed))?;
        cell.hush();
        self.tell(&cell, now)?;
        if self.core.counter_value(counter, now)?.pending.is_zero() {
            // Another thread has told it, and it is safe by now: the core will not ask.
            cell.listen();
        }
        Ok(())
    }

    /// Calls a verb of a counter, with all in it that was counted before.
    pub(crate) fn verb<T>(
        &mut self,
        counter: CounterId,
        now: Time,
        verb: impl FnOnce(&mut Coordinator, CounterId) -> Result<T>,
    ) -> Result<T> {
        if let Some(cell) = self.cell(counter) {
            self.tell(&cell, now)?;
        }
        self.call(now, |core| verb(core, counter))
    }

    /// Nobody counts any more, and what was counted is flushed.
    pub(crate) fn close_counter(&mut self, counter: CounterId, now: Time) -> Result<()> {
        if let Some(cell) = self.cell(counter) {
            self.shut(&cell, now);
        }
        self.call(now, |core| core.counter_close(counter, now))
    }

    pub(crate) fn value(&self, counter: CounterId, now: Time) -> Result<CounterValue> {
        let value = self.core.counter_value(counter, now);
        match self.cell(counter) {
            Some(cell) => with_untold(value?, &cell),
            None => value,
        }
    }

    /// The value alone; its age is nothing that is asked for.
    pub(crate) fn number(&self, cell: &Cell) -> Result<i128> {
        match cell.state() {
            State::Open => {}
            state => return Err(shut(state)),
        }
        let value = self.core.counter_value(cell.id, Time::from_micros(0))?;
        Ok(with_untold(value, cell)?.value)
    }

    fn cell(&self, counter: CounterId) -> Option<Arc<Cell>> {
        self.cells.get(&counter).cloned()
    }

    /// Tells the core what was counted by now, and learns how much more may be.
    fn tell(&mut self, cell: &Cell, now: Time) -> Result<()> {
        match cell.state() {
            State::Open => {}
            state => return Err(shut(state)),
        }
        let tally = cell.read();
        cell.tell(tally);
        self.call(now, |core| core.counter_advance(cell.id, tally, now))?;
        cell.allow(self.core.counter_room(cell.id)?);
        Ok(())
    }

    fn shut(&mut self, cell: &Cell, now: Time) {
        if cell.state() == State::Open {
            let tally = cell.shut(State::Closed);
            // An open counter takes it.
            let _ = self.call(now, |core| core.counter_advance(cell.id, tally, now));
        }
    }
}

/// What the core does not know of yet is counted as well.
fn with_untold(mut value: CounterValue, cell: &Cell) -> Result<CounterValue> {
    let untold = cell.untold();
    value.pending.p = value.pending.p.saturating_add(untold.p);
    value.pending.n = value.pending.n.saturating_add(untold.n);
    let sum = value.value.checked_add(untold.value());
    value.value =
        sum.ok_or_else(|| Error::new(ErrorCode::Overflow, "the value is beyond 128 bits"))?;
    Ok(value)
}

/// Why nothing can be counted in this state.
pub(crate) fn shut(state: State) -> Error {
    match state {
        State::Foreign => {
            let message = "this counter was opened before fork(), in the parent: connect and open \
                           it in the child";
            Error::new(ErrorCode::InvalidState, message)
        }
        State::Open | State::Closed => Error::new(ErrorCode::Closed, "the counter is closed"),
    }
}
