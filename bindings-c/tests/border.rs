//! The functions as C calls them, called from Rust, so that Miri can watch: a lock, a transaction and a
//! counter on the embedded store, and then calls with any arguments, of which none may be a bug.

use std::ptr;

use comity_c::command::{
    COMITY_ROUTE_NODE, comity_command, comity_poll_command, comity_poll_command_for,
};
use comity_c::connection::bytes::*;
use comity_c::connection::commands::*;
use comity_c::connection::endpoint::*;
use comity_c::connection::*;
use comity_c::coordinator::{
    comity_close, comity_config, comity_config_init, comity_coordinator, comity_coordinator_free,
    comity_coordinator_new, comity_next_deadline,
};
use comity_c::counter::calls::*;
use comity_c::counter::collected::*;
use comity_c::counter::lives::*;
use comity_c::counter::*;
use comity_c::event::*;
use comity_c::input::*;
use comity_c::lock::*;
use comity_c::memory::*;
use comity_c::number::comity_tally;
use comity_c::reply::*;
use comity_c::ring::comity_node_spec;
use comity_c::status::{COMITY_ERROR_INTERNAL, COMITY_OK};
use comity_c::transaction::verbs::*;
use comity_c::transaction::*;
use comity_c::{COMITY_NONE, comity_bytes};

/// A coordinator and its store.
struct World {
    co: *mut comity_coordinator,
    memory: *mut comity_memory,
    now: u64,
}

impl World {
    fn new(seed: u8) -> Self {
        let node = comity_node_spec { id: c"a".as_ptr().cast(), id_len: 1, weight: 1 };
        let (mut co, mut memory) = (ptr::null_mut(), ptr::null_mut());
        let mut config = std::mem::MaybeUninit::<comity_config>::uninit();
        // SAFETY: every pointer is to what the header asks for.
        unsafe {
            let size = size_of::<comity_config>();
            assert_eq!(comity_config_init(config.as_mut_ptr(), size), COMITY_OK);
            let mut config = config.assume_init();
            config.nodes = &raw const node;
            config.node_count = 1;
            let entropy = [seed; 32];
            let status =
                comity_coordinator_new(&raw const config, entropy.as_ptr().cast(), 32, 1, &mut co);
            assert_eq!(status, COMITY_OK);
            assert_eq!(comity_memory_new(&raw mut memory), COMITY_OK);
        }
        Self { co, memory, now: 1 }
    }

    /// The command that is polled next, executed or not.
    fn step(&mut self, node: Option<u32>, answer: bool) -> bool {
        let mut command: *const comity_command = ptr::null();
        let mut reply: *const comity_reply = ptr::null();
        // SAFETY: both handles are alive, and the command is used before the next is polled.
        unsafe {
            let status = match node {
                Some(node) => comity_poll_command_for(self.co, node, &raw mut command),
                None => comity_poll_command(self.co, &raw mut command),
            };
            assert_eq!(status, COMITY_OK);
            let Some(command) = command.as_ref() else { return false };
            if answer {
                let (argc, argv, lens) = (command.argc, command.argv, command.argvlen);
                let done =
                    comity_memory_execute(self.memory, argc, argv, lens, self.now, &raw mut reply);
                assert_eq!(done, COMITY_OK);
                assert_eq!(
                    comity_handle_reply(self.co, command.request, reply, self.now),
                    COMITY_OK
                );
            }
        }
        true
    }

    /// The fields of the next event of this kind that a test looks at.
    fn until(&mut self, kind: u32) -> (u64, u64, usize) {
        for _ in 0..100 {
            while self.step(None, true) {}
            let mut event: *const comity_event = ptr::null();
            // SAFETY: the handle is alive, and the event is used before the next is polled.
            unsafe {
                assert_eq!(comity_poll_event(self.co, &raw mut event), COMITY_OK);
                match event.as_ref() {
                    Some(event) if event.kind == kind => {
                        let replies = match event.reply_count {
                            0 => 0,
                            count => std::slice::from_raw_parts(event.replies, count).len(),
                        };
                        return (
                            event.fence,
                            event.reading.as_ref().map_or(0, |r| r.value.low),
                            replies,
                        );
                    }
                    Some(_) => {}
                    None => {
                        assert_eq!(comity_next_deadline(self.co, &raw mut self.now), COMITY_OK);
                        assert_eq!(comity_handle_timeout(self.co, self.now), COMITY_OK);
                    }
                }
            }
        }
        panic!("no event of kind {kind}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: both are alive, and nobody uses them any more.
        unsafe {
            comity_coordinator_free(self.co);
            comity_memory_free(self.memory);
        }
    }
}

#[test]
fn each_primitive_works_through_the_functions() {
    let mut world = World::new(1);
    let (mut lock, mut counter, mut call, mut number) = (0, 0, 0, 0);
    let mut tx = ptr::null_mut();
    // SAFETY: every pointer is to what the header asks for.
    unsafe {
        let name = c"name".as_ptr().cast();
        let asked = comity_lock_acquire(world.co, name, 4, ptr::null(), 1, &raw mut lock);
        assert_eq!(asked, COMITY_OK);
        assert!(world.until(COMITY_EVENT_LOCK_GRANTED).0 > 0);
        assert_eq!(comity_lock_release(world.co, lock, world.now), COMITY_OK);
        world.until(COMITY_EVENT_LOCK_RELEASED);

        let opened = comity_counter_open(world.co, name, 4, ptr::null(), 1, &raw mut counter);
        assert_eq!(opened, COMITY_OK);
        assert_eq!(comity_counter_add(world.co, counter, 7, world.now), COMITY_OK);
        let fresh = COMITY_FRESH;
        let asked = comity_counter_read(world.co, counter, fresh, world.now, &raw mut call);
        assert_eq!(asked, COMITY_OK);
        assert_eq!(world.until(COMITY_EVENT_COUNTER_READ).1, 7);

        assert_eq!(comity_transaction_new(&raw mut tx), COMITY_OK);
        for words in [[c"RPUSH", c"l", c"x"], [c"SET", c"k", c"v"]] {
            let mut argv = words.map(std::ffi::CStr::as_ptr);
            let added = comity_transaction_command(tx, 3, argv.as_mut_ptr(), ptr::null());
            assert_eq!(added, COMITY_OK);
        }
        let begun =
            comity_transaction_execute(world.co, tx, ptr::null(), world.now, &raw mut number);
        assert_eq!(begun, COMITY_OK);
        comity_transaction_free(tx);
        assert_eq!(world.until(COMITY_EVENT_TRANSACTION_COMMITTED).2, 2);
        assert_eq!(comity_close(world.co, world.now), COMITY_OK);
    }
    world.until(COMITY_EVENT_CLOSED);
}

/// Numbers that repeat with their seed: SplitMix64.
struct Numbers {
    state: u64,
    /// Numbers of locks, counters and so on, the latest at the end.
    known: Vec<u64>,
}

impl Numbers {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is small.
    fn below(&mut self, bound: u32) -> u32 {
        // A remainder of a u32 fits one.
        u32::try_from(self.next() % u64::from(bound)).unwrap_or(0)
    }

    /// A number that may be the id of something, or a limit, or anything.
    fn id(&mut self) -> u64 {
        const EDGES: [u64; 6] = [0, 1, u64::MAX, u64::MAX - 1, 1 << 53, 1 << 63];
        match self.below(8) {
            0 => self.next(),
            1 => EDGES[self.below(6) as usize],
            _ => {
                let back = self.below(12) as usize;
                self.known.iter().rev().nth(back).copied().unwrap_or(back as u64)
            }
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        const TEXTS: [&[u8]; 8] = [b"", b"a", b"name", b"\0", b"{", b"CMTY", b"SET", b"GET"];
        match self.below(4) {
            0 => (0..self.below(40)).map(|_| self.next().to_le_bytes()[0]).collect(),
            1 => vec![b'x'; self.below(700) as usize],
            _ => TEXTS[self.below(8) as usize].to_vec(),
        }
    }
}

/// A reply with all that it points to.
struct Tree {
    root: comity_reply,
    _bytes: Vec<u8>,
    _elements: Vec<comity_reply>,
    _trees: Vec<Tree>,
}

fn tree(numbers: &mut Numbers, depth: u32) -> Tree {
    let bytes = numbers.bytes();
    let size = if depth == 0 { 0 } else { numbers.below(4) };
    let trees: Vec<Tree> = (0..size).map(|_| tree(numbers, depth - 1)).collect();
    let elements: Vec<comity_reply> = trees.iter().map(|tree| tree.root).collect();
    let root = comity_reply {
        kind: numbers.below(16),
        integer: numbers.id().cast_signed(),
        bytes: bytes.as_ptr().cast(),
        len: bytes.len(),
        elements: elements.as_ptr(),
        count: elements.len(),
    };
    Tree { root, _bytes: bytes, _elements: elements, _trees: trees }
}

/// A call of a connection, which is made anew once it has ended.
///
/// # Safety
///
/// The handles of `world` and `connection` are alive.
unsafe fn any_connection_call(
    world: &World,
    connection: &mut *mut comity_connection,
    numbers: &mut Numbers,
    now: u64,
) -> u32 {
    const HEARD: [&[u8]; 8] = [
        b"+OK\r\n",
        b"-ERR no\r\n",
        b"-NOSCRIPT no\r\n",
        b":7\r\n",
        b"*2\r\n:1\r",
        b"\n$-1\r\n",
        b"%1\r\n+a\r\n_\r\n",
        b"-READONLY no\r\n",
    ];
    let (co, handle, small) = (world.co, *connection, numbers.below(8));
    let data = match small {
        0 => numbers.bytes(),
        kind => HEARD[kind as usize].to_vec(),
    };
    let mut bytes = comity_bytes { data: ptr::null(), len: 0 };
    let (mut command, mut why, mut open, mut count) = (ptr::null(), ptr::null(), 1, 0);
    // SAFETY: every pointer is to what the header asks for.
    unsafe {
        let status = match numbers.below(8) {
            0 => comity_connection_connected(handle, co, now),
            1 => comity_connection_take(co, &raw const handle, 1, now, ptr::null_mut()),
            2 => match comity_poll_command(co, &raw mut command) {
                COMITY_OK => comity_connection_send(handle, command),
                status => status,
            },
            3 => {
                assert_eq!(comity_connection_transmit(handle, &raw mut bytes), COMITY_OK);
                let count = if small == 0 { bytes.len + 1 } else { bytes.len / small as usize };
                comity_connection_transmitted(handle, count)
            }
            4 => comity_connection_committed(handle, small as usize),
            5 => {
                let (data, len) = (data.as_ptr().cast(), data.len());
                comity_connection_receive(handle, co, data, len, now, &raw mut open)
            }
            6 => comity_connection_handle_timeout(handle, co, now, &raw mut open),
            _ => {
                let reason = data.as_ptr().cast();
                comity_connection_end(handle, co, reason, data.len(), small / 3, now)
            }
        };
        assert_eq!(comity_connection_outstanding(handle, &raw mut count), COMITY_OK);
        assert_eq!(comity_connection_why(handle, &raw mut why), COMITY_OK);
        if open == 0 || *why != 0 {
            assert_eq!(count, 0);
            comity_connection_free(handle);
            *connection = new_connection();
        }
        status
    }
}

fn new_connection() -> *mut comity_connection {
    let (mut endpoint, mut connection) = (ptr::null_mut(), ptr::null_mut());
    let url = "redis://:secret@h/1";
    // SAFETY: every pointer is to what the header asks for.
    unsafe {
        let parsed = comity_endpoint_parse(url.as_ptr().cast(), url.len(), &raw mut endpoint);
        assert_eq!(parsed, COMITY_OK);
        let made = comity_connection_new(endpoint, 0, COMITY_ROUTE_NODE, 1, &raw mut connection);
        assert_eq!(made, COMITY_OK);
        comity_endpoint_free(endpoint);
    }
    connection
}

/// One call with arguments of any values, though every pointer is good.
///
/// # Safety
///
/// The handles of `world`, `tx` and `connection` are alive.
unsafe fn any_call(
    world: &mut World,
    tx: *mut comity_transaction,
    connection: &mut *mut comity_connection,
    numbers: &mut Numbers,
) -> u32 {
    let (co, id, other, small) = (world.co, numbers.id(), numbers.id(), numbers.below(6));
    let (name, data) = (numbers.bytes(), numbers.bytes());
    let (n, n_len, d, d_len) = (name.as_ptr().cast(), name.len(), data.as_ptr().cast(), data.len());
    let tally = comity_tally { increments: numbers.id(), decrements: numbers.id() };
    let now = match numbers.below(20) {
        0 => numbers.id(),
        _ => {
            world.now = world.now.saturating_add(u64::from(numbers.below(200_000)));
            world.now
        }
    };
    let (mut out, mut flag, mut bytes) = (0, 0, comity_bytes { data: ptr::null(), len: 0 });
    let (mut reading, mut event) = (ptr::null(), ptr::null());
    let reply = tree(numbers, 3);
    let mut argv = [n, d, n].map(|word: *const std::ffi::c_void| word.cast());
    let lens = [n_len, d_len, n_len];
    // SAFETY: every pointer is to what the header asks for.
    let status = unsafe {
        match numbers.below(50) {
            0 | 1 => {
                let mut options = std::mem::zeroed::<comity_lock_options>();
                comity_lock_options_init(&raw mut options, size_of::<comity_lock_options>());
                options.ttl_us = if small == 0 { id } else { 100_000 };
                options.wait_us = if small < 3 { other } else { COMITY_NONE };
                options.max_hold_us = if small == 4 { other } else { COMITY_NONE };
                options.renew = small;
                (options.label, options.label_len) = (d, d_len);
                comity_lock_acquire(co, n, n_len, &raw const options, now, &raw mut out)
            }
            2 => comity_lock_acquire(co, n, n_len, ptr::null(), now, &raw mut out),
            3 => comity_lock_release(co, id, now),
            4 => comity_lock_cancel(co, id, now),
            5 => comity_lock_renew(co, id, other, now),
            6 => comity_lock_is_held(co, id, now, &raw mut flag),
            7 => comity_lock_valid_until(co, id, &raw mut out),
            8 => comity_lock_inspect(co, n, n_len, now, &raw mut out),
            9 => comity_fence_check(co, n, n_len, other, now, &raw mut out),
            10 | 11 => {
                let mut options = std::mem::zeroed::<comity_counter_options>();
                comity_counter_options_init(&raw mut options, size_of::<comity_counter_options>());
                options.durability = small;
                options.collected = numbers.below(3);
                options.max_delay_us = if small == 1 { id } else { 1_000 };
                options.max_units = other;
                comity_counter_open(co, n, n_len, &raw const options, now, &raw mut out)
            }
            12 => comity_counter_restore(co, n, n_len, ptr::null(), d, d_len, now, &raw mut out),
            13 => comity_counter_take_up(co, id, d, d_len, now),
            14 => comity_counter_merge(co, id, d, d_len, now),
            15 | 16 => comity_counter_add(co, id, other.cast_signed(), now),
            17 => comity_counter_advance(co, id, tally, now),
            18 => comity_poll_counter_due(co, &raw mut out),
            19 => comity_counter_collect(co, id, tally, now),
            20 => comity_counter_value(co, id, now, &raw mut reading),
            21 => comity_counter_room(co, id, &raw mut out),
            22 => comity_counter_read(co, id, other, now, &raw mut out),
            23 => comity_counter_flush(co, id, now, &raw mut out),
            24 => comity_counter_reset(co, id, other, now, &raw mut out),
            25 => comity_counter_audit(co, id, other, now, &raw mut out),
            26 => comity_counter_snapshot(co, id, &raw mut bytes),
            27 => comity_counter_journaled(co, id, now),
            28 => comity_counter_close(co, id, now),
            29 => comity_transaction_command(
                tx,
                small.cast_signed() % 4,
                argv.as_mut_ptr(),
                lens.as_ptr(),
            ),
            30 => comity_transaction_expect_value(tx, n, n_len, d, d_len),
            31 => {
                let words = argv.as_mut_ptr();
                comity_transaction_expect_unchanged(
                    tx,
                    2,
                    words,
                    lens.as_ptr(),
                    &raw const reply.root,
                )
            }
            32 => comity_transaction_clear(tx),
            33 => comity_transaction_execute(co, tx, ptr::null(), now, &raw mut out),
            34 => comity_transaction_cancel(co, id, now),
            35 => comity_transaction_status(co, n, n_len, now, &raw mut out),
            36 => comity_transaction_sweep(co, small % 3, now, &raw mut out),
            37 => comity_handle_reply(co, id, &raw const reply.root, now),
            38 => comity_handle_failure(co, id, small, now),
            39 => match numbers.below(3) {
                0 => comity_handle_node(co, small, numbers.below(6), now),
                1 => comity_handle_refused(co, small, d, d_len, now),
                _ => comity_handle_unreachable(co, small, d, d_len, numbers.below(3), now),
            },
            40 => comity_handle_message(co, small, n, n_len, d, d_len, now),
            41 => match small {
                0 => comity_handle_clock_gap(co, now),
                _ => comity_handle_timeout(co, now),
            },
            42 => comity_poll_event(co, &raw mut event),
            43 => {
                let mut answer = ptr::null();
                let (words, count) = (argv.as_mut_ptr(), small.cast_signed() % 4);
                comity_memory_execute(
                    world.memory,
                    count,
                    words,
                    lens.as_ptr(),
                    now,
                    &raw mut answer,
                )
            }
            44..=48 => any_connection_call(world, connection, numbers, now),
            _ => {
                let answer = numbers.below(3) > 0;
                world.step((small == 0).then_some(small), answer);
                COMITY_OK
            }
        }
    };
    if status == COMITY_OK && out != 0 {
        numbers.known.push(out);
    }
    status
}

#[test]
fn no_arguments_are_a_bug() {
    let (seeds, calls) = if cfg!(miri) { (2, 200) } else { (40, 2_000) };
    let mut statuses = [0_u32; 256];
    for seed in 0..seeds {
        let mut world = World::new(seed);
        let mut numbers = Numbers { state: seed.into(), known: Vec::new() };
        let mut tx = ptr::null_mut();
        let mut connection = new_connection();
        // SAFETY: the handles are alive until the end.
        unsafe {
            assert_eq!(comity_transaction_new(&raw mut tx), COMITY_OK);
            for call in 0..calls {
                let status = any_call(&mut world, tx, &mut connection, &mut numbers);
                assert_ne!(status, COMITY_ERROR_INTERNAL, "seed {seed}, call {call}");
                statuses[status as usize] += 1;
            }
            comity_transaction_free(tx);
            comity_connection_free(connection);
        }
    }
    // Most kinds of misuse were met, and many calls had an effect.
    let met = statuses.iter().filter(|count| **count > 0).count();
    assert!(met >= 6, "{statuses:?}");
    assert!(statuses[0] > statuses.iter().sum::<u32>() / 3, "{statuses:?}");
}
