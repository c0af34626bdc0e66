//! The embedded store.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::{c_char, c_int};
use std::ptr;

use comity::memory::{MemoryStore, Message};
use comity::redis::{Argv, Reply};

use crate::comity_bytes;
use crate::coordinator::at;
use crate::handle::{Kind, Slot, give, with_mut};
use crate::pointer::{place, words};
use crate::reply::{Lists, comity_reply};
use crate::status::guard;

/// The most words of a command for the embedded store.
pub const COMITY_MEMORY_MAX_WORDS: usize = 1_048_576;

/// A small Redis in this process, for programs without a server and for tests. It executes the very
/// commands that coordinators emit, and many of Redis' own. Any number of coordinators may share one.
/// One thread at a time may use it.
#[derive(Debug)]
pub struct comity_memory {
    store: MemoryStore,
    /// What the last reply and its lists point into.
    reply: Reply,
    lists: Lists,
    shown: Slot<comity_reply>,
    message: Option<Message>,
    told: Slot<comity_message>,
}

impl Kind for comity_memory {
    const NAME: &'static str = "comity_memory";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyMEMO");
}

/// A message that was published.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_message {
    /// Where to: the inbox of a coordinator, see comity_inbox.
    pub channel: comity_bytes,
    /// The message.
    pub payload: comity_bytes,
}

/// Makes an empty store.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_memory_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_memory_new(out: *mut *mut comity_memory) -> u32 {
    guard(|| {
        // SAFETY: the caller keeps the rules of the header.
        let out = unsafe { place(out, "out") }?;
        let mut lists = Lists::default();
        let nothing = lists.show(&Reply::Nil);
        let none = comity_message { channel: comity_bytes::NONE, payload: comity_bytes::NONE };
        out.write(give(comity_memory {
            store: MemoryStore::new(),
            reply: Reply::Nil,
            lists,
            shown: Slot::new(nothing),
            message: None,
            told: Slot::new(none),
        }));
        Ok(())
    })
}

/// Frees a store and all that it has lent. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_memory_free(memory: *mut comity_memory) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(memory) }
}

/// Executes one command and writes its reply to *out, valid until the next call of
/// comity_memory_execute on the handle. The words are those of comity_command, 1 to
/// COMITY_MEMORY_MAX_WORDS; argvlen may be NULL if each ends with a zero byte. now_us is the server's
/// clock, which must be that of the coordinators; an earlier one than before counts as the same moment.
/// What a server would refuse is answered with a reply of kind COMITY_REPLY_ERROR.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or no words, or
/// COMITY_ERROR_LIMIT_EXCEEDED: then nothing is executed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_memory_execute(
    memory: *mut comity_memory,
    argc: c_int,
    argv: *mut *const c_char,
    argvlen: *const usize,
    now_us: u64,
    out: *mut *const comity_reply,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(memory, |memory| {
            let out = place(out, "out")?;
            let mut command = Argv::new();
            words(argc, argv, argvlen, COMITY_MEMORY_MAX_WORDS, |word| command.push(word))?;
            memory.lists.clear();
            memory.reply = memory.store.execute(&command, at(now_us)?);
            out.write(memory.shown.put(memory.lists.show(&memory.reply)));
            Ok(())
        })
    }
}

/// Writes the next message that was published to *out, or NULL if there is none. It is valid until
/// the next call of comity_memory_poll_message on the handle. Give it to comity_handle_message of the
/// coordinator whose inbox its channel is; a message for nobody is to be dropped.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_memory_poll_message(
    memory: *mut comity_memory,
    out: *mut *const comity_message,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(memory, |memory| {
            let out = place(out, "out")?;
            memory.message = memory.store.poll_message();
            out.write(memory.message.as_ref().map_or(ptr::null(), |message| {
                memory.told.put(comity_message {
                    channel: comity_bytes::of(&message.channel),
                    payload: comity_bytes::of(&message.payload),
                })
            }));
            Ok(())
        })
    }
}
