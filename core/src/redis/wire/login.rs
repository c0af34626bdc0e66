//! What a connection says before its first command.

use alloc::vec::Vec;
use core::fmt;

use super::super::Argv;

/// Who connects, and to which database.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; `None` is the server's default user.
    pub username: Option<Vec<u8>>,
    /// The password; `None` says none, and then no user either.
    pub password: Option<Vec<u8>>,
    /// The database. 0 is where every connection begins.
    pub database: u32,
    /// What `CLIENT LIST` shows.
    pub name: Option<Vec<u8>>,
    /// Whether RESP3 is spoken. RESP2, which every server speaks, is all that comity needs.
    pub resp3: bool,
}

impl Login {
    /// The commands, in their order; none where there is nothing to say. Each must be answered, and none
    /// with an error.
    pub(super) fn commands(&self) -> Vec<Argv> {
        let mut commands = Vec::new();
        if self.resp3 {
            let mut hello: Argv = [&b"HELLO"[..], b"3"].into_iter().collect();
            if let Some(password) = &self.password {
                hello.push(b"AUTH");
                hello.push(self.username.as_deref().unwrap_or(b"default"));
                hello.push(password);
            }
            commands.push(hello);
        } else if let Some(password) = &self.password {
            let mut auth: Argv = [b"AUTH"].into_iter().collect();
            if let Some(username) = &self.username {
                auth.push(username);
            }
            auth.push(password);
            commands.push(auth);
        }
        if let Some(name) = &self.name {
            commands.push([b"CLIENT", &b"SETNAME"[..], name].into_iter().collect());
        }
        if self.database != 0 {
            let mut select: Argv = [b"SELECT"].into_iter().collect();
            select.push_number(self.database.into());
            commands.push(select);
        }
        commands
    }
}

/// What is asked where there is nothing to say: whoever is there, it must answer before a command leaves.
pub(super) fn question() -> Argv {
    [b"PING"].into_iter().collect()
}

/// Whether the answer to that turns the connection away: the server closes it behind these words. What
/// any other error says (there is no permission to ask, data are being loaded) the first command hears too.
pub(super) fn turns_away(text: &[u8]) -> bool {
    text.starts_with(b"ERR max number of clients") || text.starts_with(b"DENIED")
}

/// The shortest password that is hidden in a refusal. A shorter one stands in other words as well, which
/// would show it by what is missing.
const HIDDEN: usize = 4;

/// A refusal without the words of the command that it repeats, and without the password wherever else it
/// stands: a server that does not know `HELLO` tells all that came with it, others say so in their own
/// words. A code word before all others stays, for it says what kind of refusal it is.
pub(super) fn without_password(refusal: &[u8], password: Option<&[u8]>) -> Vec<u8> {
    const REPEATED: &[u8] = b", with args beginning with";
    let at = refusal.windows(REPEATED.len()).position(|words| words == REPEATED);
    let refusal = at.map_or(refusal, |at| &refusal[..at]);
    let Some(password) = password.filter(|password| password.len() >= HIDDEN) else {
        return refusal.to_vec();
    };
    let code = refusal.iter().position(|byte| !byte.is_ascii_uppercase());
    let code = code.filter(|at| refusal[*at] == b' ').unwrap_or(0);
    let (code, mut rest) = refusal.split_at(code);
    let mut told = code.to_vec();
    while let Some((byte, behind)) = rest.split_first() {
        rest = if let Some(behind) = behind_password(rest, password) {
            told.extend(b"***");
            behind
        } else {
            told.push(*byte);
            behind
        };
    }
    told
}

/// What is behind the password, if the text begins with it: as it is, or with bytes written as in URLs.
fn behind_password<'a>(text: &'a [u8], password: &[u8]) -> Option<&'a [u8]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let read = |text: &'a [u8], byte: &u8| match text {
        [b'%', high, low, behind @ ..] if digit(high)? * 16 + digit(low)? == u32::from(*byte) => {
            Some(behind)
        }
        _ => text.strip_prefix(&[*byte]),
    };
    text.strip_prefix(password).or_else(|| password.iter().try_fold(text, read))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map(|bytes| alloc::format!("{}", bytes.escape_ascii()))
        };
        f.debug_struct("Login")
            .field("username", &text(&self.username))
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("database", &self.database)
            .field("name", &text(&self.name))
            .field("resp3", &self.resp3)
            .finish()
    }
}
