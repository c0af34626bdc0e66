"""Connections of comity's own, made the way one `redis.asyncio` client makes them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

from .. import sentinels
from .._core import Connection
from ..clock import now_us
from ..transport import kept, not_connected, once, plain_kind, server_words
from ..wire import NotConnected, Refused
from .wakeup import keep
from .wire import Wire, transport_of


class RedisConnector:
    """Makes connections to one client's server."""

    __slots__ = ("_make", "_met", "_pool")

    def __init__(self, client: Any) -> None:
        self._pool = pool = client.connection_pool
        self._make = _factory(pool)
        self._met = False

    async def connect(self, deadline: int, *, messages: bool = False) -> Wire:
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
            raise not_connected(error, self._pool, self._met) from None
        transport = transport_of(connection)
        if transport is None:
            close()
            why = TypeError(f"{type(connection).__qualname__} has no transport of its own")
            raise NotConnected(str(why), why, lasting=True)
        self._met = True
        return Wire(transport, close, Connection(now_us(), messages=messages))


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
        found = None
        if sentinels.manager_of(pool) is not None:
            found = await _master_of(pool, now_us() + round(left * 1e6))
        connection = kind(**{**kept(pool), **_once(left)})
        await _connected(connection, found)
        return connection, lambda: _abort(connection)

    return make


def _once(left: float) -> dict[str, Any]:
    from redis.asyncio.retry import Retry

    return once(Retry, left)


async def _master_of(pool: Any, deadline: int) -> sentinels.Address:
    """What the sentinels of a pool say by `deadline`."""
    asking = sentinels.master_of(pool, deadline)
    said: Any = None
    try:
        while True:
            client, until = asking.send(said)
            left = max(0.001, (until - now_us()) / 1e6)
            said = await _masters(client, left)
    except StopIteration as end:
        return cast("sentinels.Address", end.value)


async def _masters(client: Any, left: float) -> Any:
    """The masters that one sentinel knows, or what it raised."""
    import redis.asyncio

    own = client.connection_pool
    kind = plain_kind(own)
    if kind is None:
        return TypeError(f"{type(own).__qualname__} is a pool that comity does not know")
    arguments = {**kept(own), **_once(left)}
    pool = redis.asyncio.ConnectionPool(connection_class=kind, **arguments)
    try:
        one: Any = redis.asyncio.Redis(connection_pool=pool)
        return await asyncio.wait_for(one.sentinel_masters(), left)
    except (redis.RedisError, OSError, asyncio.TimeoutError) as error:
        return error
    finally:
        await pool.disconnect()


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


async def _connected(connection: Any, master: sentinels.Address | None = None) -> None:
    try:
        if master is None:
            await connection.connect()
        else:
            await connection.connect_to(master)
    except BaseException:
        _abort(connection)
        raise


def _abort(connection: Any) -> None:
    """Ends a connection at once: its stream no longer hears of the end, so nothing may wait."""
    writer = getattr(connection, "_writer", None)
    connection._reader = connection._writer = None
    if writer is not None:
        writer.transport.abort()
