//! Names and sentences as each language writes them.

use comity::error::ErrorCode;
use comity::event::SCHEMA;

/// `LockGranted` as `lock_granted`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// `lock_granted` as `LOCK_GRANTED`.
pub(crate) fn screaming(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// `lock_granted` as `lockGranted`.
pub(crate) fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1);
        out += &first.to_ascii_uppercase();
        out += rest;
    }
    out
}

/// What a name between backticks in the table stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    /// The name of an event, such as `lock_granted`.
    Event(&'a str),
    Error(ErrorCode),
    Verb(&'a str),
    /// A word that is the same everywhere.
    Other(&'a str),
}

/// The words of the table in one line, each name between backticks as `write` has it.
pub(crate) fn sentence(lines: &[&str], write: impl Fn(Name<'_>) -> String) -> String {
    let text = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 { out += part } else { out += &write(named(part)) }
    }
    out
}

fn named(name: &str) -> Name<'_> {
    let event = SCHEMA.events.iter().find(|event| event.variant == name);
    let error = ErrorCode::ALL.iter().find(|code| code.name() == name);
    match (error, event) {
        (Some(code), _) => Name::Error(*code),
        (None, Some(event)) => Name::Event(event.kind.name),
        (None, None) if name.contains('_') || name == "close" => Name::Verb(name),
        (None, None) => Name::Other(name),
    }
}

/// Lines of at most `width` letters.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Each line with `before` ahead of it.
pub(crate) fn block(before: &str, lines: &[String]) -> String {
    lines.iter().map(|line| format!("{before}{line}\n")).collect()
}
