//! A server that was replaced by what it was before: the living give back what it has lost, soon
//! after a reconnection and in any case within 90 s, and say that it had lost some.

use crate::support::counter_desk::{Replica, stands};
use crate::support::desk::{Desk, NODE, events};
use comity::event::Event;
use comity::redis::NodeChange;
use comity::time::Span;

const SECOND: Span = Span::from_secs(1);

/// Two replicas that have counted 10 and 100, and the server from before the last 4 and 40.
fn replaced() -> (Desk, Replica, Replica) {
    let mut desk = Desk::without_scripts();
    let (mut a, mut b) = (Replica::open(&desk, 1), Replica::open(&desk, 2));
    a.add(&mut desk, 6);
    b.add(&mut desk, 60);
    let before = desk.store.clone();
    desk.pass(SECOND, &mut []);
    a.add(&mut desk, 4);
    b.add(&mut desk, 40);
    assert_eq!(stands(&mut desk).totals.p, 110);
    assert_eq!((a.lost(), b.lost()), (vec![], vec![]));
    desk.store = before;
    assert_eq!(stands(&mut desk).totals.p, 66);
    (desk, a, b)
}

fn regressions(replica: &mut Replica) -> usize {
    let events = events(&mut replica.co);
    assert!(!events.iter().any(|event| matches!(event, Event::CounterLost { .. })), "{events:?}");
    events.iter().filter(|event| matches!(event, Event::CounterRegressed { .. })).count()
}

#[test]
fn it_is_healed_within_a_second_of_the_reconnection() {
    let (mut desk, mut a, mut b) = replaced();
    for replica in [&mut a, &mut b] {
        replica.co.handle_node(NODE, NodeChange::Connected, desk.now);
    }
    desk.pass(SECOND, &mut [&mut a.co, &mut b.co]);
    assert_eq!(stands(&mut desk).totals.p, 110);
    assert_eq!((regressions(&mut a), regressions(&mut b)), (1, 1), "told, and once");
    // And nothing more comes of it.
    desk.pass(Span::from_secs(100), &mut [&mut a.co, &mut b.co]);
    assert_eq!((regressions(&mut a), regressions(&mut b)), (0, 0));
    assert_eq!((a.read(&mut desk), b.read(&mut desk)), (110, 110));
}

#[test]
fn it_is_healed_within_90_s_though_nobody_notices() {
    let (mut desk, mut a, mut b) = replaced();
    desk.pass(Span::from_secs(90), &mut [&mut a.co, &mut b.co]);
    assert_eq!(stands(&mut desk).totals.p, 110);
    assert_eq!((regressions(&mut a), regressions(&mut b)), (1, 1));
}

#[test]
fn a_read_that_finds_it_heals_it_at_once() {
    let (mut desk, mut a, mut b) = replaced();
    // The own units are in the value whatever the server has; the other's are not there yet.
    assert_eq!(a.read(&mut desk), 70);
    assert_eq!(a.read(&mut desk), 70);
    assert_eq!(stands(&mut desk).totals.p, 70);
    b.add(&mut desk, 1);
    assert_eq!(stands(&mut desk).totals.p, 111);
    assert_eq!(regressions(&mut b), 1);
}

#[test]
fn an_empty_server_is_given_back_all_that_the_living_have_counted() {
    let (mut desk, mut a, mut b) = replaced();
    desk.store = crate::support::stamping::alone();
    a.count(1, desk.now);
    drop(b.bytes());
    desk.pass(Span::from_secs(90), &mut [&mut a.co, &mut b.co]);
    assert_eq!(stands(&mut desk).totals.p, 111);
    assert_eq!((regressions(&mut a), regressions(&mut b)), (1, 1));
    // A slot that was given back is not named again.
    let mut c = Replica::open(&desk, 3);
    c.add(&mut desk, 1_000);
    assert_eq!(stands(&mut desk).totals.p, 1_111);
}

#[test]
fn what_was_counted_by_who_is_gone_stays_lost() {
    let (mut desk, mut a, b) = replaced();
    drop(b);
    desk.pass(Span::from_secs(90), &mut [&mut a.co]);
    assert_eq!(stands(&mut desk).totals.p, 70);
    assert_eq!(regressions(&mut a), 1);
}

#[test]
fn bytes_that_know_more_than_the_server_heal_it_and_say_so() {
    let (mut desk, mut a, mut b) = replaced();
    let bytes = b.bytes();
    drop(b);
    let mut restored = Replica::restore(&desk, 3, &bytes);
    desk.run(&mut restored.co);
    assert_eq!(regressions(&mut restored), 1);
    assert_eq!(a.read(&mut desk), 110);
}
