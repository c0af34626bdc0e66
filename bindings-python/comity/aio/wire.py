"""One connection of an event loop: bytes out, bytes in. Whom to tell is its owner's affair."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from .._core import Connection


class Owner(Protocol):
    """Who is told what becomes of a wire."""

    def heard(self, wire: Wire, data: bytes) -> None:
        """What has arrived, for `Connection.receive`."""

    def ended(self, wire: Wire, why: str) -> None:
        """Nothing will arrive any more. Not told of an end that the owner asked for."""


class Early(Protocol):
    """Who listens before a wire belongs to anybody."""

    ended: str | None
    """Why there will be nothing to hear."""


class Wire(asyncio.Protocol):
    """A connected transport with the commands that are written and not yet answered.

    redis-py sets the connection up; then this takes the place of its stream, so that a reply is
    read in the loop's own callback, without a task to wake in between.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        close: Callable[[], object],
        connection: Connection,
        *,
        early: Early | None = None,
    ) -> None:
        """`close` ends the connection for good: whoever made it knows how. `connection`: its
        commands and bytes, which the server has let in. `early`: who has listened so far.
        """
        self._transport = transport
        self._close = close
        self._owner: Owner | None = None
        self.connection = connection
        self._early = early

    def belongs_to(self, owner: Owner) -> None:
        """From now on `owner` is told what comes."""
        self._owner = owner
        self._transport.set_protocol(self)

    @property
    def gone(self) -> str | None:
        """Why nothing will arrive any more, where that is known."""
        if self._early is not None and self._early.ended is not None:
            return self._early.ended
        return "closed by the server" if self._transport.is_closing() else None

    @property
    def outstanding(self) -> int:
        """How many commands have no answer yet."""
        return self.connection.outstanding

    @property
    def usable(self) -> bool:
        """Whether to send more here."""
        if self._owner is None or self._transport.is_closing():
            return False
        return bool(self.outstanding) or not self.connection.doubtful

    def write(self) -> None:
        """Writes what there is, without waiting; the transport keeps what the kernel does not
        take.
        """
        try:
            self._transport.write(self.connection.transmit())
        except BaseException:
            # Of bytes that did not leave, the answers to those behind them would be taken.
            if self._owner is not None:
                self._owner.ended(self, "interrupted in the middle of a write")
            raise

    def close(self) -> None:
        """Ends the connection at once."""
        self._owner = None
        try:
            self._close()
        except Exception:  # somebody else's code; the connection is gone either way
            pass

    def forget(self) -> None:
        """Drops this process's copy of the connection without a word to the server (after fork).

        The number of the descriptor stays taken: the parent's loop is still to be found in this
        process, knows it, and shares the kernel's list of what it listens to with the parent.
        """
        self._owner = None
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, sock.fileno())
            os.close(nothing)

    # What the loop calls

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._owner is not None:
            self._owner.heard(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._owner is not None:
            self._owner.ended(self, str(exc) if exc is not None else "closed by the server")


def transport_of(connection: Any) -> asyncio.Transport | None:
    """The transport below one of redis-py's connections, if nothing of its stream is unread."""
    writer = getattr(connection, "_writer", None)
    reader = getattr(connection, "_reader", None)
    if not isinstance(writer, asyncio.StreamWriter) or getattr(reader, "_buffer", None):
        return None
    if writer.get_extra_info("socket") is None:
        return None
    return cast(asyncio.Transport, writer.transport)
