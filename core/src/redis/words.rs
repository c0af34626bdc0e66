//! The words of others in messages of ours.

use alloc::string::String;

/// How many bytes of a server's error reply are repeated in a message.
pub const MAX_WORDS: usize = 256;

/// An error reply as every message has it: its first [`MAX_WORDS`] bytes, then `…` where there are more,
/// with control characters escaped, for it ends up in logs and terminals; and an empty one by its name.
///
/// What is to be decided by a reply is decided by its bytes.
#[must_use]
pub fn words(text: &[u8]) -> String {
    // One byte more than is shown, and what a character can have.
    let text = String::from_utf8_lossy(text.get(..=MAX_WORDS + 4).unwrap_or(text));
    if text.trim().is_empty() { "an error without words".into() } else { shown(&text, MAX_WORDS) }
}

/// At most `most` bytes of a text, and `…` where there are more, with control characters escaped.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for each in text.chars() {
        let whole = shown.len();
        if each.is_control() || moves_text(each) {
            shown.extend(each.escape_default());
        } else {
            shown.push(each);
        }
        if shown.len() > most {
            shown.truncate(whole);
            shown.push('\u{2026}');
            break;
        }
    }
    shown
}

/// Whether it is none that is seen: it begins a line, or turns the direction of what follows.
const fn moves_text(each: char) -> bool {
    matches!(each, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_printable() {
        assert_eq!(words("OOM na\u{ef}ve".as_bytes()), "OOM na\u{ef}ve");
        assert_eq!(
            words(b"ERR \x1b[2J\0 a\r\nb\x7f\xff"),
            "ERR \\u{1b}[2J\\u{0} a\\r\\nb\\u{7f}\u{fffd}"
        );
        assert_eq!(words("a\u{202e}b\u{2028}".as_bytes()), "a\\u{202e}b\\u{2028}");
        for silent in [&b""[..], b" ", b"\r\n"] {
            assert_eq!(words(silent), "an error without words");
        }
        let most = "x".repeat(MAX_WORDS);
        assert_eq!(words(most.as_bytes()), most);
        assert_eq!(words("x".repeat(60_000).as_bytes()), most + "\u{2026}");
        for long in ["\u{20ac}", "\0", "a\u{1f600}"] {
            let told = words(long.repeat(9_000).as_bytes());
            assert!(told.len() <= MAX_WORDS + 3 && told.ends_with('\u{2026}'), "{told}");
            assert!(!told.contains('\u{fffd}'), "{told}");
        }
    }
}
