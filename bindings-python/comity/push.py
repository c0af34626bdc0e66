"""The push connection of one node: grants arrive here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ._core import refuse, refuse_late
from .bell import Bell
from .clock import now_us
from .wire import NotConnected, Refused, Wire, WireBroken
from .workers import Worker, log

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Command
    from .operation import Operation
    from .sending import Connector
    from .session import Session


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
        self._ready = False
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
        self._refuse(self._inbox.copy())

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
        wire = self._wire
        try:
            if self._inbox:
                self._subscribe()
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

    def _subscribe(self) -> None:
        session, inbox = self._session, self._inbox
        wire = self._wire
        if wire is None:
            with session.mutex:
                deadline = refuse_late(inbox, session.core, now_us())
                due = inbox.copy()
                session.drain()
            if not due:
                return
            try:
                wire = self._wire = self._connector.connect(deadline, messages=True)
            except NotConnected as failed:
                session.unreachable(self._node, failed)
                self._refuse(due)
                return
            except Refused as refused:
                session.refused(self._node, refused.text)
                self._refuse(due)
                return
            wire.listen_to(self._bell.fileno())
            self._ready = False
        with session.mutex:
            if wire.take(inbox, session.core):
                session.drain()
        wire.write_out(wire.deadline, session.mutex)

    def _refuse(self, due: list[Command]) -> None:
        session = self._session
        with session.mutex:
            refuse(self._inbox, due, session.core, now_us())
            session.drain()

    def _listen(self, wire: Wire) -> None:
        """Hands in what has arrived, or waits until there is something."""
        if self._hear(wire):
            return
        wire.wait(wire.deadline - now_us())
        if not self._hear(wire) and now_us() >= wire.deadline:
            wire.check()
            wire.write_out(wire.deadline, self._session.mutex)

    def _hear(self, wire: Wire) -> bool:
        """Gives the core the messages that have arrived; whether there were any."""
        session = self._session
        with session.mutex:
            asked = wire.outstanding
            heard = wire.hear(session.core, self._node)
            if heard:
                session.drain()
        if asked and not wire.outstanding:
            if not wire.connection.subscribed:
                raise WireBroken("the server refused the subscription")
            self._ready = True
        return heard

    def _lose(self, wire: Wire | None, why: str) -> None:
        if wire is not None:
            wire.close()
        if wire is not self._wire:
            return  # given up before
        self._wire = None
        ready, self._ready = self._ready, False
        if self.stopped or wire is None:
            return
        session = self._session
        with session.mutex:
            wire.end(session.core)
            session.drain()
        if ready:
            name = session.servers.name(self._node)
            log.debug("the push connection to the server %s is lost: %s", name, why)
            session.node(self._node, "push_lost")
