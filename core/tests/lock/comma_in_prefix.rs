//! A prefix may have a comma: grants are published to whoever waits all the same.

use crate::support::desk::Desk;
use comity::coordinator::{Config, Coordinator};
use comity::ring::NodeSpec;

#[test]
fn a_grant_is_published_to_the_waiter() {
    let mut desk = Desk::without_scripts();
    let now = desk.now;
    let make = |seed| {
        let mut config = Config::new(vec![NodeSpec::new("n", 1)]);
        config.prefix = b"a,b,,c:".to_vec();
        Coordinator::new(config, [seed; 32], now).expect("a sound configuration")
    };
    let (mut first, mut second) = (make(1), make(2));
    let held = desk.ask(&mut first);
    desk.settle(&mut [&mut first, &mut second]);
    let waits = desk.ask(&mut second);
    desk.settle(&mut [&mut first, &mut second]);
    first.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut first);
    let message = desk.store.poll_message().expect("the grant is published");
    assert_eq!(message.channel, second.inbox());
    second.handle_message(crate::support::desk::NODE, &message.channel, &message.payload, desk.now);
    assert!(second.lock_is_held(waits, desk.now));
}
