//! The project's task runner: `cargo xtask COMMAND`.
//!
//! It uses the standard library only, so that it is compiled in a few seconds on a fresh machine.
//! Each file holds one idea: what is needed and how to get it ([`setup`], [`python`]), how a
//! command is run and timed ([`run`]), and one file for each thing a person can ask for.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to a person at a terminal"
)]

mod apt;
mod archive;
mod bench;
mod c;
mod codegen;
mod demo;
mod dist;
mod js;
mod library;
mod mutants;
mod node;
mod package;
mod playground;
mod python;
mod redis;
mod run;
mod setup;
mod soak;
mod test;
mod wheels;

use std::process::ExitCode;

use run::{Failure, Session};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo                   build the Python wheel, install it into .venv and run the demo on the
                         embedded store; needs no server and touches no system package
  demo --redis [URL...]  the same demo on a real Redis: on the servers named, or on one that is
                         started for it on a free loopback port and stopped afterwards
  test [PART...]         check and test: core, c, js, python, or all (the default)
  dist [WHAT...]         build into dist/: python (the wheel for this machine and the source
                         distribution), wheels (for each kind of Linux), js (the npm package), c (the library with its headers; default: all);
                         --target TRIPLE, with c alone, builds for another machine or for musl
  bench [WHAT...]        measure: ring, locks, counter, lock, count, transaction, js, c
                         (default: all)
  soak [RUN...]          the fault runs at full length, minutes to hours: seeds, models, storm, bank,
                         interrupted, history (default: all)
  codegen                write anew what the languages have of the core's tables, and the header of C
  mutants                the tests in which something has a mistake that must be found, alone
  playground [--port N]  serve the page on which the ring and the lock can be tried
  help                   print this text

exit codes: 0 done, 1 something failed, 2 wrong usage, 3 this machine lacks something that
cannot be installed without a person's help (what to do is printed)";

/// What a person asked for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Demo(demo::Store),
    Test(Vec<test::Part>),
    Dist(dist::Order),
    Bench(Vec<bench::Subject>),
    Soak(Vec<soak::Run>),
    Codegen,
    Mutants,
    Playground { port: u16 },
}

impl Task {
    /// Reads the words after `cargo xtask`; an error is one line that says what is wrong.
    fn parse(words: &[&str]) -> Result<Self, String> {
        let Some((command, rest)) = words.split_first() else {
            return Err("a command is missing".into());
        };
        // In all of them: whoever asks `cargo xtask test --help` wants this text.
        if rest.iter().any(|word| matches!(*word, "-h" | "--help")) {
            return Ok(Self::Help);
        }
        match *command {
            "help" | "-h" | "--help" => Ok(Self::Help),
            "demo" => demo::Store::parse(rest).map(Self::Demo),
            "test" => choose(rest, &test::Part::ALL).map(Self::Test),
            "dist" => dist::Order::parse(rest).map(Self::Dist),
            "bench" => choose(rest, &bench::Subject::ALL).map(Self::Bench),
            "soak" => choose(rest, &soak::Run::ALL).map(Self::Soak),
            "codegen" => match rest {
                [] => Ok(Self::Codegen),
                [word, ..] => Err(format!("`codegen` takes no `{word}`")),
            },
            "mutants" if rest.is_empty() => Ok(Self::Mutants),
            "mutants" => Err("`mutants` takes no words".into()),
            "playground" => playground::port(rest).map(|port| Self::Playground { port }),
            other => Err(format!("there is no command `{other}`")),
        }
    }

    fn carry_out(&self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Help => Ok(()),
            Self::Demo(store) => demo::run(session, store),
            Self::Test(parts) => test::run(session, parts),
            Self::Dist(order) => dist::run(session, order),
            Self::Bench(subjects) => bench::run(session, subjects),
            Self::Soak(runs) => soak::run(session, runs),
            Self::Codegen => codegen::run(session),
            Self::Mutants => mutants::run(session),
            Self::Playground { port } => playground::run(session, *port),
        }
    }
}

/// The named entries of `table`, each once and in the table's order; no name, or `all`, means
/// every entry.
fn choose<T: Copy>(names: &[&str], table: &[(&str, T)]) -> Result<Vec<T>, String> {
    let known = |name: &&&str| **name == "all" || table.iter().any(|(entry, _)| entry == *name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let entries: Vec<&str> = table.iter().map(|(entry, _)| *entry).collect();
        return Err(format!("`{unknown}` is none of {}, all", entries.join(", ")));
    }
    let all = names.is_empty() || names.contains(&"all");
    Ok(table.iter().filter(|(entry, _)| all || names.contains(entry)).map(|(_, t)| *t).collect())
}

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let task = match Task::parse(&words) {
        Ok(Task::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(task) => task,
        Err(wrong) => {
            eprintln!("cargo xtask: {wrong}\n\n{USAGE}");
            return ExitCode::from(run::WRONG_USAGE);
        }
    };
    let mut session = Session::new();
    let result = task.carry_out(&mut session);
    // The table comes last, so that the end of the output shows where the time went, or which
    // stage failed.
    if let Err(failure) = &result {
        eprintln!("\ncargo xtask: {}", failure.message);
    }
    session.print_table();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Subject;
    use crate::demo::Store;
    use crate::dist::{Order, Product};
    use crate::test::Part;

    #[test]
    fn commands_are_read() {
        assert_eq!(Task::parse(&["mutants"]), Ok(Task::Mutants));
        assert!(Task::parse(&["mutants", "all"]).is_err());
        assert_eq!(Task::parse(&["help"]), Ok(Task::Help));
        assert_eq!(Task::parse(&["test", "--help"]), Ok(Task::Help));
        assert_eq!(Task::parse(&["demo"]), Ok(Task::Demo(Store::Embedded)));
        let here = |products| Ok(Task::Dist(Order { products, target: None }));
        assert_eq!(
            Task::parse(&["dist"]),
            here(vec![Product::Python, Product::Wheels, Product::Js, Product::C])
        );
        assert_eq!(Task::parse(&["dist", "js"]), here(vec![Product::Js]));
        let musl = Order { products: vec![Product::C], target: Some("a-b-musl".into()) };
        assert_eq!(Task::parse(&["dist", "--target", "a-b-musl", "c"]), Ok(Task::Dist(musl)));
        assert_eq!(Task::parse(&["codegen"]), Ok(Task::Codegen));
        assert_eq!(Task::parse(&["bench", "lock"]), Ok(Task::Bench(vec![Subject::Lock])));
    }

    #[test]
    fn parts_come_once_and_in_the_tables_order() {
        let every = vec![Part::Core, Part::C, Part::Js, Part::Python];
        assert_eq!(Task::parse(&["test"]), Ok(Task::Test(every.clone())));
        assert_eq!(Task::parse(&["test", "js", "all"]), Ok(Task::Test(every)));
        let two = vec![Part::Core, Part::Python];
        assert_eq!(Task::parse(&["test", "python", "core", "python"]), Ok(Task::Test(two)));
    }

    #[test]
    fn wrong_words_are_named() {
        for (words, named) in [
            (&[][..], "missing"),
            (&["tset"], "`tset`"),
            (&["test", "core", "rust"], "`rust` is none of core, c, js, python, all"),
            (&["test", "--quick"], "`--quick`"),
            (&["dist", "npm"], "`npm`"),
            (&["dist", "c", "--target"], "--target"),
            (&["dist", "--target", "x", "js"], "only `dist c`"),
            (&["bench", "--fast"], "`--fast`"),
            (&["codegen", "python"], "`python`"),
            (&["soak", "storms"], "`storms` is none of seeds, models, storm, bank"),
            (&["demo", "now"], "`now`"),
        ] {
            let wrong = Task::parse(words).expect_err("these words are wrong");
            assert!(wrong.contains(named), "{words:?}: {wrong}");
        }
    }
}
