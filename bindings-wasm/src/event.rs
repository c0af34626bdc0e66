//! Events, packed: a byte that says of which kind, and its fields in the order of `js/core/event.ts`.

use alloc::vec::Vec;

use comity::counter::{Audit, CounterValue};
use comity::error::Error;
use comity::event::{Event, TransactionOutcome};
use comity::lock::Inspection;
use comity::time::Span;

use crate::pack::Writer;
use crate::reply;

pub(crate) fn write(event: &Event) -> Vec<u8> {
    use Event as E;
    let mut writer = Writer::with_capacity(64);
    let out = &mut writer;
    match event {
        E::LockQueued { lock, name, rank, holder } => {
            out.byte(0).number(lock.0).bytes(name).number(*rank).bytes(holder);
        }
        E::LockGranted { lock, name, fence, valid_until } => {
            out.byte(1).number(lock.0).bytes(name).number(fence.0).number(valid_until.as_micros());
        }
        E::LockRenewed { lock, name, valid_until, asked } => {
            out.byte(2).number(lock.0).bytes(name).number(valid_until.as_micros()).flag(*asked);
        }
        E::LockLost { lock, name, error } => why(out.byte(3).number(lock.0).bytes(name), error),
        E::LockReleased { lock, name } => _ = out.byte(4).number(lock.0).bytes(name),
        E::LockFailed { lock, name, error, holder } => {
            why(out.byte(5).number(lock.0).bytes(name), error);
            out.option(holder.as_deref(), Writer::bytes);
        }
        E::LockInspected { call, inspection } => inspected(out.byte(6).number(call.0), inspection),
        E::FenceChecked { call, accepted, highest } => {
            out.byte(7).number(call.0).flag(*accepted).number(highest.0);
        }
        E::CounterFlushed { call, counter, name } => {
            out.byte(8).number(call.0).number(counter.0).bytes(name);
        }
        E::CounterRead { call, counter, name, value } => {
            counted(out.byte(9).number(call.0).number(counter.0).bytes(name), value);
        }
        E::CounterReset { call, counter, name, epoch } => {
            out.byte(10).number(call.0).number(counter.0).bytes(name).number(*epoch);
        }
        E::CounterAudited { call, counter, name, audit } => {
            audited(out.byte(11).number(call.0).number(counter.0).bytes(name), audit);
        }
        E::CounterJournal { counter, name, bytes } => {
            out.byte(12).number(counter.0).bytes(name).bytes(bytes);
        }
        E::CounterLost { counter, name, lost, error } => {
            why(out.byte(13).number(counter.0).bytes(name).wide(lost.units()), error);
        }
        E::CounterRegressed { counter, name, node } => {
            out.byte(14).number(counter.0).bytes(name).number(node.0.into());
        }
        E::CounterRefused { counter, name, error } => {
            why(out.byte(15).number(counter.0).bytes(name), error);
        }
        E::CounterClosed { counter, name, node, unacknowledged } => {
            out.byte(16).number(counter.0).bytes(name).number(node.0.into());
            out.wide(unacknowledged.units());
        }
        E::TransactionCommitted { transaction, id, replies, applied, replicas } => {
            out.byte(17).number(transaction.0).bytes(id);
            out.option(replies.as_deref(), |out, all| out.each(all.iter(), reply::write));
            out.flag(*applied);
            out.option(replicas.map(u64::from), Writer::number);
        }
        E::TransactionNotDurable { transaction, id, node, replicas, error } => {
            out.byte(18).number(transaction.0).bytes(id).number(node.0.into());
            why(out.number((*replicas).into()), error);
        }
        E::TransactionFailed { transaction, id, error } => {
            why(out.byte(19).number(transaction.0).bytes(id), error);
        }
        E::TransactionUnknown { transaction, id, error } => {
            why(out.byte(20).number(transaction.0).bytes(id), error);
        }
        E::TransactionEnded { id, outcome } => _ = out.byte(21).bytes(id).byte(called(*outcome)),
        E::TransactionDamaged { id, node } => _ = out.byte(22).bytes(id).number(node.0.into()),
        E::TransactionStatus { call, id, outcome } => {
            out.byte(23).number(call.0).bytes(id).byte(called(*outcome));
        }
        E::TransactionResolved { call, id, outcome } => {
            out.byte(24).number(call.0).bytes(id).byte(called(*outcome));
        }
        E::TransactionSwept { call, count, unreadable } => {
            out.byte(25).number(call.0).number(*count).number(*unreadable);
        }
        E::NodeChecked { call, node, version, eviction_policy } => {
            out.byte(26).number(call.0).number(node.0.into());
            out.bytes(version.as_bytes()).bytes(eviction_policy.as_bytes());
        }
        E::CallFailed { call, node, error } => {
            why(out.byte(27).number(call.0).number(node.0.into()), error);
        }
        E::PushReady { node } => _ = out.byte(28).number(node.0.into()),
        E::PushUnavailable { node, error } => why(out.byte(29).number(node.0.into()), error),
        E::Closed => _ = out.byte(30),
        E::NodeDown { node, error, waiting } => {
            why(out.byte(31).number(node.0.into()).number(*waiting), error);
        }
        E::LockNotRenewed { lock, name, error } => {
            why(out.byte(33).number(lock.0).bytes(name), error);
        }
        E::NodeUp { node, outage } => {
            out.byte(32).number(node.0.into()).number(outage.as_micros());
        }
        // There is no other: a new one is told as unknown until it is written here.
        _ => _ = out.byte(255),
    }
    writer.finish()
}

fn why(out: &mut Writer, error: &Error) {
    out.byte(error.code().number()).bytes(error.message().as_bytes());
    out.option(error.node().map(|node| node.0.into()), Writer::number);
}

const fn called(outcome: TransactionOutcome) -> u8 {
    match outcome {
        TransactionOutcome::Committed => 0,
        TransactionOutcome::Aborted => 1,
        TransactionOutcome::Pending => 2,
        TransactionOutcome::Unheard => 3,
        _ => 4,
    }
}

/// What a counter stands at.
pub(crate) fn counted(out: &mut Writer, value: &CounterValue) {
    let span = |out: &mut Writer, span: Option<Span>| {
        out.option(span.map(Span::as_micros), Writer::number);
    };
    out.widest(value.value);
    span(out, value.staleness);
    out.number(value.token.0).number(value.epoch).wide(value.pending.p).wide(value.pending.n);
    span(out, value.oldest_pending);
}

fn audited(out: &mut Writer, audit: &Audit) {
    out.number(audit.live).number(audit.retired).number(audit.pruned);
    out.flag(audit.compared).widest(audit.corrected);
}

fn inspected(out: &mut Writer, inspection: &Inspection) {
    out.number(inspection.now_us).number(inspection.capacity);
    out.number(inspection.holders_total).number(inspection.waiters_total);
    out.each(inspection.holders.iter(), |out, holder| {
        out.bytes(holder.id.as_bytes()).bytes(&holder.label).number(holder.fence.0);
        out.number(holder.expiry_us.saturating_sub(inspection.now_us)).number(holder.weight);
    });
    out.each(inspection.waiters.iter(), |out, waiter| {
        out.bytes(waiter.id.as_bytes()).bytes(&waiter.label);
    });
}
