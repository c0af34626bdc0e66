"""What comity knows about redis-py: whom it can serve, and how to get a connection of its own.

Connections are made from the user's pool's class and arguments (address, TLS, credentials,
database, protocol), so redis-py does the set-up it would always do; but with no retries, no health
checks and one deadline over all of it. After the set-up comity talks to the socket itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from os.path import exists
from typing import Any, Final, cast

from . import causes, sentinels
from ._core import Connection
from .clock import now_us, seconds_left
from .errors import LimitExceeded, Unsupported
from .wire import NotConnected, Refused, Wire

THREADS_NEED: Final = 3
"""Connections per node: calls, background work, pushes."""
A_LOOP_NEEDS: Final = 2
"""Connections per node: commands and pushes."""

_PREFIXES: Final = ("key_prefix", "keyprefix", "_key_prefix", "global_keyprefix", "namespace")
_DROPPED: Final = (
    "retry_on_error",
    "retry_on_timeout",
    "cache",
    "cache_config",
    "himport_registry",
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "maintenance_state",
    "maintenance_notification_hash",
    "orig_host_address",
    "orig_socket_timeout",
    "orig_socket_connect_timeout",
    "oss_cluster_maint_notifications_handler",
)
"""Arguments of a pooled connection that mean nothing on one that comity drives."""


_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Arguments of a connection that name a file."""


def vet(client: object, asyncio: bool) -> None:
    """Raises `Unsupported`, with the reason, for anything comity cannot speak through, and
    `LimitExceeded` for a pool that is too small. Sends nothing.
    """
    kind = type(client)
    name = f"{kind.__module__}.{kind.__qualname__}"
    lineage = [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__]
    wanted, home = (
        ("redis.asyncio.Redis", "redis.asyncio.") if asyncio else ("redis.Redis", "redis.")
    )
    verb = "comity.aio.connect()" if asyncio else "comity.connect()"
    if not asyncio and any(base.startswith("redis.asyncio.") for base in lineage):
        raise Unsupported(f"{name} is an asyncio client; use comity.aio.connect()")
    if asyncio and "redis.client.Redis" in lineage:
        raise Unsupported(f"{name} would block the event loop; {verb} needs a {wanted}")
    if any(base.startswith(("redis.cluster.", "redis.asyncio.cluster.")) for base in lineage):
        raise Unsupported(
            f"{name} is a Redis Cluster client, which comity does not support yet; "
            f"give it one {wanted} per independent master"
        )
    if f"{home}sentinel.Sentinel" in lineage:
        raise Unsupported(f"{name} finds servers; give comity its master_for(service)")
    if any(base.startswith("fakeredis.") for base in lineage):
        raise Unsupported(f"{name} has no sockets; use comity.MemoryStore in tests")
    if f"{home}client.Pipeline" in lineage:
        raise Unsupported(f"{name} is a pipeline; {verb} needs a {wanted}")
    if f"{home}client.Redis" not in lineage:
        raise Unsupported(f"{name} is not a {wanted}, nor the URL of a server")
    for attribute in _PREFIXES:
        if getattr(client, attribute, None):
            raise Unsupported(
                f"{name} puts its own prefix in front of keys ({attribute}); "
                "give comity a plain client and set comity's own prefix"
            )
    pool = getattr(client, "connection_pool", None)
    if pool is None or not callable(getattr(pool, "get_connection", None)):
        raise Unsupported(f"{name} has no connection pool")
    if getattr(pool, "is_master", True) is False:
        raise Unsupported(f"{name} reads from replicas; give comity the master_for() client")
    limit = getattr(pool, "max_connections", None)
    need = A_LOOP_NEEDS if asyncio else THREADS_NEED
    if isinstance(limit, int) and limit < need:
        raise LimitExceeded(
            f"the client's pool allows {limit} connections (max_connections); "
            f"comity needs {need} per server"
        )


def address(client: Any) -> str:
    """Where a client connects to, as `host:port`, a socket's path or a Sentinel service."""
    pool = client.connection_pool
    kwargs = pool.connection_kwargs
    service = getattr(pool, "service_name", None)
    if service is not None:
        return str(service)
    if kwargs.get("path"):
        return str(kwargs["path"])
    return f"{kwargs.get('host') or 'localhost'}:{kwargs.get('port') or 6379}"


def is_local(where: str) -> bool:
    """Whether an address means another machine to every process that reads it."""
    host = where.rpartition(":")[0]
    return (
        where.startswith("/")
        or host in ("localhost", "::1", "[::1]")
        or host.startswith("127.")
        or host.endswith(".localhost")
    )


class RedisConnector:
    """Makes connections to one client's server."""

    __slots__ = ("_make", "_met", "_pool")

    def __init__(self, client: Any) -> None:
        self._pool = pool = client.connection_pool
        self._make = _factory(pool)
        self._met = False

    def connect(self, deadline: int, *, messages: bool = False) -> Wire:
        """A ready connection by `deadline` (resolving a name is up to the system and is not cut
        short). Raises `NotConnected`, or `Refused` with the server's words.
        """
        if now_us() >= deadline:
            raise NotConnected("no time left to connect")
        try:
            connection, close = self._make(deadline)
        except Exception as error:
            text = server_words(error)
            if text is not None:
                raise Refused(text) from None
            raise not_connected(error, self._pool, self._met) from None
        sock = _socket_of(connection)
        if sock is None:
            close()
            why = TypeError(f"{type(connection).__qualname__} has no socket of its own")
            raise NotConnected(str(why), why, lasting=True)
        self._met = True
        return Wire(sock, close, Connection(now_us(), messages=messages))


def not_connected(error: Exception, pool: Any, met: bool) -> NotConnected:
    """What `error` says of the attempt to connect where a pool leads. `met`: there was a connection
    before.
    """
    kwargs = getattr(pool, "connection_kwargs", {})
    kind = getattr(pool, "connection_class", None)
    tls = None if met else "SSL" in getattr(kind, "__name__", "")
    lasting = causes.lasts(error, path=kwargs.get("path"))
    why = causes.words(error, tls=tls)
    if missing := [file for each in _FILES if (file := kwargs.get(each)) and not exists(file)]:
        why = f"{why} ({', '.join(map(str, missing))})"
    return NotConnected(why, causes.bare(error), lasting=lasting)


def plain_kind(pool: Any) -> Any:
    """The class of a pool's connections, if the pool makes them the way redis-py's own do."""
    kind = getattr(pool, "connection_class", None)
    plain = isinstance(kind, type) and isinstance(getattr(pool, "connection_kwargs", None), dict)
    home = f"{type(pool).__module__}".partition(".")[0]
    return kind if plain and home == "redis" else None


def kept(pool: Any) -> dict[str, Any]:
    """The arguments a pool makes connections with, but for those that mean nothing to comity."""
    return {k: v for k, v in pool.connection_kwargs.items() if k not in _DROPPED}


def _factory(pool: Any) -> Callable[[int], tuple[Any, Callable[[], object]]]:
    """A function that makes a connected connection, and how to end it."""
    kind = plain_kind(pool)
    if kind is None:
        return lambda _: _borrow(pool)
    bounded: Any = type(kind.__name__, (_Bounded, kind), {})

    def make(deadline: int) -> tuple[Any, Callable[[], object]]:
        found = None
        if sentinels.manager_of(pool) is not None:
            found = _master_of(pool, deadline)
        connection = bounded(**{**kept(pool), **_once(seconds_left(deadline))})
        connection.comity_deadline = deadline
        try:
            if found is None:
                connection.connect()
            else:
                connection.connect_to(found)
        except BaseException:
            connection.disconnect()
            raise
        return connection, connection.disconnect

    return make


def once(retry: type, left: float) -> dict[str, Any]:
    """Arguments of a connection that is tried once, within `left` seconds. `retry` is redis-py's
    class for that, of threads or of asyncio.
    """
    from redis.backoff import NoBackoff

    return {
        "retry": retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "socket_timeout": left,
        "socket_connect_timeout": left,
    }


def _once(left: float) -> dict[str, Any]:
    from redis.retry import Retry

    return once(Retry, left)


def _master_of(pool: Any, deadline: int) -> sentinels.Address:
    """What the sentinels of a pool say by `deadline`."""
    asking = sentinels.master_of(pool, deadline)
    said: Any = None
    try:
        while True:
            client, until = asking.send(said)
            said = _masters(client, until)
    except StopIteration as end:
        return cast("sentinels.Address", end.value)


def _masters(client: Any, until: int) -> Any:
    """The masters that one sentinel knows, or what it raised."""
    import redis

    own = client.connection_pool
    kind = plain_kind(own)
    if kind is None:
        return TypeError(f"{type(own).__qualname__} is a pool that comity does not know")
    bounded = type(kind.__name__, (_Bounded, kind), {"comity_deadline": until})
    arguments = {**kept(own), **_once(seconds_left(until))}
    pool = redis.ConnectionPool(connection_class=bounded, **arguments)
    try:
        return redis.Redis(connection_pool=pool).sentinel_masters()
    except (redis.RedisError, OSError) as error:
        return error
    finally:
        pool.disconnect()


def _borrow(pool: Any) -> tuple[Any, Callable[[], object]]:
    """A connection of a pool comity does not know, from the pool itself and on its terms."""
    connection = pool.get_connection()
    try:
        connection.connect()
    except BaseException:
        pool.release(connection)
        raise
    home = os.getpid()

    def close() -> None:
        connection.disconnect()
        if os.getpid() == home:
            pool.release(connection)

    return connection, close


class _Bounded:
    """Put in front of a connection class: every wait of the set-up ends at one deadline."""

    comity_deadline: int | None = None

    @property
    def socket_timeout(self) -> float:
        """What is left, whatever the connection was made with."""
        deadline = self.comity_deadline
        return 1.0 if deadline is None else seconds_left(deadline)

    @socket_timeout.setter
    def socket_timeout(self, value: object) -> None:
        pass

    @property
    def socket_connect_timeout(self) -> float:
        """The same: one deadline for all."""
        return self.socket_timeout

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, value: object) -> None:
        pass

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Gives each read what is left by then."""
        sock = getattr(self, "_sock", None)
        if sock is not None:
            sock.settimeout(self.socket_timeout)
        return super().read_response(*args, **kwargs)  # type: ignore[misc]


def _socket_of(connection: Any) -> socket.socket | None:
    sock = getattr(connection, "_sock", None)
    if sock is None:
        sock = getattr(getattr(connection, "_conn", None), "_sock", None)
    return sock if isinstance(sock, socket.socket) else None


_WORDS: Final = {
    "NoScriptError": "NOSCRIPT",
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "OutOfMemoryError": "OOM",
    "NoPermissionError": "NOPERM",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ExecAbortError": "EXECABORT",
    "AuthenticationWrongNumberOfArgsError": "ERR",
    "ModuleError": "ERR",
    "ExternalAuthProviderError": "ERR",
}
"""The code word that redis-py cut off when it chose this class for an error reply."""


def server_words(error: BaseException) -> bytes | None:
    """The server's whole text behind an exception that redis-py made of an error reply; None if
    it is no such thing.
    """
    from redis import exceptions as redis

    text = str(error)
    if isinstance(error, redis.AuthenticationError):
        word = getattr(error, "status_code", None) or _auth_word(text)
    elif isinstance(error, (redis.ResponseError, redis.BusyLoadingError)):
        word = getattr(error, "status_code", None) or _WORDS.get(type(error).__name__)
    elif isinstance(error, redis.ConnectionError) and text == "max number of clients reached":
        word = "ERR"
    else:
        return None
    if not text:
        word = ""
    if word is None:
        # A plain ResponseError keeps every word but ERR, which it has lost.
        first = text.partition(" ")[0]
        word = "" if first.isalpha() and first.isupper() else "ERR"
    whole = text if not word or text.startswith(word + " ") else f"{word} {text}"
    return whole.encode("utf-8", "replace")


def _auth_word(text: str) -> str:
    if "required" in text or "must be called" in text:
        return "NOAUTH"
    if "without any password" in text or "no password is set" in text or text == "invalid password":
        return "ERR"
    return "WRONGPASS"
