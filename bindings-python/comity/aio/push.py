"""The push connection of one node: grants arrive here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..push import PING, QUIET_US
from ..workers import log
from .link import Link
from .wakeup import after_reading

if TYPE_CHECKING:
    from .._core import Command
    from .wire import Wire


class PushReader(Link):
    """Subscribes when the core says so, and hands messages in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._command: Command | None = None
        self._ready = False
        self._pinged = False

    idle = True

    def flush(self) -> None:
        """Subscribes; where there is no connection, makes one first."""
        if self._stopped or self._session.foreign or self._connecting is not None:
            return
        with self._session.mutex:
            command = self._outbox.pop(0) if self._outbox else None
        if command is None:
            return
        self._command = command
        if self._wire is None:
            self._connect(command.deadline)
        else:
            self._subscribe(self._wire, command)

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
            name = self._session.servers.name(self._node)
            log.debug("the push connection to the server %s is lost: %s", name, why)
            self._session.node(self._node, "push_lost")

    # How

    def _waiting(self) -> Sequence[Command]:
        command, self._command = self._command, None
        return [command] if command is not None else []

    def _connected(self, wire: Wire) -> None:
        self._ready = False
        if self._command is not None:
            self._subscribe(wire, self._command)

    def _subscribe(self, wire: Wire, command: Command) -> None:
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
        self._timer = self._loop.call_later(left, after_reading, self._loop, self._look)

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
