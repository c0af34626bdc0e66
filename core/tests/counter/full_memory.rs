//! A server whose memory is full lets no slot begin. All that has begun goes on: what is counted is
//! flushed, read, reset, retired and folded.

use crate::support::counter_desk::{KEY, Replica, up};
use crate::support::desk::{Desk, events};
use crate::support::redis_server::RedisServer;
use crate::support::resp::Client;
use crate::support::stamping::{META, of_one, stamp_server};
use comity::counter::{Answer, FlushStamp, Op, SlotId, Tally, Verb};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::redis::{Argv, Reply, Script};

fn run(redis: &mut Client, op: &Op) -> Reply {
    let mut argv: Argv = ["EVAL", &Script::Counter.text(), "2", KEY].into_iter().collect();
    argv.push(META);
    op.encode(&mut argv);
    argv.push(&of_one());
    redis.call(&argv)
}

fn verb(redis: &mut Client, op: &Op) -> Verb {
    let reply = run(redis, op);
    Answer::decode(&reply).unwrap_or_else(|| panic!("{op:?}: {reply:?}")).verb
}

fn full(redis: &mut Client, full: bool) {
    let limit = if full { "1" } else { "0" };
    assert_eq!(redis.command(["CONFIG", "SET", "maxmemory", limit]), Reply::ok());
}

#[test]
fn what_begins_is_refused_and_what_has_begun_goes_on() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    let Verb::Joined(incarnation) = verb(&mut redis, &Op::Join) else { panic!("no incarnation") };
    let id = |owner| SlotId { owner, incarnation };
    let (flush_stamp, known) = (FlushStamp(1), Tally::ZERO);
    for owner in 1..5 {
        let op = Op::Add { id: id(owner), tally: up(1), flush_stamp, known };
        assert_eq!(verb(&mut redis, &op), Verb::Live);
    }
    full(&mut redis, true);
    let new = |owner| Op::Add { id: id(owner), tally: up(1), flush_stamp, known };
    for op in [Op::Join, new(10), Op::Retire { id: id(11), tally: up(1), flush_stamp, known }] {
        let reply = run(&mut redis, &op);
        let refused = matches!(&reply, Reply::Error(text) if text.starts_with(b"OOM"));
        assert!(refused, "{op:?}: {reply:?}");
    }
    for (op, wanted) in [
        (Op::Get { id: Some(id(1)) }, Verb::Live),
        (Op::Add { id: id(1), tally: up(20), flush_stamp, known: up(1) }, Verb::Live),
        (Op::Retire { id: id(2), tally: up(20), flush_stamp, known: up(1) }, Verb::Retired),
        (
            Op::Retire { id: id(3), tally: Tally::ZERO, flush_stamp: FlushStamp::REPLAY, known },
            Verb::Retired,
        ),
        (Op::Add { id: id(3), tally: up(20), flush_stamp, known: up(1) }, Verb::Retired),
        (Op::Fold { id: id(4), tally: up(1), flush_stamp, known: up(1) }, Verb::Folded),
        (Op::Fold { id: id(4), tally: up(1), flush_stamp, known: up(1) }, Verb::Folded),
        // It takes no slot.
        (Op::Fold { id: id(12), tally: up(1), flush_stamp, known: up(1) }, Verb::Folded),
        (Op::Reset { op: 1, epoch: 0, id: Some(id(1)) }, Verb::Reset(1)),
        (Op::Add { id: id(1), tally: up(27), flush_stamp, known: up(20) }, Verb::Live),
    ] {
        assert_eq!(verb(&mut redis, &op), wanted, "{op:?}");
    }
    let reply = run(&mut redis, &Op::Get { id: None });
    let view = Answer::decode(&reply).expect("an answer").view;
    assert_eq!((view.totals.p, view.zero.p), (69, 62));
    let fix = Op::Fix { version: view.version, totals: view.totals };
    assert_eq!(verb(&mut redis, &fix), Verb::Fixed);
    full(&mut redis, false);
    assert_eq!(verb(&mut redis, &new(10)), Verb::Live);
}

#[test]
fn who_comes_new_is_told_reads_all_the_same_and_is_counted_when_there_is_room() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    let mut desk = Desk::without_scripts();
    let (mut old, mut new) = (Replica::open(&desk, 1), Replica::open(&desk, 2));
    let mut answer = |replica: &mut Replica, desk: &Desk| {
        while let Some(command) = replica.co.poll_command() {
            let reply = redis.call(&command.argv);
            replica.co.handle_reply(command.request, &reply, desk.now);
        }
        events(&mut replica.co)
    };
    old.count(1, desk.now);
    answer(&mut old, &desk);
    let mut control = server.connect();
    full(&mut control, true);
    old.count(1, desk.now);
    new.count(5, desk.now);
    assert!(answer(&mut old, &desk).is_empty(), "its slot is there");
    let told = answer(&mut new, &desk);
    let [Event::CounterRefused { error, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(error.code(), ErrorCode::ServerRefused);
    assert!(error.message().starts_with("OOM"), "{error}");
    let call = new.co.counter_read(new.counter, comity::counter::Freshness::Fresh, desk.now);
    call.expect("it is open");
    let told = answer(&mut new, &desk);
    let [Event::CounterRead { value, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((value.value, value.pending), (7, up(5)));
    // The one that was there before ends cleanly.
    old.co.counter_close(old.counter, desk.now).expect("it is open");
    let told = answer(&mut old, &desk);
    let [Event::CounterClosed { unacknowledged, .. }] = &told[..] else { panic!("{told:?}") };
    assert!(unacknowledged.is_zero());
    full(&mut control, false);
    desk.now = desk.now + comity::time::Span::from_secs(3);
    new.co.handle_timeout(desk.now);
    answer(&mut new, &desk);
    assert!(new.value(&desk).pending.is_zero());
}
