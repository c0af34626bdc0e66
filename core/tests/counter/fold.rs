//! A process that lives for a moment leaves no slot: its counter's close folds it, and leaves the id
//! alone, which is refused from then on. Whatever may still come of a slot keeps it from being folded.

use crate::support::counter_desk::{KEY, Replica, execute, op_of, send, stands, up};
use crate::support::desk::{Desk, events};
use comity::counter::{FlushStamp, MAX_SLOTS, Op, SlotId, Tally, Verb, execute as run};
use comity::event::Event;
use comity::keyspace::{Keyspace, ServerTime};
use comity::redis::Failure;
use comity::time::Span;

const DAY: u64 = 24 * 3_600 * 1_000_000;

/// How many fields the counter's hash has.
fn fields(space: &Keyspace) -> usize {
    space.hash(KEY.as_bytes()).expect("a hash").map_or(0, std::collections::BTreeMap::len)
}

fn ask(space: &mut Keyspace, op: &Op) -> Verb {
    run(space, KEY.as_bytes(), op).expect("a hash").verb
}

/// Closes, every command being answered; the operations, and what was not acknowledged.
fn close(replica: &mut Replica, desk: &mut Desk) -> (Vec<Op>, Tally) {
    replica.co.counter_close(replica.counter, desk.now).expect("it is open");
    let mut ops = Vec::new();
    while let Some(command) = replica.co.poll_command() {
        ops.push(op_of(&command));
        desk.answer(&mut replica.co, &command);
    }
    let closed = events(&mut replica.co).into_iter().find_map(|event| match event {
        Event::CounterClosed { unacknowledged, .. } => Some(unacknowledged),
        _ => None,
    });
    (ops, closed.expect("it is closed"))
}

#[test]
fn a_counter_outlives_more_short_lives_than_it_has_slots() {
    let mut space = Keyspace::new();
    let mut early = Vec::new();
    let lives = MAX_SLOTS as u64 + 10_000;
    for life in 0..lives {
        space.set_now(ServerTime(1_750_000_000_000_000 + life * 10));
        let Verb::Joined(incarnation) = ask(&mut space, &Op::Join) else { panic!("life {life}") };
        let owner = u128::from(life.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64;
        let (id, tally, flush_stamp) = (SlotId { owner, incarnation }, up(2), FlushStamp(1));
        let known = Tally::ZERO;
        assert_eq!(ask(&mut space, &Op::Add { id, tally, flush_stamp, known }), Verb::Live);
        assert_eq!(
            ask(&mut space, &Op::Fold { id, tally, flush_stamp, known: tally }),
            Verb::Folded
        );
        if life.is_multiple_of(1_000) {
            early.push((life, id));
        }
    }
    assert!(fields(&space) <= 15 + 256, "{} fields", fields(&space));
    // Whatever comes late of whichever life is counted already. The last 50,000 are known by their ids.
    for (life, id) in early {
        let (tally, flush_stamp, known) = (up(2), FlushStamp(1), Tally::ZERO);
        for op in [
            Op::Add { id, tally, flush_stamp, known },
            Op::Retire { id, tally: Tally::ZERO, flush_stamp: FlushStamp::REPLAY, known },
            Op::Fold { id, tally, flush_stamp, known: tally },
        ] {
            let verb = ask(&mut space, &op);
            let known = verb == Verb::Folded || (verb == Verb::Unknown && life + 50_000 < lives);
            assert!(known, "life {life} of {lives}, {op:?}: {verb:?}");
        }
    }
    let totals =
        run(&mut space, KEY.as_bytes(), &Op::Get { id: None }).expect("a hash").view.totals;
    assert_eq!(totals.p, u128::from(2 * lives));
    // And ids are not kept for ever.
    for life in 0..2_000_u64 {
        space.set_now(ServerTime(1_750_000_000_000_000 + 8 * DAY + life));
        let owner = u128::from(life.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64;
        let id = SlotId { owner, incarnation: 1_750_000_000_000_000 + 8 * DAY + life };
        let (tally, flush_stamp) = (up(2), FlushStamp(1));
        assert_eq!(
            ask(&mut space, &Op::Fold { id, tally, flush_stamp, known: tally }),
            Verb::Folded
        );
    }
    let hash = space.hash(KEY.as_bytes()).expect("a hash").expect("it is there");
    let listed: usize = hash
        .iter()
        .filter(|(name, _)| name.len() == 2 && name[1] < b'4')
        .map(|(_, ids)| ids.len() / 39)
        .sum();
    assert_eq!(listed, 2_000);
}

#[test]
fn the_close_of_a_counter_leaves_no_slot() {
    let mut desk = Desk::without_scripts();
    let mut other = Replica::open(&desk, 9);
    other.add(&mut desk, 100);
    let before = fields(desk.store.keyspace());
    for seed in 1..5 {
        let mut replica = Replica::open(&desk, seed);
        replica.add(&mut desk, 2);
        replica.count(-1, desk.now);
        let (ops, unacknowledged) = close(&mut replica, &mut desk);
        assert!(matches!(ops[..], [Op::Add { .. }, Op::Fold { .. }]), "{ops:?}");
        assert!(unacknowledged.is_zero());
    }
    // Four ids in their bins, and how many bins there are, what was folded, and the floor.
    assert!(fields(desk.store.keyspace()) <= before + 4 + 4);
    assert_eq!(other.read(&mut desk), 104);
    let audit = other.audit(&mut desk, None);
    assert_eq!((audit.live, audit.retired, audit.corrected), (1, 0, 0));
}

#[test]
fn a_flush_that_was_not_answered_is_settled_first() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    replica.count(3, desk.now);
    let late = replica.co.poll_command().expect("it flushes");
    replica.co.handle_failure(late.request, Failure::OutcomeUnknown, desk.now);
    let (ops, unacknowledged) = close(&mut replica, &mut desk);
    assert!(matches!(ops[..], [Op::Add { .. }, Op::Fold { .. }]), "{ops:?}");
    assert!(unacknowledged.is_zero());
    // And what was not answered arrives.
    let view = stands(&mut desk);
    desk.execute(&late.argv);
    assert_eq!(stands(&mut desk), view, "nothing is changed");
    assert_eq!(view.totals.p, 5);
}

#[test]
fn a_fold_that_is_repeated_changes_nothing() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    replica.co.counter_close(replica.counter, desk.now).expect("it is open");
    let fold = replica.co.poll_command().expect("it folds");
    desk.execute(&fold.argv);
    let view = stands(&mut desk);
    replica.co.handle_failure(fold.request, Failure::OutcomeUnknown, desk.now);
    desk.pass(Span::from_secs(1), &mut [&mut replica.co]);
    let told = events(&mut replica.co);
    let [Event::CounterClosed { unacknowledged, .. }] = &told[..] else { panic!("{told:?}") };
    assert!(unacknowledged.is_zero());
    assert_eq!(stands(&mut desk), view);
}

#[test]
fn what_was_handed_out_is_retired_and_restored_as_before() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    replica.count(3, desk.now);
    let bytes = replica.bytes();
    let (ops, _) = close(&mut replica, &mut desk);
    assert!(matches!(ops[..], [Op::Add { .. }, Op::Retire { .. }]), "{ops:?}");
    for seed in 2..4 {
        let mut restored = Replica::restore(&desk, seed, &bytes);
        desk.run(&mut restored.co);
        assert_eq!(restored.lost(), []);
        assert_eq!(restored.read(&mut desk), 5);
    }
}

#[test]
fn bytes_of_a_listed_id_bring_back_nothing() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    // Only a copy of the process can have handed out bytes of a slot that is folded.
    let mut copy = replica.clone();
    let all = copy.bytes();
    copy.count(4, desk.now);
    let more = copy.bytes();
    let (ops, _) = close(&mut replica, &mut desk);
    assert!(matches!(ops[..], [Op::Fold { .. }]), "{ops:?}");
    for (bytes, lost) in [(all, vec![]), (more, vec![up(4)])] {
        let mut restored = Replica::restore(&desk, 3, &bytes);
        desk.run(&mut restored.co);
        assert_eq!(restored.lost(), lost);
        assert_eq!(restored.read(&mut desk), 2);
    }
}

#[test]
fn a_copy_of_who_has_closed_reports_what_it_had_pending_and_goes_on() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    let (mut writes, mut reads) = (replica.clone(), replica.clone());
    close(&mut replica, &mut desk);
    writes.add(&mut desk, 4);
    assert_eq!(writes.lost(), [up(4)]);
    writes.add(&mut desk, 10);
    assert_eq!(writes.lost(), []);
    assert_eq!(reads.read(&mut desk), 12);
    let (ops, _) = close(&mut writes, &mut desk);
    assert!(matches!(ops[..], [Op::Fold { .. }]), "{ops:?}");
    assert_eq!(stands(&mut desk).totals.p, 12);
}

#[test]
fn what_somebody_else_has_raised_is_not_folded() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    let mut copy = replica.clone();
    copy.add(&mut desk, 4);
    let (ops, _) = close(&mut replica, &mut desk);
    assert!(matches!(ops[..], [Op::Fold { .. }]), "{ops:?}");
    copy.add(&mut desk, 1);
    assert_eq!(copy.lost(), [], "its slot was retired, and still counts");
    assert_eq!(copy.read(&mut desk), 7);
}

#[test]
fn what_is_counted_while_the_fold_is_on_its_way_is_counted_in_another_slot() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    replica.co.counter_close(replica.counter, desk.now).expect("it is open");
    let fold = replica.co.poll_command().expect("it folds");
    replica.co.counter_collect(replica.counter, up(5), desk.now).expect("not closed yet");
    desk.answer(&mut replica.co, &fold);
    desk.run(&mut replica.co);
    let told = events(&mut replica.co);
    let [Event::CounterClosed { unacknowledged, .. }] = &told[..] else { panic!("{told:?}") };
    assert!(unacknowledged.is_zero());
    assert_eq!(stands(&mut desk).totals.p, 5);
}

#[test]
fn a_server_that_lost_what_is_folded_has_it_back() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 2);
    let before = desk.store.clone();
    replica.add(&mut desk, 3);
    for (older, total) in [(Some(before), 5), (None, 5)] {
        let mut replica = replica.clone();
        match older {
            Some(older) => desk.store = older,
            None => drop(send(&mut desk, &["DEL", KEY])),
        }
        replica.co.counter_close(replica.counter, desk.now).expect("it is open");
        desk.run(&mut replica.co);
        assert_eq!(stands(&mut desk).totals.p, total);
        let audit = Replica::open(&desk, 7).audit(&mut desk, None);
        assert_eq!((audit.live, audit.corrected), (0, 0));
    }
}

/// A counter with all its slots in use, and a replica that has something to count.
fn full() -> (Desk, Replica) {
    let mut desk = Desk::without_scripts();
    desk.store.keyspace_mut().set_now(ServerTime(desk.now.as_micros()));
    for owner in 0..MAX_SLOTS as u64 {
        let id = SlotId { owner: owner.into(), incarnation: desk.now.as_micros() };
        let op = Op::Add { id, tally: up(1), flush_stamp: FlushStamp(1), known: Tally::ZERO };
        assert_eq!(ask(desk.store.keyspace_mut(), &op), Verb::Live);
    }
    let space = desk.store.keyspace_mut();
    // What there is besides the slots does not count.
    let fill = |hash: &mut std::collections::BTreeMap<Vec<u8>, Vec<u8>>| {
        for field in ["zp", "zn", "fp", "fn", "ep", "ops", "head", "tail", "bins", "peers", "gc"] {
            let empty = matches!(field, "ops" | "head" | "tail");
            hash.entry(field.into())
                .or_insert_with(|| if empty { Vec::new() } else { b"0".to_vec() });
        }
    };
    space.with_hash(KEY.as_bytes(), fill).expect("a hash");
    desk.now = desk.now + Span::from_secs(3_600);
    let mut replica = Replica::open(&desk, 1);
    replica.count(5, desk.now);
    desk.run(&mut replica.co);
    let refused = |event: &Event| matches!(event, Event::CounterRefused { error, .. } if error.message().contains("`prune`"));
    assert!(events(&mut replica.co).iter().any(refused));
    (desk, replica)
}

#[test]
fn a_counter_that_is_full_is_read_and_reset_as_ever() {
    let (mut desk, mut replica) = full();
    let all = i128::try_from(MAX_SLOTS).expect("small");
    assert_eq!(replica.read(&mut desk), all + 5);
    let mut reader = Replica::open(&desk, 2);
    assert_eq!(reader.read(&mut desk), all);
    assert_eq!(replica.audit(&mut desk, None).live, MAX_SLOTS as u64);
    replica.co.counter_reset(replica.counter, None, desk.now).expect("it is open");
    desk.run(&mut replica.co);
    let told = events(&mut replica.co);
    assert!(
        told.iter().any(|event| matches!(event, Event::CounterReset { epoch: 1, .. })),
        "{told:?}"
    );
    assert_eq!(replica.read(&mut desk), 5);
}

#[test]
fn a_pruned_slot_makes_room_though_the_answers_are_slow() {
    let (mut desk, mut replica) = full();
    replica
        .co
        .counter_audit(replica.counter, Some(Span::from_secs(60)), desk.now)
        .expect("it is open");
    let (mut commands, mut pruned) = (0_u64, None);
    while pruned.is_none() {
        let command = replica.co.poll_command().expect("an audit goes on to its end");
        // All of it takes far longer than one command may.
        desk.now = desk.now + Span::from_millis(1);
        commands += 1;
        desk.answer(&mut replica.co, &command);
        replica.co.handle_timeout(desk.now);
        for event in events(&mut replica.co) {
            match event {
                Event::CounterAudited { audit, .. } => pruned = Some(audit.pruned),
                Event::CallFailed { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
    }
    assert!(commands > 60_000, "{commands} commands, a millisecond each");
    assert_eq!(pruned, Some(MAX_SLOTS as u64));
    // At once, and for others.
    desk.run(&mut replica.co);
    assert!(replica.value(&desk).pending.is_zero());
    for seed in 2..20 {
        let mut other = Replica::open(&desk, seed);
        other.add(&mut desk, 1);
        assert_eq!(other.lost(), []);
        assert!(other.value(&desk).pending.is_zero());
    }
    // Who was pruned and whose place was not needed is still counted.
    let late = SlotId { owner: 0, incarnation: 1_750_000_000_000_000 };
    let op = Op::Add { id: late, tally: up(4), flush_stamp: FlushStamp(2), known: up(1) };
    assert_eq!(execute(&mut desk, &op).verb, Verb::Retired);
    assert_eq!(stands(&mut desk).totals.p, MAX_SLOTS as u128 + 5 + 18 + 3);
}
