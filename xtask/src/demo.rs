//! `cargo xtask demo`: the first look at comity, on the embedded store or on a real Redis.

use crate::python::{self, System, Venv};
use crate::redis::Server;
use crate::run::{Failure, Session};
use crate::setup::{self, Need};

/// Where the demo keeps its locks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// In the process; no server.
    Embedded,
    /// On two servers that are started for the demo.
    OwnServers,
    /// On running servers.
    Servers(Vec<String>),
}

const SCHEMES: [&str; 3] = ["redis://", "rediss://", "unix://"];

impl Store {
    /// Reads the words after `demo`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            [] => Ok(Self::Embedded),
            ["--redis"] => Ok(Self::OwnServers),
            ["--redis", urls @ ..] => {
                let is_url = |word: &&&str| SCHEMES.iter().any(|scheme| word.starts_with(scheme));
                match urls.iter().find(|word| !is_url(word)) {
                    Some(word) => Err(format!(
                        "`{word}` is no URL of a Redis server (redis://host:port, rediss://... or unix://...)"
                    )),
                    None => Ok(Self::Servers(urls.iter().map(ToString::to_string).collect())),
                }
            }
            [other, ..] => Err(format!("demo takes nothing or --redis [URL...], not `{other}`")),
        }
    }
}

/// Builds and installs the wheel, and runs the demo with it.
pub(crate) fn run(session: &mut Session, store: &Store) -> Result<(), Failure> {
    // Asked for first: who lacks a server shall hear so before a build, not after it.
    if *store == Store::OwnServers {
        setup::ensure(session, &[Need::RedisServer])?;
    }
    let (system, requirements) = match store {
        Store::Embedded => (System::HandsOff, vec![python::BUILD]),
        Store::OwnServers => (System::MayInstall, vec![python::BUILD, python::CLIENT]),
        Store::Servers(_) => (System::HandsOff, vec![python::BUILD, python::CLIENT]),
    };
    let venv = Venv::ready(session, system, &requirements)?;
    python::install_fresh_wheel(session, &venv)?;
    session.stage("demo", |session| {
        let step = venv
            .step(session, "python")
            .arg(format!("{}/examples/demo.py", python::PACKAGE))
            .env("PYTHONUNBUFFERED", "1");
        match store {
            Store::Embedded => step.run(),
            Store::Servers(urls) => step.arg("--redis").args(urls).run(),
            Store::OwnServers => {
                // Dropped at the end of this arm, whatever became of the demo.
                let servers = [Server::start(session)?, Server::start(session)?];
                step.arg("--redis").args(servers.each_ref().map(Server::url)).run()
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_read() {
        assert_eq!(Store::parse(&[]), Ok(Store::Embedded));
        assert_eq!(Store::parse(&["--redis"]), Ok(Store::OwnServers));
        let urls = ["redis://127.0.0.1:7001", "unix:///run/redis.sock"];
        let words = ["--redis", urls[0], urls[1]];
        assert_eq!(Store::parse(&words), Ok(Store::Servers(urls.map(String::from).to_vec())));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for words in [&["--redis", "localhost"][..], &["--redis", "--redis"], &["redis://a"]] {
            assert!(Store::parse(words).is_err(), "{words:?}");
        }
    }
}
