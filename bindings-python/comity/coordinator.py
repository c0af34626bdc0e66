"""`comity.connect()` and what it returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

from ._core import Counter
from .base import (
    Base,
    checked_fence,
    clients_by_id,
    make_session,
    opened,
    transaction_id,
)
from .builder import Ack, Committed, Options, Outcome, Request, Wait
from .callbacks import run_late
from .counter import Durability, ThreadDesk, ThreadReports
from .driver import Driver, SocketDriver
from .errors import Closed, ConflictError, InvalidArgument
from .events import DEFAULT_BUFFER, Events
from .exits import arm, close_soon, open_here
from .foreign import CONNECT_OPTIONS, LOCK_OPTIONS, refuse
from .inspection import Inspection
from .lock import Lock
from .memory import MemoryDriver, MemoryStore, stores_by_id
from .mutex import outside
from .operation import Operation
from .sending import Connector
from .server import Server, ServerConnector
from .session import Session
from .transaction import Transaction, checked_attempts, pause, snapshot_of, snapshot_request
from .transport import RedisConnector
from .units import MAX_TIMEOUT, MIN_TIMEOUT, flag, octets, seconds

if TYPE_CHECKING:
    import redis
    from typing_extensions import Never


Client: TypeAlias = Union[
    MemoryStore,
    Mapping[str, MemoryStore],
    Mapping[bytes, MemoryStore],
    "str | Server | redis.Redis",
    Mapping[str, "str | Server | redis.Redis"],
    Mapping[bytes, "str | Server | redis.Redis"],
    Sequence["str | Server | redis.Redis"],
]
"""What `connect` takes."""


class Coordinator(Base):
    """Locks, counters, transactions and the ring, over the servers it was connected to.

    Thread-safe. Made by `comity.connect()`; ends with `close()`, with the end of its `with`
    block, or with the process. One that is dropped unclosed is closed in the background, with a
    `ResourceWarning`.
    """

    _driver: Driver
    _reports: ThreadReports

    def __init__(
        self, session: Session, driver: Driver, timeout: float, allow_eviction: bool = False
    ) -> None:
        """Not for users: see `comity.connect`."""
        super().__init__(session, driver, timeout, allow_eviction)
        self._reports = ThreadReports(session)
        self._left_to = session
        open_here.add(self)

    def _reporting(self, session: Session) -> ThreadReports:
        return ThreadReports(session)

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
        **foreign: Never,
    ) -> Lock:
        """A handle on the lock `name`; nothing is sent before it is acquired.

        `name`: 1..512 bytes, text as UTF-8. `ttl`: seconds a lease lasts unless it is renewed,
        0.05..86400; a holder that dies blocks others for at most that long. `wait`: seconds to
        wait for a grant, 0 to try once, None for as long as it takes; who is in line waits out a
        server's absence. `renew`: keep the lease alive in the background until the release, or
        until `max_hold` seconds after the grant.
        `label`: who holds it, for people; host and process id by default. `on_lost(lock)` is
        called from a thread of its own when a lease ends before its release.

        Raises `InvalidArgument` or `LimitExceeded`, naming the value and its range; `TypeError` for
        an option of another lock (redis-py's `timeout`, `blocking`), naming what it is here.
        """
        if on_lost is not None and not callable(on_lost):
            raise InvalidArgument(f"on_lost must be callable, not {type(on_lost).__name__}")
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
        """The counter `name`: counts each unit once, at memory speed. Nothing is sent at once.

        `name`: 1..512 bytes, text as UTF-8. `durability`: `"sync"`, `"batched"` (the default:
        `Batched(max_delay=0.01)`), `Batched(...)` or `Journaled(...)`; it says when what was
        counted is flushed, and what a crash can lose. `restore`: the bytes of a journal or of
        `Counter.snapshot`; what they hold and the server has not is counted, once, however often
        and wherever they are restored.

        A counter that is open in this coordinator is that very one; it stays open until
        `Counter.close` or the coordinator's end. Raises `InvalidArgument`, `LimitExceeded`,
        `Corrupt`, and `InvalidState` for one that is open with another durability.
        """
        return self._counter(ThreadDesk(self), name, durability, restore)

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
        """An empty transaction; nothing is sent before it is executed.

        `ack`: `"applied"` returns when plain readers see all of it, `"decided"` a round trip
        sooner, when it is certain. `timeout`: seconds until it is given up undecided, 0.01..60; the
        coordinator's by default. `patience`: seconds after which other clients may take it for
        abandoned and see to its end. `copy_elements`, `copy_bytes`: how large a collection or a
        string that is changed may be, where it has to be copied; 10,000 and 1 MiB by default.
        `durability`: `Wait(replicas=1, timeout=1.0)` has `execute` return when so many replicas of
        each server have it; `Transaction.replicas` says how many have.

        Raises `InvalidArgument`, naming the value and its range.
        """
        options = Options.of(
            ack,
            timeout,
            patience=patience,
            copy_elements=copy_elements,
            copy_bytes=copy_bytes,
            durability=durability,
        )
        return Transaction(self, options)

    def run_transaction(
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

        As redis-py's `transaction`: `func` reads, calls `tx.multi()` and then says what is to be
        done. Without keys it need not call `multi`. Returns the replies or, with
        `value_from_callable`, what `func` returned. After `attempts`, 1..1000, the last
        `ConflictError` is raised; any other failure at once.
        """
        left = checked_attempts(attempts)
        tx = self.transaction(ack=ack, timeout=timeout, durability=durability)
        while True:
            left -= 1
            try:
                if keys:
                    tx.watch(*keys)
                value = func(tx)
                replies = tx.execute()
            except ConflictError:
                if not left:
                    raise
            else:
                return value if value_from_callable else replies
            finally:
                tx.reset()
            time.sleep(pause(attempts - left))

    def snapshot(self, *keys: str | bytes, timeout: float | None = None) -> dict[Any, bytes | None]:
        """The strings at `keys`, on whatever servers, as they were at one instant, in one round
        trip. None where there is none. Raises as `Transaction.execute` does.

        Other types can be read at one instant by a transaction that only reads.
        """
        return snapshot_of(keys, self._transact(snapshot_request(keys, timeout)))

    def transaction_status(self, txid: str | bytes) -> Outcome:
        """What the server that decides knows of a transaction. Changes nothing.

        `txid`: `OutcomeUnknown.transaction_id`, `Transaction.id`, or what the log says.
        """
        operation = self._call(self._session.core.transaction_status, transaction_id(txid))
        return self._outcome(operation)

    def resolve(
        self, txid: str | bytes, *, heuristic: Literal["commit", "abort"] | None = None
    ) -> Outcome:
        """Sees a transaction to its end on all its servers: `"committed"`, `"aborted"` or, where
        no record is left, `"forgotten"`.

        One that is under way and undecided is aborted, also one that the server has not heard of
        yet: what comes then is refused. An id of an earlier version does not tell until when
        something may come; then that one stays as it is, `"unheard"`. `heuristic` is an operator's
        decision where the server that decides is gone for good: if it does not answer, all that
        wait for it are told this, and each is reported as damaged where that is not what their
        votes come to. Raises `Unreachable`, `NoAnswer`, `ServerRefused` where a server that is
        needed does not answer.
        """
        verb = self._session.core.transaction_resolve
        return self._outcome(self._call(verb, transaction_id(txid), heuristic=heuristic))

    def sweep(self, *, shadows: bool = True) -> int:
        """Recovers transactions that were abandoned, and removes what is left of old ones, on all
        servers; how much that was. To be run now and then, by anybody.

        `shadows`: also looks for prepared values that an accident has left beside the keys. Only a
        search of each server's whole key space finds them, a thousand keys in each round trip.

        Records that nobody can read, as after an accident, are left and logged; so is what is kept
        for those who ask what became of a doubtful transaction, but for the oldest of very many.

        A server that fails keeps none of the others from being swept; the first error is raised
        then.
        """
        return self._swept(self._call(self._session.core.transaction_sweep, shadows=shadows))

    def inspect(self, name: str | bytes) -> Inspection:
        """Who holds the lock `name` and who waits for it, as its server sees it now."""
        operation = self._call(self._session.core.lock_inspect, octets("name", name))
        return self._inspection(operation)

    def fence_check(self, resource: str | bytes, fence: int) -> bool:
        """The guard of a resource that cannot remember fences itself.

        True if `fence` is at least the highest that was ever shown for `resource`; False if a
        later holder has already been here, and this one must do nothing.
        """
        return self._accepted(
            self._call(
                self._session.core.fence_check, octets("resource", resource), checked_fence(fence)
            )
        )

    def events(self, buffer: int = DEFAULT_BUFFER) -> Events:
        """What happens from now on, kept in a buffer of so many events."""
        return Events(self._session, buffer)

    def close(self) -> None:
        """Releases what is held, tells waiters `Closed`, ends threads and connections.

        Takes at most the `timeout` of `connect` where a server does not answer. Harmless when
        repeated; every other verb raises `Closed` afterwards.
        """
        if not self._session.close():
            outside(self._session.mutex, self._see_closed)
            return
        try:
            self._driver.finish(self._timeout + 0.5)
            self._reports.finish()
            run_late()
        finally:
            self._end()

    def _see_closed(self) -> None:
        """Waits for whoever closes: the process may end after this call, which may interrupt it."""
        session = self._session
        end = time.monotonic() + self._timeout + 0.5
        while not (session.foreign or session.drained.done) and time.monotonic() < end:
            if session.hindered:
                session.stand_in()
            time.sleep(0.002)

    def _end(self) -> None:
        self._left_to = None
        opened.discard(self)
        open_here.discard(self)
        self._session.abandon(Closed("the coordinator was closed meanwhile"))
        self._driver.stop()
        self._reports.stop()

    def __enter__(self) -> Coordinator:
        self._session.require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _dropped(self) -> None:
        """See `Droppable`."""
        session = self._left_to
        if session is not None and not session.closed:
            session.warn("unclosed comity.Coordinator")
            close_soon(self)
        self._left_to = None

    def _transact(self, request: Request) -> Committed:
        operation = Operation()
        try:
            self._begin_transaction(operation, request)
            if not operation.done:
                self._driver.wait(operation)
        except BaseException:
            self._session.give_up(operation)
            raise
        self._session.leave(operation)
        return self._committed(operation)

    def _call(self, verb: Callable[..., int], *args: Any, **options: Any) -> Operation:
        operation = Operation()
        session = self._session
        try:
            session.begin(operation, verb, *args, **options)
            if not operation.done:
                self._driver.wait(operation)
        finally:
            session.leave(operation)
        if (error := session.failure(operation)) is not None:
            raise error
        return operation

    def _check(self) -> None:
        """Proves every server able to serve."""
        operations = self._session.check_nodes()
        for operation in operations:
            if not operation.done:
                self._driver.wait(operation)
            self._session.leave(operation)
        self._judge(operations)


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
    """A coordinator over one Redis server, several, or none.

    `client`: a URL such as `"redis://localhost:6379"`, for which redis-py is not needed (see
    `tcp`); a `redis.Redis`; a dict of stable ids to such, which form a ring; a list of them, whose
    addresses are the ids; a `comity.MemoryStore` or a dict of some; or nothing, for a store of its
    own in this process. `prefix` stands in front of every key and channel.
    `timeout`: seconds a verb tries to reach a server before it fails, 0.01..60. `check`: prove at
    once, within `timeout`, that every server can serve and belongs to this ring; without, the
    first verb does the latter. `push`: learn of a grant by pub/sub rather than by polling; where an
    ACL forbids channels, say False. `allow_eviction`: take transactions to servers that evict keys
    as well, which can lose a part of one.

    The client's address, credentials, TLS and database are used; connections (three per server, a
    fourth for `durability` of transactions) are comity's own. Raises `Unsupported` for clients
    comity cannot serve and `LimitExceeded` for a pool that is too small, before anything is sent;
    with `check` also `Unreachable`, `NoAnswer`, `ServerRefused`, `RingMismatch`. Warns
    (`RuntimeWarning`) about a server that evicts keys.
    """
    refuse("connect()", foreign, known=CONNECT_OPTIONS)
    span = seconds("timeout", timeout, MIN_TIMEOUT, MAX_TIMEOUT)
    head = octets("prefix", prefix)
    check = flag("check", check)
    push = flag("push", push)
    allow_eviction = flag("allow_eviction", allow_eviction)
    make = _maker(MemoryStore() if client is None else client, head, span, push)
    coordinator = Coordinator(*make(), span / 1e6, allow_eviction)
    coordinator._make = make
    arm()
    if check and isinstance(coordinator._driver, SocketDriver):
        try:
            coordinator._check()
        except BaseException:
            coordinator._session.close()
            coordinator._end()
            raise
    return coordinator


def _maker(
    client: Client, prefix: bytes, timeout: int, push: bool
) -> Callable[[], tuple[Session, Driver]]:
    """What makes a session over these clients or stores, and its driver: once here, and once in
    each child of a fork.
    """
    if (stores := stores_by_id(client)) is not None:

        def in_memory() -> tuple[Session, Driver]:
            clock = next(iter(stores.values()))._clock
            session = make_session(list(stores), prefix, timeout, push, clock.now)
            nodes = [stores[session.core.node_id(node)] for node in range(len(stores))]
            return session, MemoryDriver(session, nodes)

        return in_memory
    clients = clients_by_id(client, asyncio=False)

    def over_sockets() -> tuple[Session, Driver]:
        session = make_session(list(clients), prefix, timeout, push)
        connectors = [
            _connector(clients[session.core.node_id(node)]) for node in range(len(clients))
        ]
        return session, SocketDriver(session, connectors)

    return over_sockets


def _connector(client: Any) -> Connector:
    return ServerConnector(client) if isinstance(client, Server) else RedisConnector(client)
