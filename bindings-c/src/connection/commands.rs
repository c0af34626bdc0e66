//! Commands on their way to connections.

use comity::error::{Error, ErrorCode, Result};
use comity::redis::{Argv, Command, Failure, NodeId, Origin, RequestId, Route};
use comity::time::Time;

use super::comity_connection;
use crate::command::{COMITY_COMMAND_MAX_WORDS, comity_command, route};
use crate::coordinator::{at, comity_coordinator};
use crate::handle::{Lent, lend, with_mut};
use crate::pointer::{many, null, words};

/// Queues a command behind those there are; its words are copied. comity_connection_take does the same with
/// all that are ready.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, no words, or a command for another node or
/// route; or COMITY_ERROR_LIMIT_EXCEEDED for more than COMITY_COMMAND_MAX_WORDS; or
/// COMITY_ERROR_INVALID_STATE for a connection that has ended. Then it is not queued: report it with
/// comity_handle_failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_send(
    connection: *mut comity_connection,
    command: *const comity_command,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(connection, |connection| {
            let command = read(command)?;
            connection.check_open()?;
            check(connection, command.node, command.route)?;
            connection.core.send(&command);
            Ok(())
        })
    }
}

unsafe fn read(command: *const comity_command) -> Result<Command> {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        let command = command.as_ref().ok_or_else(|| null("command"))?;
        let mut argv = Argv::new();
        let (argc, limit) = (command.argc, COMITY_COMMAND_MAX_WORDS);
        words(argc, command.argv, command.argvlen, limit, |word| argv.push(word))?;
        Ok(Command {
            request: RequestId(command.request),
            node: NodeId(command.node),
            route: route(command.route)?,
            origin: Origin::Background,
            // Behind the last moment is never.
            deadline: Time::from_micros(command.deadline_us.min(i64::MAX.unsigned_abs())),
            argv,
        })
    }
}

fn check(connection: &comity_connection, node: NodeId, route: Route) -> Result<()> {
    if connection.core.node() != node {
        let (theirs, ours) = (node.0, connection.core.node().0);
        let message = format!("the command is for node {theirs}, the connection for node {ours}");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    if connection.core.route() != route {
        let message = "the command is for another route than the connection";
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    Ok(())
}

/// Queues all commands that are ready for a node, each on the connection for its route. connections are
/// count of them, all to the node and each for a route of its own. What is for a route without a connection
/// was not sent, and so was what is late by now_us: the coordinator is told. Call it after verbs and
/// whenever something has happened; then write what each connection has. Writes to *taken how many commands
/// that were, sent or not, unless it is NULL: what has failed may have led to more for other nodes.
///
/// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or connections of which none, two for one
/// route or some to other nodes are there; or COMITY_ERROR_INVALID_STATE if one of them has ended. Then
/// nothing is queued.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_connection_take(
    coordinator: *mut comity_coordinator,
    connections: *const *mut comity_connection,
    count: usize,
    now_us: u64,
    taken: *mut usize,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with_mut(coordinator, |co| {
            let now = at(now_us)?;
            let (node, mut by_route) = lend_all(many(connections, count, "connections")?)?;
            let mut all = 0;
            while let Some(command) = co.core.poll_command_for(node) {
                all += 1;
                match by_route[place_of(command.route)].as_mut() {
                    Some(connection) if command.deadline > now => connection.core.send(&command),
                    _ => co.core.handle_failure(command.request, Failure::NotSent, now),
                }
            }
            if !taken.is_null() {
                taken.write(all);
            }
            Ok(())
        })
    }
}

type ByRoute<'a> = [Option<Lent<'a, comity_connection>>; 3];

/// The connections by route, and the node they are all for.
///
/// # Safety
///
/// Each of them keeps the rules of the header.
unsafe fn lend_all<'a>(connections: &[*mut comity_connection]) -> Result<(NodeId, ByRoute<'a>)> {
    let wrong = |message: &str| Error::new(ErrorCode::InvalidArgument, message.to_owned());
    let mut by_route: ByRoute<'a> = [const { None }; 3];
    let mut node = None;
    for (at, &handle) in connections.iter().enumerate() {
        // The same one twice may not even be looked at.
        if connections[..at].contains(&handle) {
            return Err(wrong("connections: the same one is there twice"));
        }
        // SAFETY: the caller vouches for each of them, and each is lent once.
        let connection = unsafe { lend(handle) }?;
        connection.check_open()?;
        if *node.get_or_insert(connection.core.node()) != connection.core.node() {
            return Err(wrong("connections: they are for more than one node"));
        }
        let place = &mut by_route[place_of(connection.core.route())];
        if place.is_some() {
            return Err(wrong("connections: two of them are for the same route"));
        }
        *place = Some(connection);
    }
    let node = node.ok_or_else(|| wrong("connections: at least one is needed"))?;
    Ok((node, by_route))
}

const fn place_of(route: Route) -> usize {
    match route {
        Route::Subscribe => 1,
        Route::Blocking => 2,
        _ => 0,
    }
}
