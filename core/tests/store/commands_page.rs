//! The table in `docs/embedded-store.md` is the one of the code.

use comity::keyspace::command::{Access, COMMANDS, Command, Fails, KeyWords};

const PAGE: &str = include_str!("../../../docs/embedded-store.md");

fn row(command: &Command) -> String {
    let words = match command.arity {
        words @ 0.. => words.to_string(),
        words => format!("{} or more", -words),
    };
    let keys = match command.keys {
        KeyWords::First => "first",
        KeyWords::Two => "first two",
        KeyWords::All => "all",
    };
    let access = match command.access {
        Access::Read => "reads",
        Access::Write => "writes",
    };
    let fails = match command.fails {
        Fails::Never => "no".into(),
        Fails::OnValue => "yes".into(),
        Fails::WithOption(option) => format!("with `{option}`"),
    };
    format!("| `{}` | {words} | {keys} | {access} | {fails} |", command.name)
}

#[test]
fn the_page_lists_the_commands_as_they_are() {
    let listed: Vec<&str> = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| command |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let rows: Vec<String> = COMMANDS.iter().map(row).collect();
    assert!(listed == rows, "docs/embedded-store.md should have\n{}", rows.join("\n"));
}

#[test]
fn each_command_is_there_once_and_is_found_in_any_case() {
    for command in COMMANDS {
        let lower = command.name.to_lowercase();
        let found = Command::find(lower.as_bytes()).map(|found| std::ptr::eq(found, command));
        assert_eq!(found, Some(true), "{lower}");
    }
}
