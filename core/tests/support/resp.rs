//! A RESP2 client, as small as the tests need it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use comity::redis::{Argv, Reply};

pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Sends one command and reads its reply.
    pub(crate) fn call(&mut self, argv: &Argv) -> Reply {
        self.send(&argv.to_resp());
        self.read()
    }

    /// Sends one command and reads its reply.
    pub(crate) fn command<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) -> Reply {
        self.call(&words.into_iter().collect())
    }

    /// Sends all commands in one write and reads their replies.
    pub(crate) fn pipeline(&mut self, commands: &[Argv]) -> Vec<Reply> {
        self.send(&commands.iter().flat_map(Argv::to_resp).collect::<Vec<u8>>());
        commands.iter().map(|_| self.read()).collect()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the test's own server takes commands");
    }

    /// The next reply or message.
    pub(crate) fn read(&mut self) -> Reply {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).expect("the test's own server answers");
        let end = line.len().checked_sub(2).expect("a line of RESP ends with CR LF");
        let (kind, rest) = (line[0], &line[1..end]);
        let number = || -> i64 {
            std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok()).expect("a number")
        };
        match kind {
            b'+' => Reply::Simple(rest.to_vec()),
            b'-' => Reply::Error(rest.to_vec()),
            b':' => Reply::Integer(number()),
            b'$' if number() < 0 => Reply::Nil,
            b'$' => {
                let mut bytes = vec![0; usize::try_from(number()).expect("a length") + 2];
                self.reader.read_exact(&mut bytes).expect("the announced bytes");
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            b'*' if number() < 0 => Reply::Nil,
            b'*' => Reply::Array((0..number()).map(|_| self.read()).collect()),
            _ => panic!("not RESP2: {}", line.escape_ascii()),
        }
    }
}

/// The bytes of a bulk string; empty for anything else.
pub(crate) fn bytes(reply: &Reply) -> &[u8] {
    match reply {
        Reply::Bulk(bytes) | Reply::Simple(bytes) => bytes,
        _ => b"",
    }
}

/// The items of an array; none of anything else.
pub(crate) fn items(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(items) => items,
        _ => &[],
    }
}
