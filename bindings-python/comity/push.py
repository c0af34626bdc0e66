"""The push connection of one node: grants arrive here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from .bell import Bell
from .clock import now_us
from .outbox import take_all
from .wire import NotConnected, Refused, Wire, WireBroken
from .workers import Worker, log

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Command
    from .operation import Operation
    from .sending import Connector
    from .session import Session

PING: Final = b"*1\r\n$4\r\nPING\r\n"
"""Asks a silent server whether the connection still lives."""
QUIET_US: Final = 10_000_000
"""How long a push connection may be silent before it is asked whether it still lives."""


class PushReader(Worker):
    """One node's push connection: subscribes when the core says so, and hands messages in."""

    def __init__(
        self, session: Session, node: int, inbox: list[Command], connector: Connector
    ) -> None:
        super().__init__(session, f"comity-push-{node}")
        self._session = session
        self._node = node
        self._inbox = inbox
        self._connector = connector
        self._bell = Bell()
        self._wire: Wire | None = None
        self._command: Command | None = None
        self._ready = False
        self._pinged = False
        self._watchers: list[Operation] = []
        self._leader: Operation | None = None
        self._back = threading.Event()
        """Set when no waiter listens any more and the thread has to."""
        self.wake = self._bell.ring  # type: ignore[method-assign]

    def stop(self) -> None:
        """Has the thread end, and its connection with it."""
        super().stop()
        self._back.set()
        wire = self._wire
        if wire is not None:
            wire.close()

    def refuse(self) -> None:
        """There is no thread to listen: waiters have to ask."""
        with self._session.mutex:
            late = take_all(self._inbox)
        self._session.failures(late, "not_sent")

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        if self._wire is not None:
            self._wire.forget()
            self._wire = None
        self._bell.close()

    def free(self) -> None:
        """Closes the bell, and the connection if it was made meanwhile."""
        self._bell.close()
        if self._wire is not None:
            self._wire.close()

    def turn(self) -> None:
        """Subscribes, sleeps, or hands in what arrived."""
        self._bell.clear()
        with self._session.mutex:
            command = self._inbox.pop(0) if self._inbox else None
        wire = self._wire
        try:
            if command is not None:
                self._subscribe(command)
            elif wire is None:
                # Behind the clearing, which may have taken the ring of `stop` too.
                if not self.stopped:
                    self._bell.wait()
            elif self._ready and self._appoint():
                self._back.wait()
            else:
                self._listen(wire)
        except WireBroken as broken:
            self._lose(wire, str(broken))

    def relieve(self) -> None:
        """See `Worker`."""
        self._back.set()
        super().relieve()

    # Leader and followers: of those who wait for a grant one listens, for all, so that no thread
    # has to be woken for its own grant. The reader's thread listens while nobody waits.

    def enter(self, operation: Operation) -> None:
        """See `Watch`. The reader's thread finds the waiter at its next turn."""
        self._watchers.append(operation)
        if self._leader is None:
            self.wake()

    def serve(self, operation: Operation, needed: Callable[[], bool]) -> None:
        """See `Watch`."""
        if self._leader is operation:
            wire = self._wire
            try:
                self._lead(operation, wire, needed)
            except WireBroken as broken:
                self._lose(wire, str(broken))
        self.leave(operation)

    def leave(self, operation: Operation) -> None:
        """See `Watch`. Whoever stops listening hands over."""
        with self._session.mutex:
            if operation in self._watchers:
                self._watchers.remove(operation)
            if self._leader is operation:
                self._leader = None
                if self._wire is None or not self._choose():
                    self._back.set()

    def _appoint(self) -> bool:
        """Whether a waiter listens from now on, in place of the calling thread."""
        with self._session.mutex:
            self._back.clear()
            return not self.stopped and (self._leader is not None or self._choose())

    def _choose(self) -> bool:
        """Makes the first waiter that is still parked the leader."""
        for operation in [*self._watchers]:
            if operation.gate is not None and not operation.done:
                self._leader = operation
                operation.signal()
                return True
        return False

    def _lead(self, operation: Operation, wire: Wire | None, needed: Callable[[], bool]) -> None:
        """Listens until `operation` is done or its lane needs the thread."""
        called: list[bool] = []

        def call() -> None:
            called.append(True)
            self._bell.ring()

        while wire is not None and wire is self._wire and not self.stopped:
            self._bell.clear()
            try:
                with self._session.mutex:
                    operation.gate = call
                    if operation.done or self._inbox or self._leader is not operation:
                        return
                    if needed():
                        return  # what came to pass while there was no gate
                self._listen(wire)
            finally:
                operation.gate = None
            if called:
                return

    def _subscribe(self, command: Command) -> None:
        session = self._session
        if self._wire is None:
            try:
                self._wire = self._connector.connect(command.deadline)
            except NotConnected as failed:
                session.unreachable(self._node, failed)
                session.failures([command], "not_sent")
                return
            except Refused as refused:
                session.refused(self._node, refused.text)
                session.failures([command], "not_sent")
                return
            self._wire.listen_to(self._bell.fileno())
            self._ready = False
        self._command = command
        self._wire.send(command.packed, command.deadline, session.mutex)

    def _listen(self, wire: Wire) -> None:
        """Hands in what has arrived, or waits until there is something."""
        command = self._command
        until = wire.last + QUIET_US * (2 if self._pinged else 1)
        if command is not None:
            until = min(until, command.deadline)
        replies = self._hear_all(wire)
        if not replies:
            wire.wait(until - now_us())
            replies = self._hear_all(wire)
        now = now_us()
        if replies:
            self._pinged = False
            for reply in replies:
                self._hear(reply)
        elif command is not None and now >= command.deadline:
            raise WireBroken("the subscription was not confirmed in time")
        elif now >= until:
            if self._pinged:
                raise WireBroken("silent")
            self._pinged = True
            wire.send(PING, now + QUIET_US, self._session.mutex)

    def _hear_all(self, wire: Wire) -> list[Any]:
        """Gives the core the messages that have arrived; the rest is for `_hear`."""
        with self._session.mutex:
            replies = wire.listen(self._session.core, self._node)
            if replies:
                self._session.drain()
        return replies

    def _hear(self, reply: Any) -> None:
        session = self._session
        if isinstance(reply, list):
            if reply and reply[0] == b"subscribe":
                self._command = None
                self._ready = True
                session.node(self._node, "push_ready")
        elif self._command is not None and not isinstance(reply, str):
            command, self._command = self._command, None
            session.replies([(command.request, reply)])
            raise WireBroken("the server refused the subscription")

    def _lose(self, wire: Wire | None, why: str) -> None:
        if wire is not None:
            wire.close()
        if wire is not self._wire:
            return  # given up before
        self._wire = None
        command, self._command = self._command, None
        ready, self._ready = self._ready, False
        self._pinged = False
        if self.stopped:
            return
        if command is not None:
            self._session.failures([command], "outcome_unknown")
        if ready:
            name = self._session.servers.name(self._node)
            log.debug("the push connection to the server %s is lost: %s", name, why)
            self._session.node(self._node, "push_lost")
