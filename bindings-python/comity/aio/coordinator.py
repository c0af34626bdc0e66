"""`comity.aio.connect()` and what it returns."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, cast

from ..base import (
    Base,
    checked_fence,
    clients_by_id,
    make_session,
    opened,
    transaction_id,
)
from ..builder import Ack, Committed, Options, Outcome, Request, Wait
from ..counter import Durability
from ..errors import Closed, ConflictError, InvalidArgument, InvalidState
from ..events import DEFAULT_BUFFER
from ..foreign import CONNECT_OPTIONS, LOCK_OPTIONS, refuse
from ..inspection import Inspection
from ..memory import MemoryStore, stores_by_id
from ..operation import Operation
from ..server import Server
from ..session import Session
from ..transaction import checked_attempts, pause, snapshot_of, snapshot_request
from ..units import MAX_TIMEOUT, MIN_TIMEOUT, flag, octets, seconds, shown
from .counter import Counter, TaskDesk, TaskReports
from .driver import Driver, MemoryDriver, SocketDriver
from .events import Events
from .link import Connector
from .lock import Lock, OnLost
from .server import ServerConnector
from .transaction import Transaction
from .transport import RedisConnector
from .wakeup import running_loop

if TYPE_CHECKING:
    import redis.asyncio
    from typing_extensions import Never


Client: TypeAlias = Union[
    MemoryStore,
    Mapping[str, MemoryStore],
    Mapping[bytes, MemoryStore],
    "str | Server | redis.asyncio.Redis",
    Mapping[str, "str | Server | redis.asyncio.Redis"],
    Mapping[bytes, "str | Server | redis.asyncio.Redis"],
    Sequence["str | Server | redis.asyncio.Redis"],
]
"""What `connect` takes."""


class Coordinator(Base):
    """Locks, counters, transactions and the ring, over the servers it was connected to.

    Made by `comity.aio.connect()`. It belongs to the event loop in which it is first awaited;
    another loop gets `InvalidState`. It ends with `close()` or the end of its `async with` block.
    One that is dropped unclosed, or whose loop ends before, releases nothing: its leases run out.
    """

    _driver: Driver
    _reports: TaskReports

    def __init__(
        self,
        session: Session,
        driver: Driver,
        timeout: float,
        check: bool,
        allow_eviction: bool = False,
    ) -> None:
        """Not for users: see `comity.aio.connect`."""
        super().__init__(session, driver, timeout, allow_eviction)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unproven = check
        self._reports = TaskReports(session)
        self._left_to = session

    def _orphan(self) -> None:
        super()._orphan()
        self._loop = None

    def _reporting(self, session: Session) -> TaskReports:
        return TaskReports(session)

    def lock(
        self,
        name: str | bytes,
        *,
        ttl: float = 30.0,
        wait: float | None = None,
        renew: bool = True,
        max_hold: float | None = None,
        label: str | bytes | None = None,
        on_lost: OnLost = None,
        **foreign: Never,
    ) -> Lock:
        """A handle on the lock `name`; nothing is sent before it is acquired.

        `name`: 1..512 bytes, text as UTF-8. `ttl`: seconds a lease lasts unless it is renewed,
        0.05..86400; a holder that dies blocks others for at most that long. `wait`: seconds to
        wait for a grant, 0 to try once, None for as long as it takes; who is in line waits out a
        server's absence. `renew`: keep the lease alive in the background until the release, or
        until `max_hold` seconds after the grant.
        `label`: who holds it, for people; host and process id by default. `on_lost(lock)`, a
        function or a coroutine function, is called by the loop when a lease ends before its
        release; `"cancel"` cancels the body of the `async with` instead, which then raises
        `LockLost`.

        Raises `InvalidArgument` or `LimitExceeded`, naming the value and its range; `TypeError` for
        an option of another lock (redis-py's `timeout`, `blocking`), naming what it is here.
        """
        if on_lost is not None and on_lost != "cancel" and not callable(on_lost):
            raise InvalidArgument(f'on_lost must be callable or "cancel", not {shown(on_lost)}')
        refuse("lock()", foreign, known=LOCK_OPTIONS)
        options = self._options(
            name,
            ttl=ttl,
            wait=wait,
            renew=renew,
            max_hold=max_hold,
            label=label,
            on_lost=on_lost,
        )
        return Lock(self, name, **options)

    def counter(
        self,
        name: str | bytes,
        *,
        durability: Durability | None = None,
        restore: bytes | None = None,
    ) -> Counter:
        """The counter `name`: see `comity.Coordinator.counter`.

        Counting, `value`, `merge`, `restore` and `snapshot` are plain calls; what asks the server
        is awaited. Opened outside a loop it flushes nothing before the coordinator is first
        awaited.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            self._here()
        return cast("Counter", self._counter(TaskDesk(self), name, durability, restore))

    def transaction(
        self,
        *,
        ack: Ack = "applied",
        timeout: float | None = None,
        patience: float | None = None,
        copy_elements: int | None = None,
        copy_bytes: int | None = None,
        durability: Wait | None = None,
    ) -> Transaction:
        """An empty transaction: see `comity.Coordinator.transaction`."""
        options = Options.of(
            ack,
            timeout,
            patience=patience,
            copy_elements=copy_elements,
            copy_bytes=copy_bytes,
            durability=durability,
        )
        return Transaction(self, options)

    async def run_transaction(
        self,
        func: Callable[[Transaction], Any],
        *keys: str | bytes,
        attempts: int = 16,
        value_from_callable: bool = False,
        ack: Ack = "applied",
        timeout: float | None = None,
        durability: Wait | None = None,
    ) -> Any:
        """Watches `keys`, calls `func(tx)` and executes; again after a conflict.

        `func` may be a coroutine function. See `comity.Coordinator.run_transaction`.
        """
        left = checked_attempts(attempts)
        tx = self.transaction(ack=ack, timeout=timeout, durability=durability)
        while True:
            left -= 1
            try:
                if keys:
                    await tx.watch(*keys)
                value = func(tx)
                if inspect.isawaitable(value):
                    value = await value
                replies = await tx.execute()
            except ConflictError:
                if not left:
                    raise
            else:
                return value if value_from_callable else replies
            finally:
                tx.reset()
            await asyncio.sleep(pause(attempts - left))

    async def snapshot(
        self, *keys: str | bytes, timeout: float | None = None
    ) -> dict[Any, bytes | None]:
        """The strings at `keys` at one instant: see `comity.Coordinator.snapshot`."""
        return snapshot_of(keys, await self._transact(snapshot_request(keys, timeout)))

    async def transaction_status(self, txid: str | bytes) -> Outcome:
        """What is known of a transaction: see `comity.Coordinator.transaction_status`."""
        verb = self._session.core.transaction_status
        return self._outcome(await self._call(verb, transaction_id(txid)))

    async def resolve(
        self, txid: str | bytes, *, heuristic: Literal["commit", "abort"] | None = None
    ) -> Outcome:
        """Sees a transaction to its end: see `comity.Coordinator.resolve`."""
        verb = self._session.core.transaction_resolve
        return self._outcome(await self._call(verb, transaction_id(txid), heuristic=heuristic))

    async def sweep(self, *, shadows: bool = True) -> int:
        """Sees to what was abandoned: see `comity.Coordinator.sweep`."""
        return self._swept(await self._call(self._session.core.transaction_sweep, shadows=shadows))

    async def inspect(self, name: str | bytes) -> Inspection:
        """Who holds the lock `name` and who waits for it, as its server sees it now."""
        operation = await self._call(self._session.core.lock_inspect, octets("name", name))
        return self._inspection(operation)

    async def fence_check(self, resource: str | bytes, fence: int) -> bool:
        """The guard of a resource that cannot remember fences itself.

        True if `fence` is at least the highest that was ever shown for `resource`; False if a
        later holder has already been here, and this one must do nothing.
        """
        return self._accepted(
            await self._call(
                self._session.core.fence_check, octets("resource", resource), checked_fence(fence)
            )
        )

    def events(self, buffer: int = DEFAULT_BUFFER) -> Events:
        """What happens from now on, kept in a buffer of so many events."""
        return Events(self._session, buffer)

    async def close(self) -> None:
        """Releases what is held, tells waiters `Closed`, ends connections.

        Takes at most the `timeout` of `connect` where a server does not answer; cancelled, it ends
        connections at once, and what was not released runs out. Harmless when repeated; every
        other verb raises `Closed` afterwards.
        """
        if self._session.closed or self._session.foreign:
            return
        self._here()
        self._session.close()
        try:
            await self._driver.wait(self._session.drained, self._timeout + 0.5)
            await self._reports.finish(self._timeout)
        finally:
            self._end()
        await self._driver.stopped()

    def _end(self) -> None:
        self._left_to = None
        opened.discard(self)
        self._session.abandon(Closed("the coordinator was closed meanwhile"))
        self._driver.stop()
        self._reports.stop()

    def __await__(self) -> Generator[Any, None, Coordinator]:
        """`co = await connect(...)`: proves at once that every server can serve."""
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Coordinator:
        self._session.require_open()
        try:
            await self._ready()
        except BaseException:
            self._session.close()
            self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _dropped(self) -> None:
        """See `Droppable`."""
        session = self._left_to
        if session is not None and not session.closed:
            session.warn("unclosed comity.aio.Coordinator")
            session.closed = True
            self._driver.stop()
        self._left_to = None

    async def _ready(self) -> None:
        """In the right loop, and every server proven able to serve."""
        self._here()
        if self._unproven:
            operations = self._session.check_nodes()
            for operation in operations:
                if not operation.done:
                    await self._driver.wait(operation)
            self._judge(operations)
            self._unproven = False

    def _here(self) -> None:
        """Raises `InvalidState` in any loop but the first, and in the child of a fork."""
        self._session.require_own()
        loop = running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:
            raise InvalidState(
                f"this coordinator belongs to the event loop {self._loop!r} and was used in "
                f"{loop!r}; call comity.aio.connect() in each loop"
            )
        self._loop = loop
        self._driver.bind(loop)

    async def _transact(self, request: Request) -> Committed:
        await self._ready()
        operation = Operation()
        try:
            self._begin_transaction(operation, request)
            if not operation.done:
                await self._driver.wait(operation)
        except BaseException:
            self._session.give_up(operation)
            raise
        return self._committed(operation)

    async def _call(self, verb: Callable[..., int], *args: Any, **options: Any) -> Operation:
        await self._ready()
        operation = Operation()
        self._session.begin(operation, verb, *args, **options)
        if not operation.done:
            await self._driver.wait(operation)
        if (error := self._session.failure(operation)) is not None:
            raise error
        return operation


def connect(
    client: Client | None = None,
    *,
    prefix: str | bytes = "comity:",
    timeout: float = 5.0,
    check: bool = True,
    push: bool = True,
    allow_eviction: bool = False,
    **foreign: Never,
) -> Coordinator:
    """A coordinator over one Redis server, several, or none. It does no I/O by itself.

    `client`: a URL such as `"redis://localhost:6379"`, for which redis-py is not needed (see
    `comity.tcp`); a `redis.asyncio.Redis`; a dict of stable ids to such, which form a ring; a list
    of them, whose addresses are the ids; a `comity.MemoryStore` or a dict of some; or nothing,
    for a store of its own in this process. `prefix` stands in front of every key and channel.
    `timeout`: seconds a verb tries to reach a server before it fails, 0.01..60. `check`: prove
    before the first verb, within `timeout`, that every server can serve and belongs to this ring;
    `async with connect(...)` and `await connect(...)` do so at once; without, the first verb does
    the latter. `push`: learn of a grant by pub/sub rather than by
    polling; where an ACL forbids channels, say False. `allow_eviction`: take transactions to
    servers that evict keys as well, which can lose a part of one.

    The client's address, credentials, TLS and database are used; connections (two per server) are
    comity's own. Raises `Unsupported` for clients comity cannot serve and `LimitExceeded` for a
    pool that is too small; `check` raises `Unreachable`, `NoAnswer`, `ServerRefused`,
    `RingMismatch` and warns (`RuntimeWarning`) about a server that evicts keys.
    """
    refuse("connect()", foreign, known=CONNECT_OPTIONS)
    span = seconds("timeout", timeout, MIN_TIMEOUT, MAX_TIMEOUT)
    head = octets("prefix", prefix)
    check = flag("check", check)
    push = flag("push", push)
    allow_eviction = flag("allow_eviction", allow_eviction)
    make = _maker(MemoryStore() if client is None else client, head, span, push)
    session, driver = make()
    proven = isinstance(driver, MemoryDriver)
    coordinator = Coordinator(session, driver, span / 1e6, check and not proven, allow_eviction)
    coordinator._make = make
    return coordinator


def _maker(
    client: Client, prefix: bytes, timeout: int, push: bool
) -> Callable[[], tuple[Session, Driver]]:
    """See `comity.coordinator._maker`."""
    if (stores := stores_by_id(client)) is not None:

        def in_memory() -> tuple[Session, Driver]:
            clock = next(iter(stores.values()))._clock
            ids = list(stores)
            session = make_session(ids, prefix, timeout, push, clock.now, attended=False)
            nodes = [stores[session.core.node_id(node)] for node in range(len(stores))]
            return session, MemoryDriver(session, nodes)

        return in_memory
    clients = clients_by_id(client, asyncio=True)

    def over_sockets() -> tuple[Session, Driver]:
        session = make_session(list(clients), prefix, timeout, push, attended=False)
        connectors = [
            _connector(clients[session.core.node_id(node)]) for node in range(len(clients))
        ]
        return session, SocketDriver(session, connectors)

    return over_sockets


def _connector(client: Any) -> Connector:
    return ServerConnector(client) if isinstance(client, Server) else RedisConnector(client)
