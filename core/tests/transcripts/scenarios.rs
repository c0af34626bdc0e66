//! What the transcripts tell.

use comity::counter::{CounterId, CounterOptions, Freshness};
use comity::lock::{Fence, LockId, LockOptions};
use comity::redis::{Failure, NodeChange, NodeId};
use comity::time::Span;
use comity::transaction::{Handle, SweepOptions, TransactionOptions};
use serde_json::{Value, json};

use crate::lines::text;
use crate::record::Recorder;

const A: NodeId = NodeId(0);

fn acquire(it: &mut Recorder, name: &[u8], label: &[u8], ttl: Span, wait: Option<Span>) -> LockId {
    let options = json!({
        "ttl_us": ttl.as_micros(),
        "wait_us": wait.map(Span::as_micros),
        "label": text(label),
    });
    let label = label.to_vec();
    LockId(it.verb("lock_acquire", json!([text(name)]), options, |co, now| {
        let options = LockOptions { ttl, wait, label, ..LockOptions::default() };
        co.lock_acquire(name, options, now).map(|lock| Some(lock.0))
    }))
}

fn release(it: &mut Recorder, lock: LockId) {
    it.verb("lock_release", json!([lock.0]), json!({}), |co, now| {
        co.lock_release(lock, now).map(|()| None)
    });
}

fn close(it: &mut Recorder) {
    it.verb("close", json!([]), json!({}), |co, now| {
        co.close(now);
        Ok(None)
    });
    it.settle();
}

/// Two requests for a lock of any bytes, one after the other; a look at it, the guard, a renewal.
pub(crate) fn locks() -> Recorder {
    let mut it = Recorder::new(&["a"], 1);
    it.node(A, NodeChange::Connected, "connected");
    it.verb("check_nodes", json!([]), json!({}), |co, now| co.check_nodes(now).map(|_| None));
    it.settle();
    let name: Vec<u8> = (0..=255).collect();
    let (ttl, wait) = (Span::from_secs(10), Some(Span::from_secs(60)));
    let first = acquire(&mut it, &name, b"the first", ttl, wait);
    it.settle();
    let second = acquire(&mut it, &name, b"\xffsecond\0", ttl, wait);
    it.settle();
    it.verb("lock_inspect", json!([text(&name)]), json!({}), |co, now| {
        co.lock_inspect(&name, now).map(|call| Some(call.0))
    });
    it.settle();
    it.verb("lock_renew", json!([first.0]), json!({ "ttl_us": 20_000_000 }), |co, now| {
        co.lock_renew(first, Some(Span::from_secs(20)), now).map(|()| None)
    });
    it.settle();
    it.wait();
    it.settle();
    release(&mut it, first);
    it.settle();
    release(&mut it, first);
    for fence in [7, 6] {
        it.verb("fence_check", json!(["guard", fence]), json!({}), |co, now| {
            co.fence_check(b"guard", Fence(fence), now).map(|call| Some(call.0))
        });
        it.settle();
    }
    release(&mut it, second);
    it.settle();
    let refused = acquire(&mut it, b"", b"", ttl, wait);
    assert_eq!(refused, LockId(0));
    acquire(&mut it, b"held", b"", ttl, wait);
    it.settle();
    close(&mut it);
    it
}

/// A lease that ends because nobody answers, a lock whose server is away, a reply that is lost.
pub(crate) fn lost_leases() -> Recorder {
    let mut it = Recorder::new(&["a"], 2);
    let ttl = Span::from_secs(3);
    let lost = acquire(&mut it, b"lost", b"", ttl, None);
    // The first reply of each command is lost: it is asked again.
    for _ in 0..3 {
        let Some(request) = it.pending.keys().next().copied() else { break };
        it.lose(request);
        while it.pending.is_empty() {
            it.wait();
        }
    }
    it.settle();
    // No renewal is answered.
    for _ in 0..40 {
        if !it.co.lock_is_held(lost, comity::time::Time::from_micros(0)) {
            break;
        }
        for request in it.pending.keys().copied().collect::<Vec<_>>() {
            it.fail(request, Failure::OutcomeUnknown);
        }
        it.wait();
    }
    release(&mut it, lost);
    it.node(A, NodeChange::Lost, "lost");
    acquire(&mut it, b"away", b"", ttl, Some(Span::ZERO));
    for _ in 0..60 {
        for request in it.pending.keys().copied().collect::<Vec<_>>() {
            it.fail(request, Failure::NotSent);
        }
        if it.co.next_deadline().is_none() {
            break;
        }
        it.wait();
    }
    it
}

fn execute(it: &mut Recorder, commands: &[&[&[u8]]], options: Value) -> Handle {
    let args: Value = commands
        .iter()
        .map(|words| words.iter().map(|word| text(word)).collect::<Value>())
        .collect();
    let words: Vec<_> = commands
        .iter()
        .map(|words| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>())
        .collect();
    Handle(it.verb("transaction_execute", json!([args]), options, |co, now| {
        let handle = co.transaction_execute(&words, &[], TransactionOptions::default(), now)?;
        Ok(Some(handle.0))
    }))
}

/// Over one server and two; one that fails, one of which a reply is lost; what is known of one, and a sweep.
pub(crate) fn transactions() -> Recorder {
    let mut it = Recorder::new(&["a", "b"], 3);
    execute(&mut it, &[&[b"SET", b"x", b"\xff\0"], &[b"GET", b"x"]], json!({}));
    it.settle();
    let many: Vec<Vec<u8>> = (0..6).map(|number| format!("k{number}").into_bytes()).collect();
    let commands: Vec<[&[u8]; 3]> =
        many.iter().map(|key| [&b"INCRBY"[..], key.as_slice(), b"5"]).collect();
    let commands: Vec<&[&[u8]]> = commands.iter().map(|words| &words[..]).collect();
    execute(&mut it, &commands, json!({}));
    it.settle();
    execute(&mut it, &[&[b"LPUSH", b"x", b"y"], &[b"SET", b"z", b"1"]], json!({}));
    it.settle();
    execute(&mut it, &[&[b"APPEND", b"x", b"!"]], json!({}));
    let request = it.pending.keys().next().copied().expect("a command");
    it.lose(request);
    while it.pending.is_empty() {
        it.wait();
    }
    it.settle();
    execute(&mut it, &[&[b"KEYS", b"*"]], json!({}));
    it.verb("transaction_sweep", json!([]), json!({ "shadows": true }), |co, now| {
        co.transaction_sweep(SweepOptions { shadows: true }, now).map(|call| Some(call.0))
    });
    it.settle();
    close(&mut it);
    it
}

/// Counted, flushed, read, set back, looked through, closed.
pub(crate) fn counters() -> Recorder {
    let mut it = Recorder::new(&["a"], 4);
    let counter = CounterId(it.verb("counter_open", json!(["hits"]), json!({}), |co, now| {
        co.counter_open(b"hits", CounterOptions::default(), now).map(|counter| Some(counter.0))
    }));
    for amount in [5_i64, -2] {
        it.verb("counter_add", json!([counter.0, amount]), json!({}), |co, now| {
            co.counter_add(counter, amount, now).map(|()| None)
        });
    }
    it.wait();
    let request = it.pending.keys().next().copied().expect("a flush");
    it.lose(request);
    while it.pending.is_empty() {
        it.wait();
    }
    it.settle();
    it.verb("counter_flush", json!([counter.0]), json!({}), |co, now| {
        co.counter_flush(counter, now).map(|call| Some(call.0))
    });
    it.settle();
    it.pass(Span::from_millis(1));
    it.verb("counter_read", json!([counter.0]), json!({}), |co, now| {
        co.counter_read(counter, Freshness::Fresh, now).map(|call| Some(call.0))
    });
    it.settle();
    it.verb("counter_reset", json!([counter.0]), json!({ "epoch": 0 }), |co, now| {
        co.counter_reset(counter, Some(0), now).map(|call| Some(call.0))
    });
    it.settle();
    it.verb("counter_audit", json!([counter.0]), json!({}), |co, now| {
        co.counter_audit(counter, None, now).map(|call| Some(call.0))
    });
    it.settle();
    it.verb("counter_close", json!([counter.0]), json!({}), |co, now| {
        co.counter_close(counter, now).map(|()| None)
    });
    it.settle();
    it
}
