"""Servers by their URLs: connections without a client's library."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from . import causes
from ._core import Connection, Endpoint
from .clock import now_us, seconds_left
from .errors import InvalidArgument, Unsupported
from .units import shown
from .wire import NotConnected, Refused, Wire

if TYPE_CHECKING:
    import ssl

_ROOM: Final = 65_536
"""How many bytes of a login's answers are read at a time."""


class Server:
    """A Redis server by its URL: see `tcp`."""

    __slots__ = ("_context", "endpoint")

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None) -> None:
        """Not for users: see `tcp`."""
        self.endpoint: Final = endpoint
        self._context = context

    @property
    def where(self) -> str:
        """The address for people, and as an id: `host:port`, or the path of a socket."""
        host, port, path = self.endpoint.host, self.endpoint.port, self.endpoint.path
        if path is not None:
            return os.fsdecode(path)
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"

    def __repr__(self) -> str:
        return f"<comity.Server {self.where}>"

    def context(self) -> ssl.SSLContext | None:
        """How TLS is spoken, if it is."""
        if self._context is None and self.endpoint.tls:
            import ssl

            self._context = ssl.create_default_context()
        return self._context

    def not_connected(self, error: Exception, *, met: bool) -> NotConnected:
        """What `error` says of an attempt to connect. `met`: there was a connection before."""
        path = self.endpoint.path
        lasting = causes.lasts(error, path=None if path is None else os.fsdecode(path))
        why = causes.words(error, tls=None if met else self.endpoint.tls)
        return NotConnected(why, causes.bare(error), lasting=lasting)


def tcp(url: str, *, tls: ssl.SSLContext | None = None) -> Server:
    """A Redis server by its address, for `connect`. `comity.connect("redis://...")` is the same
    without `tls`. Neither needs redis-py.

    `url`: `redis://[[user]:password@][host][:port][/database]`, `rediss://` with TLS, `valkey://`
    and `valkeys://` for the same, `unix://[[user]:password@]/path`; behind a `?` may come `db`,
    `client_name` and `protocol` (2 or 3). In users and passwords `/ ? # @ : %` are written as
    `%2F`, ... A user has a password, which may be empty: `user:@`. An address of IPv6 may have a
    zone: `[fe80::1%25eth0]`. `tls`: how TLS is spoken; by default certificates are checked against
    those that the system trusts.

    Sends nothing. Raises `InvalidArgument`, naming the part of the URL that is wrong.
    """
    if not isinstance(url, str):
        raise InvalidArgument(f"url must be a str, not {shown(url)}")
    if not _is_text(url):
        raise InvalidArgument("url: it has a lone surrogate, which is no text in UTF-8")
    endpoint = Endpoint(url)
    if tls is not None:
        import ssl

        if not isinstance(tls, ssl.SSLContext):
            raise InvalidArgument(f"tls must be an ssl.SSLContext, not {shown(tls)}")
    if tls is not None and not endpoint.tls:
        raise InvalidArgument("tls is for rediss://, and the URL is of none such")
    if endpoint.path is not None and not hasattr(socket, "AF_UNIX"):
        raise Unsupported("unix:// needs sockets with a path, which this system does not have")
    return Server(endpoint, tls)


def _is_text(url: str) -> bool:
    """Whether it can be encoded: the error of that has the URL, and so the password."""
    try:
        url.encode()
    except UnicodeEncodeError:
        return False
    return True


class ServerConnector:
    """Makes connections to one server."""

    __slots__ = ("_met", "_server")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._met = False

    def connect(self, deadline: int, *, messages: bool = False) -> Wire:
        """A ready connection by `deadline` (resolving a name is up to the system and is not cut
        short). Raises `NotConnected`, or `Refused` with the server's words.
        """
        if now_us() >= deadline:
            raise NotConnected("no time left to connect")
        connection = self._server.endpoint.connection(now_us(), messages=messages)
        sock = None
        try:
            sock = self._open(deadline)
            _enter(sock, connection, deadline)
        except Refused:
            close(sock)
            raise
        except Exception as error:
            close(sock)
            raise self._server.not_connected(error, met=self._met) from None
        except BaseException:
            close(sock)
            raise
        self._met = True
        return Wire(sock, sock.close, connection)

    def _open(self, deadline: int) -> socket.socket:
        """A socket that is connected, and speaks TLS where that is wanted."""
        endpoint = self._server.endpoint
        if endpoint.path is not None:
            return _connected(socket.AF_UNIX, os.fsdecode(endpoint.path), deadline)
        sock = _connected_by_name(str(endpoint.host), endpoint.port or 0, deadline)
        context = self._server.context()
        if context is None:
            return sock
        try:
            sock.settimeout(seconds_left(deadline))
            return context.wrap_socket(sock, server_hostname=endpoint.host)
        except BaseException:
            sock.close()
            raise


def share(deadline: int, addresses: int) -> int:
    """Until when to try the first of so many addresses: one that drops packets leaves time for the
    others.
    """
    now = now_us()
    return now + (deadline - now) // addresses


def _connected_by_name(host: str, port: int, deadline: int) -> socket.socket:
    failed: OSError = OSError(f"{host} has no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for place, (family, _, _, _, where) in enumerate(found):
        try:
            sock = _connected(family, where, share(deadline, len(found) - place))
        except OSError as error:
            failed = error
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise failed


def _connected(family: int, where: object, deadline: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds_left(deadline))
        sock.connect(where)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


def _enter(sock: socket.socket, connection: Connection, deadline: int) -> None:
    """Has the server let a connection in. Raises `Refused`, and what a socket raises."""
    sock.settimeout(seconds_left(deadline))
    sock.sendall(connection.transmit())
    while not connection.ready:
        sock.settimeout(seconds_left(deadline))
        data = sock.recv(_ROOM)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        refusal = connection.enter(data)
        if refusal is not None:
            raise Refused(refusal)


def close(sock: socket.socket | None) -> None:
    """Where there is one."""
    if sock is not None:
        sock.close()
