//! Ten thousand wait in one process and no push can reach them: they ask a thousand times a second all
//! together, keep their places, and the next in line still finds its grant in time.

use crate::support::desk::{Desk, NAME, events, op_of};
use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::Reply;
use comity::ring::NodeSpec;
use comity::time::{Span, Time};

fn without_push(seed: u8, now: Time) -> Coordinator {
    let mut config = Config::new(vec![NodeSpec::new("n", 1)]);
    config.push = false;
    Coordinator::new(config, [seed; 32], now).expect("a sound configuration")
}

/// Lets time pass, every command answered at once; how many there were.
fn commands(desk: &mut Desk, span: Span, cos: &mut [&mut Coordinator]) -> u64 {
    let before: u64 = cos.iter().map(|co| co.stats().commands).sum();
    desk.pass(span, cos);
    cos.iter().map(|co| co.stats().commands).sum::<u64>() - before
}

#[test]
fn the_heartbeats_of_one_process_have_a_bound() {
    for (waiters, each_second) in [(100, 100), (2_000, 1_000), (10_000, 1_000)] {
        let mut desk = Desk::new();
        let (mut holder, held) = desk.holder(1);
        let mut co = without_push(2, desk.now);
        for _ in 0..waiters {
            co.lock_acquire(NAME, LockOptions::default(), desk.now).expect("sound arguments");
            desk.run(&mut co);
        }
        let line = desk.view().waiters;
        // The first answers came when few waited.
        commands(&mut desk, Span::from_secs(12), &mut [&mut holder, &mut co]);
        let asked = commands(&mut desk, Span::from_secs(10), &mut [&mut holder, &mut co]);
        let most = 10 * (each_second + 10);
        assert!(asked <= most, "{waiters} waiters sent {asked} commands in 10 s");
        commands(&mut desk, Span::from_secs(20), &mut [&mut holder, &mut co]);
        let now: Vec<_> = desk.view().waiters.into_iter().map(|waiter| waiter.id).collect();
        let before: Vec<_> = line.into_iter().map(|waiter| waiter.id).collect();
        assert!(now == before, "{waiters} waiters: a place was lost");
        events(&mut co);
        holder.lock_release(held, desk.now).expect("it is held");
        desk.pass(Span::from_millis(1_700), &mut [&mut holder, &mut co]);
        let granted = |event: &Event| matches!(event, Event::LockGranted { .. });
        assert_eq!(events(&mut co).iter().filter(|event| granted(event)).count(), 1);
    }
}

#[test]
fn a_waiter_that_is_told_that_it_came_too_late_keeps_its_place() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let mut first = without_push(2, desk.now);
    let lock = desk.ask(&mut first);
    desk.run(&mut first);
    let mut second = without_push(3, desk.now);
    desk.ask(&mut second);
    desk.run(&mut second);
    let before: Vec<_> = desk.view().waiters.into_iter().map(|waiter| waiter.id).collect();
    // The next heartbeat is answered as if it had come after its time.
    let mut told = false;
    while !told {
        desk.now = first.next_deadline().expect("a heartbeat");
        first.handle_timeout(desk.now);
        while let Some(command) = first.poll_command() {
            assert_eq!(op_of(&command), "ACQ");
            let late = Reply::Array(["GONE", "late"].map(Reply::bulk).to_vec());
            first.handle_reply(command.request, &late, desk.now);
            told = true;
        }
    }
    desk.pass(Span::from_secs(4), &mut [&mut holder, &mut first, &mut second]);
    let after: Vec<_> = desk.view().waiters.into_iter().map(|waiter| waiter.id).collect();
    assert_eq!(after, before);
    holder.lock_release(held, desk.now).expect("it is held");
    desk.pass(Span::from_secs(1), &mut [&mut holder, &mut first, &mut second]);
    assert!(first.lock_is_held(lock, desk.now));
}

#[test]
fn heartbeats_are_rarer_where_answers_take_long() {
    let mut desk = Desk::new();
    let (mut holder, _held) = desk.holder(1);
    let mut co = without_push(2, desk.now);
    for _ in 0..2_000 {
        co.lock_acquire(NAME, LockOptions::default(), desk.now).expect("sound arguments");
        desk.run(&mut co);
    }
    let line = desk.view().waiters;
    let answer_late = |desk: &mut Desk, co: &mut Coordinator, holder: &mut Coordinator| {
        let asked: Vec<_> = std::iter::from_fn(|| co.poll_command()).collect();
        let answers = asked.iter().map(|command| (command.request, desk.execute(&command.argv)));
        let answers: Vec<_> = answers.collect();
        desk.now = desk.now + Span::from_millis(500);
        for (request, reply) in &answers {
            co.handle_reply(*request, reply, desk.now);
        }
        co.handle_timeout(desk.now);
        desk.pass(Span::ZERO, &mut [holder]);
        asked.len()
    };
    // The first answers came when few waited, and at once.
    let asked: Vec<usize> = (0..80).map(|_| answer_late(&mut desk, &mut co, &mut holder)).collect();
    let asked: usize = asked[40..].iter().sum();
    assert!(asked <= 20 * 200, "{asked} in 20 s, of which there may be 1,000 a second else");
    let now: Vec<_> = desk.view().waiters.into_iter().map(|waiter| waiter.id).collect();
    let before: Vec<_> = line.into_iter().map(|waiter| waiter.id).collect();
    assert!(now == before, "a place was lost");
}
