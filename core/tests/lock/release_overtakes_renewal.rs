//! A release overtakes a renewal on another connection: the renewal finds the lock given back,
//! which is no loss.

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::memory::MemoryStore;
use comity::redis::{Reply, RequestId};
use comity::ring::NodeSpec;
use comity::time::Time;

const NOW: Time = Time::from_micros(5_000_000);

fn execute(co: &mut Coordinator, store: &mut MemoryStore) -> Option<(RequestId, Reply)> {
    let command = co.poll_command()?;
    Some((command.request, store.execute(&command.argv, NOW)))
}

#[test]
fn the_answer_to_a_renewal_does_not_answer_the_release() {
    let mut store = MemoryStore::new();
    let config = Config::new(vec![NodeSpec::new("a", 1)]);
    let mut co = Coordinator::new(config, [1; 32], NOW).expect("a fine configuration");
    let lock = co.lock_acquire(b"a", LockOptions::default(), NOW).expect("fine options");
    while let Some((request, reply)) = execute(&mut co, &mut store) {
        co.handle_reply(request, &reply, NOW);
    }
    assert!(matches!(co.poll_event(), Some(Event::LockGranted { .. })));

    co.lock_renew(lock, None, NOW).expect("it is held");
    let renewal = co.poll_command().expect("a renewal");
    co.lock_release(lock, NOW).expect("it is held");
    let (release, released) = execute(&mut co, &mut store).expect("a release");
    let late = store.execute(&renewal.argv, NOW);
    assert!(matches!(&late, Reply::Array(items) if items[0] == Reply::bulk("LOST")));

    co.handle_reply(renewal.request, &late, NOW);
    assert_eq!(co.poll_event(), None);
    co.handle_reply(release, &released, NOW);
    assert_eq!(co.poll_event(), Some(Event::LockReleased { lock, name: b"a".to_vec() }));
}
