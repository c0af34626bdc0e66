//! Values as the transcripts have them.

use comity::counter::{Audit, CounterValue, Tally};
use comity::error::Error;
use comity::event::{Event, Fields, Shape, TransactionOutcome, shape};
use comity::lock::Inspection;
use comity::redis::{Command, Origin, Reply, Route};
use serde_json::{Map, Value, json};

/// So many bytes of a word are shown.
const LONG: usize = 512;

/// Bytes: a character each.
pub(crate) fn text(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().map(|byte| char::from(*byte)).collect())
}

pub(crate) fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::Simple(bytes) => json!({ "status": text(bytes) }),
        Reply::Error(bytes) => json!({ "error": text(bytes) }),
        Reply::Integer(number) => json!(number),
        Reply::Bulk(bytes) => text(bytes),
        Reply::Array(items) => items.iter().map(self::reply).collect(),
        Reply::Nil => Value::Null,
        other => panic!("the store never answers {other:?}"),
    }
}

pub(crate) fn error(error: &Error) -> Value {
    json!({ "code": error.code().number(), "words": error.message() })
}

pub(crate) fn command(command: &Command) -> Value {
    let route = match command.route {
        Route::Subscribe => "subscribe",
        Route::Blocking => "blocking",
        _ => "node",
    };
    let origin = match command.origin {
        Origin::Operation(number) => Some(number),
        Origin::Background => None,
    };
    json!({
        "command": command.request.0,
        "node": command.node.0,
        "route": route,
        "origin": origin,
        "deadline": command.deadline.as_micros(),
        "words": command.argv.iter().map(word).collect::<Value>(),
    })
}

/// A word of a command; of a long one, such as a script, only how it begins.
fn word(word: &[u8]) -> Value {
    if word.len() <= LONG {
        return text(word);
    }
    json!({ "length": word.len(), "begins": text(&word[..LONG]) })
}

pub(crate) fn event(event: &Event) -> Value {
    let mut shown = Shown(Map::new());
    shown.0.insert("event".into(), event.kind().name.into());
    event.show(&mut shown);
    Value::Object(shown.0)
}

/// An event of which field after field is shown.
struct Shown(Map<String, Value>);

/// What a value of one shape is in a line.
trait Line: Shape {
    fn line(value: Self::Value<'_>) -> Value;
}

macro_rules! lines {
    ($($shape:ident: $value:ty: |$from:pat_param| $line:expr,)*) => {
        $(
            impl Line for shape::$shape {
                fn line($from: $value) -> Value {
                    $line
                }
            }
        )*
    };
}

lines! {
    Number: u64: |number| json!(number),
    Flag: bool: |flag| json!(flag),
    Bytes: &[u8]: |bytes| text(bytes),
    Text: &str: |text| json!(text),
    Id: &[u8]: |id| if id.is_empty() { Value::Null } else { text(id) },
    Moment: u64: |moment| json!(moment),
    Duration: u64: |span| json!(span),
    Units: Tally: |tally| json!(tally.units()),
    Outcome: TransactionOutcome: |outcome| json!(outcome.name()),
    Failure: &Error: |failure| error(failure),
    Holders: &Inspection: |inspection| holders(inspection),
    Reading: CounterValue: |value| reading(&value),
    Findings: Audit: |audit| findings(&audit),
    Replies: &[Reply]: |replies| replies.iter().map(reply).collect(),
}

fn holders(inspection: &Inspection) -> Value {
    json!({
        "holders": inspection.holders.iter().map(|one| json!({
            "label": text(&one.label),
            "fence": one.fence.0,
        })).collect::<Value>(),
        "waiters": inspection.waiters.iter().map(|one| json!({
            "label": text(&one.label),
        })).collect::<Value>(),
        "holders_total": inspection.holders_total,
        "waiters_total": inspection.waiters_total,
    })
}

fn reading(value: &CounterValue) -> Value {
    let number = i64::try_from(value.value).expect("a small value");
    json!({ "value": number, "epoch": value.epoch, "pending": value.pending.units() })
}

fn findings(audit: &Audit) -> Value {
    json!({
        "live": audit.live,
        "retired": audit.retired,
        "pruned": audit.pruned,
        "compared": audit.compared,
    })
}

macro_rules! shown {
    ($($(#[$doc:meta])* $field:ident: $shape:ident,)*) => {
        impl Fields for Shown {
            $(
                fn $field(&mut self, value: <shape::$shape as Shape>::Value<'_>) {
                    let line = shape::$shape::line(value);
                    if !line.is_null() {
                        self.0.insert(stringify!($field).into(), line);
                    }
                }
            )*
        }
    };
}

comity::event_fields!(shown);
