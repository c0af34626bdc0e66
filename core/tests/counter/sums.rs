//! Sums near and beyond 63, 64 and 128 bits: exact, or a typed error, never a wrap.

use crate::support::counter_desk::{KEY, Replica, send, stands};
use crate::support::desk::{Desk, events};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::redis::Reply;
use comity::time::Span;

/// Counts all that one life can, up or down.
fn fill(replica: &mut Replica, desk: &mut Desk, sign: i64) {
    for amount in [i64::MAX, i64::MAX, 1] {
        replica.add(desk, sign * amount);
    }
    let beyond = replica.co.counter_add(replica.counter, sign, desk.now);
    assert_eq!(beyond.map_err(|error| error.code()), Err(ErrorCode::Overflow));
}

#[test]
fn values_around_63_bits_are_told_as_64_or_refused() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, i64::MAX);
    assert_eq!(replica.value(&desk).as_i64(), Ok(i64::MAX));
    replica.add(&mut desk, 1);
    let value = replica.value(&desk);
    assert_eq!(value.value, 1 << 63);
    assert_eq!(value.as_i64().map_err(|error| error.code()), Err(ErrorCode::Overflow));
    replica.add(&mut desk, -1);
    assert_eq!(replica.value(&desk).as_i64(), Ok(i64::MAX));
    // The other way, with another life: increments and decrements are 64 bits each.
    let mut other = Replica::open(&desk, 2);
    other.add(&mut desk, i64::MIN);
    assert_eq!(other.read(&mut desk), -1);
    other.add(&mut desk, -i64::MAX);
    assert_eq!(other.read(&mut desk), i128::from(i64::MIN));
    assert_eq!(other.value(&desk).as_i64(), Ok(i64::MIN));
    replica.add(&mut desk, -1);
    assert_eq!(other.read(&mut desk), i128::from(i64::MIN) - 1);
    assert!(other.value(&desk).as_i64().is_err());
}

#[test]
fn full_slots_add_up_exactly() {
    let mut desk = Desk::without_scripts();
    let mut expected = 0_i128;
    for seed in 1..=8 {
        let mut replica = Replica::open(&desk, seed);
        let sign = if seed < 6 { 1 } else { -1 };
        fill(&mut replica, &mut desk, sign);
        expected += i128::from(sign) * i128::from(u64::MAX);
        assert_eq!(replica.read(&mut desk), expected);
        assert_eq!(replica.audit(&mut desk, None).corrected, 0);
        // A full slot is left by a new life, and counts on.
        let bytes = replica.bytes();
        let mut next = Replica::restore(&desk, seed + 100, &bytes);
        desk.run(&mut next.co);
        next.add(&mut desk, sign);
        expected += i128::from(sign);
        assert_eq!(next.read(&mut desk), expected);
    }
    let totals = stands(&mut desk).totals;
    assert_eq!((totals.p, totals.n), (5 << 64, 3 << 64));
}

#[test]
fn a_value_beyond_128_bits_is_an_error_and_counting_goes_on() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 1);
    let most = (1_u128 << 127) - 1;
    send(&mut desk, &["HSET", KEY, "tp", &most.to_string()]);
    assert_eq!(replica.read(&mut desk), i128::MAX);
    // Counted here already, and told there with an answer that cannot be told on.
    replica.add(&mut desk, 1);
    assert_eq!(stands(&mut desk).totals.p, most + 1);
    let value = replica.co.counter_value(replica.counter, desk.now);
    assert_eq!(value.map_err(|error| error.code()), Err(ErrorCode::Overflow));
    let call =
        replica.co.counter_read(replica.counter, comity::counter::Freshness::Fresh, desk.now);
    let call = call.expect("it is open");
    desk.run(&mut replica.co);
    let told = events(&mut replica.co);
    let failed = told.iter().find_map(|event| match event {
        Event::CallFailed { call: it, error, .. } if *it == call => Some(error.code()),
        _ => None,
    });
    assert_eq!(failed, Some(ErrorCode::Overflow), "{told:?}");
    // The zero point brings it back into range.
    replica.co.counter_reset(replica.counter, None, desk.now).expect("it is open");
    desk.run(&mut replica.co);
    assert_eq!(replica.read(&mut desk), 0);
}

#[test]
fn totals_beyond_128_bits_are_refused_and_what_was_counted_is_kept() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 1);
    replica.count(1, desk.now);
    let command = replica.co.poll_command().expect("it flushes");
    let mut reply = desk.execute(&command.argv);
    let Reply::Array(fields) = &mut reply else { panic!("{reply:?}") };
    fields[4] = Reply::bulk(format!("{}0", u128::MAX));
    replica.co.handle_reply(command.request, &reply, desk.now);
    let told = events(&mut replica.co);
    let refused = told.iter().find_map(|event| match event {
        Event::CounterRefused { error, .. } => Some(error.code()),
        _ => None,
    });
    assert_eq!(refused, Some(ErrorCode::Unsupported), "{told:?}");
    assert_eq!(replica.value(&desk).pending.p, 1);
    desk.pass(Span::from_secs(5), &mut [&mut replica.co]);
    assert_eq!(replica.read(&mut desk), 2);
}
