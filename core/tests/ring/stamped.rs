//! Which ring a server belongs to: who finds it without a stamp, who stamps it, and what is told to a
//! client of another ring.

use std::collections::BTreeSet;

use crate::support::ringed::{Client, Servers, VERBS, call, check, key_on};
use crate::support::stamping::{META, claim};
use comity::coordinator::{Config, Coordinator};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::memory::MemoryStore;
use comity::redis::{NodeId, Reply};
use comity::ring::{NodeSpec, Ring};
use comity::stamp::Stamp;
use comity::time::{Span, Time};
use comity::transaction::TransactionOptions;

/// What the stamps have of their ring alone.
fn of_ring(stamps: &BTreeSet<Vec<u8>>) -> BTreeSet<&[u8]> {
    stamps.iter().map(|stamp| &stamp[..46]).collect()
}

#[test]
fn servers_are_stamped_by_the_first_verb_and_nothing_is_asked_later() {
    for verb in VERBS {
        let mut servers = Servers::new();
        let mut a = servers.client("a b c", 1);
        call(&mut servers, &mut a, verb, "x").expect(verb);
        let stamps: BTreeSet<_> = ["a", "b", "c"].map(|name| servers.stamp_of(name)).into();
        assert_eq!(stamps.len(), 3, "each says which it is: {verb}");
        assert_eq!(of_ring(&stamps).len(), 1, "{verb}");
        assert!(stamps.iter().all(|stamp| stamp.len() == Stamp::LENGTH), "{verb}");
        let sent = servers.sent;
        call(&mut servers, &mut a, "fence", "x").expect("served");
        assert_eq!(
            servers.sent - sent,
            1 + usize::from(verb != "fence"),
            "a script, once with its text"
        );
    }
}

#[test]
fn whoever_has_other_servers_is_told_in_every_verb() {
    for (first, second, server) in [
        ("a b c d e", "a b c d e f", "a"),
        // One that is new.
        ("a b c d e", "a b c d e f", "f"),
        ("a b c d e f", "a b c d e", "a"),
        ("a", "a b", "a"),
        ("a", "a b", "b"),
        ("a b", "a", "a"),
        // The same under other names.
        ("x=a y=b", "a b", "a"),
    ] {
        for verb in VERBS {
            let mut servers = Servers::new();
            let mut old = servers.client(first, 1);
            call(&mut servers, &mut old, "fence", "x").expect("the first");
            let mut new = servers.client(second, 2);
            let sole = new.pairs.len() == 1;
            let key = key_on(&new, if sole { "0" } else { server });
            let error = call(&mut servers, &mut new, verb, &key).expect_err("refused");
            let what = format!("{first} / {second}: {verb}: {error}");
            assert_eq!(error.code(), ErrorCode::RingMismatch, "{what}");
            assert!(error.node().is_some(), "{what}");
            // It names both, and what to do.
            for (client, own) in [(&old, first), (&new, second)] {
                match own.split(' ').count() {
                    1 => assert!(error.message().contains("one server alone"), "{what}"),
                    many => {
                        let ids: Vec<_> = client.pairs.iter().map(|(id, _)| id.as_str()).collect();
                        let said = format!("{many} servers: {}", ids.join(", "));
                        assert!(error.message().contains(&said), "{what}");
                    }
                }
            }
            assert!(error.message().contains("comity:1:t:{t}"), "{what}");
            call(&mut servers, &mut old, "lock", "other").expect("the first goes on");
            // A server that is new stays without a stamp.
            if server == "f" || server == "b" && first == "a" {
                assert_eq!(servers.stamp_of(server), b"", "{what}");
            }
        }
    }
}

#[test]
fn a_server_alone_is_the_same_whatever_it_is_called() {
    for (first, second) in [("localhost:1=a", "127.0.0.1:1=a"), ("m=a", "/run/redis.sock=a")] {
        let mut servers = Servers::new();
        let mut one = servers.client(first, 1);
        let mut other = servers.client(second, 2);
        for verb in VERBS {
            call(&mut servers, &mut one, verb, &format!("{verb} one")).expect(verb);
            call(&mut servers, &mut other, verb, &format!("{verb} other")).expect(verb);
        }
        assert_eq!(one.co.ring(), other.co.ring());
        assert_eq!(one.co.ring().node_id(one.co.ring().node(b"x").expect("one")), Some(&b"0"[..]));
        assert_eq!(one.co.node_id(NodeId(0)), Some(one.pairs[0].0.as_bytes()));
        // It is held once.
        one.begin("lock", "x", servers.now);
        servers.run(&mut one);
        assert_eq!(one.end(), Some(Ok(())));
        let options = LockOptions { wait: Some(Span::ZERO), ..LockOptions::default() };
        other.co.lock_acquire(b"x", options, servers.now).expect("sound");
        servers.run(&mut other);
        let refused = other.end().expect("an end").expect_err("held");
        assert_eq!(refused.code(), ErrorCode::LockTimeout);
    }
}

#[test]
fn what_an_earlier_version_left_is_replaced_where_it_is_this_ring() {
    let earlier = |ids: &str| {
        let nodes = ids.split(' ').map(|id| NodeSpec::new(id, 1));
        format!("{:016x}", Ring::new(nodes).expect("sound").fingerprint()).into_bytes()
    };
    for (left, servers_of, fine) in [
        ("m", "m=a", true),
        ("localhost:6379", "127.0.0.1:6379=a", true),
        ("[::1]:6379", "localhost:6379=a", true),
        ("a b", "a b", true),
        ("a b c", "a b", false),
        ("a b", "a", false),
        ("localhost:6379", "localhost:6380=a", false),
    ] {
        for verb in VERBS {
            let mut servers = Servers::new();
            servers.set_stamp("a", &earlier(left));
            let mut client = servers.client(servers_of, 1);
            let key = key_on(&client, if client.pairs.len() == 1 { "0" } else { "a" });
            let end = call(&mut servers, &mut client, verb, &key).map_err(|error| error.code());
            let wanted = if fine { Ok(()) } else { Err(ErrorCode::RingMismatch) };
            assert_eq!(end, wanted, "{left} / {servers_of}: {verb}");
            let kept = servers.stamp_of("a") == earlier(left);
            assert_eq!(kept, !fine, "{left} / {servers_of}: {verb}");
        }
    }
}

#[test]
fn a_stamp_that_does_not_say_which_member_a_server_is_is_replaced() {
    for (left, servers_of, fine) in
        [("m=a", "localhost=a", true), ("a b", "a b", true), ("a b c", "a b", false)]
    {
        for verb in VERBS {
            let mut servers = Servers::new();
            let mut earlier = servers.client(left, 1);
            call(&mut servers, &mut earlier, "fence", "x").expect("stamped");
            for (_, name) in earlier.pairs {
                let stamp = servers.stamp_of(&name);
                servers.set_stamp(&name, &stamp[..46]);
            }
            let mut client = servers.client(servers_of, 2);
            let end = call(&mut servers, &mut client, verb, "x").map_err(|error| error.code());
            let wanted = if fine { Ok(()) } else { Err(ErrorCode::RingMismatch) };
            assert_eq!(end, wanted, "{left} / {servers_of}: {verb}");
            let length = if fine { Stamp::LENGTH } else { 46 };
            assert_eq!(servers.stamp_of("a").len(), length, "{left} / {servers_of}: {verb}");
        }
    }
}

#[test]
fn an_id_of_an_earlier_version_still_finds_the_only_server() {
    let mut servers = Servers::new();
    let mut client = servers.client("localhost:6379=a", 1);
    call(&mut servers, &mut client, "transaction", "x").expect("committed");
    client
        .co
        .transaction_execute(
            &[vec![b"INCR".to_vec(), b"n".to_vec()]],
            &[],
            TransactionOptions::default(),
            servers.now,
        )
        .expect("sound");
    servers.run(&mut client);
    let id = std::iter::from_fn(|| client.co.poll_event()).find_map(|event| match event {
        Event::TransactionCommitted { id, .. } => Some(String::from_utf8(id).expect("text")),
        _ => None,
    });
    let id = id.expect("committed");
    let (number, at) = id.rsplit_once('@').expect("an id names its server");
    assert_eq!(at, "0");
    for at in ["0", "localhost:6379", "another"] {
        let id = format!("{number}@{at}");
        client.co.transaction_status(id.as_bytes(), servers.now).expect("known");
        servers.run(&mut client);
        let told = client.co.poll_event();
        assert!(
            matches!(&told, Some(Event::TransactionStatus { outcome, .. })
                if *outcome == comity::event::TransactionOutcome::Committed),
            "{told:?}"
        );
    }
}

#[test]
fn a_server_without_a_stamp_waits_for_all_the_others() {
    for verb in VERBS {
        let mut servers = Servers::new();
        servers.away = ["b".into(), "c".into()].into();
        let mut client = servers.client("a b c", 1);
        let key = key_on(&client, "a");
        let error = call(&mut servers, &mut client, verb, &key);
        let error = error.expect_err("nobody knows whether b and c are of this ring");
        assert_eq!(error.code(), ErrorCode::Unreachable, "{verb}: {error}");
        assert!(error.message().contains("'b', 'c'"), "{verb}: {error}");
        assert_eq!(servers.stamp_of("a"), b"");
        // They come: so does the stamp. They go: what is stamped serves.
        servers.away.clear();
        let mut client = servers.client("a b c", 2);
        call(&mut servers, &mut client, verb, &key).expect("served");
        servers.away = ["b".into(), "c".into()].into();
        let mut client = servers.client("a b c", 3);
        call(&mut servers, &mut client, "fence", &key).expect("served");
        // It is emptied while they are away.
        *servers.store("a") = MemoryStore::new();
        let error = call(&mut servers, &mut client, "inspect", &key).expect_err("not known");
        assert_eq!(error.code(), ErrorCode::Unreachable, "{verb}: {error}");
        servers.away.clear();
        call(&mut servers, &mut client, "inspect", &key).expect("served");
    }
}

#[test]
fn a_wait_that_ends_first_is_told_what_it_waited_for() {
    let mut servers = Servers::new();
    let mut client = servers.client("a b", 1);
    let key = key_on(&client, "a");
    let options = LockOptions { wait: Some(Span::from_millis(50)), ..LockOptions::default() };
    client.co.lock_acquire(key.as_bytes(), options, servers.now).expect("sound");
    // By its digest, and with its text.
    for _ in 0..2 {
        let acquire = client.co.poll_command().expect("it is sent");
        let now = servers.now;
        let reply = servers.store("a").execute(&acquire.argv, now);
        client.co.handle_reply(acquire.request, &reply, now);
    }
    // Both are asked, and b says nothing.
    client.co.handle_timeout(servers.now + Span::from_millis(60));
    let error = client.end().expect("it has ended").expect_err("not granted");
    assert_eq!(error.code(), ErrorCode::Unreachable);
    assert!(error.message().contains("'a'"), "{error}");
}

#[test]
fn checking_stamps_what_can_serve() {
    let mut servers = Servers::new();
    let mut client = servers.client("a b", 1);
    assert!(check(&mut servers, &mut client).iter().all(Option::is_none));
    assert_eq!(servers.stamp_of("a")[..46], servers.stamp_of("b")[..46]);
    // A single server is compared, too.
    let mut alone = servers.client("a", 2);
    let told = check(&mut servers, &mut alone);
    assert_eq!(told[0].as_ref().map(Error::code), Some(ErrorCode::RingMismatch));
    // One is away, and the other has no stamp: both are told, and nothing is written.
    let mut servers = Servers::new();
    servers.away = ["b".into()].into();
    let mut client = servers.client("a b", 3);
    for error in check(&mut servers, &mut client) {
        let error = error.expect("not served");
        assert_eq!(error.code(), ErrorCode::Unreachable, "{error}");
    }
    assert_eq!(servers.stamp_of("a"), b"");
}

#[test]
fn of_two_who_begin_at_once_one_finds_the_other() {
    // Both have read that nobody is there before either writes.
    let mut servers = Servers::new();
    let (mut two, mut three) = (servers.client("a b", 1), servers.client("a b c", 2));
    for client in [&mut two, &mut three] {
        client.begin("fence", "x", servers.now);
        for _ in 0..1 + client.pairs.len() {
            let command = client.co.poll_command().expect("a question");
            let id = client.co.node_id(command.node).expect("a node").to_vec();
            let name = String::from_utf8(id).expect("text");
            let now = servers.now;
            let reply = servers.store(&name).execute(&command.argv, now);
            client.co.handle_reply(command.request, &reply, servers.now);
        }
    }
    servers.run(&mut three);
    servers.run(&mut two);
    assert_eq!(three.end(), Some(Ok(())));
    let error = two.end().expect("an end").expect_err("it came second");
    assert_eq!(error.code(), ErrorCode::RingMismatch);
    let stamps: BTreeSet<_> = ["a", "b", "c"].map(|name| servers.stamp_of(name)).into();
    assert_eq!(of_ring(&stamps).len(), 1, "the second has written nothing");
}

#[test]
fn a_lock_that_is_held_is_lost_when_its_server_goes_to_another_ring() {
    for verb in ["renew", "release"] {
        let mut servers = Servers::new();
        let mut client = servers.client("a", 1);
        let lock =
            client.co.lock_acquire(b"x", LockOptions::default(), servers.now).expect("sound");
        servers.run(&mut client);
        assert_eq!(client.end(), Some(Ok(())));
        let reply = servers
            .store("a")
            .execute(&["DEL", "comity:1:t:{t}"].into_iter().collect(), Time::from_micros(0));
        assert_eq!(reply, Reply::Integer(1));
        servers.store("a").execute(&claim(META, Stamp::settled(7)), Time::from_micros(0));
        match verb {
            "renew" => client.co.lock_renew(lock, None, servers.now).expect("held"),
            _ => client.co.lock_release(lock, servers.now).expect("held"),
        }
        servers.run(&mut client);
        assert!(!client.co.lock_is_held(lock, servers.now));
        let lost = client.co.poll_event();
        assert!(
            matches!(&lost, Some(Event::LockLost { error, .. })
                if error.code() == ErrorCode::LockLost && error.message().contains("ring")),
            "{verb}: {lost:?}"
        );
        assert!(client.co.poll_command().is_none(), "nothing is taken back there");
    }
}

#[test]
fn who_waits_fails_when_the_server_goes_to_another_ring() {
    let mut servers = Servers::new();
    let (mut holder, mut waiter) = (servers.client("a", 1), servers.client("a", 2));
    call(&mut servers, &mut holder, "lock", "x").expect("free");
    waiter.begin("lock", "x", servers.now);
    servers.run(&mut waiter);
    servers.set_stamp("a", Stamp::settled(7).to_string().as_bytes());
    let error = loop {
        servers.now = servers.now + Span::from_secs(1);
        waiter.co.handle_timeout(servers.now);
        servers.run(&mut waiter);
        if let Some(end) = waiter.end() {
            break end.expect_err("not granted");
        }
    };
    assert_eq!(error.code(), ErrorCode::RingMismatch);
}

#[test]
fn prefixes_are_rings_of_their_own() {
    let mut servers = Servers::new();
    let mut one = servers.client("a b", 1);
    call(&mut servers, &mut one, "fence", "x").expect("served");
    let mut config = Config::new(vec![NodeSpec::new("a", 1)]);
    config.prefix = b"other:".to_vec();
    let co = Coordinator::new(config, [2; 32], servers.now).expect("sound");
    let mut other = Client { co, pairs: vec![("a".into(), "a".into())] };
    call(&mut servers, &mut other, "fence", "x").expect("served");
    let theirs = servers.store("a").keyspace().hash(b"other:1:t:{t}").expect("a hash").cloned();
    let theirs = theirs.expect("stamped")[&b"e"[..]].clone();
    // A copy of its data under another prefix is not taken for this one's.
    let mut alone = Servers::new();
    let mut client = alone.client("a", 3);
    alone.set_stamp("a", &theirs);
    let error = call(&mut alone, &mut client, "fence", "x").expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RingMismatch);
}

#[test]
fn a_server_that_will_refuse_for_long_is_told_of_at_once() {
    for words in ["WRONGPASS invalid username-password pair", "NOPERM this user has no permissions"]
    {
        for verb in VERBS {
            let mut servers = Servers::new();
            servers.refusing.insert("b".into(), words);
            let mut client = servers.client("a b c", 1);
            let begun = servers.now;
            let key = key_on(&client, "c");
            let error = call(&mut servers, &mut client, verb, &key).expect_err("not stamped");
            assert_eq!(error.code(), ErrorCode::ServerRefused, "{verb}: {error}");
            assert!(error.message().contains("missing: 'b'"), "{verb}: {error}");
            let node = error.node().and_then(|node| client.co.node_id(node)).expect("a node");
            assert_eq!(node, b"b", "{verb}: {error}");
            assert!(servers.now.since(begun) < Span::from_millis(100), "{verb}: {error}");
        }
    }
}

#[test]
fn a_stamp_that_is_none_is_called_that() {
    for (text, damaged) in [
        (&b"torn in tw"[..], true),
        (b"0000000000.4.0123456789abcdef.0123456789abcdeg.0123456789abcdef", true),
        (b"0123456789abcdef", false),
        (b"0000000000.4.0123456789abcdef.0123456789abcdef", false),
        (b"0000000000.4.0123456789abcdef.0123456789abcdef.0123456789abcdef", false),
    ] {
        let mut servers = Servers::new();
        let mut a = servers.client("a", 1);
        call(&mut servers, &mut a, "fence", "x").expect("served");
        servers.set_stamp("a", text);
        let mut other = servers.client("a", 2);
        let error = call(&mut servers, &mut other, "fence", "x").expect_err("not its stamp");
        assert_eq!(error.code(), ErrorCode::RingMismatch, "{error}");
        assert_eq!(error.message().contains("for its stamp, which is none"), damaged, "{error}");
        let of_the_ring = error.message().contains("belongs to the ring of one server alone");
        assert_eq!(of_the_ring, !damaged, "{error}");
    }
}
