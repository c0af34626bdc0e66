//! Lua without what only people read.

/// The lines of a script without comments, without the space around them, and without those that are
/// empty then. A refusal names the line: where text goes on over several lines, a line is not enough to
/// know what belongs to it.
pub(crate) fn minified(script: &str) -> Result<String, String> {
    let mut text = String::new();
    for (line, number) in script.lines().zip(1..) {
        let code = code(line).map_err(|problem| format!("{number}: {problem}"))?;
        if !code.is_empty() {
            text.push_str(code);
            text.push('\n');
        }
    }
    Ok(text)
}

/// What is executed of a line.
fn code(line: &str) -> Result<&str, &'static str> {
    let bytes = line.as_bytes();
    let (mut at, mut quote) = (0, None);
    while at < bytes.len() {
        match (quote, &bytes[at..]) {
            (Some(_), [b'\\', ..]) => at += 1,
            (Some(open), [byte, ..]) if *byte == open => quote = None,
            (Some(_), _) => {}
            (None, [b'-', b'-', b'[', ..]) => return Err("a comment that begins with a bracket"),
            (None, [b'-', b'-', ..]) => break,
            (None, [b'[', b'[' | b'=', ..]) => return Err("a long bracket"),
            (None, [byte, ..]) => quote = Some(*byte).filter(|byte| matches!(byte, b'\'' | b'"')),
            (None, []) => {}
        }
        at += 1;
    }
    if quote.is_some() {
        return Err("a string that does not end");
    }
    Ok(line[..at].trim_ascii())
}
