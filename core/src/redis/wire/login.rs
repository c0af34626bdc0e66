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
    /// The commands, in their order. Each must be answered, and none with an error.
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

/// A refusal without the words of the command that it repeats: a server that does not know `HELLO` tells
/// all that came with it, the password as well.
pub(super) fn without_words(refusal: &[u8]) -> &[u8] {
    const REPEATED: &[u8] = b", with args beginning with";
    let at = refusal.windows(REPEATED.len()).position(|words| words == REPEATED);
    at.map_or(refusal, |at| &refusal[..at])
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
