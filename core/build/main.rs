//! Makes the Lua scripts as servers are sent them: see [`SCRIPTS`] and `src/redis/script.rs`.
#![allow(clippy::print_stdout, reason = "it is how a build script talks to cargo")]

mod minify;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use hmac_sha1_compact::Hash as Sha1;

/// Each script, called as in `Script`, and the files of `src` of which it is put together.
const SCRIPTS: [(&str, &[&str]); 12] = [
    (
        "Queue",
        &["stamp/check", "lock/server/uncontended", "lock/server/hand_off", "lock/server/queue"],
    ),
    ("Guard", &["stamp/check", "lock/fence_guard/guard"]),
    ("Counter", &["stamp/check", "counter/server/counter"]),
    (
        "OnePhase",
        &[
            "transaction/server/lua/replies",
            "transaction/server/lua/direct",
            "transaction/server/lua/run",
            "transaction/server/lua/register",
            "transaction/server/lua/work",
            "transaction/server/lua/shadows",
            "transaction/server/lua/forbidden",
            "transaction/server/lua/apply",
            "transaction/server/lua/one_phase",
        ],
    ),
    (
        "Prepare",
        &[
            "transaction/server/lua/prepare_short",
            "transaction/server/lua/replies",
            "transaction/server/lua/run",
            "transaction/server/lua/register",
            "transaction/server/lua/work",
            "transaction/server/lua/shadows",
            "transaction/server/lua/forbidden",
            "transaction/server/lua/prepare",
        ],
    ),
    (
        "Finish",
        &[
            "transaction/server/lua/finish_short",
            "stamp/member",
            "transaction/server/lua/register",
            "transaction/server/lua/answers",
            "transaction/server/lua/locks",
            "transaction/server/lua/forbidden",
            "transaction/server/lua/apply",
            "transaction/server/lua/finish",
        ],
    ),
    (
        "Status",
        &[
            "stamp/member",
            "transaction/server/lua/register",
            "transaction/server/lua/answers",
            "transaction/server/lua/status",
        ],
    ),
    (
        "Vote",
        &[
            "stamp/member",
            "transaction/server/lua/register",
            "transaction/server/lua/answers",
            "transaction/server/lua/vote",
        ],
    ),
    (
        "Sweep",
        &[
            "stamp/member",
            "transaction/server/lua/register",
            "transaction/server/lua/locks",
            "transaction/server/lua/sweep",
        ],
    ),
    (
        "Confirm",
        &["stamp/member", "transaction/server/lua/register", "transaction/server/lua/confirm"],
    ),
    ("Check", &["redis/check"]),
    ("Stamp", &["stamp/stamp"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    let mut texts = BTreeMap::new();
    for part in SCRIPTS.iter().flat_map(|(_, parts)| *parts) {
        texts.insert(*part, minified(part)?);
    }
    let (mut constants, mut lists, mut digests) = (String::new(), String::new(), String::new());
    for (part, text) in &texts {
        writeln!(constants, "const {}: &str = {text:?};", constant(part))?;
    }
    for (script, parts) in SCRIPTS {
        let names: Vec<String> = parts.iter().map(|part| constant(part)).collect();
        writeln!(lists, "Self::{script} => &[{}],", names.join(", "))?;
        let text: String = parts.iter().map(|part| texts[part].as_str()).collect();
        let digest = Sha1::hash(text.as_bytes()).map(|byte| format!("{byte:02x}")).concat();
        writeln!(digests, "Self::{script} => {digest:?},")?;
    }
    let rust = format!(
        "{constants}
impl Script {{
/// The parts of its text.
const fn parts(self) -> &'static [&'static str] {{ match self {{
{lists}}} }}

/// The SHA-1 of its text in hexadecimal digits, by which a server knows it.
#[must_use]
pub const fn digest(self) -> &'static str {{ match self {{
{digests}}} }}
}}
"
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("scripts.rs"), rust)?;
    Ok(())
}

/// What the constant of a part is called.
fn constant(part: &str) -> String {
    part.replace('/', "_").to_uppercase()
}

fn minified(part: &str) -> Result<String, String> {
    let path = format!("src/{part}.lua");
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    minify::minified(&text).map_err(|error| format!("{path}:{error}"))
}
