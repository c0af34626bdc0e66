//! A renewal that was asked for ends by the timeout, whatever the server says, with the lease as it was.

use crate::support::unanswered::Unanswered;
use comity::coordinator::{Config, Coordinator};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::memory::MemoryStore;
use comity::redis::{Command, Failure, Reply, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

const START: Time = Time::from_micros(1_750_000_000_000_000);
const TIMEOUT: Span = Span::from_secs(5);
const TTL: Span = Span::from_secs(600);

/// What becomes of a command.
type Fate<'a> = &'a dyn Fn(&Command) -> Outcome;

enum Outcome {
    Reply(Reply),
    Failure(Failure),
    /// Nothing by its deadline, when the host gives it up.
    Silence,
    /// Nothing, and the host does not say so.
    Nothing,
}

struct World {
    co: Coordinator,
    store: MemoryStore,
    now: Time,
    lock: LockId,
    open: Unanswered,
}

impl World {
    /// A lock is held.
    fn new(renew: bool) -> Self {
        let config = Config::new(vec![NodeSpec::new("a", 1)]);
        let mut co = Coordinator::new(config, [7; 32], START).expect("sound");
        let options = LockOptions { ttl: TTL, renew, ..LockOptions::default() };
        let lock = co.lock_acquire(b"x", options, START).expect("sound arguments");
        let (store, open) = (MemoryStore::new(), Unanswered::default());
        let mut world = Self { co, store, now: START, lock, open };
        world.answer();
        assert!(world.co.lock_is_held(lock, START));
        world
    }

    fn answer(&mut self) -> Vec<Event> {
        while let Some(command) = self.co.poll_command() {
            let reply = match command.route {
                Route::Subscribe => Reply::Array(vec![]),
                _ => self.store.execute(&command.argv, self.now),
            };
            self.co.handle_reply(command.request, &reply, self.now);
        }
        std::iter::from_fn(|| self.co.poll_event()).collect()
    }

    fn send(&mut self, fate: Fate<'_>) {
        while let Some(command) = self.co.poll_command() {
            match fate(&command) {
                Outcome::Reply(reply) => self.co.handle_reply(command.request, &reply, self.now),
                Outcome::Failure(failure) => {
                    self.co.handle_failure(command.request, failure, self.now);
                }
                Outcome::Silence => self.open.push(&command),
                Outcome::Nothing => {}
            }
        }
    }

    /// The renewal by this ttl, and how it ended, and after how long.
    fn renewed(&mut self, ttl: Option<Span>, fate: Fate<'_>) -> (Event, Span) {
        let begun = self.now;
        self.co.lock_renew(self.lock, ttl, begun).expect("it is held");
        loop {
            self.send(fate);
            let told: Vec<_> = std::iter::from_fn(|| self.co.poll_event())
                .filter(|event| !matches!(event, Event::NodeDown { .. } | Event::NodeUp { .. }))
                .collect();
            if let [event] = told.as_slice() {
                return (event.clone(), self.now.since(begun));
            }
            assert!(told.is_empty(), "{told:?}");
            self.now = self.now.max(self.open.next(&self.co).expect("something is due"));
            self.open.wake(&mut self.co, self.now);
        }
    }

    fn refused(&mut self, ttl: Option<Span>, fate: Fate<'_>) -> (Error, Span) {
        let valid_until = self.co.lock_valid_until(self.lock);
        let (event, after) = self.renewed(ttl, fate);
        let Event::LockNotRenewed { lock, name, error } = event else { panic!("{event:?}") };
        assert_eq!((lock, name.as_slice()), (self.lock, &b"x"[..]));
        assert!(error.node().is_some(), "{error:?}");
        assert!(self.co.lock_is_held(self.lock, self.now));
        assert_eq!(self.co.lock_valid_until(self.lock), valid_until, "the lease is as it was");
        assert!(after <= TIMEOUT + Span::from_millis(1), "{after:?}");
        (error, after)
    }
}

fn error(text: &str) -> Outcome {
    Outcome::Reply(Reply::Error(text.as_bytes().to_vec()))
}

#[test]
fn what_is_sent_and_never_answered_is_no_answer() {
    for fate in [
        &(|_: &Command| Outcome::Silence) as Fate<'_>,
        &|_| Outcome::Nothing,
        // Damaged bytes: the host gives up the connection.
        &|_| Outcome::Failure(Failure::OutcomeUnknown),
    ] {
        for ttl in [None, Some(Span::from_secs(60))] {
            let mut world = World::new(true);
            let (error, after) = world.refused(ttl, fate);
            assert_eq!(error.code(), ErrorCode::NoAnswer);
            assert!(after > TIMEOUT.part(3, 4), "{after:?}: it is tried for as long as there is");
        }
    }
}

#[test]
fn what_is_never_sent_is_unreachable_and_what_was_sent_once_is_not() {
    let mut world = World::new(true);
    let (error, _) = world.refused(None, &|_| Outcome::Failure(Failure::NotSent));
    assert_eq!(error.code(), ErrorCode::Unreachable);
    let mut world = World::new(true);
    let sent = std::cell::Cell::new(false);
    let (error, _) = world.refused(None, &|_| {
        let first = !sent.replace(true);
        Outcome::Failure(if first { Failure::OutcomeUnknown } else { Failure::NotSent })
    });
    assert_eq!(error.code(), ErrorCode::NoAnswer);
}

#[test]
fn a_refusal_is_told_in_the_server_s_words() {
    for (text, at_once) in [
        ("NOPERM this user has no permissions", true),
        ("WRONGPASS invalid username-password pair", true),
        ("READONLY You can't write against a read only replica.", true),
        ("LOADING Redis is loading the dataset in memory", false),
        ("BUSY Redis is busy running a script", false),
    ] {
        let mut world = World::new(true);
        let (told, after) = world.refused(None, &|_| error(text));
        assert_eq!(told.code(), ErrorCode::ServerRefused, "{text}");
        assert!(told.message().ends_with(text), "{told:?}");
        assert_eq!(after == Span::ZERO, at_once, "{text}: {after:?}");
    }
}

#[test]
fn an_answer_that_is_none_is_told_at_once() {
    for reply in [Reply::Array(vec![]), Reply::bulk("what"), Reply::Integer(7), Reply::Nil] {
        let mut world = World::new(true);
        let (error, after) = world.refused(None, &|_| Outcome::Reply(reply.clone()));
        assert_eq!((error.code(), after), (ErrorCode::Unsupported, Span::ZERO));
    }
}

#[test]
fn renewals_by_themselves_go_on_with_the_length_there_was() {
    let mut world = World::new(true);
    world.refused(Some(Span::from_secs(60)), &|_| Outcome::Failure(Failure::NotSent));
    let wake = world.co.next_deadline().expect("it is tried again");
    assert!(wake <= world.now + Span::from_secs(1));
    world.now = wake;
    world.co.handle_timeout(wake);
    let told = world.answer();
    assert!(
        matches!(told.as_slice(), [Event::NodeUp { .. }, Event::LockRenewed { .. }]),
        "{told:?}"
    );
    let left = world.co.lock_valid_until(world.lock).expect("it is held").since(world.now);
    assert!(left > TTL.part(9, 10), "{left:?}");
}

#[test]
fn a_lock_that_does_not_renew_itself_is_left_alone_from_then_on() {
    let mut world = World::new(false);
    world.refused(None, &|_| Outcome::Failure(Failure::NotSent));
    let ends = world.co.lock_valid_until(world.lock);
    assert_eq!(world.co.next_deadline(), ends, "nothing is due before its end");
}

#[test]
fn a_lease_that_ends_before_is_lost_and_nothing_else() {
    let mut world = World::new(true);
    world.now = START + Span::from_secs(594) - Span::from_secs(1);
    let (event, _) = world.renewed(None, &|_| Outcome::Failure(Failure::NotSent));
    assert!(matches!(event, Event::LockLost { .. }), "{event:?}");
}

#[test]
fn the_next_one_may_succeed() {
    let mut world = World::new(false);
    world.refused(None, &|_| error("NOPERM this user has no permissions"));
    world.co.lock_renew(world.lock, Some(Span::from_secs(1_200)), world.now).expect("it is held");
    let told = world.answer();
    assert!(matches!(told.as_slice(), [Event::LockRenewed { .. }]), "{told:?}");
    let left = world.co.lock_valid_until(world.lock).expect("it is held").since(world.now);
    assert!(left > Span::from_secs(1_100), "{left:?}");
}

/// A renewal by itself is on its way when one is asked for, for longer: both commands.
fn overtaken() -> (World, Command, Command) {
    let mut world = World::new(true);
    world.now = world.co.next_deadline().expect("it renews itself");
    world.co.handle_timeout(world.now);
    let earlier = world.co.poll_command().expect("it renews itself");
    world.co.lock_renew(world.lock, Some(LONGER), world.now).expect("it is held");
    let asked_for = world.co.poll_command().expect("it is sent");
    (world, earlier, asked_for)
}

const LONGER: Span = Span::from_secs(1_200);

/// What is told when this command is answered.
fn answered(world: &mut World, command: &Command) -> Vec<Event> {
    let reply = world.store.execute(&command.argv, world.now);
    world.co.handle_reply(command.request, &reply, world.now);
    std::iter::from_fn(|| world.co.poll_event()).collect()
}

fn left(world: &World) -> Span {
    world.co.lock_valid_until(world.lock).expect("it is held").since(world.now)
}

#[test]
fn an_earlier_renewal_is_not_what_was_asked_for() {
    let (mut world, earlier, asked_for) = overtaken();
    let told = answered(&mut world, &earlier);
    assert!(matches!(told[..], [Event::LockRenewed { asked: false, .. }]), "{told:?}");
    assert!(left(&world) <= TTL);
    let told = answered(&mut world, &asked_for);
    assert!(matches!(told[..], [Event::LockRenewed { asked: true, .. }]), "{told:?}");
    assert!(left(&world) > LONGER.part(9, 10));
    // From then on it renews itself by that length, and nobody has asked.
    world.now = world.co.next_deadline().expect("it renews itself");
    world.co.handle_timeout(world.now);
    let told = world.answer();
    assert!(matches!(told[..], [Event::LockRenewed { asked: false, .. }]), "{told:?}");
    assert!(left(&world) > LONGER.part(9, 10));
}

#[test]
fn an_earlier_renewal_that_is_answered_later_says_nothing_either() {
    let (mut world, earlier, asked_for) = overtaken();
    let told = answered(&mut world, &asked_for);
    assert!(matches!(told[..], [Event::LockRenewed { asked: true, .. }]), "{told:?}");
    let told = answered(&mut world, &earlier);
    assert!(matches!(told[..], [Event::LockRenewed { asked: false, .. }]), "{told:?}");
    assert!(left(&world) > LONGER.part(9, 10));
}

#[test]
fn an_earlier_renewal_that_is_refused_ends_none_that_was_asked_for() {
    let (mut world, earlier, asked_for) = overtaken();
    let refusal = Reply::Error(b"NOPERM this user has no permissions".to_vec());
    world.co.handle_reply(earlier.request, &refusal, world.now);
    let told: Vec<_> = std::iter::from_fn(|| world.co.poll_event()).collect();
    assert!(told.is_empty(), "{told:?}");
    let told = answered(&mut world, &asked_for);
    assert!(matches!(told[..], [Event::LockRenewed { asked: true, .. }]), "{told:?}");
}

#[test]
fn a_renewal_that_was_asked_for_fails_though_an_earlier_one_is_answered() {
    let (mut world, earlier, asked_for) = overtaken();
    let until = world.now + TIMEOUT;
    answered(&mut world, &earlier);
    world.open.push(&asked_for);
    loop {
        world.send(&|_| Outcome::Silence);
        world.now = world.now.max(world.open.next(&world.co).expect("something is due"));
        world.open.wake(&mut world.co, world.now);
        let told: Vec<_> = std::iter::from_fn(|| world.co.poll_event())
            .filter(|event| !matches!(event, Event::NodeDown { .. }))
            .collect();
        match &told[..] {
            [] => assert!(world.now <= until, "it fails in time"),
            [Event::LockNotRenewed { error, .. }] => {
                assert_eq!(error.code(), ErrorCode::NoAnswer);
                break;
            }
            _ => panic!("{told:?}"),
        }
    }
    assert!(world.co.lock_is_held(world.lock, world.now) && left(&world) <= TTL);
}

#[test]
fn of_two_that_were_asked_for_the_last_one_counts() {
    let mut world = World::new(false);
    let ask = |world: &mut World, ttl| {
        world.co.lock_renew(world.lock, ttl, world.now).expect("it is held");
        world.co.poll_command().expect("it is sent")
    };
    let (first, last) = (ask(&mut world, None), ask(&mut world, Some(LONGER)));
    let told = answered(&mut world, &first);
    assert!(matches!(told[..], [Event::LockRenewed { asked: false, .. }]), "{told:?}");
    let told = answered(&mut world, &last);
    assert!(matches!(told[..], [Event::LockRenewed { asked: true, .. }]), "{told:?}");
}
