//! The transcripts that the core has written, replayed through the functions as C calls them:
//! `tests/transcripts/README.md` says what they are.
#![allow(clippy::print_stdout, reason = "it says which line is replayed, where that fails")]

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::{fs, ptr, slice};

use comity_c::command::*;
use comity_c::coordinator::*;
use comity_c::counter::calls::*;
use comity_c::counter::*;
use comity_c::event::*;
use comity_c::input::*;
use comity_c::lock::*;
use comity_c::reply::*;
use comity_c::ring::comity_node_spec;
use comity_c::status::*;
use comity_c::transaction::verbs::*;
use comity_c::transaction::*;
use comity_c::{COMITY_NONE, comity_bytes};
use serde_json::{Value, json};

const LONG: usize = 512;

fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("a string");
    text.chars().map(|char| u8::try_from(char).expect("latin-1")).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn latin(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// What `len` bytes at `data` are in a line.
///
/// # Safety
/// They can be read.
unsafe fn text(data: *const c_char, len: usize) -> Value {
    if data.is_null() {
        return Value::Null;
    }
    // SAFETY: the caller vouches for it.
    latin(unsafe { slice::from_raw_parts(data.cast(), len) })
}

/// As [`text`].
unsafe fn of(bytes: comity_bytes) -> Value {
    // SAFETY: the caller vouches for it.
    unsafe { text(bytes.data, bytes.len) }
}

/// `count` things at `data`, each as `line` says.
///
/// # Safety
/// They can be read.
unsafe fn each<T>(data: *const T, count: usize, line: impl Fn(&T) -> Value) -> Value {
    if count == 0 {
        return json!([]);
    }
    // SAFETY: the caller vouches for it.
    unsafe { slice::from_raw_parts(data, count) }.iter().map(line).collect()
}

/// A reply as C fills one in, with all that it points to.
struct Reply {
    shown: comity_reply,
    _bytes: Vec<u8>,
    _items: Vec<Reply>,
    _elements: Vec<comity_reply>,
}

impl Reply {
    fn of(value: &Value) -> Self {
        let (kind, data) = match value {
            Value::Null => (COMITY_REPLY_NIL, Vec::new()),
            Value::Number(_) => (COMITY_REPLY_INTEGER, Vec::new()),
            Value::String(_) => (COMITY_REPLY_STRING, bytes(value)),
            Value::Array(_) => (COMITY_REPLY_ARRAY, Vec::new()),
            Value::Object(one) => match one.get("status") {
                Some(status) => (COMITY_REPLY_STATUS, bytes(status)),
                None => (COMITY_REPLY_ERROR, bytes(&one["error"])),
            },
            Value::Bool(_) => panic!("no reply of the store is a boolean"),
        };
        let items: Vec<Self> = value.as_array().into_iter().flatten().map(Self::of).collect();
        let elements: Vec<comity_reply> = items.iter().map(|item| item.shown).collect();
        let shown = comity_reply {
            kind,
            integer: value.as_i64().unwrap_or(0),
            bytes: data.as_ptr().cast(),
            len: data.len(),
            elements: elements.as_ptr(),
            count: elements.len(),
        };
        Self { shown, _bytes: data, _items: items, _elements: elements }
    }
}

/// A reply as a line has it.
fn answered(reply: &comity_reply) -> Value {
    // SAFETY: the library has made it.
    unsafe {
        let words = || text(reply.bytes, reply.len);
        match reply.kind {
            COMITY_REPLY_INTEGER => json!(reply.integer),
            COMITY_REPLY_STRING => words(),
            COMITY_REPLY_STATUS => json!({ "status": words() }),
            COMITY_REPLY_ERROR => json!({ "error": words() }),
            COMITY_REPLY_ARRAY => each(reply.elements, reply.count, answered),
            _ => Value::Null,
        }
    }
}

struct Replay {
    co: *mut comity_coordinator,
}

impl Drop for Replay {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { comity_coordinator_free(self.co) };
    }
}

impl Replay {
    fn begin(line: &Value) -> Self {
        let given = &line["begin"];
        let ids: Vec<Vec<u8>> =
            given["nodes"].as_array().expect("nodes").iter().map(bytes).collect();
        let specs: Vec<comity_node_spec> = ids
            .iter()
            .map(|id| comity_node_spec { id: id.as_ptr().cast(), id_len: id.len(), weight: 1 })
            .collect();
        let hex = given["entropy"].as_str().expect("entropy");
        let entropy: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        let mut co = ptr::null_mut();
        let mut config = std::mem::MaybeUninit::<comity_config>::uninit();
        // SAFETY: every pointer is to what the header asks for.
        unsafe {
            let size = size_of::<comity_config>();
            assert_eq!(comity_config_init(config.as_mut_ptr(), size), COMITY_OK);
            let mut config = config.assume_init();
            config.nodes = specs.as_ptr();
            config.node_count = specs.len();
            config.timeout_us = number(&given["timeout_us"]);
            let (data, now) = (entropy.as_ptr().cast(), number(&line["now"]));
            assert_eq!(
                comity_coordinator_new(&raw const config, data, 32, now, &mut co),
                COMITY_OK
            );
        }
        Self { co }
    }

    /// Calls a verb: its status, and what it gives.
    fn verb(&self, line: &Value) -> (u32, u64) {
        let (args, options, now) = (&line["args"], &line["options"], number(&line["now"]));
        let (co, mut gives) = (self.co, 0);
        let out = &raw mut gives;
        let name = args[0].as_str().map(|_| bytes(&args[0])).unwrap_or_default();
        let (data, len) = (name.as_ptr().cast(), name.len());
        let id = args[0].as_u64().unwrap_or(0);
        let option = |name: &str| options[name].as_u64().unwrap_or(COMITY_NONE);
        // SAFETY: every pointer is to what the header asks for.
        let status = unsafe {
            match line["verb"].as_str().expect("a verb") {
                "check_nodes" => comity_check_nodes(co, now, ptr::null_mut(), 0, ptr::null_mut()),
                "close" => comity_close(co, now),
                "lock_acquire" => self.acquire(&name, options, now, out),
                "lock_release" => comity_lock_release(co, id, now),
                "lock_renew" => comity_lock_renew(co, id, option("ttl_us"), now),
                "lock_inspect" => comity_lock_inspect(co, data, len, now, out),
                "fence_check" => comity_fence_check(co, data, len, number(&args[1]), now, out),
                "transaction_execute" => self.execute(&args[0], now, out),
                "transaction_sweep" => comity_transaction_sweep(co, 1, now, out),
                "counter_open" => comity_counter_open(co, data, len, ptr::null(), now, out),
                "counter_add" => {
                    comity_counter_add(co, id, args[1].as_i64().expect("an amount"), now)
                }
                "counter_flush" => comity_counter_flush(co, id, now, out),
                "counter_read" => comity_counter_read(co, id, COMITY_NONE, now, out),
                "counter_reset" => comity_counter_reset(co, id, option("epoch"), now, out),
                "counter_audit" => comity_counter_audit(co, id, COMITY_NONE, now, out),
                "counter_close" => comity_counter_close(co, id, now),
                other => panic!("{other} is not replayed in C"),
            }
        };
        (status, gives)
    }

    unsafe fn acquire(&self, name: &[u8], options: &Value, now: u64, out: *mut u64) -> u32 {
        let label = bytes(&options["label"]);
        let mut given = std::mem::MaybeUninit::<comity_lock_options>::uninit();
        // SAFETY: every pointer is to what the header asks for.
        unsafe {
            let size = size_of::<comity_lock_options>();
            assert_eq!(comity_lock_options_init(given.as_mut_ptr(), size), COMITY_OK);
            let mut given = given.assume_init();
            given.ttl_us = number(&options["ttl_us"]);
            given.wait_us = options["wait_us"].as_u64().unwrap_or(COMITY_NONE);
            (given.label, given.label_len) = (label.as_ptr().cast(), label.len());
            let (data, len) = (name.as_ptr().cast(), name.len());
            comity_lock_acquire(self.co, data, len, &raw const given, now, out)
        }
    }

    unsafe fn execute(&self, commands: &Value, now: u64, out: *mut u64) -> u32 {
        let mut tx = ptr::null_mut();
        // SAFETY: every pointer is to what the header asks for.
        unsafe {
            assert_eq!(comity_transaction_new(&raw mut tx), COMITY_OK);
            for command in commands.as_array().expect("commands") {
                let words: Vec<_> = command.as_array().expect("words").iter().map(bytes).collect();
                let mut starts: Vec<*const c_char> =
                    words.iter().map(|word| word.as_ptr().cast()).collect();
                let lens: Vec<usize> = words.iter().map(Vec::len).collect();
                let count = c_int::try_from(words.len()).expect("few words");
                let argv = starts.as_mut_ptr();
                assert_eq!(comity_transaction_command(tx, count, argv, lens.as_ptr()), COMITY_OK);
            }
            let status = comity_transaction_execute(self.co, tx, ptr::null(), now, out);
            comity_transaction_free(tx);
            status
        }
    }

    /// Takes a line that goes in; false if it is none.
    fn input(&self, line: &Value) -> bool {
        let (co, now) = (self.co, line["now"].as_u64().unwrap_or(0));
        let has = |name: &str| line.get(name).is_some();
        if has("command") || has("event") {
            return false;
        }
        // SAFETY: every pointer is to what the header asks for.
        let status = unsafe {
            if has("verb") {
                let (status, gives) = self.verb(line);
                if let Some(refused) = line.get("refused") {
                    let words = CStr::from_ptr(comity_last_error()).to_string_lossy();
                    assert_eq!(json!({ "code": status, "words": words }), *refused);
                    return true;
                }
                if let Some(expected) = line.get("gives") {
                    assert_eq!(gives, number(expected));
                }
                status
            } else if has("reply") {
                let reply = Reply::of(&line["is"]);
                comity_handle_reply(co, number(&line["reply"]), &raw const reply.shown, now)
            } else if has("failure") {
                let failure = match line["is"].as_str() {
                    Some("not_sent") => COMITY_FAILURE_NOT_SENT,
                    _ => COMITY_FAILURE_OUTCOME_UNKNOWN,
                };
                comity_handle_failure(co, number(&line["failure"]), failure, now)
            } else if has("node") {
                let change = match line["is"].as_str() {
                    Some("connected") => COMITY_NODE_CONNECTED,
                    Some("lost") => COMITY_NODE_LOST,
                    Some("push_ready") => COMITY_NODE_PUSH_READY,
                    _ => COMITY_NODE_PUSH_LOST,
                };
                comity_handle_node(co, node(line, "node"), change, now)
            } else if has("message") {
                let (channel, payload) = (bytes(&line["channel"]), bytes(&line["payload"]));
                let (where_, what) = (channel.as_ptr().cast(), payload.as_ptr().cast());
                let at = node(line, "message");
                comity_handle_message(co, at, where_, channel.len(), what, payload.len(), now)
            } else if has("time") {
                comity_handle_timeout(co, number(&line["time"]))
            } else {
                return false;
            }
        };
        assert_eq!(status, COMITY_OK);
        true
    }

    fn command(&self) -> Option<Value> {
        let mut command: *const comity_command = ptr::null();
        // SAFETY: it is used before the next is polled.
        unsafe {
            assert_eq!(comity_poll_command(self.co, &raw mut command), COMITY_OK);
            let command = command.as_ref()?;
            let count = usize::try_from(command.argc).expect("words");
            let starts = slice::from_raw_parts(command.argv, count);
            let lens = slice::from_raw_parts(command.argvlen, count);
            let word = |(start, len): (&*const c_char, &usize)| match *len {
                0..=LONG => text(*start, *len),
                len => json!({ "length": len, "begins": text(*start, LONG) }),
            };
            let route = match command.route {
                COMITY_ROUTE_SUBSCRIBE => "subscribe",
                COMITY_ROUTE_BLOCKING => "blocking",
                _ => "node",
            };
            Some(json!({
                "command": command.request,
                "node": command.node,
                "route": route,
                "origin": (command.origin != 0).then_some(command.origin),
                "deadline": command.deadline_us,
                "words": starts.iter().zip(lens).map(word).collect::<Value>(),
            }))
        }
    }

    /// The next event, as far as `expected` tells of one.
    fn event(&self, expected: &Value) -> Option<Value> {
        let mut event: *const comity_event = ptr::null();
        // SAFETY: it is used before the next is polled.
        unsafe {
            assert_eq!(comity_poll_event(self.co, &raw mut event), COMITY_OK);
            let event = event.as_ref()?;
            let fields = expected.as_object().expect("an event").keys();
            Some(fields.map(|name| (name.clone(), field(event, name))).collect())
        }
    }

    fn output(&self, line: &Value) {
        if line.get("command").is_some() {
            assert_eq!(self.command().as_ref(), Some(line));
        } else if line.get("event").is_some() {
            assert_eq!(self.event(line).as_ref(), Some(line));
        } else {
            assert_eq!((self.command(), self.event(&json!({}))), (None, None));
            let mut deadline = 0;
            // SAFETY: there is a place for it.
            let status = unsafe { comity_next_deadline(self.co, &raw mut deadline) };
            assert_eq!(status, COMITY_OK);
            assert_eq!(deadline, line["deadline"].as_u64().unwrap_or(COMITY_NONE));
        }
    }
}

fn node(line: &Value, name: &str) -> u32 {
    u32::try_from(number(&line[name])).expect("few nodes")
}

/// `LockGranted` as `lock_granted`.
fn snake(name: &str) -> String {
    let parts = name.char_indices().map(|(at, char)| {
        let before = if at > 0 && char.is_ascii_uppercase() { "_" } else { "" };
        format!("{before}{}", char.to_ascii_lowercase())
    });
    parts.collect()
}

/// A field of an event, by the name that all languages have for it.
///
/// # Safety
/// The event is the one that was polled last.
unsafe fn field(event: &comity_event, name: &str) -> Value {
    // SAFETY: the library has made all that it points to.
    unsafe {
        match name {
            "event" => {
                let name = CStr::from_ptr(comity_event_name(event.kind));
                json!(snake(name.to_str().expect("ASCII")))
            }
            "error" => {
                let words = CStr::from_ptr(event.message).to_string_lossy();
                json!({ "code": event.error, "words": words })
            }
            "lock" => json!(event.lock),
            "call" => json!(event.call),
            "counter" => json!(event.counter),
            "transaction" => json!(event.transaction),
            "node" => json!(event.node),
            "accepted" => json!(event.accepted == 1),
            "applied" => json!(event.applied == 1),
            "fence" => json!(event.fence),
            "valid_until" => json!(event.valid_until_us),
            "rank" => json!(event.rank),
            "epoch" => json!(event.epoch),
            "count" | "waiting" => json!(event.count),
            "unreadable" => json!(event.unreadable),
            "outage" => json!(event.outage_us),
            "units" => json!(event.units.increments + event.units.decrements),
            "name" => of(event.name),
            "holder" => of(event.holder),
            "id" => of(event.id),
            "server_version" => of(event.version),
            "eviction_policy" => of(event.eviction_policy),
            "replies" => each(event.replies, event.reply_count, answered),
            "inspection" => {
                let found = &*event.inspection;
                json!({
                    "holders": each(found.holders, found.holder_count, |one| {
                        json!({ "label": of(one.label), "fence": one.fence })
                    }),
                    "waiters": each(found.waiters, found.waiter_count, |one| {
                        json!({ "label": of(one.label) })
                    }),
                    "holders_total": found.holders_total,
                    "waiters_total": found.waiters_total,
                })
            }
            "value" => {
                let found = &*event.reading;
                let pending = found.pending.increments + found.pending.decrements;
                json!({ "value": found.value.low, "epoch": found.epoch, "pending": pending })
            }
            "audit" => {
                let found = &*event.audit;
                json!({
                    "live": found.live,
                    "retired": found.retired,
                    "pruned": found.pruned,
                    "compared": found.compared == 1,
                })
            }
            other => panic!("{other} is not known in C"),
        }
    }
}

#[test]
fn the_transcripts_are_those_of_c() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        count += 1;
        let written = fs::read_to_string(&path).expect("a transcript");
        let lines: Vec<Value> =
            written.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let replay = Replay::begin(&lines[0]);
        for (at, line) in lines.iter().enumerate().skip(1) {
            println!("{}, line {}", path.display(), at + 1);
            if !replay.input(line) {
                replay.output(line);
            }
        }
    }
    assert!(count >= 4);
}
