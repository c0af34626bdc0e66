//! An audit reads all slots, part by part, and corrects sums that are wrong - but never by what
//! others have counted meanwhile.

use crate::support::counter_desk::{KEY, Replica, audited, execute, op_of, send, stands, up};
use crate::support::desk::{Desk, events};
use comity::counter::{Audit, FlushStamp, Op, SlotId, Tally, Verb};
use comity::time::Span;

/// More than a part.
const SLOTS: u64 = 1_000;

fn add(owner: u64, tally: Tally) -> Op {
    let id = SlotId { owner: u128::from(owner), incarnation: 1_750_000_000_000_000 };
    Op::Add { id, tally, flush_stamp: FlushStamp(1), known: Tally::ZERO }
}

/// A counter of many slots, slot `n` having counted `n + 1`.
fn many() -> (Desk, Replica) {
    let mut desk = Desk::without_scripts();
    for owner in 0..SLOTS {
        assert_eq!(execute(&mut desk, &add(owner, up(owner + 1))).verb, Verb::Live);
    }
    let replica = Replica::open(&desk, 1);
    (desk, replica)
}

const SUM: i128 = SLOTS as i128 * (SLOTS as i128 + 1) / 2;

#[test]
fn many_slots_are_read_in_parts() {
    let (mut desk, mut replica) = many();
    replica.co.counter_audit(replica.counter, None, desk.now).expect("it is open");
    let mut parts = 0;
    while let Some(command) = replica.co.poll_command() {
        let text = command.argv.get(0) == Some(b"EVAL");
        parts += u32::from(matches!(op_of(&command), Op::Scan { .. }) && !text);
        desk.answer(&mut replica.co, &command);
    }
    assert!(parts >= 3, "{parts} parts");
    let audit = audited(&events(&mut replica.co)).expect("it was answered");
    assert_eq!(audit, Audit { live: SLOTS, compared: true, ..Audit::default() });
}

#[test]
fn damaged_sums_are_corrected_to_what_the_slots_hold() {
    let (mut desk, mut replica) = many();
    for (field, damaged, wrong) in [
        ("tp", "0", -SUM),
        ("tp", "99999999999999999999999999", 99_999_999_999_999_999_999_999_999 - SUM),
        ("tn", "7", -7),
    ] {
        send(&mut desk, &["HSET", KEY, field, damaged]);
        let audit = replica.audit(&mut desk, None);
        assert_eq!((audit.compared, audit.corrected), (true, -wrong), "{field}");
        assert_eq!(stands(&mut desk).totals.value(), Some(SUM));
        assert_eq!(replica.read(&mut desk), SUM);
        assert_eq!(replica.audit(&mut desk, None).corrected, 0);
    }
}

#[test]
fn what_is_counted_between_two_parts_is_not_taken_for_damage() {
    let (mut desk, mut replica) = many();
    send(&mut desk, &["HSET", KEY, "tp", "1"]);
    replica.co.counter_audit(replica.counter, None, desk.now).expect("it is open");
    let (mut counted, mut fixes) = (0, 0);
    while let Some(command) = replica.co.poll_command() {
        // Somebody else counts while the parts are read, and before the correction arrives.
        let op = op_of(&command);
        fixes += i128::from(matches!(op, Op::Fix { .. }));
        if matches!(op, Op::Fix { .. } if fixes == 1) || counted < 5 {
            counted += 1;
            execute(&mut desk, &add(5_000, up(counted)));
        }
        desk.answer(&mut replica.co, &command);
    }
    assert_eq!(fixes, 2, "the first correction was refused");
    let audit = audited(&events(&mut replica.co)).expect("it was answered");
    assert_eq!((audit.live, audit.compared), (SLOTS + 1, true));
    let expected = SUM + i128::from(counted);
    assert_eq!(audit.corrected, SUM - 1);
    assert_eq!(stands(&mut desk).totals.value(), Some(expected));
}

#[test]
fn a_counter_that_never_rests_is_not_compared_and_not_corrected() {
    let (mut desk, mut replica) = many();
    send(&mut desk, &["HSET", KEY, "tn", "3"]);
    replica.co.counter_audit(replica.counter, None, desk.now).expect("it is open");
    let mut counted = 0;
    while let Some(command) = replica.co.poll_command() {
        assert!(!matches!(op_of(&command), Op::Fix { .. }));
        counted += 1;
        execute(&mut desk, &add(5_000, up(counted)));
        desk.answer(&mut replica.co, &command);
    }
    assert!(counted > 8 * 2, "{counted} parts were read");
    let audit = audited(&events(&mut replica.co)).expect("it was answered");
    assert_eq!(audit, Audit { live: SLOTS + 1, ..Audit::default() });
    assert_eq!(stands(&mut desk).totals.n, 3);
}

#[test]
fn whoever_was_silent_for_long_is_retired_in_whatever_part_it_is() {
    let (mut desk, mut replica) = many();
    desk.now = desk.now + Span::from_secs(3_600);
    for owner in (0..SLOTS).step_by(10) {
        execute(&mut desk, &add(owner, up(owner + 2)));
    }
    let pruned = SLOTS - SLOTS / 10;
    let audit = replica.audit(&mut desk, Some(Span::from_secs(60)));
    let wanted = Audit { live: SLOTS / 10, retired: pruned, pruned, compared: true, corrected: 0 };
    assert_eq!(audit, wanted);
    let wanted = Audit { pruned: 0, ..wanted };
    assert_eq!(replica.audit(&mut desk, Some(Span::from_secs(60))), wanted);
    assert_eq!(stands(&mut desk).totals.value(), Some(SUM + i128::from(SLOTS / 10)));
}
