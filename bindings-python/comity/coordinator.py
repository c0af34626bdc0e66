"""`comity.connect()` and what it returns."""

from __future__ import annotations

import atexit
import os
import socket
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

from . import _core, transport
from .clock import now_us
from .driver import Driver, SocketDriver
from .errors import Closed, Error, InvalidArgument, LimitExceeded
from .events import DEFAULT_BUFFER, Events
from .inspection import Inspection
from .lock import Lock
from .memory import MemoryDriver, MemoryStore
from .session import Operation, Session
from .units import (
    MAX_NAME,
    MAX_TIMEOUT,
    MAX_TTL,
    MAX_WAIT,
    MIN_TIMEOUT,
    MIN_TTL,
    flag,
    octets,
    seconds,
)
from .workers import log

if TYPE_CHECKING:
    import redis


Client: TypeAlias = Union[
    MemoryStore,
    "redis.Redis",
    Mapping[str, "redis.Redis"],
    Mapping[bytes, "redis.Redis"],
    Sequence["redis.Redis"],
]
"""What `connect` takes."""

_MEMORY_ID: Final = b"memory"
_MAX_LABEL: Final = 256


class Coordinator:
    """Locks, the ring and what else comity coordinates, over the servers it was connected to.

    Thread-safe. Made by `comity.connect()`; ends with `close()`, with the end of its `with`
    block, or with the process. One that is dropped unclosed releases nothing: its leases run out.
    """

    def __init__(self, session: Session, driver: Driver, timeout: float) -> None:
        """Not for users: see `comity.connect`."""
        self._session = session
        self._driver = driver
        self._timeout = timeout
        self._label = f"{socket.gethostname()}:{os.getpid()}".encode("utf-8", "replace")
        self._label = self._label[:_MAX_LABEL]
        _open.add(self)

    def lock(
        self,
        name: str | bytes,
        *,
        ttl: float = 30.0,
        wait: float | None = None,
        renew: bool = True,
        max_hold: float | None = None,
        label: str | bytes | None = None,
        on_lost: Callable[[Lock], object] | None = None,
    ) -> Lock:
        """A handle on the lock `name`; nothing is sent before it is acquired.

        `name`: 1..512 bytes, text as UTF-8. `ttl`: seconds a lease lasts unless it is renewed,
        0.05..86400; a holder that dies blocks others for at most that long. `wait`: seconds to
        wait for a grant, 0 to try once, None for as long as it takes. `renew`: keep the lease
        alive in the background until the release, or until `max_hold` seconds after the grant.
        `label`: who holds it, for people; host and process id by default. `on_lost(lock)` is
        called from a thread of its own when a lease ends before its release.

        Raises `InvalidArgument` or `LimitExceeded`, naming the value and its range.
        """
        if on_lost is not None and not callable(on_lost):
            raise InvalidArgument(f"on_lost must be callable, not {type(on_lost).__name__}")
        key = octets("name", name)
        if not key:
            raise InvalidArgument(f"name must be 1..{MAX_NAME} bytes, not empty")
        if len(key) > MAX_NAME:
            raise LimitExceeded(f"name must be 1..{MAX_NAME} bytes, not {len(key)}")
        return Lock(
            self,
            name,
            key,
            ttl=seconds("ttl", ttl, MIN_TTL, MAX_TTL),
            wait=None if wait is None else seconds("wait", wait, 0, MAX_WAIT),
            renew=flag("renew", renew),
            max_hold=(
                None if max_hold is None else seconds("max_hold", max_hold, MIN_TTL, MAX_WAIT)
            ),
            label=self._label if label is None else octets("label", label),
            on_lost=on_lost,
        )

    def inspect(self, name: str | bytes) -> Inspection:
        """Who holds the lock `name` and who waits for it, as its server sees it now."""
        event = self._call(self._session.core.lock_inspect, octets("name", name)).event
        return Inspection.of((event.inspection if event is not None else None) or {})

    def fence_check(self, resource: str | bytes, fence: int) -> bool:
        """The guard of a resource that cannot remember fences itself.

        True if `fence` is at least the highest that was ever shown for `resource`; False if a
        later holder has already been here, and this one must do nothing.
        """
        if isinstance(fence, bool) or not isinstance(fence, int):
            raise InvalidArgument(f"fence must be an int, not {type(fence).__name__}")
        if not 1 <= fence < 1 << 53:
            raise InvalidArgument(f"fence must be 1..2**53-1, not {fence}")
        event = self._call(
            self._session.core.fence_check, octets("resource", resource), fence
        ).event
        return bool(event is not None and event.accepted)

    @property
    def ring(self) -> _core.Ring:
        """Which server each key belongs to: see `comity.Ring`."""
        return self._session.core.ring

    def events(self, buffer: int = DEFAULT_BUFFER) -> Events:
        """What happens from now on, kept in a buffer of so many events."""
        return Events(self._session, buffer)

    def stats(self) -> dict[str, int]:
        """Counters since `connect`, for people and dashboards."""
        return self._session.core.stats()

    def close(self) -> None:
        """Releases what is held, tells waiters `Closed`, ends threads and connections.

        Takes at most the `timeout` of `connect` where a server does not answer. Harmless when
        repeated; every other verb raises `Closed` afterwards.
        """
        if not self._session.close():
            return
        try:
            self._driver.finish(self._timeout + 0.5)
        finally:
            self._end()

    def _end(self) -> None:
        _open.discard(self)
        self._session.abandon(Closed("the coordinator was closed meanwhile"))
        self._driver.stop()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        session = self.__dict__.get("_session")
        if session is not None and not session.closed and not session.foreign:
            warnings.warn("unclosed comity.Coordinator", ResourceWarning, stacklevel=2, source=self)
            session.closed = True
            self._driver.stop(join=False)

    def __repr__(self) -> str:
        state = "closed" if self._session.closed else "open"
        nodes = ", ".join(str(node) for node, _ in self.ring.nodes())
        return f"<comity.Coordinator {state}: {nodes}>"

    def _call(self, verb: Callable[..., int], *args: Any) -> Operation:
        operation = Operation()
        session = self._session
        try:
            session.begin(operation, True, verb, *args)
            if not operation.done:
                self._driver.wait(operation)
        finally:
            session.leave(operation)
        if (error := session.failure(operation)) is not None:
            raise error
        return operation

    def _check(self, nodes: int) -> None:
        """Proves every server able to serve. Raises what the first that is not said."""
        operations = self._session.check_nodes(attended=nodes == 1)
        for operation in operations:
            if not operation.done:
                self._driver.wait(operation)
        for operation in operations:
            if (error := self._session.failure(operation)) is not None:
                raise error
            event = operation.event
            policy = event.eviction_policy if event is not None else None
            if event is not None and policy and policy != "noeviction":
                where = self._session.core.node_id(event.node or 0).decode("utf-8", "replace")
                text = (
                    f"the server {where} evicts keys (maxmemory-policy {policy}): a lock that is "
                    "evicted has two holders; set it to noeviction"
                )
                log.warning(text)
                warnings.warn(text, RuntimeWarning, stacklevel=4)


_open: weakref.WeakSet[Coordinator] = weakref.WeakSet()


def connect(
    client: Client | None = None,
    *,
    prefix: str | bytes = "comity:",
    timeout: float = 5.0,
    check: bool = True,
    push: bool = True,
) -> Coordinator:
    """A coordinator over one Redis server, several, or none.

    `client`: a `redis.Redis`; a dict of stable ids to clients, which form a ring; a list of
    clients, whose addresses are the ids; a `comity.MemoryStore`; or nothing, for a store of its
    own in this process. `prefix` stands in front of every key and channel. `timeout`: seconds a
    verb tries to reach a server before it fails, 0.01..60. `check`: prove at once, within
    `timeout`, that every server can serve. `push`: learn of a grant by pub/sub rather than by
    polling; where an ACL forbids channels, say False.

    The client's address, credentials, TLS and database are used; connections (three per server)
    are comity's own. Raises `Unsupported` for clients comity cannot serve and `LimitExceeded`
    for a pool that is too small, before anything is sent; with `check` also `Unreachable`,
    `NoAnswer`, `ServerRefused`. Warns (`RuntimeWarning`) about a server that evicts keys.
    """
    span = seconds("timeout", timeout, MIN_TIMEOUT, MAX_TIMEOUT)
    head = octets("prefix", prefix)
    check = flag("check", check)
    push = flag("push", push)
    if client is None:
        client = MemoryStore()
    if isinstance(client, MemoryStore):
        session = _session([_MEMORY_ID], head, span, push, client._now)
        return Coordinator(session, MemoryDriver(session, client), span / 1e6)

    clients = _clients(client)
    for each in clients.values():
        transport.vet(each)
    session = _session(list(clients), head, span, push)
    connectors = [
        transport.RedisConnector(clients[session.core.node_id(node)], _core.ErrorReply)
        for node in range(len(clients))
    ]
    coordinator = Coordinator(session, SocketDriver(session, connectors), span / 1e6)
    if check:
        try:
            coordinator._check(len(clients))
        except BaseException:
            session.close()
            coordinator._end()
            raise
    return coordinator


def _session(
    ids: list[bytes],
    prefix: bytes,
    timeout: int,
    push: bool,
    clock: Callable[[], int] = now_us,
) -> Session:
    core = _core.Coordinator(
        [(node, 1) for node in ids],
        entropy=os.urandom(32),
        now=clock(),
        prefix=prefix,
        timeout_us=timeout,
        push=push,
    )
    return Session(core, len(ids), clock)


def _clients(client: object) -> dict[bytes, Any]:
    """The clients by stable id."""
    found: dict[bytes, Any] = {}
    if isinstance(client, Mapping):
        for key, each in client.items():
            found[octets("the id of a client", key)] = each
        if len(found) != len(client):
            raise InvalidArgument("two clients have the same id")
    elif isinstance(client, (list, tuple)):
        for each in client:
            transport.vet(each)
            where = transport.address(each)
            if where.encode() in found:
                raise InvalidArgument(f"two clients have the same address, {where}")
            found[where.encode()] = each
        _warn_of_local_names([key.decode() for key in found])
    else:
        transport.vet(client)
        return {transport.address(client).encode(): client}
    if not found:
        raise InvalidArgument("no clients: give at least one")
    return found


def _warn_of_local_names(ids: list[str]) -> None:
    local = [where for where in ids if transport.is_local(where)]
    if local and len(ids) > 1:
        text = (
            f"the ids of the ring are addresses that mean something else elsewhere ({local[0]}): "
            "a process that writes localhost and one that writes 127.0.0.1 look for keys on "
            "different servers; give connect() a dict of stable ids instead"
        )
        log.warning(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


@atexit.register
def _close_all() -> None:
    for coordinator in list(_open):
        try:
            coordinator.close()
        except Error:
            pass


def _in_child() -> None:
    for coordinator in list(_open):
        coordinator._session.orphan()
        coordinator._driver.forget()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
