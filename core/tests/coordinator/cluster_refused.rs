//! A server that is a node of a Redis Cluster is refused by the check, and every verb without one at once:
//! scripts would stop half-way in a slot that is being moved.

use crate::support::redis_server::RedisServer;
use comity::coordinator::{Config, Coordinator};
use comity::counter::CounterOptions;
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::{Reply, Route};
use comity::ring::NodeSpec;
use comity::time::Time;
use comity::transaction::TransactionOptions;

const NOW: Time = Time::from_micros(1_750_000_000_000_000);

#[test]
fn a_node_of_a_cluster_is_refused() {
    let file = std::env::temp_dir().join(format!("comity-nodes-{}.conf", std::process::id()));
    let file = file.to_string_lossy();
    let server =
        RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-config-file", &file]);
    let mut client = server.connect();
    type Verb = fn(&mut Coordinator);
    let verbs: [(Verb, ErrorCode); 4] = [
        (|co| drop(co.check_nodes(NOW)), ErrorCode::Unsupported),
        (|co| drop(co.lock_acquire(b"x", LockOptions::default(), NOW)), ErrorCode::ServerRefused),
        (
            |co| {
                let counter = co.counter_open(b"c", CounterOptions::default(), NOW).expect("new");
                co.counter_add(counter, 1, NOW).expect("in range");
                co.counter_flush(counter, NOW).expect("open");
            },
            ErrorCode::ServerRefused,
        ),
        (
            |co| {
                let line = [vec![b"INCR".to_vec(), b"k".to_vec()]];
                co.transaction_execute(&line, &[], TransactionOptions::default(), NOW)
                    .expect("sound");
            },
            ErrorCode::ServerRefused,
        ),
    ];
    for (verb, code) in verbs {
        let config = Config::new(vec![NodeSpec::new("a", 1)]);
        let mut co = Coordinator::new(config, [7; 32], NOW).expect("sound");
        verb(&mut co);
        while let Some(command) = co.poll_command() {
            let reply = match command.route {
                Route::Subscribe => Reply::Array(vec![]),
                _ => client.call(&command.argv),
            };
            co.handle_reply(command.request, &reply, NOW);
        }
        let errors: Vec<Error> = std::iter::from_fn(|| co.poll_event())
            .filter_map(|event| match event {
                Event::CallFailed { error, .. }
                | Event::LockFailed { error, .. }
                | Event::TransactionFailed { error, .. } => Some(error),
                _ => None,
            })
            .collect();
        let [error] = &errors[..] else { panic!("{code:?}: {errors:?}") };
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains("'cluster-enabled no'"), "{error}");
    }
    drop(server);
    std::fs::remove_file(&*file).ok();
}
