"""Connections of an event loop to a server by its URL."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import cast

from .._core import Connection
from ..clock import now_us, seconds_left
from ..server import Server, close, share
from ..wire import NotConnected, Refused
from .wire import Wire


class ServerConnector:
    """Makes connections to one server."""

    __slots__ = ("_met", "_server")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._met = False

    async def connect(self, deadline: int, *, messages: bool = False) -> Wire:
        """A ready connection by `deadline`. Raises `NotConnected`, or `Refused` with the server's
        words.
        """
        left = (deadline - now_us()) / 1e6
        if left <= 0:
            raise NotConnected("no time left to connect")
        connection = self._server.endpoint.connection(now_us(), messages=messages)
        entry = _Entry(connection)
        try:
            await asyncio.wait_for(self._open(entry, deadline), left)
        except Refused:
            entry.abort()
            raise
        except Exception as error:
            entry.abort()
            raise self._server.not_connected(error, met=self._met) from None
        except BaseException:
            entry.abort()
            raise
        self._met = True
        return Wire(entry.transport, entry.abort, connection, early=entry)

    async def _open(self, entry: _Entry, deadline: int) -> None:
        loop = asyncio.get_running_loop()
        endpoint = self._server.endpoint
        if endpoint.path is not None:
            await loop.create_unix_connection(lambda: entry, os.fsdecode(endpoint.path))
        else:
            context = self._server.context()
            host = str(endpoint.host)
            sock = await _connected_by_name(host, endpoint.port or 0, deadline)
            name = None if context is None else host
            await loop.create_connection(
                lambda: entry, sock=sock, ssl=context, server_hostname=name
            )
        await entry.entered


async def _connected_by_name(host: str, port: int, deadline: int) -> socket.socket:
    """See `comity.server`. `happy_eyeballs_delay` is a time of its own, and not for every loop."""
    loop = asyncio.get_running_loop()
    failed: Exception = OSError(f"{host} has no address")
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for place, (family, _, _, _, where) in enumerate(found):
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            until = share(deadline, len(found) - place)
            await asyncio.wait_for(loop.sock_connect(sock, where), seconds_left(until))
        except (OSError, asyncio.TimeoutError) as error:
            close(sock)
            failed = error
        except BaseException:
            close(sock)
            raise
        else:
            return sock
    raise failed


class _Entry(asyncio.Protocol):
    """Has the server let a connection in. What comes behind that waits for who takes it over."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._given_up = False
        self.entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: str | None = None
        """Why the connection is gone already."""

    @property
    def transport(self) -> asyncio.Transport:
        """There is one, once the connection is made."""
        return cast(asyncio.Transport, self._transport)

    def abort(self) -> None:
        """Ends it at once, also where it is only about to be made."""
        self._given_up = True
        self.entered.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection."""
        self._transport = cast(asyncio.Transport, transport)
        if self._given_up:
            self._transport.abort()
            return
        self._transport.write(self._connection.transmit())
        self._look()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            refusal = self._connection.enter(data)
        except ValueError as error:
            self._fail(error)
            return
        if refusal is not None:
            self._fail(Refused(refusal))
        else:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.ended = self.ended or str(exc or "closed by the server")
        self._fail(exc or ConnectionResetError("the server has closed the connection"))

    def _look(self) -> None:
        if self._connection.ready and not self.entered.done():
            self.entered.set_result(None)

    def _fail(self, why: Exception) -> None:
        self.ended = self.ended or str(why)
        if not self.entered.done():
            self.entered.set_exception(why)
