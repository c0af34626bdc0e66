//! Reads any bytes as each kind of snapshot, and checks what must hold of whatever is accepted.

use comity::coordinator::{Config, Coordinator};
use comity::counter::CounterOptions;
use comity::crdt::{PNCounter, Slots};
use comity::memory::MemoryStore;
use comity::ring::{NodeSpec, Ring};
use comity::snapshot::{Decoded, Snapshot};
use comity::time::{Span, Time};

/// The counter whose journals are read.
pub(crate) const NAME: &[u8] = b"a";
const NOW: Time = Time::from_micros(1_750_000_000_000_000);

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

/// A whole snapshot around a body, with a length and a checksum that are right.
pub(crate) fn sealed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = [b"CMTY", &[kind, 1, 0, 0][..]].concat();
    let mut length = body.len();
    while length > 127 {
        out.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(body);
    let sum = crc(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// The same bytes with a checksum that is right.
pub(crate) fn resealed(bytes: &[u8]) -> Vec<u8> {
    let body = &bytes[..bytes.len().saturating_sub(4)];
    [body, &crc(body).to_le_bytes()].concat()
}

pub(crate) fn coordinator(seed: u8) -> Coordinator {
    let config = Config::new(vec![NodeSpec::new("n", 1)]);
    Coordinator::new(config, [seed; 32], NOW).expect("a sound configuration")
}

/// As how many kinds the bytes were accepted: one at most.
pub(crate) fn check(bytes: &[u8]) -> usize {
    let accepted = [slots(bytes), ring(bytes), journal(bytes)];
    let count = accepted.into_iter().filter(|accepted| *accepted).count();
    assert!(count <= 1, "accepted as {count} kinds");
    count
}

fn slots(bytes: &[u8]) -> bool {
    let Ok(decoded) = Decoded::<Slots>::from_bytes(bytes) else {
        let mut counter = PNCounter::new(7);
        assert!(counter.merge(bytes).is_err());
        assert_eq!(counter.to_bytes(), PNCounter::new(7).to_bytes(), "refused, and not changed");
        return false;
    };
    assert_eq!(decoded.to_bytes(), bytes);
    let read = decoded.into_value();
    assert_eq!(read.value(), read.iter().map(|(_, tally)| tally.value()).sum::<i128>());
    let mut counter = PNCounter::new(7);
    let _ = counter.add(3);
    counter.merge(bytes).expect("they were read before");
    let once = counter.to_bytes();
    counter.merge(bytes).expect("they were read before");
    assert_eq!(counter.to_bytes(), once, "merged twice");
    assert!(read.iter().all(|(id, tally)| tally.is_within(counter.slots().get(id))));
    assert_eq!(Slots::from_bytes(&once).as_ref(), Ok(counter.slots()));
    true
}

fn ring(bytes: &[u8]) -> bool {
    let Ok(decoded) = Decoded::<Ring>::from_bytes(bytes) else { return false };
    assert_eq!(decoded.to_bytes(), bytes);
    let read = decoded.into_value();
    assert_eq!(Ring::from_bytes(&read.to_bytes()).as_ref(), Ok(&read));
    assert_eq!(read.node(b"key").is_none(), read.points() == 0);
    assert!(read.replicas(b"key", 3).count() <= 3);
    true
}

/// Restored twice and told to a server, it counts what it says once, and is the same bytes again.
fn journal(bytes: &[u8]) -> bool {
    let mut store = MemoryStore::new();
    let mut values = Vec::new();
    for seed in [1, 2] {
        let mut co = coordinator(seed);
        let options = CounterOptions::default();
        let Ok(counter) = co.counter_restore(NAME, options, bytes, NOW) else {
            assert!(co.poll_command().is_none() && co.poll_event().is_none());
            assert!(co.counter_open(NAME, options, NOW).is_ok(), "refused, and not open");
            return false;
        };
        let again = co.counter_snapshot(counter).expect("it is open");
        let mut third = coordinator(3);
        let other = third.counter_restore(NAME, options, &again, NOW).expect("our own bytes");
        assert_eq!(third.counter_snapshot(other).expect("it is open"), again);
        let mut now = NOW;
        for _ in 0..1_000 {
            while let Some(command) = co.poll_command() {
                co.handle_reply(command.request, &store.execute(&command.argv, now), now);
            }
            let value = co.counter_value(counter, now).expect("it is open");
            if value.pending.is_zero() {
                break;
            }
            now = co.next_deadline().unwrap_or(now + Span::from_secs(1));
            co.handle_timeout(now);
        }
        values.push(co.counter_value(counter, now).expect("it is open").value);
    }
    assert_eq!(values[0], values[1], "restored twice");
    true
}
