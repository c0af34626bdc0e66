//! `cargo xtask playground`: the page on which the ring and the lock can be tried, served on this
//! machine until Ctrl-C.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::js;
use crate::run::{Failure, Session};

/// The longest that a browser may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a line and lines of a request.
const LONGEST: (u64, usize) = (8192, 100);

/// Builds the package and serves the page on `port` of the loopback address; 0 is any free one.
pub(crate) fn run(session: &mut Session, port: u16) -> Result<(), Failure> {
    js::build(session)?;
    let site = Site::of(session.root());
    let failed = |error: std::io::Error| Failure::new(format!("cannot serve port {port}: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    println!("\nthe playground is at http://{address}/ until Ctrl-C");
    serve(&listener, &site);
    Ok(())
}

/// The port that the words after `playground` name.
pub(crate) fn port(words: &[&str]) -> Result<u16, String> {
    match words {
        [] => Ok(0),
        ["--port", number] => {
            number.parse().map_err(|_| format!("--port takes 0 to 65535, not `{number}`"))
        }
        _ => Err(format!("playground takes `--port N` or nothing, not `{}`", words.join(" "))),
    }
}

/// The folders that are served: the page, and under `/comity/` the package it imports.
struct Site {
    page: PathBuf,
    package: PathBuf,
}

impl Site {
    fn of(root: &Path) -> Self {
        let folder = root.join(js::PACKAGE);
        Self { page: folder.join("playground"), package: folder.join("dist/esm") }
    }

    /// The file behind the path of a request; none where it names no file in one of the folders.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let path = path.split(['?', '#']).next()?.strip_prefix('/')?;
        let (folder, rest) = match path.strip_prefix("comity/") {
            Some(rest) => (&self.package, rest),
            None => (&self.page, path),
        };
        let rest = if rest.is_empty() { "index.html" } else { rest };
        // No name of these folders has anything else, and no name leads out of them.
        let plain = |part: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
        };
        rest.split('/').all(plain).then(|| folder.join(rest)).filter(|file| file.is_file())
    }
}

fn serve(listener: &TcpListener, site: &Site) {
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            // A browser that hangs up in the middle has no need of an answer.
            scope.spawn(move || answer(stream, site).ok());
        }
    });
}

/// Answers one request and hangs up.
fn answer(mut stream: TcpStream, site: &Site) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = head(&stream)?;
    let found = match request.split(' ').collect::<Vec<_>>()[..] {
        ["GET", path, _] => site.file(path),
        _ => None,
    };
    let body = found.as_ref().map(fs::read).transpose()?;
    let (status, kind, body) = match (&found, body) {
        (Some(file), Some(body)) => ("200 OK", kind(file), body),
        _ => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// The first line of a request, after all its lines are read.
fn head(stream: &TcpStream) -> std::io::Result<String> {
    let mut first = String::new();
    let mut reader = BufReader::new(stream);
    for number in 0..LONGEST.1 {
        let mut line = String::new();
        std::io::Read::take(&mut reader, LONGEST.0).read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            text if number == 0 => text.clone_into(&mut first),
            _ => {}
        }
    }
    Ok(first)
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|name| name.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn site() -> Site {
        Site::of(Session::new().root())
    }

    #[test]
    fn only_files_of_the_folders_are_served() {
        let site = site();
        assert!(site.file("/").is_some_and(|file| file.ends_with("playground/index.html")));
        assert!(site.file("/style.css?x#y").is_some());
        for path in
            ["", "style.css", "/../Cargo.toml", "/..", "//etc/passwd", "/comity/../x", "/.x"]
        {
            assert_eq!(site.file(path), None, "{path}");
        }
    }

    #[test]
    fn a_browser_gets_the_page() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        // It serves until the tests end.
        thread::spawn(move || serve(&listener, &site()));
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers and hangs up");
            answer
        };
        let page = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<h1>comity"), "{page}");
        for request in ["GET /no HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "\r\n"] {
            assert!(ask(request).starts_with("HTTP/1.1 404 "), "{request}");
        }
    }

    #[test]
    fn the_port_is_read() {
        assert_eq!(port(&[]), Ok(0));
        assert_eq!(port(&["--port", "8080"]), Ok(8080));
        for words in [&["--port"][..], &["--port", "99999"], &["8080"]] {
            assert!(port(words).is_err());
        }
    }
}
