"""The push connection of one node: grants arrive here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..workers import log
from .link import Link
from .wakeup import after_reading

if TYPE_CHECKING:
    from .wire import Wire


class PushReader(Link):
    """Subscribes when the core says so, and hands messages in."""

    messages = True
    idle = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ready = False

    def flush(self) -> None:
        """Subscribes; where there is no connection, makes one first."""
        outbox = self._outbox
        if not outbox or self._stopped or self._session.foreign or self._connecting is not None:
            return
        if self._wire is None:
            self._connect(outbox[0].deadline)
        else:
            self._write(self._wire)
            self._arm(self._wire)

    def heard(self, wire: Wire, data: bytes) -> None:
        """Messages, and answers to subscriptions and pings."""
        asked = wire.outstanding
        super().heard(wire, data)
        if wire is self._wire and asked and not wire.outstanding:
            if wire.connection.subscribed:
                self._ready = True
                self._arm(wire)
            else:
                self.ended(wire, "the server refused the subscription")

    def ended(self, wire: Wire, why: str) -> None:
        """The connection is gone: waiters have to ask from now on."""
        session = self._session
        if session.foreign or self._wire is not wire:
            return
        wire.close()
        self._wire = None
        ready, self._ready = self._ready, False
        if self._timer is not None:
            self._timer.cancel()
        with session.mutex:
            wire.connection.end(session.core, session.now())
            session.drain()
        if ready:
            name = session.servers.name(self._node)
            log.debug("the push connection to the server %s is lost: %s", name, why)
            session.node(self._node, "push_lost")

    # How

    def _connected(self, wire: Wire) -> None:  # noqa: ARG002
        self._ready = False

    def _arm(self, wire: Wire) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = max(0, wire.connection.deadline - self._session.now()) / 1e6
        self._timer = self._loop.call_later(left, after_reading, self._loop, self._look)

    def _look(self) -> None:
        """Gives up a subscription that is not confirmed, and asks a silent server for life."""
        wire = self._wire
        if wire is None or self._stopped or self._session.foreign:
            return
        now = self._session.now()
        if now >= wire.connection.deadline:
            try:
                wire.connection.check(now)
            except ValueError as late:
                self.ended(wire, str(late))
                return
            wire.write()
        self._arm(wire)
