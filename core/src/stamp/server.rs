//! The server side over [`Keyspace`]: `stamp.lua`, `check.lua` and `member.lua` again.

use alloc::string::ToString;

use super::{Answer, FIELD, MEMBERS, Op, Stamp};
use crate::keyspace::{Keyspace, Result};

/// Executes `op` at the server whose hash is at `meta`.
///
/// # Errors
/// The key holds another type; nothing is changed.
pub fn execute(space: &mut Keyspace, meta: &[u8], op: &Op) -> Result<Answer> {
    let answer = found(space, meta)?;
    let Op::Claim { stamp, members, replaced } = op else { return Ok(answer) };
    if !answer.stamp.is_empty() && !replaced.contains(&answer.stamp) {
        return Ok(answer);
    }
    let answer = Answer { stamp: stamp.to_string().into_bytes(), members: members.clone() };
    space.with_hash(meta, |hash| {
        hash.insert(FIELD.to_vec(), answer.stamp.clone());
        hash.insert(MEMBERS.to_vec(), answer.members.clone());
    })?;
    Ok(answer)
}

/// The server's stamp if it is not the client's.
pub(crate) fn check(space: &Keyspace, meta: &[u8], stamp: &[u8]) -> Result<Option<Answer>> {
    Ok(Some(found(space, meta)?).filter(|found| found.stamp != stamp))
}

/// The server's stamp if it is another member than the client means, of whatever ring.
pub(crate) fn check_member(space: &Keyspace, meta: &[u8], member: &[u8]) -> Result<Option<Answer>> {
    let other = |found: &Answer| {
        found.stamp.len() == Stamp::LENGTH && Stamp::of_member(&found.stamp) != member
    };
    Ok(Some(found(space, meta)?).filter(other))
}

fn found(space: &Keyspace, meta: &[u8]) -> Result<Answer> {
    let hash = space.hash(meta)?;
    let field = |name: &[u8]| hash.and_then(|hash| hash.get(name)).cloned().unwrap_or_default();
    Ok(Answer { stamp: field(FIELD), members: field(MEMBERS) })
}
