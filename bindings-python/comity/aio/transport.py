"""Connections of comity's own, made the way one `redis.asyncio` client makes them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from ..clock import now_us
from ..transport import address, kept, plain_kind, server_words
from ..wire import NotConnected, Refused
from .wakeup import keep
from .wire import Wire, transport_of


class RedisConnector:
    """Makes connections to one client's server. `error` makes an error reply of its text."""

    __slots__ = ("_error", "_make", "where")

    def __init__(self, client: Any, error: Callable[[bytes], Any]) -> None:
        pool = client.connection_pool
        self.where = address(client)
        self._error = error
        self._make = _factory(pool)

    def refusal(self, text: bytes) -> Any:
        """A server's refusal of the set-up as the reply the core is given."""
        return self._error(text)

    async def connect(self, deadline: int) -> Wire:
        """A ready connection by `deadline`. Raises `NotConnected`, or `Refused` with the server's
        words.
        """
        left = (deadline - now_us()) / 1e6
        if left <= 0:
            raise NotConnected("no time left to connect")
        making = asyncio.ensure_future(self._make(left))
        try:
            connection, close = await asyncio.wait_for(making, left)
        except asyncio.CancelledError:
            making.add_done_callback(_undo)
            raise
        except Exception as error:
            text = server_words(error)
            if text is not None:
                raise Refused(text) from None
            raise NotConnected(f"{self.where}: {error}") from None
        transport = transport_of(connection)
        if transport is None:
            close()
            raise NotConnected(f"{type(connection).__qualname__} has no transport of its own")
        return Wire(transport, self._error, close)


_Made = tuple[Any, Callable[[], object]]


def _undo(making: asyncio.Future[_Made]) -> None:
    """Ends a connection that was made although its making was cancelled: the two may cross."""
    if not making.cancelled() and making.exception() is None:
        making.result()[1]()


def _factory(pool: Any) -> Callable[[float], Awaitable[_Made]]:
    """A function that makes a connected connection, and how to end it."""
    kind = plain_kind(pool)
    if kind is None:
        return lambda _: _borrow(pool)

    async def make(left: float) -> _Made:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        arguments = kept(pool)
        arguments.update(
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            socket_timeout=left,
            socket_connect_timeout=left,
        )
        connection = kind(**arguments)
        await _connected(connection)
        return connection, lambda: _abort(connection)

    return make


async def _borrow(pool: Any) -> _Made:
    """A connection of a pool comity does not know, from the pool itself and on its terms."""
    connection = await pool.get_connection()
    try:
        await _connected(connection)
    except BaseException:
        await pool.release(connection)
        raise
    home = os.getpid()

    def close() -> None:
        _abort(connection)
        if os.getpid() == home:
            keep(pool.release(connection))

    return connection, close


async def _connected(connection: Any) -> None:
    try:
        await connection.connect()
    except BaseException:
        _abort(connection)
        raise


def _abort(connection: Any) -> None:
    """Ends a connection at once: its stream no longer hears of the end, so nothing may wait."""
    writer = getattr(connection, "_writer", None)
    connection._reader = connection._writer = None
    if writer is not None:
        writer.transport.abort()
