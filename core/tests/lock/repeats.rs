//! I6 and I14 on the server's side alone: random locks, and what a repeated request or a try does
//! to them.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use crate::support::acquire::acquire;
use crate::support::view::View;
use crate::support::{Rng, seed};
use comity::keyspace::{Keyspace, ServerTime};
use comity::lock::{self, Acquire, AnswerKind, Id, Op};
use comity::redis::LockKeys;
use comity::time::Span;

const STATE: &[u8] = b"comity:1:lock:{x}";
const STEPS: u64 = 20_000;

fn asked(bits: u128, wait: bool) -> Acquire {
    let (inbox, label) = (b"inbox".to_vec(), b"label".to_vec());
    Acquire { ttl: Span::from_secs(5), wait, inbox, label, ..acquire(bits) }
}

fn execute(space: &mut Keyspace, op: &Op) -> AnswerKind {
    let keys = LockKeys::of_state(STATE);
    lock::execute(space, &keys, op).expect("the keys have their types").0.kind
}

/// Who holds with which fence, and who waits in which order; a heartbeat moves a waiter's deadline.
fn members(space: &Keyspace) -> View {
    let mut view = View::of(space, STATE);
    view.waiters.iter_mut().for_each(|waiter| waiter.till = 0);
    view
}

/// Calls `examine` with many different locks.
fn for_locks(mut examine: impl FnMut(&mut Keyspace, &mut Rng)) {
    let seed = seed();
    let (mut rng, mut space) = (Rng::new(seed), Keyspace::new());
    let (mut now, mut next) = (1_750_000_000_000_000, 0);
    println!("seed {seed}, {STEPS} locks");
    for _ in 0..STEPS {
        now += rng.pick(&[1, 1_000, 50_000, 3_000_000, 30_000_000]);
        space.set_now(ServerTime(now));
        let recent = Id::from_bits(u128::from(next - rng.below(6).min(next)));
        let op = match rng.below(10) {
            0..4 => {
                next += 1;
                Op::Acquire(asked(u128::from(next), rng.chance(900)))
            }
            4 => Op::Renew { id: recent, ttl: Span::from_secs(5) },
            5..7 => Op::Release { id: recent, clean: rng.chance(500) },
            7..9 => Op::Cancel { id: recent, clean: rng.chance(500) },
            _ => Op::Inspect,
        };
        execute(&mut space, &op);
        examine(&mut space, &mut rng);
    }
}

#[test]
fn i6_a_request_sent_again_changes_nobody_nothing_and_no_order() {
    let (mut granted, mut queued) = (0, 0);
    for_locks(|space, rng| {
        let mut space = space.clone();
        let request = Op::Acquire(asked(rng.bits128(), true));
        let first = execute(&mut space, &request);
        let after_one = members(&space);
        for _ in 0..rng.between(1, 4) {
            let again = execute(&mut space, &request);
            assert_eq!(members(&space), after_one, "{first:?}, then {again:?}");
            match (&first, &again) {
                (AnswerKind::Granted { .. }, _) => {
                    granted += 1;
                    assert_eq!(first, again);
                }
                (AnswerKind::Queued { ticket, .. }, AnswerKind::Queued { ticket: same, .. }) => {
                    queued += 1;
                    assert_eq!(ticket, same);
                }
                _ => panic!("{first:?}, then {again:?}"),
            }
        }
    });
    assert!(granted > 1_000 && queued > 1_000, "{granted} grants, {queued} queued");
}

#[test]
fn i6_an_end_sent_again_is_answered_alike_and_changes_nothing() {
    for_locks(|space, rng| {
        let mut space = space.clone();
        let view = View::of(&space, STATE);
        let Some(holder) = view.holders.first() else { return };
        let id = Id::parse(&holder.id).expect("an id");
        let clean = rng.chance(500);
        execute(&mut space, &Op::Release { id, clean });
        let after_one = members(&space);
        assert_eq!(execute(&mut space, &Op::Release { id, clean }), AnswerKind::Released);
        assert_eq!(members(&space), after_one);
        assert_eq!(execute(&mut space, &Op::Cancel { id, clean }), AnswerKind::Cancelled);
        assert_eq!(members(&space), after_one);
        // I7: and the request that it ended does not bring it back.
        let straggler = Acquire { id, ..asked(0, true) };
        assert!(matches!(execute(&mut space, &Op::Acquire(straggler)), AnswerKind::Gone(_)));
        assert_eq!(members(&space), after_one);
    });
}

#[test]
fn i14_a_try_does_not_overtake_a_queue_and_leaves_no_trace() {
    let mut busy = 0;
    for_locks(|space, rng| {
        let mut space = space.clone();
        // Nothing is due in the lock: what changes then is the try's doing.
        execute(&mut space, &Op::Renew { id: Id::from_bits(0), ttl: Span::from_secs(1) });
        let before = members(&space);
        let answer = execute(&mut space, &Op::Acquire(asked(rng.bits128(), false)));
        if before.holders.is_empty() {
            assert!(before.waiters.is_empty(), "a free lock with a queue after a call: {before:?}");
            assert!(matches!(answer, AnswerKind::Granted { .. }), "{answer:?}");
        } else {
            busy += 1;
            assert!(matches!(answer, AnswerKind::Busy { .. }), "{answer:?}");
            assert_eq!(members(&space), before);
        }
    });
    assert!(busy > 1_000, "{busy}");
}
