//! Transactions: what one is to do.
#![allow(non_camel_case_types, reason = "the names are the C names")]

pub mod verbs;

use std::ffi::{c_char, c_int, c_void};

use comity::error::{Error, ErrorCode, Result};
use comity::transaction::{Expectation, MAX_OPERATIONS, MAX_PARTICIPANTS, MAX_WORDS, Words};

use crate::handle::{Kind, give, with_mut};
use crate::pointer::{bytes, place, words};
use crate::reply::{self, comity_reply};
use crate::status::guard;

/// What a transaction is to do: commands, and what has to be so for them to be applied. It is no
/// running transaction, and may be executed any number of times, by any coordinator. One thread at a
/// time may use it.
#[derive(Debug, Default)]
pub struct comity_transaction {
    commands: Vec<Words>,
    expectations: Vec<Expectation>,
}

impl Kind for comity_transaction {
    const NAME: &'static str = "comity_transaction";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyTRAN");
}

impl comity_transaction {
    /// Errors if no transaction has one command or expectation more.
    fn has_room(&self) -> Result<()> {
        const MOST: usize = MAX_OPERATIONS * MAX_PARTICIPANTS;
        if self.commands.len() + self.expectations.len() >= MOST {
            let message = format!("transaction: {MOST} commands and expectations are the limit");
            return Err(Error::new(ErrorCode::LimitExceeded, message));
        }
        Ok(())
    }

    fn expect(&mut self, expectation: Expectation) -> Result<()> {
        self.has_room()?;
        self.expectations.push(expectation);
        Ok(())
    }
}

/// Makes a transaction with nothing to do.
///
/// Returns COMITY_OK and writes *out, to be freed with comity_transaction_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_new(out: *mut *mut comity_transaction) -> u32 {
    guard(|| {
        // SAFETY: the caller keeps the rules of the header.
        let out = unsafe { place(out, "out") }?;
        out.write(give(comity_transaction::default()));
        Ok(())
    })
}

/// Frees a transaction; what it began goes on. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_free(transaction: *mut comity_transaction) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(transaction) }
}

/// Takes all commands and expectations out of a transaction, so that it can be filled again.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_clear(transaction: *mut comity_transaction) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(transaction, |transaction| {
            transaction.commands.clear();
            transaction.expectations.clear();
            Ok(())
        })
    }
}

/// Copied words of a command.
///
/// # Safety
///
/// The rules of the header.
unsafe fn copied(argc: c_int, argv: *mut *const c_char, argvlen: *const usize) -> Result<Words> {
    let mut copy = Words::new();
    // SAFETY: the caller keeps the rules of the header.
    unsafe { words(argc, argv, argvlen, MAX_WORDS, |word| copy.push(word.to_vec())) }?;
    Ok(copy)
}

/// Adds a command: its name and its arguments, 1 to 4000 words, which are copied. argvlen may be NULL
/// if each ends with a zero byte. Whether a transaction takes the command shows when it is executed.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or no words, or
/// COMITY_ERROR_LIMIT_EXCEEDED: then nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_command(
    transaction: *mut comity_transaction,
    argc: c_int,
    argv: *mut *const c_char,
    argvlen: *const usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(transaction, |transaction| {
            transaction.has_room()?;
            transaction.commands.push(copied(argc, argv, argvlen)?);
            Ok(())
        })
    }
}

/// Lets the transaction be applied only if a key holds this string.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_LIMIT_EXCEEDED: then
/// nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_expect_value(
    transaction: *mut comity_transaction,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(transaction, |transaction| {
            let key = bytes(key, key_len, "key")?.to_vec();
            let value = bytes(value, value_len, "value")?.to_vec();
            transaction.expect(Expectation::Value { key, value })
        })
    }
}

/// Lets the transaction be applied only if a key exists.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_LIMIT_EXCEEDED: then
/// nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_expect_exists(
    transaction: *mut comity_transaction,
    key: *const c_void,
    key_len: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(transaction, |transaction| {
            let key = bytes(key, key_len, "key")?.to_vec();
            transaction.expect(Expectation::Exists { key })
        })
    }
}

/// Lets the transaction be applied only if a key does not exist.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_LIMIT_EXCEEDED: then
/// nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_expect_absent(
    transaction: *mut comity_transaction,
    key: *const c_void,
    key_len: usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(transaction, |transaction| {
            let key = bytes(key, key_len, "key")?.to_vec();
            transaction.expect(Expectation::Absent { key })
        })
    }
}

/// Lets the transaction be applied only if a read is answered as it was before. The words are those
/// of a command that only reads, as for comity_transaction_command, and reply is what it was answered;
/// both are copied.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, no words or a reply that is none, or
/// COMITY_ERROR_LIMIT_EXCEEDED: then nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_transaction_expect_unchanged(
    transaction: *mut comity_transaction,
    argc: c_int,
    argv: *mut *const c_char,
    argvlen: *const usize,
    reply: *const comity_reply,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(transaction, |transaction| {
            let read = copied(argc, argv, argvlen)?;
            let reply = reply::read(reply)?;
            transaction.expect(Expectation::Unchanged { read, reply })
        })
    }
}
