"""One connection of an event loop: bytes out, replies in. What they mean is its owner's affair."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..clock import now_us
from ..resp import ProtocolError, Reader

if TYPE_CHECKING:
    from .._core import Command


class Owner(Protocol):
    """Who is told what becomes of a wire."""

    def heard(self, wire: Wire, replies: list[Any]) -> None:
        """Complete replies, in order."""

    def ended(self, wire: Wire, why: str) -> None:
        """There will never be another. Not told of an end that the owner asked for."""


class Wire(asyncio.Protocol):
    """A connected transport with the commands that are written and not yet answered.

    redis-py sets the connection up; then this takes the place of its stream, so that a reply is
    read in the loop's own callback, without a task to wake in between.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        error: Callable[[bytes], Any],
        close: Callable[[], object],
    ) -> None:
        """`close` ends the connection for good: whoever made it knows how."""
        self._transport = transport
        self._reader = Reader(error)
        self._close = close
        self._owner: Owner | None = None
        self.outstanding: deque[Command] = deque()
        self.doubtful = False
        """Whether it leads to a server that is no master any more: a new one may lead elsewhere."""
        self.last = now_us()
        """When bytes last came."""

    def belongs_to(self, owner: Owner) -> None:
        """From now on `owner` is told what comes."""
        self._owner = owner
        self._transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether to send more here."""
        if self._owner is None or self._transport.is_closing():
            return False
        return bool(self.outstanding) or not self.doubtful

    def send(self, data: bytes) -> None:
        """Writes without waiting; the transport keeps what the kernel does not take."""
        self._transport.write(data)

    def close(self) -> None:
        """Ends the connection at once."""
        self._owner = None
        self.outstanding.clear()
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
        owner = self._owner
        if owner is None:
            return
        try:
            replies = self._reader.feed(data)
        except ProtocolError as error:
            owner.ended(self, str(error))
            return
        if replies:
            self.last = now_us()
            owner.heard(self, replies)

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
