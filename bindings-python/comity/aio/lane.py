"""A lane: the one connection to one node on which all tasks of a loop send their commands.

Everything here runs in callbacks of the loop. What became ready in one turn leaves in one write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._core import refuse_late
from ..sending import SILENT
from ..session import NEVER
from .link import Link
from .wakeup import after_reading

if TYPE_CHECKING:
    from .._core import Command
    from .wire import Wire


class Lane(Link):
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._alarm = NEVER
        self._flushing = False

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, so that waiting for more to send gains nothing."""
        wire = self._wire
        return wire is not None and not wire.outstanding

    def flush(self) -> None:
        """Sends all that is ready; where there is no connection, begins to make one."""
        outbox = self._outbox
        if not outbox or self._stopped or self._session.foreign:
            return
        if self._flushing:
            # A task that began at once in the middle of this: what it has to send comes behind.
            self._loop.call_soon(self.flush)
            return
        self._flushing = True
        try:
            self._flush(outbox)
        finally:
            self._flushing = False

    def _flush(self, outbox: list[Command]) -> None:
        if self._connecting is None:
            wire = self._wire
            if wire is not None and wire.usable:
                self._write(wire)
                self._arm(wire.connection.deadline)
                return
            if wire is not None:
                self._drop(wire)
            self._connect(_first(outbox))
        if outbox:  # not where that has failed at once
            self._arm(_first(outbox))

    def ended(self, wire: Wire, why: str) -> None:
        """The connection is gone."""
        self._drop(wire, why)

    # How

    def _connected(self, wire: Wire) -> None:  # noqa: ARG002
        self._session.node(self._node, "connected")

    def _drop(self, wire: Wire, why: str | None = None) -> None:
        """Gives a connection up, and with it all that is outstanding there. `why` it broke."""
        if self._session.foreign:
            return
        current = self._wire is wire
        if current:
            self._wire = None
        wire.close()
        session = self._session
        with session.mutex:
            if why not in (None, SILENT) and wire.outstanding:
                session.broken(self._node, str(why))
            wire.connection.end(session.core, session.now())
            session.drain()
        if current:
            session.node(self._node, "lost")

    def _arm(self, deadline: int) -> None:
        """Has `_expire` called at `deadline` or earlier."""
        if deadline < self._alarm:
            if self._timer is not None:
                self._timer.cancel()
            self._alarm = deadline
            left = max(0, deadline - self._session.now()) / 1e6
            self._timer = self._loop.call_later(left, after_reading, self._loop, self._expire)

    def _expire(self) -> None:
        """What was not answered or not even sent by its deadline is given up."""
        self._timer = None
        self._alarm = NEVER
        session = self._session
        if self._stopped or session.foreign:
            return
        now = session.now()
        wire = self._wire
        if wire is not None and wire.connection.deadline <= now:
            self._drop(wire, SILENT)
        with session.mutex:
            first = refuse_late(self._outbox, session.core, now)
            session.drain()
        wire = self._wire
        self._arm(first if wire is None else min(first, wire.connection.deadline))


def _first(commands: Iterable[Command]) -> int:
    return min([command.deadline for command in commands])
