//! A server whose memory is full takes no new request for a lock, whatever form the lock has, and lets
//! everything else go on.

use crate::support::acquire::acquire;
use crate::support::redis_server::RedisServer;
use crate::support::resp::Client;
use crate::support::stamping::{META, of_one, stamp_server};
use comity::lock::{Acquire, Answer, AnswerKind, Fence, GuardAnswer, GuardOp, Id, Op};
use comity::redis::{Argv, LockKeys, Reply, Script};
use comity::time::Span;

const STATE: &str = "comity:1:lock:{x}";

fn id(bits: u128) -> Id {
    Id::from_bits(bits)
}

fn request(bits: u128, wait: bool) -> Op {
    let span = Span::from_secs(600);
    let inbox = b"inbox".to_vec();
    Op::Acquire(Acquire {
        ttl: span,
        handoff_ttl: span,
        waiter_ttl: span,
        wait,
        inbox,
        ..acquire(bits)
    })
}

fn call(redis: &mut Client, op: &Op) -> Reply {
    let mut argv: Argv = ["EVAL", &Script::Queue.text(), "6"].into_iter().collect();
    LockKeys::of_state(STATE.as_bytes()).in_order().iter().for_each(|key| argv.push(key));
    argv.push(META);
    op.encode(&mut argv);
    argv.push(&of_one());
    redis.call(&argv)
}

fn body(redis: &mut Client, op: &Op) -> AnswerKind {
    let reply = call(redis, op);
    Answer::decode(&reply).unwrap_or_else(|| panic!("{op:?}: {reply:?}")).kind
}

fn full(redis: &mut Client, full: bool) {
    let limit = if full { "1" } else { "0" };
    assert_eq!(redis.command(["CONFIG", "SET", "maxmemory", limit]), Reply::ok());
}

/// The forms of a lock: how many have asked for it, and whether the first has given it back or all its
/// state string was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Unknown,
    /// Released by the short way, which leaves the columns of the holder.
    Released,
    /// Released by the long way.
    Idle,
    One,
    Queued,
    /// The state string is lost.
    Headless,
    /// A record is lost.
    Damaged,
}

const FORMS: [Form; 7] = [
    Form::Unknown,
    Form::Released,
    Form::Idle,
    Form::One,
    Form::Queued,
    Form::Headless,
    Form::Damaged,
];

fn make(redis: &mut Client, form: Form) {
    full(redis, false);
    redis.command(["FLUSHDB"]);
    stamp_server(redis);
    if form == Form::Unknown {
        return;
    }
    body(redis, &request(1, true));
    match form {
        Form::Released => _ = body(redis, &Op::Release { id: id(1), clean: true }),
        Form::Idle => _ = body(redis, &Op::Release { id: id(1), clean: false }),
        Form::Queued | Form::Headless | Form::Damaged => {
            body(redis, &request(2, true));
            body(redis, &request(3, true));
        }
        Form::Unknown | Form::One => {}
    }
    if form == Form::Headless {
        redis.command(["DEL", STATE]);
    }
    if form == Form::Damaged {
        let records = LockKeys::of_state(STATE.as_bytes()).records;
        redis.command([&b"HDEL"[..], &records, id(3).as_bytes()]);
    }
}

/// The whole key space.
fn dump(redis: &mut Client) -> Vec<Reply> {
    let keys = LockKeys::of_state(STATE.as_bytes());
    let keys = keys.in_order();
    let reads: Vec<Argv> =
        keys.iter().map(|key| [&b"DUMP"[..], *key].into_iter().collect()).collect();
    redis.pipeline(&reads)
}

#[test]
fn a_new_request_is_refused_in_every_form_and_changes_nothing() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    for form in FORMS {
        for wait in [true, false] {
            make(&mut redis, form);
            let before = dump(&mut redis);
            full(&mut redis, true);
            for bits in 10..13 {
                let reply = call(&mut redis, &request(bits, wait));
                let refused = matches!(&reply, Reply::Error(text) if text.starts_with(b"OOM"));
                let busy = matches!(
                    Answer::decode(&reply),
                    Some(Answer { kind: AnswerKind::Busy { .. }, .. })
                );
                // Who tries once is told so where nothing has to be written for that.
                assert!(refused || (busy && !wait), "{form:?}: {reply:?}");
            }
            assert_eq!(dump(&mut redis), before, "{form:?}, waiting: {wait}");
        }
    }
}

#[test]
fn a_renewal_goes_on_in_every_form() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    for form in [Form::One, Form::Queued, Form::Headless, Form::Damaged] {
        make(&mut redis, form);
        full(&mut redis, true);
        let renew = Op::Renew { id: id(1), ttl: Span::from_secs(700) };
        let answer = body(&mut redis, &renew);
        assert!(matches!(answer, AnswerKind::Renewed { .. }), "{form:?}: {answer:?}");
    }
}

#[test]
fn a_release_goes_on_in_every_form_and_hands_over() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    for form in [Form::One, Form::Queued, Form::Headless, Form::Damaged] {
        for clean in [true, false] {
            make(&mut redis, form);
            full(&mut redis, true);
            let answer = body(&mut redis, &Op::Release { id: id(1), clean });
            assert_eq!(answer, AnswerKind::Released, "{form:?}");
            if form != Form::One {
                let next = body(&mut redis, &Op::Renew { id: id(2), ttl: Span::from_secs(1) });
                assert!(matches!(next, AnswerKind::Renewed { .. }), "{form:?}: {next:?}");
            }
        }
    }
}

#[test]
fn a_withdrawal_goes_on_in_every_form() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    for form in FORMS {
        for (bits, clean) in [(1, true), (1, false), (2, true), (2, false), (9, true), (9, false)] {
            make(&mut redis, form);
            full(&mut redis, true);
            let answer = body(&mut redis, &Op::Cancel { id: id(bits), clean });
            assert!(
                matches!(answer, AnswerKind::Cancelled | AnswerKind::WasGranted),
                "{form:?}: {answer:?}"
            );
            full(&mut redis, false);
            let again = body(&mut redis, &request(bits, true));
            let late = matches!(again, AnswerKind::Gone(_));
            assert!(clean || late, "{form:?}: an id that was withdrawn is over: {again:?}");
        }
    }
}

#[test]
fn who_waits_keeps_the_place_and_looking_goes_on() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    make(&mut redis, Form::Queued);
    full(&mut redis, true);
    let answer = body(&mut redis, &request(3, true));
    assert!(matches!(answer, AnswerKind::Queued { rank: 1, .. }), "{answer:?}");
    // A grant whose answer was lost is told again.
    assert!(matches!(body(&mut redis, &request(1, true)), AnswerKind::Granted { .. }));
    for form in FORMS {
        make(&mut redis, form);
        full(&mut redis, true);
        assert!(matches!(body(&mut redis, &Op::Inspect), AnswerKind::Info(_)), "{form:?}");
    }
}

#[test]
fn the_guard_says_what_is_stale_and_refuses_what_it_would_have_to_remember() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp_server(&mut redis);
    let check = |redis: &mut Client, fence| {
        let mut argv: Argv =
            ["EVAL", &Script::Guard.text(), "2", "comity:1:fence:{r}"].into_iter().collect();
        argv.push(META);
        GuardOp { fence: Fence(fence) }.encode(&mut argv);
        argv.push(&of_one());
        redis.call(&argv)
    };
    check(&mut redis, 5);
    full(&mut redis, true);
    for fence in [5, 6] {
        let reply = check(&mut redis, fence);
        assert!(matches!(&reply, Reply::Error(text) if text.starts_with(b"OOM")), "{reply:?}");
    }
    let stale = GuardAnswer { accepted: false, highest: Fence(5) };
    assert_eq!(GuardAnswer::decode(&check(&mut redis, 4)), Some(stale));
    full(&mut redis, false);
    let accepted = GuardAnswer { accepted: true, highest: Fence(6) };
    assert_eq!(GuardAnswer::decode(&check(&mut redis, 6)), Some(accepted));
}
