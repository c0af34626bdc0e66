"""What a coordinator has and knows, whoever waits for its verbs: threads or tasks."""

from __future__ import annotations

import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from . import _core, memory, transport
from .bound import Bound
from .builder import Committed, Outcome, Request
from .callbacks import waiting
from .clock import now_us
from .counter import Desk, Durability, Reports, counter_options
from .dropped import Weakly, finalizer
from .errors import (
    InvalidArgument,
    InvalidState,
    LimitExceeded,
    OutcomeUnknown,
    Unsupported,
    adopt,
)
from .exits import in_child
from .inspection import Inspection
from .lazy import lazy
from .operation import Operation
from .server import Server, tcp
from .session import Session
from .units import MAX_NAME, MAX_TTL, MAX_WAIT, MIN_TTL, flag, octets, seconds, whole
from .workers import log, serving

_MAX_LABEL: Final = 256


class _Driver(Protocol):
    """What is done with any driver."""

    def forget(self) -> None:
        """In the child of a fork: drops connections without a word to the server."""


class Base(Bound):
    """A coordinator, without the verbs that wait."""

    _driver: _Driver
    _reports: Reports

    def __init__(
        self, session: Session, driver: _Driver, timeout: float, allow_eviction: bool
    ) -> None:
        adopt()
        self._session = session
        session.on_transaction = partial(_report, session)
        self._allow_eviction = allow_eviction
        self._evicting: dict[bytes, str] = {}
        self._driver = driver
        self._timeout = timeout
        self._label = _label()
        self._make: Callable[[], tuple[Session, Any]] | None = None
        self._left_to: Session | None = None
        """Who sees to the end where nobody does: see `dropped.finalizer`."""
        opened.add(self)

    def _orphan(self) -> None:
        """In the child of a fork: the session is left to the parent, whose it is. Another begins
        when it is first needed.
        """
        if "_session" not in self.__dict__:
            return  # nor did the parent need one
        self._session.orphan()
        self._driver.forget()
        self._left_to = None
        if self._make is not None:
            for name in ("_session", "_driver", "_reports"):
                self.__dict__.pop(name, None)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in {"_session", "_driver", "_reports"} or "_make" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            with _renewing[0]:
                if name not in self.__dict__:
                    self._anew()
            return self.__dict__[name]

    def _anew(self) -> None:
        """In the child of a fork: begins a session of its own."""
        if self._make is None:
            return
        session, driver = self._make()
        reports = self._reporting(session)
        if "_session" in self.__dict__:
            return  # whoever interrupted this has begun one
        session.on_transaction = partial(_report, session)
        self._label = _label()
        self._driver, self._reports, self._session = driver, reports, session
        self._left_to = session

    if TYPE_CHECKING:

        @property
        def __del__(self) -> Any:  # as stubtest finds it
            ...
    else:
        __del__ = finalizer

    @property
    def _begun(self) -> bool:
        """Whether there is anything to close: see `_orphan`."""
        return "_session" in self.__dict__

    def _reporting(self, session: Session) -> Reports:
        """Who hears what befalls the counters of a session."""
        raise NotImplementedError

    @lazy
    def ring(self) -> _core.Ring[str]:
        """Which server each key belongs to: see `comity.Ring`."""
        return self._session.core.ring

    def stats(self) -> dict[str, int]:
        """Counters since `connect`, for people and dashboards."""
        return self._session.core.stats()

    def __repr__(self) -> str:
        kind = type(self)
        state = "closed" if self._session.closed else "open"
        core = self._session.core
        names = [core.node_id(number) for number in range(len(self.ring.nodes()))]
        nodes = ", ".join(name.decode("utf-8", "backslashreplace") for name in names)
        return f"<{kind.__module__.rpartition('.')[0]}.{kind.__name__} {state}: {nodes}>"

    def _options(
        self,
        name: str | bytes,
        *,
        ttl: float,
        wait: float | None,
        renew: bool,
        max_hold: float | None,
        label: str | bytes | None,
        on_lost: object,
    ) -> dict[str, Any]:
        """A lock's options as `Handle` takes them. Raises `InvalidArgument`, `LimitExceeded`."""
        key = octets("name", name)
        if not key:
            raise InvalidArgument(f"name must be 1..{MAX_NAME} bytes, not empty")
        if len(key) > MAX_NAME:
            raise LimitExceeded(f"name must be 1..{MAX_NAME} bytes, not {len(key)}")
        return {
            "key": key,
            "ttl": seconds("ttl", ttl, MIN_TTL, MAX_TTL),
            "wait": None if wait is None else seconds("wait", wait, 0, MAX_WAIT),
            "renew": flag("renew", renew),
            "max_hold": (
                None if max_hold is None else seconds("max_hold", max_hold, MIN_TTL, MAX_WAIT)
            ),
            "label": None if label is None else octets("label", label),
            "on_lost": on_lost,
        }

    def _counter(
        self, desk: Desk, name: str | bytes, durability: Durability | None, restore: bytes | None
    ) -> _core.Counter:
        options = counter_options(name, durability)
        desk.called(name, durability)
        if restore is not None:
            if not isinstance(restore, bytes):
                raise InvalidArgument(f"restore must be bytes, not {type(restore).__name__}")
            options["restore"] = restore
        session = self._session
        with session.mutex:
            session.require_open()
            with session.asking(desk):
                counter = session.core.counter(desk=desk, now=session.now(), **options)
                self._reports.register(counter.id, durability)
            session.drain()
            session.wake_timer()  # which runs from here on: who counts cannot start it
        return counter

    # Transactions

    def _begin_transaction(self, operation: Operation, request: Request) -> None:
        """Has `operation` stand for a transaction."""
        if self._evicting and not self._allow_eviction:
            self._refuse_eviction(request)
        session = self._session
        given = request.options.given
        if request.expectations:
            given = {**given, "expectations": request.expectations}
        session.begin(operation, session.core.transaction_execute, request.commands, **given)

    def _refuse_eviction(self, request: Request) -> None:
        """Raises `Unsupported` if one of the servers it goes to evicts keys."""
        ring = self.ring
        words = [each for each in request.commands if len(each) > 1]
        keys = [each[1] for each in words]
        keys += [each[1][1] if each[0] == "unchanged" else each[1] for each in request.expectations]
        for key in keys:
            where = ring.node(key)
            if (policy := self._evicting.get(octets("node", where or b""))) is not None:
                raise Unsupported(
                    f"the server {where!s} evicts keys (maxmemory-policy {policy}): what a "
                    "transaction has prepared there could be gone when it is applied. Set it to "
                    "noeviction, or say connect(..., allow_eviction=True)"
                )

    def _committed(self, operation: Operation) -> Committed:
        """What came of a transaction. Raises all but a commit."""
        event = operation.event
        error = None if operation.error is None else self._session.failure(operation)
        txid = None if event is None else event.id
        if isinstance(error, OutcomeUnknown) and txid is not None:
            error.transaction_id = txid
            error.args = (
                f"{error}: transaction_status({txid!r}) asks what is known, "
                f"resolve({txid!r}) sees to its end",
            )
        if error is not None:
            raise error
        if event is None or txid is None:
            raise InvalidState("this process was forked while the transaction was executed")
        return Committed(txid, event.replies, event.replicas)

    @staticmethod
    def _outcome(operation: Operation) -> Outcome:
        event = operation.event
        return (event.outcome if event is not None else None) or "unheard"

    @staticmethod
    def _swept(operation: Operation) -> int:
        event = operation.event
        if event is None:
            return 0
        if event.unreadable:
            log.warning(
                "%d records of transactions can be read by nobody; a sweep has left them",
                event.unreadable,
            )
        return event.count or 0

    @staticmethod
    def _inspection(operation: Operation) -> Inspection:
        event = operation.event
        return Inspection.of((event.inspection if event is not None else None) or {})

    @staticmethod
    def _accepted(operation: Operation) -> bool:
        event = operation.event
        return bool(event is not None and event.accepted)

    def _judge(self, operations: list[Operation]) -> None:
        """What the servers answered to `check`: raises what the first said that cannot serve."""
        for operation in operations:
            if (error := self._session.failure(operation)) is not None:
                raise error
            event = operation.event
            policy = event.eviction_policy if event is not None else None
            if event is not None and policy and policy != "noeviction":
                node = self._session.core.node_id(event.node or 0)
                self._evicting[octets("node", self.ring.nodes()[event.node or 0][0])] = policy
                where = node.decode("utf-8", "replace")
                text = (
                    f"the server {where} evicts keys (maxmemory-policy {policy}): a lock that is "
                    "evicted has two holders; set it to noeviction"
                )
                log.warning(text)
                _warn(text)


def checked_fence(fence: object) -> int:
    """`fence` where it can be one. Raises `InvalidArgument` otherwise."""
    return whole("fence", fence, 1, (1 << 53) - 1, "1..2**53-1")


def _report(session: Session, event: _core.Event) -> None:
    """Logs what befalls a transaction for which nobody waits. Called with the mutex held."""
    name = (event.id or b"").decode("utf-8", "backslashreplace")
    if event.kind == "transaction_committed":
        said = partial(log.warning, "transaction %s was given up, and is committed", name)
    elif event.kind == "transaction_unknown":
        text = "transaction %s was given up, and its outcome is not known: %s"
        said = partial(log.warning, text, name, event.error)
    elif event.kind == "transaction_ended":
        text = "transaction %s, whose outcome was not known, is %s"
        said = partial(log.warning, text, name, event.outcome)
    else:
        where = session.core.node_id(event.node or 0).decode("utf-8", "backslashreplace")
        if event.kind == "transaction_not_durable":
            text = "transaction %s is committed, and not durable: the server %s: %s"
            said = partial(log.warning, text, name, where, event.error)
        else:
            text = "transaction %s is damaged: the server %s does not have what was decided"
            said = partial(log.error, text, name, where)
    session.run_callback(said)


def transaction_id(value: object) -> bytes:
    """A transaction's id as it was given. Raises `InvalidArgument`."""
    return octets("the id of a transaction", value)


def make_session(
    ids: list[bytes],
    prefix: bytes,
    timeout: int,
    push: bool,
    clock: Callable[[], int] = now_us,
    *,
    attended: bool = True,
) -> Session:
    """A core over the nodes `ids` and the session around it."""
    core = _core.Coordinator(
        [(node, 1) for node in ids],
        entropy=os.urandom(32),
        now=clock(),
        prefix=prefix,
        timeout_us=timeout,
        push=push,
    )
    return Session(core, len(ids), clock, attended=attended)


def clients_by_id(client: object, asyncio: bool) -> dict[bytes, Any]:
    """The clients and servers by stable id, each one that can be served: see `transport.vet`."""
    found: dict[bytes, Any] = {}
    if isinstance(client, Mapping):
        for key, each in client.items():
            found[octets("the id of a client", key)] = _served(each, asyncio)
        if len(found) != len(client):
            raise InvalidArgument("two clients have the same id")
    elif isinstance(client, (list, tuple)):
        for each in client:
            one = _served(each, asyncio)
            where = _where(one)
            if where.encode("utf-8", "surrogateescape") in found:
                raise InvalidArgument(f"two clients have the same address, {where}")
            found[where.encode("utf-8", "surrogateescape")] = one
        _warn_of_local_names([key.decode("utf-8", "replace") for key in found])
    else:
        one = _served(client, asyncio)
        return {_where(one).encode("utf-8", "surrogateescape"): one}
    if not found:
        raise InvalidArgument("no clients: give at least one")
    return found


def _served(client: object, asyncio: bool) -> Any:
    """One that comity can serve: a client, or a server by its URL."""
    if isinstance(client, str):
        return tcp(client)
    if not isinstance(client, Server):
        transport.vet(client, asyncio)
    return client


def _where(client: Any) -> str:
    return client.where if isinstance(client, Server) else transport.address(client)


def _warn_of_local_names(ids: list[str]) -> None:
    local = [where for where in ids if transport.is_local(where)]
    if local and len(ids) > 1:
        text = (
            f"the ids of the ring are addresses that mean something else elsewhere ({local[0]}): "
            "a process that writes localhost and one that writes 127.0.0.1 look for keys on "
            "different servers; give connect() a dict of stable ids instead"
        )
        _warn(text)


def _warn(text: str) -> None:
    """Warns at the line that has called comity, however deep in it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, RuntimeWarning, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "comity"


opened: Final[Weakly[Base]] = Weakly()
"""Every coordinator of this process that is not closed."""


_renewing = [threading.RLock()]
"""Held while a session begins in the child of a fork."""


def _label() -> bytes:
    """Who holds a lock, for people, where the program does not say."""
    return f"{socket.gethostname()}:{os.getpid()}".encode("utf-8", "replace")[:_MAX_LABEL]


def _in_child() -> None:
    serving.clear()
    waiting.clear()
    in_child()
    memory.published.clear()
    _core.forked()
    _renewing[0] = threading.RLock()
    for coordinator in list(opened):
        coordinator._orphan()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
