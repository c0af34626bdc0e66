//! Events, packed: a byte that says of which kind, and its fields in the order of `js/core/events.ts`.

use alloc::vec::Vec;

use comity::counter::{Audit, CounterValue, Tally};
use comity::error::Error;
use comity::event::{Event, Fields, Shape, TransactionOutcome, shape};
use comity::lock::Inspection;
use comity::redis::Reply;
use comity::time::Span;

use crate::pack::Writer;
use crate::reply;

pub(crate) fn write(event: &Event) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    out.byte(event.number());
    event.show(&mut out);
    out.finish()
}

/// How the values of one shape are written.
trait Packed: Shape {
    fn pack(value: Self::Value<'_>, out: &mut Writer);
}

macro_rules! packed {
    ($($shape:ident: $value:ty => |$to:ident, $out:ident| $write:expr,)*) => {
        $(
            impl Packed for shape::$shape {
                fn pack($to: $value, $out: &mut Writer) {
                    $write;
                }
            }
        )*
    };
}

packed! {
    Number: u64 => |value, out| out.number(value),
    Flag: bool => |value, out| out.flag(value),
    Bytes: &[u8] => |value, out| out.bytes(value),
    Text: &str => |value, out| out.bytes(value.as_bytes()),
    Id: &[u8] => |value, out| out.bytes(value),
    Moment: u64 => |value, out| out.number(value),
    Duration: u64 => |value, out| out.number(value),
    Units: Tally => |value, out| out.wide(value.units()),
    Outcome: TransactionOutcome => |value, out| out.byte(value.number()),
    Failure: &Error => |value, out| why(out, value),
    Holders: &Inspection => |value, out| inspected(out, value),
    Reading: CounterValue => |value, out| counted(out, &value),
    Findings: Audit => |value, out| audited(out, value),
    Replies: &[Reply] => |value, out| out.each(value.iter(), reply::write),
}

macro_rules! written {
    ($($(#[$doc:meta])* $field:ident: $shape:ident,)*) => {
        impl Fields for Writer {
            $(
                fn $field(&mut self, value: <shape::$shape as Shape>::Value<'_>) {
                    shape::$shape::pack(value, self);
                }
            )*

            fn option(&mut self, there: bool) {
                self.flag(there);
            }
        }
    };
}

comity::event_fields!(written);

fn why(out: &mut Writer, error: &Error) {
    out.byte(error.code().number()).bytes(error.message().as_bytes());
    out.option(error.node().map(|node| node.0.into()), Writer::number);
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

fn audited(out: &mut Writer, audit: Audit) {
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
