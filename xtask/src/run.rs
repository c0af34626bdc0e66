//! Running commands: each is shown before it runs and timed, and the stages they form end in a
//! table.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Exit code: a command failed.
pub(crate) const FAILED: u8 = 1;
/// Exit code: the words after `cargo xtask` make no sense.
pub(crate) const WRONG_USAGE: u8 = 2;
/// Exit code: the machine lacks something that a person has to install.
pub(crate) const NEEDS_A_PERSON: u8 = 3;

/// Why the task ends here.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For the person at the terminal.
    pub(crate) message: String,
    /// The exit code of `cargo xtask`.
    pub(crate) code: u8,
}

impl Failure {
    /// Something that was tried did not work.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: FAILED }
    }

    /// Something has to be installed by hand; `message` says what and how.
    pub(crate) fn needs_a_person(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: NEEDS_A_PERSON }
    }
}

enum Outcome {
    Done(Duration),
    Failed(Duration),
    Skipped(String),
}

/// One run of `cargo xtask`: where the repository is, the `PATH` its commands see, and the stages
/// so far.
pub(crate) struct Session {
    root: PathBuf,
    path: OsString,
    started: Instant,
    stages: Vec<(String, Outcome)>,
}

impl Session {
    pub(crate) fn new() -> Self {
        // Cargo names the package's folder when it runs the program; the folder of the build is
        // for a program that is started by hand.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().map_or_else(|| package.clone(), Path::to_path_buf);
        let path = env::var_os("PATH").unwrap_or_default();
        Self { root, path, started: Instant::now(), stages: Vec::new() }
    }

    /// The repository's root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for build products.
    pub(crate) fn target(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        self.root.join(target)
    }

    /// Makes the programs in `folder` come first for every later command.
    pub(crate) fn put_first_on_path(&mut self, folder: &Path) {
        let folders = env::split_paths(&self.path);
        let joined = env::join_paths(std::iter::once(folder.to_path_buf()).chain(folders));
        // A folder whose name holds the separator cannot be on a PATH; then nothing changes.
        if let Ok(joined) = joined {
            self.path = joined;
        }
    }

    /// Where `program` lies on the `PATH` of the commands.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        env::split_paths(&self.path)
            .map(|folder| self.root.join(folder).join(program))
            .find(|file| file.is_file())
    }

    /// A command to be run in the repository's root, without standard input.
    pub(crate) fn step(&self, program: impl AsRef<OsStr>) -> Step {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", &self.path).stdin(Stdio::null());
        let words = vec![program.to_owned()];
        Step { command, root: self.root.clone(), variables: Vec::new(), words, place: None }
    }

    /// Runs `work` as a stage: its name is printed before, its time after.
    pub(crate) fn stage<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        println!("\n== {name}");
        let started = Instant::now();
        let result = work(self);
        let time = started.elapsed();
        let (word, outcome) = match result {
            Ok(_) => ("done", Outcome::Done(time)),
            Err(_) => ("FAILED", Outcome::Failed(time)),
        };
        println!("== {name}: {word} in {}", seconds(time));
        self.stages.push((name.into(), outcome));
        result
    }

    /// Notes a stage that cannot run on this machine.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("\n== {name}: skipped, {reason}");
        self.stages.push((name.into(), Outcome::Skipped(reason.into())));
    }

    /// Prints the stages and their times.
    pub(crate) fn print_table(&self) {
        if !self.stages.is_empty() {
            println!("\n{}", table(&self.stages, self.started.elapsed()));
        }
    }
}

fn table(stages: &[(String, Outcome)], total: Duration) -> String {
    let width = stages.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(5);
    let mut lines = vec![format!("{:width$}  {:>9}", "stage", "time")];
    for (name, outcome) in stages {
        lines.push(match outcome {
            Outcome::Done(time) => format!("{name:width$}  {:>9}", seconds(*time)),
            Outcome::Failed(time) => format!("{name:width$}  {:>9}  FAILED", seconds(*time)),
            Outcome::Skipped(reason) => format!("{name:width$}  {:>9}  skipped, {reason}", "-"),
        });
    }
    lines.push(format!("{:width$}  {:>9}", "total", seconds(total)));
    lines.join("\n")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// One command, and how it is shown.
pub(crate) struct Step {
    command: Command,
    root: PathBuf,
    variables: Vec<String>,
    words: Vec<OsString>,
    place: Option<String>,
}

impl Step {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg.as_ref());
        self.words.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of the command's environment; it is shown as a shell would take it.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.variables.push(format!("{name}={}", quoted(value)));
        self
    }

    /// Keeps a variable of this process from the command.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs the command in a folder of the repository instead of its root.
    pub(crate) fn within(mut self, folder: &str) -> Self {
        self.command.current_dir(self.root.join(folder));
        self.place = Some(folder.into());
        self
    }

    /// Runs the command; its output is the terminal's. An exit code other than 0 is a failure.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let started = Instant::now();
        let status = self.command.status();
        println!("  [{}]", seconds(started.elapsed()));
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(format!("this failed ({status}): {shown}"))),
            Err(error) => Err(Failure::new(format!("this cannot be run ({error}): {shown}"))),
        }
    }

    /// As `run`, but for the command's output, which is returned.
    pub(crate) fn read(mut self) -> Result<String, Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let started = Instant::now();
        let output = self.command.stdout(Stdio::piped()).spawn().and_then(Child::wait_with_output);
        println!("  [{}]", seconds(started.elapsed()));
        match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => Err(Failure::new(format!("this failed ({}): {shown}", output.status))),
            Err(error) => Err(Failure::new(format!("this cannot be run ({error}): {shown}"))),
        }
    }

    /// Runs the command unseen and returns what it printed, or nothing if it failed or is not
    /// there: for asking questions about the machine.
    pub(crate) fn ask(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The command as it could be pasted into a shell in the repository's root.
    fn shown(&self) -> String {
        // Paths in the repository are shorter from its root, but only there are they right.
        let short = |word: &OsString| {
            let path = Path::new(word);
            let rest = path.strip_prefix(&self.root).ok();
            let rest = rest.filter(|rest| self.place.is_none() && !rest.as_os_str().is_empty());
            quoted(&rest.unwrap_or(path).to_string_lossy())
        };
        let words: Vec<String> =
            self.variables.iter().cloned().chain(self.words.iter().map(short)).collect();
        match &self.place {
            None => words.join(" "),
            Some(folder) => format!("(cd {} && {})", quoted(folder), words.join(" ")),
        }
    }
}

/// `word` as a shell would take it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shown_as_a_shell_takes_them() {
        assert_eq!(quoted("--target=wasm32"), "--target=wasm32");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("redis>=6.4"), "'redis>=6.4'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn commands_are_shown_so_that_they_can_be_pasted() {
        let session = Session::new();
        let tool = session.root().join("bin/tool");
        let here = session.step(&tool).args(["--x", "a b"]).env("K", "v w");
        assert_eq!(here.shown(), "K='v w' bin/tool --x 'a b'");
        let there = session.step(&tool).within("folder");
        assert_eq!(there.shown(), format!("(cd folder && {})", quoted(&tool.to_string_lossy())));
    }

    #[test]
    fn the_table_has_a_line_for_each_stage() {
        let stages = [
            ("core: tests".to_owned(), Outcome::Done(Duration::from_millis(1250))),
            ("js".to_owned(), Outcome::Skipped("no target".to_owned())),
            ("c".to_owned(), Outcome::Failed(Duration::from_secs(100))),
        ];
        let expected = "\
stage             time
core: tests      1.2 s
js                   -  skipped, no target
c              100.0 s  FAILED
total          101.5 s";
        assert_eq!(table(&stages, Duration::from_millis(101_500)), expected);
    }

    #[test]
    fn stages_pass_their_result_on() {
        let mut session = Session::new();
        assert_eq!(session.stage("good", |_| Ok(7)).expect("the stage returned Ok"), 7);
        let bad = session.stage("bad", |session| session.step("false").run());
        assert_eq!(bad.expect_err("`false` fails").code, FAILED);
        assert!(matches!(session.stages[1].1, Outcome::Failed(_)));
    }

    #[test]
    fn a_missing_program_is_a_failure_and_no_answer() {
        let session = Session::new();
        assert!(session.step("no-such-program-here").run().is_err());
        assert_eq!(session.step("no-such-program-here").ask(), None);
        assert_eq!(session.find("no-such-program-here"), None);
    }
}
