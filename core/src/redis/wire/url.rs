//! Where a server is, and how to be let in there, in one line: `redis://user:password@host:6379/2`.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::login::Login;
use crate::redis::parse_number;

/// The port of a URL that names none.
pub const PORT: u16 = 6379;

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP: `redis://`.
    Tcp {
        /// A name or an address, one of IPv6 without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// TLS over TCP: `rediss://`.
    Tls {
        /// A name or an address, which the certificate is for.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket of this machine: `unix://`.
    Unix {
        /// Its file's path.
        path: Vec<u8>,
    },
}

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What to connect to.
    pub address: Address,
    /// What to say there first.
    pub login: Login,
}

/// What is wrong with a URL. Its words have nothing of the URL: there may be a password anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with a scheme that is known.
    Scheme,
    /// A user has no password.
    Password,
    /// The host is none.
    Host,
    /// The port is none.
    Port,
    /// The database is none.
    Database,
    /// The path and the option name different databases.
    Databases,
    /// The path of a socket is missing.
    Path,
    /// The path of a socket has a zero byte, at which a system would end it.
    ZeroByte,
    /// There is a `%` that no two hexadecimal digits follow.
    Escape,
    /// A name behind the `?` is unknown, or is there twice.
    Option,
    /// The protocol is neither 2 nor 3.
    Protocol,
    /// There is a `#`.
    Fragment,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "a URL begins with redis://, rediss://, valkey://, valkeys:// or unix://"
            }
            Self::Password => {
                "the user of the URL has no password: user:password@, or user:@ for an empty one"
            }
            Self::Host => {
                "the host of the URL is none (a / ? # @ or : in a password is written as %2F %3F %23 %40 %3A)"
            }
            Self::Port => "the port of the URL is not a number from 1 to 65535",
            Self::Database => "the database of the URL is not a number from 0 to 4294967295",
            Self::Databases => "the path of the URL names one database, its option db another",
            Self::Path => "the URL names no socket: unix:///path/to/socket?db=0",
            Self::ZeroByte => "the path of the URL has a zero byte (%00)",
            Self::Escape => "a % in the URL is not followed by two hexadecimal digits",
            Self::Option => "behind the ? of the URL come db, client_name and protocol, each once",
            Self::Protocol => "the protocol of the URL is neither 2 nor 3",
            Self::Fragment => "there is a # in the URL (in a password it is written as %23)",
        })
    }
}

impl core::error::Error for UrlError {}

impl Endpoint {
    /// Reads a URL:
    ///
    /// - `redis://[[user]:password@][host][:port][/database]`, with `rediss://` for TLS, and
    ///   `valkey://` and `valkeys://` for the same;
    /// - `unix://[[user]:password@]/path`.
    ///
    /// Behind a `?` may come `db`, `client_name` and `protocol` (2 or 3). The host is `localhost` unless
    /// one is named, the port [`PORT`], the database 0. Any byte may be written as `%` and two
    /// hexadecimal digits; in users and passwords `/ ? # @ : %` have to. A user has a password, which may be
    /// empty (`user:@`); an empty one without a user is none. An address of IPv6 may have a zone
    /// (`[fe80::1%25eth0]`).
    ///
    /// # Errors
    /// What is wrong, by its place in the URL.
    ///
    /// ```
    /// use comity::redis::wire::{Address, Endpoint};
    ///
    /// let endpoint = Endpoint::parse("redis://:secret@[::1]:7000/2")?;
    /// assert_eq!(endpoint.address, Address::Tcp { host: "::1".into(), port: 7000 });
    /// assert_eq!(endpoint.login.database, 2);
    /// # Ok::<(), comity::redis::wire::UrlError>(())
    /// ```
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = cut(url.as_bytes(), b':').ok_or(UrlError::Scheme)?;
        let rest = rest.strip_prefix(b"//").ok_or(UrlError::Scheme)?;
        let kind = match scheme.to_ascii_lowercase().as_slice() {
            b"redis" | b"valkey" => Kind::Tcp,
            b"rediss" | b"valkeys" => Kind::Tls,
            b"unix" | b"redis+unix" | b"valkey+unix" => Kind::Unix,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains(&b'#') {
            return Err(UrlError::Fragment);
        }
        let (rest, query) = cut(rest, b'?').unwrap_or((rest, b""));
        let path = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path);
        let mut login = Login::default();
        let mut place = authority;
        if let Some(at) = authority.iter().rposition(|byte| *byte == b'@') {
            let user = &authority[..at];
            place = &authority[at + 1..];
            if !user.is_empty() {
                let (name, password) = cut(user, b':').ok_or(UrlError::Password)?;
                login.username = Some(decode(name)?).filter(|name| !name.is_empty());
                let named = login.username.is_some();
                login.password = Some(decode(password)?).filter(|it| named || !it.is_empty());
            }
        }
        let mut named = None;
        let address = match kind {
            Kind::Unix if !place.is_empty() => return Err(UrlError::Host),
            Kind::Unix if path.len() < 2 => return Err(UrlError::Path),
            Kind::Unix => {
                let path = decode(path)?;
                if path.contains(&0) {
                    return Err(UrlError::ZeroByte);
                }
                Address::Unix { path }
            }
            Kind::Tcp | Kind::Tls => {
                let (host, port) = host_and_port(place)?;
                if path.len() > 1 {
                    named = Some(database(&path[1..])?);
                }
                match kind {
                    Kind::Tls => Address::Tls { host, port },
                    _ => Address::Tcp { host, port },
                }
            }
        };
        options(query, named, &mut login)?;
        Ok(Self { address, login })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Tls,
    Unix,
}

/// What is before and behind the first `byte`. By bytes: what searches in a `str` is large in a
/// WebAssembly module.
fn cut(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|each| *each == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

fn host_and_port(place: &[u8]) -> Result<(String, u16), UrlError> {
    let (host, port) = match place.strip_prefix(b"[") {
        Some(rest) => {
            let (host, rest) = cut(rest, b']').ok_or(UrlError::Host)?;
            let host = decode(host)?;
            let (address, zone) = cut(&host, b'%').unwrap_or((&host, b"0"));
            // Whether it is an address is for who connects to say; a name it is not.
            let sound = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            let colons = address.iter().filter(|byte| **byte == b':').count();
            if colons < 2 || !address.iter().all(sound) || zone.is_empty() {
                return Err(UrlError::Host);
            }
            name(zone)?;
            let port = rest.strip_prefix(b":").or_else(|| rest.is_empty().then_some(b""));
            (String::from_utf8(host).map_err(|_| UrlError::Host)?, port.ok_or(UrlError::Host)?)
        }
        None => {
            let (host, port) = cut(place, b':').unwrap_or((place, b""));
            (name(&decode(host)?)?.to_owned(), port)
        }
    };
    let port = match port {
        b"" => PORT,
        port => parse_number(port)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or(UrlError::Port)?,
    };
    Ok((if host.is_empty() { "localhost".to_owned() } else { host }, port))
}

/// A name, of a host or a zone. What else may be in one is for who resolves it to say.
fn name(text: &[u8]) -> Result<&str, UrlError> {
    let sound = |char: char| {
        char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_' | '~') || char > '\u{a0}'
    };
    let text = core::str::from_utf8(text).map_err(|_| UrlError::Host)?;
    if text.chars().all(sound) { Ok(text) } else { Err(UrlError::Host) }
}

fn options(query: &[u8], mut named: Option<u32>, login: &mut Login) -> Result<(), UrlError> {
    let mut seen = Vec::new();
    for option in query.split(|byte| *byte == b'&').filter(|option| !option.is_empty()) {
        let (name, value) = cut(option, b'=').ok_or(UrlError::Option)?;
        if seen.contains(&name) {
            return Err(UrlError::Option);
        }
        seen.push(name);
        let value = decode(value)?;
        match name {
            b"db" => {
                let database = database(&value)?;
                if named.is_some_and(|named| named != database) {
                    return Err(UrlError::Databases);
                }
                named = Some(database);
            }
            b"client_name" => login.name = Some(value),
            b"protocol" => {
                login.resp3 = match value.as_slice() {
                    b"2" => false,
                    b"3" => true,
                    _ => return Err(UrlError::Protocol),
                };
            }
            _ => return Err(UrlError::Option),
        }
    }
    login.database = named.unwrap_or(0);
    Ok(())
}

fn database(text: &[u8]) -> Result<u32, UrlError> {
    parse_number(text).and_then(|number| u32::try_from(number).ok()).ok_or(UrlError::Database)
}

fn decode(text: &[u8]) -> Result<Vec<u8>, UrlError> {
    let mut bytes = text.iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                let value = high.zip(low).map(|(high, low)| 16 * high + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or(UrlError::Escape)?
            }
            byte => *byte,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    fn parsed(url: &str) -> Endpoint {
        Endpoint::parse(url).unwrap_or_else(|wrong| panic!("{url}: {wrong}"))
    }

    #[test]
    fn each_part_is_read() {
        assert_eq!(parsed("redis://").address, tcp("localhost", 6379));
        assert_eq!(parsed("REDIS://example.org").address, tcp("example.org", 6379));
        assert_eq!(parsed("valkey://10.0.0.1:7/").address, tcp("10.0.0.1", 7));
        assert_eq!(parsed("redis://[fe80::1]:65535/3").address, tcp("fe80::1", 65535));
        assert_eq!(parsed("redis://[::1]").address, tcp("::1", 6379));
        assert_eq!(parsed("redis://[::ffff:10.0.0.1]").address, tcp("::ffff:10.0.0.1", 6379));
        assert_eq!(parsed("redis://[fe80::1%25eth0]:7").address, tcp("fe80::1%eth0", 7));
        assert_eq!(parsed("redis://[fe80::1%25br-1%2e5]").address, tcp("fe80::1%br-1.5", 6379));
        assert_eq!(parsed("redis://h/3?db=3").login.database, 3);
        let tls = Address::Tls { host: "h".into(), port: 1 };
        assert_eq!(parsed("rediss://h:1").address, tls);
        let unix = parsed("unix://u:p@/run/a%20b.sock?db=4");
        assert_eq!(unix.address, Address::Unix { path: b"/run/a b.sock".to_vec() });
        assert_eq!(unix.login.database, 4);

        let all = parsed("redis://us%3Aer:p%40ss%ff@h:9/8?client_name=me&protocol=3").login;
        assert_eq!(all.username.as_deref(), Some(&b"us:er"[..]));
        assert_eq!(all.password.as_deref(), Some(&b"p@ss\xff"[..]));
        assert_eq!((all.database, all.name.as_deref(), all.resp3), (8, Some(&b"me"[..]), true));
        let unnamed = parsed("redis://:a:b@h").login;
        assert_eq!((unnamed.username, unnamed.password), (None, Some(b"a:b".to_vec())));
        let empty = parsed("redis://:@h").login;
        assert_eq!((empty.username, empty.password), (None, None));
        assert_eq!(parsed("redis://@h").login, Login::default());
        let named = parsed("redis://user:@h").login;
        assert_eq!((named.username, named.password), (Some(b"user".to_vec()), Some(Vec::new())));
    }

    #[test]
    fn each_malformed_part_is_named_and_no_password_is_told() {
        for (url, wrong) in [
            ("localhost:6379", UrlError::Scheme),
            ("http://secret@h", UrlError::Scheme),
            ("redis://user:se/cret@h", UrlError::Port),
            ("redis://:se?cret@h", UrlError::Port),
            ("redis://:secret#@h", UrlError::Fragment),
            ("redis://:secret@h:x", UrlError::Port),
            ("redis://:secret@h:0", UrlError::Port),
            ("redis://:secret@h:65536", UrlError::Port),
            ("redis://secret@h", UrlError::Password),
            ("unix://secret@/path", UrlError::Password),
            ("redis://:secret@[::1", UrlError::Host),
            ("redis://:secret@[]", UrlError::Host),
            ("redis://:secret@[1:2]", UrlError::Host),
            ("redis://:secret@[fe80::1%25]", UrlError::Host),
            ("redis://:secret@[fe80::1%25a%2fb]", UrlError::Host),
            ("redis://:secret@[fe80::1%25a%2525]", UrlError::Host),
            ("redis://:secret@[fe80::1%eth0]", UrlError::Escape),
            ("redis://:secret@[h]", UrlError::Host),
            ("redis://:secret@[::1]7", UrlError::Host),
            ("redis://:secret@a b", UrlError::Host),
            ("redis://:secret@h/x", UrlError::Database),
            ("redis://:secret@h/-1", UrlError::Database),
            ("redis://:secret@h/4294967296", UrlError::Database),
            ("redis://:secret@h/1?db=2", UrlError::Databases),
            ("redis://:secret@h/0?db=2", UrlError::Databases),
            ("redis://:secret%4@h", UrlError::Escape),
            ("redis://:secret%zz@h", UrlError::Escape),
            ("redis://:secret%\u{e9}@h", UrlError::Escape),
            ("redis://h?timeout=1", UrlError::Option),
            ("redis://h?db", UrlError::Option),
            ("redis://h?db=1&db=2", UrlError::Option),
            ("redis://h?protocol=4", UrlError::Protocol),
            ("unix://h/path", UrlError::Host),
            ("unix://:secret@", UrlError::Path),
            ("unix:///", UrlError::Path),
            ("unix://:secret@/a%00b", UrlError::ZeroByte),
        ] {
            assert_eq!(Endpoint::parse(url), Err(wrong), "{url}");
            assert!(!format!("{wrong} {wrong:?}").contains("secret"));
        }
        let shown = format!("{:?}", parsed("redis://user:secret@h"));
        assert!(shown.contains("user") && !shown.contains("secret"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(redis|rediss|unix)://[ -~é%@:/?#\\[\\]]{0,30}") {
            let _ = Endpoint::parse(&text);
        }
    }
}
