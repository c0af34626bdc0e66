//! What everything comes to, if all clients die now and what they have sent is lost: others
//! recover what they find, without faults.

use std::collections::BTreeMap;

use comity::redis::Reply;
use comity::time::Time;
use comity::transaction::model::RecoveryMachine;
use comity::transaction::{Effect, Task, TransactionId};

use crate::scenario::{Scenario, node, place_of};
use crate::server::Register;
use crate::world::{Told, Who, World};

/// What is wrong then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unrest {
    /// (a) Applied here and not there.
    Half,
    /// (b) Applied twice.
    Twice,
    /// (c) The user, or who has recovered it, was told something else.
    Told,
    /// (e) A lock or a shadow is left.
    Left,
    /// (d), (f) No serial order gives what was read.
    PrepareOrder,
    /// Recovery does not end.
    NoEnd,
}

/// More commands than any recovery needs.
const MANY: usize = 60;

pub(crate) fn come_to_rest(scenario: &Scenario, world: &World) -> Result<(), Unrest> {
    check(scenario, &at_rest(scenario, world)?)
}

/// Whether the transaction is applied then; none if recovery does not end.
pub(crate) fn comes_to_be_applied(
    scenario: &Scenario,
    world: &World,
    script: usize,
) -> Option<bool> {
    let rested = at_rest(scenario, world).ok()?;
    scenario.scripts[script].writes.first().map(|key| applied(&rested, script, key) > 0)
}

/// How often transaction `script` was applied to `key`.
fn applied(world: &World, script: usize, key: &[u8]) -> i64 {
    Scenario::digit(world.servers[usize::from(key[0] - b'a')].value(key), script)
}

fn at_rest(scenario: &Scenario, world: &World) -> Result<World, Unrest> {
    let mut world = World {
        servers: world.servers.clone(),
        users: world.users.clone(),
        runs: world.runs.clone(),
        helpers: Vec::new(),
        flights: Vec::new(),
        strays: Vec::new(),
        left: world.left,
        broken: None,
    };
    let ids: Vec<_> = world.runs.iter().flatten().map(|run| run.id.clone()).collect();
    for _ in 0..4 {
        for id in &ids {
            for at in 0..world.servers.len() {
                if world.register(at, id.txid) == Some(Register::Prepared) {
                    recover(scenario, &mut world, at, id)?;
                }
            }
        }
    }
    Ok(world)
}

fn recover(
    scenario: &Scenario,
    world: &mut World,
    at: usize,
    id: &TransactionId,
) -> Result<(), Unrest> {
    let now = Time::from_micros(1);
    let (id, locked_at) = (id.clone(), Some(node(at)));
    let task = Task { id, locked_at, expired: true, heuristic: None };
    let (mut machine, effects) = RecoveryMachine::new(task, now);
    let mut waiting = effects;
    for _ in 0..MANY {
        let mut next = Vec::new();
        for effect in waiting {
            let Effect::Send { attempt, to, op, .. } = effect else { continue };
            let to = scenario.asked_at(place_of(&to), &op);
            let answer = world.execute(scenario, to, &op);
            let answer = scenario.heard(Who::Helper(0), &op, answer);
            next.extend(machine.answered(attempt, answer, now));
        }
        if machine.is_done() {
            return Ok(());
        }
        if next.is_empty()
            && let Some(due) = machine.deadline()
        {
            next = machine.timeout(due);
        }
        waiting = next;
    }
    Err(Unrest::NoEnd)
}

/// What a transaction has seen of which others at which key.
type Seen = BTreeMap<Vec<u8>, i64>;

fn check(scenario: &Scenario, world: &World) -> Result<(), Unrest> {
    if !world.servers.iter().all(|server| server.is_clean()) {
        return Err(Unrest::Left);
    }
    let mut committed = Vec::new();
    for (script, (what, run)) in scenario.scripts.iter().zip(&world.runs).enumerate() {
        let applied: Vec<i64> = what.writes.iter().map(|key| applied(world, script, key)).collect();
        if applied.iter().any(|times| *times > 1) {
            return Err(Unrest::Twice);
        }
        if applied.iter().any(|times| *times != applied[0]) {
            return Err(Unrest::Half);
        }
        let Some(run) = run else { continue };
        let wrong = match &run.told {
            Told::Committed(_) => applied.contains(&0),
            Told::Aborted => applied.contains(&1),
            _ => false,
        };
        let [committed_to_others, aborted_to_others] = run.found;
        let wrong = wrong
            || committed_to_others && applied.contains(&0)
            || aborted_to_others && applied.contains(&1)
            || run.over.is_some_and(|over| over != applied.contains(&1));
        if wrong {
            return Err(Unrest::Told);
        }
        if let Told::Committed(replies) = &run.told {
            committed.push((script, replies.as_ref()));
        } else if applied.contains(&1) {
            committed.push((script, None));
        }
    }
    in_order(scenario, world, &committed)
}

/// Whether some serial order of those that are committed gives what each has read, and has those
/// first that were known to be committed when others began.
fn in_order(
    scenario: &Scenario,
    world: &World,
    committed: &[(usize, Option<&Vec<Vec<Reply>>>)],
) -> Result<(), Unrest> {
    let mut before = Vec::new();
    for (script, replies) in committed {
        let run = world.runs[*script].as_ref().expect("it is committed");
        before.extend(run.after.iter().map(|first| (*first, *script)));
        let seen = seen(scenario, *script, *replies);
        for (other, _) in committed.iter().filter(|(other, _)| other != script) {
            let writes = &scenario.scripts[*other].writes;
            for (_, value) in seen.iter().filter(|(key, _)| writes.contains(key)) {
                match Scenario::digit(*value, *other) {
                    0 => before.push((*script, *other)),
                    _ => before.push((*other, *script)),
                }
            }
        }
    }
    let mut left: Vec<usize> = committed.iter().map(|(script, _)| *script).collect();
    while !left.is_empty() {
        let first = |script: &usize| {
            !before.iter().any(|(early, late)| late == script && left.contains(early))
        };
        let Some(place) = left.iter().position(first) else { return Err(Unrest::PrepareOrder) };
        left.remove(place);
    }
    Ok(())
}

/// The values that a transaction has read, before its own writes.
fn seen(scenario: &Scenario, script: usize, replies: Option<&Vec<Vec<Reply>>>) -> Seen {
    let what = &scenario.scripts[script];
    let mut seen: Seen = what.expects.iter().map(|key| (key.clone(), 0)).collect();
    for (keys, replies) in what.reads.iter().zip(replies.into_iter().flatten()) {
        for (key, reply) in keys.iter().zip(replies) {
            let value = match reply {
                Reply::Integer(value) => *value,
                Reply::Bulk(text) => {
                    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
                }
                Reply::Nil => 0,
                _ => continue,
            };
            seen.insert(key.clone(), value);
        }
    }
    seen
}
