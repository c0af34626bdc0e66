//! The scripts as they are shipped: without what only people read, and known by their digests.

use crate::minify::minified;
use crate::support::redis_server::RedisServer;
use crate::support::resp::bytes;
use comity::redis::Script;

#[test]
fn a_digest_is_what_a_server_makes_of_the_text() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    for script in Script::ALL {
        let loaded = redis.command(["SCRIPT", "LOAD", &script.text()]);
        assert_eq!(bytes(&loaded), script.digest().as_bytes(), "{script:?}");
    }
}

#[test]
fn only_comments_and_the_space_around_a_line_go() {
    let script = "-- Why.\n\nlocal a = 'b  c' -- what\n\tif a then\n  a = 1 - -2\r\n\tend--\n --";
    assert_eq!(minified(script), Ok("local a = 'b  c'\nif a then\na = 1 - -2\nend\n".into()));
    for line in [
        r"a = '-- no comment'",
        r#"a = "--[[ none either" .. '[['"#,
        r"a = 'it\'s -- one' .. '\\'",
        r#"a = '"' .. "'" .. 'é'"#,
        "a = b[c[1]] - -d",
    ] {
        assert_eq!(minified(&format!("  {line}  -- 'it' is")), Ok(format!("{line}\n")));
    }
}

#[test]
fn what_goes_on_over_several_lines_is_refused() {
    for (line, problem) in [
        ("--[[ a", "a comment that begins with a bracket"),
        ("a = 1 --[==[", "a comment that begins with a bracket"),
        ("a = [[b", "a long bracket"),
        ("a = [==[b", "a long bracket"),
        ("a = 'b", "a string that does not end"),
        ("a = 'b\\", "a string that does not end"),
        ("a = '\\'", "a string that does not end"),
        ("a = \"b'", "a string that does not end"),
    ] {
        assert_eq!(minified(&format!("-- One.\n{line}\n")), Err(format!("2: {problem}")), "{line}");
    }
}
