"""The push connection of one node: grants arrive here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..push import PING, QUIET_US
from ..wire import NotConnected, Refused
from ..workers import log

if TYPE_CHECKING:
    from .._core import Command
    from ..session import Session
    from .lane import Connector
    from .wire import Wire


class PushReader:
    """Subscribes when the core says so, and hands messages in. `others` sends what a message made
    ready for any node.
    """

    def __init__(
        self,
        session: Session,
        node: int,
        inbox: list[Command],
        connector: Connector,
        *,
        loop: asyncio.AbstractEventLoop,
        others: Callable[[], object],
    ) -> None:
        self._session = session
        self._node = node
        self._inbox = inbox
        self._connector = connector
        self._loop = loop
        self._others = others
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._command: Command | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ready = False
        self._pinged = False
        self._stopped = False

    idle = True
    """A subscription waits for nothing."""

    def flush(self) -> None:
        """Subscribes; where there is no connection, makes one first."""
        if self._stopped or self._session.foreign or self._connecting is not None:
            return
        with self._session.mutex:
            command = self._inbox.pop(0) if self._inbox else None
        if command is None:
            return
        if self._wire is None:
            self._connecting = self._loop.create_task(self._connect(command))
        else:
            self._subscribe(self._wire, command)

    def stop(self) -> None:
        """Closes the connection."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        self._stopped = True
        if self._wire is not None:
            self._wire.forget()

    # See `Owner`

    def heard(self, wire: Wire, replies: list[Any]) -> None:
        """Messages, and answers to subscriptions and pings."""
        self._pinged = False
        for reply in replies:
            self._hear(wire, reply)
        self._others()

    def ended(self, wire: Wire, why: str) -> None:
        """The connection is gone: waiters have to ask from now on."""
        if self._session.foreign or self._wire is not wire:
            return
        wire.close()
        self._wire = None
        command, self._command = self._command, None
        ready, self._ready = self._ready, False
        self._pinged = False
        if self._timer is not None:
            self._timer.cancel()
        if command is not None:
            self._session.failures([command], "outcome_unknown")
        if ready:
            log.debug("push connection to node %d lost: %s", self._node, why)
            self._session.node(self._node, "push_lost")

    # How

    async def _connect(self, command: Command) -> None:
        session = self._session
        try:
            wire = await self._connector.connect(command.deadline)
        except NotConnected:
            self._connecting = None
            session.failures([command], "not_sent")
        except Refused as refused:
            self._connecting = None
            session.replies([(command.request, self._connector.refusal(refused.text))])
        else:
            self._connecting = None
            if self._stopped:
                wire.close()
                return
            self._wire = wire
            self._ready = False
            wire.belongs_to(self)
            self._subscribe(wire, command)
        self.flush()

    def _subscribe(self, wire: Wire, command: Command) -> None:
        self._command = command
        wire.send(command.packed)
        self._arm(wire)

    def _hear(self, wire: Wire, reply: Any) -> None:
        session = self._session
        if isinstance(reply, list):
            kind = reply[0] if reply else None
            if kind == b"message":
                session.message(self._node, reply[1], reply[2])
            elif kind == b"subscribe":
                self._command = None
                self._ready = True
                session.node(self._node, "push_ready")
                self._arm(wire)
        elif self._command is not None and not isinstance(reply, str):
            command, self._command = self._command, None
            session.replies([(command.request, reply)])
            self.ended(wire, "the server refused the subscription")

    def _until(self, wire: Wire) -> int:
        until = wire.last + QUIET_US * (2 if self._pinged else 1)
        return until if self._command is None else min(until, self._command.deadline)

    def _arm(self, wire: Wire) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = max(0, self._until(wire) - self._session.now()) / 1e6
        self._timer = self._loop.call_later(left, self._look)

    def _look(self) -> None:
        """Gives up a subscription that is not confirmed, and asks a silent server for life."""
        wire = self._wire
        if wire is None or self._stopped or self._session.foreign:
            return
        now = self._session.now()
        if self._command is not None and now >= self._command.deadline:
            self.ended(wire, "the subscription was not confirmed in time")
            return
        if now >= self._until(wire):
            if self._pinged:
                self.ended(wire, "silent")
                return
            self._pinged = True
            wire.send(PING)
        self._arm(wire)
