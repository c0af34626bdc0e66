//! What becomes of a state when nothing more goes wrong and every user who gets the lock gives it
//! back at once.

use std::sync::Arc;

use crate::model::Lock;
use crate::support::stamping::META;
use crate::support::view::at_rest;
use crate::world::{State, Step};

/// A lease that was handed over and never claimed costs this much, by `docs/lock.md`.
const CLAIM: u64 = 2_000_000;
/// What a client that is alive costs those behind it at most: until its next heartbeat it may not
/// know that it is its turn.
const TURN: u64 = 2_500_000;
/// More steps than any run to rest takes.
const STEPS: usize = 2_000;

/// How a state fails to come to rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unrest {
    /// A waiter did not get its turn.
    NoTurn(String),
    /// A client has work for ever.
    NoEnd,
    /// Something is left on the server.
    Left(String),
}

/// I5, P5, I9, I10, I12: everybody who waits gets the lock soon, and in the end nothing is left.
pub(crate) fn come_to_rest(lock: &Lock, from: &State) -> Result<(), Unrest> {
    let mut state = from.clone();
    // Whatever is still astray has been executed in other runs.
    state.strays.clear();
    let patience = patience(lock, &state);
    let mut waits: Vec<bool> = state.clients.iter().map(|c| c.lock.is_some()).collect();
    for _ in 0..STEPS {
        quieten(lock, &mut state, &mut waits)?;
        if let Some(who) = waits.iter().position(|waits| *waits)
            && state.now > from.now + patience
        {
            return Err(Unrest::NoTurn(format!("{who} waits for more than {patience} us")));
        }
        let deadlines = state.clients.iter().filter_map(|client| client.deadline());
        let Some(next) = deadlines.min() else { return nothing_is_left(lock, state) };
        let next = next.max(state.now);
        state.pass(next);
    }
    Err(Unrest::NoEnd)
}

/// How long anybody may have to wait for its turn: the leases of the dead, and the turns of the
/// living.
fn patience(lock: &Lock, state: &State) -> u64 {
    let dead = || state.clients.iter().filter(|client| client.co.is_none());
    let of_dead = |id: &Vec<u8>| dead().any(|client| client.ids.contains(id));
    let view = state.server.view();
    let held = view.holders.iter().filter(|holder| of_dead(&holder.id)).map(|holder| {
        match state.history.unclaimed.as_ref() == Some(&holder.id) {
            true => CLAIM,
            false => lock.ttl.as_micros(),
        }
    });
    let queued = view.waiters.iter().filter(|waiter| of_dead(&waiter.id)).map(|_| CLAIM);
    held.chain(queued).sum::<u64>() + TURN * state.clients.len() as u64
}

/// Does all that can be done at this moment.
fn quieten(lock: &Lock, state: &mut State, waits: &mut [bool]) -> Result<(), Unrest> {
    loop {
        let mut busy = false;
        for (who, waits) in waits.iter_mut().enumerate() {
            let due = state.clients[who].deadline().is_some_and(|due| due <= state.now);
            if due {
                state.input(who, |co, now| co.handle_timeout(now));
                busy = true;
            }
            while !state.clients[who].flights.is_empty() {
                if state.clients[who].flights[0].reply.is_none() {
                    state.execute(lock, who, 0);
                }
                state.step(lock, Step::Answer { who, flight: 0 });
                busy = true;
            }
            while !state.clients[who].pushes.is_empty() {
                state.step(lock, Step::Push { who, push: 0 });
                busy = true;
            }
            let client = &state.clients[who];
            if client.fence.is_some() {
                *waits = false;
            }
            if *waits && client.lock.is_none() {
                if lock.users[who].1.is_none() {
                    return Err(Unrest::NoTurn(format!("{who} was refused")));
                }
                *waits = false;
            }
            if client.is_held(state.now) {
                state.release(who);
                busy = true;
            }
        }
        if !busy {
            return Ok(());
        }
    }
}

/// When the leases of the dead are over, whoever looks at the lock finds it idle, and all of it
/// ends by itself.
fn nothing_is_left(lock: &Lock, mut state: State) -> Result<(), Unrest> {
    let server = Arc::make_mut(&mut state.server);
    let end = state.now + lock.ttl.as_micros() + 10_000_000;
    server.touch(end);
    at_rest(server.space()).map_err(Unrest::Left)?;
    // Tombstones are kept for three minutes.
    server.pass(end + 180_000_000);
    match server.space().iter().find(|(key, ..)| *key != META) {
        None => Ok(()),
        Some((key, ..)) => Err(Unrest::Left(format!("{} is left", key.escape_ascii()))),
    }
}
