//! The example with real servers, which it starts.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, process};

use comity_tokio_example::Locks;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

/// A server, and a folder with its files; both are gone when it is dropped.
struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}

impl Server {
    /// With a password, and with TLS where `tls` says so.
    async fn start(name: &str, tls: bool) -> Self {
        let folder = env::temp_dir().join(format!("comity-tokio-{}-{name}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--requirepass", "p@ss", "--dir"]);
        command.arg(&folder);
        if tls {
            certificates(&folder);
            command.args([
                "--port",
                "0",
                "--tls-port",
                &port.to_string(),
                "--tls-auth-clients",
                "no",
            ]);
            for (option, file) in [
                ("--tls-cert-file", "cert"),
                ("--tls-key-file", "key"),
                ("--tls-ca-cert-file", "ca"),
            ] {
                command.arg(option).arg(folder.join(file));
            }
        } else {
            command.args(["--port", &port.to_string()]);
        }
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server");
        let server = Self { child, folder, port };
        let there = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, there).await.expect("a server that listens");
        server
    }
}

/// An authority, and a certificate for `localhost` that it has signed.
fn certificates(folder: &Path) {
    let openssl = |words: &str| {
        let mut command = Command::new("openssl");
        command.args(words.split(' ')).current_dir(folder);
        let done = command.stderr(Stdio::null()).status().expect("openssl");
        assert!(done.success(), "openssl {words}");
    };
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").expect("a file");
    let made = "req -x509 -newkey rsa:2048 -nodes -days 1";
    openssl(&format!("{made} -subj /CN=authority -keyout authority -out ca"));
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out request");
    openssl(
        "x509 -req -in request -CA ca -CAkey authority -CAcreateserial -days 1 -extfile names -out cert",
    );
}

/// What ten tasks get of one lock.
async fn fences(url: &str, authorities: &[u8]) -> Result<Vec<u64>, String> {
    let locks = Locks::connect(url, authorities).map_err(|error| error.to_string())?;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let locks = locks.clone();
            tokio::spawn(async move {
                let held = locks.acquire("invoice:42").await?;
                let fence = held.fence;
                held.release().await.map(|()| fence)
            })
        })
        .collect();
    let mut fences = Vec::new();
    for task in tasks {
        fences.push(task.await.map_err(|error| error.to_string())??);
    }
    fences.sort_unstable();
    fences.dedup();
    Ok(fences)
}

#[tokio::test]
async fn tasks_have_a_lock_one_after_the_other() {
    let server = Server::start("plain", false).await;
    let url = format!("redis://:p%40ss@127.0.0.1:{}/2", server.port);
    let fences = timeout(LONG, fences(&url, b"")).await.expect("in time");
    assert_eq!(fences.expect("granted").len(), 10);
}

#[tokio::test]
async fn a_lock_that_is_dropped_is_given_back() {
    let server = Server::start("dropped", false).await;
    let url = format!("redis://:p%40ss@127.0.0.1:{}", server.port);
    let locks = Locks::connect(&url, b"").expect("a URL");
    for _ in 0..3 {
        drop(timeout(LONG, locks.acquire("x")).await.expect("in time").expect("granted"));
    }
}

#[tokio::test]
async fn tls_is_spoken_where_the_certificate_is_trusted() {
    let server = Server::start("tls", true).await;
    let authority = fs::read(server.folder.join("ca")).expect("a certificate");
    let url = format!("rediss://:p%40ss@localhost:{}", server.port);
    let granted = timeout(LONG, fences(&url, &authority)).await.expect("in time");
    assert_eq!(granted.expect("granted").len(), 10);
    let untrusted =
        timeout(LONG, fences(&url, b"")).await.expect("in time").expect_err("untrusted");
    assert!(untrusted.contains("certificate"), "{untrusted}");
}

#[tokio::test]
async fn who_is_refused_is_told_in_the_servers_words() {
    let server = Server::start("refused", false).await;
    let url = format!("redis://:wrong@127.0.0.1:{}", server.port);
    let refused = timeout(LONG, fences(&url, b"")).await.expect("in time").expect_err("refused");
    assert!(refused.contains("WRONGPASS") && !refused.contains(":wrong@"), "{refused}");
}
