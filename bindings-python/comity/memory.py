"""The embedded store as a driver: a small Redis in this process, no sockets, no server."""

from __future__ import annotations

import weakref
from _thread import start_new_thread
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

from . import _core
from .callbacks import hand_out, spawn
from .clock import now_us
from .driver import park
from .errors import InvalidArgument, ServerRefused, WrongType
from .mutex import outside
from .operation import Operation
from .outbox import remove
from .session import Session
from .units import octets, word
from .wire import NotConnected
from .workers import Timer, relieve

MEMORY_ID: Final = b"memory"
"""The one node of a ring without servers."""

Word: TypeAlias = str | bytes | memoryview | int | float
"""What a command for the store is made of."""


class Clock:
    """The time of a store and of every coordinator on it: here the system's."""

    ticks = True
    """Whether time passes by itself."""

    def now(self) -> int:
        """The time in microseconds."""
        return now_us()

    def join(self, pump: MemoryPump) -> None:
        """A coordinator goes by this clock from now on."""

    def idle(self) -> bool:
        """Called while somebody waits and nothing is left to be executed. Whether time was moved to
        the next moment at which something falls due.
        """
        return False


_SYSTEM: Final = Clock()


Fate: TypeAlias = (
    Literal["answered"] | Literal["unsent"] | Literal["unanswered"] | Literal["unheard"]
)
"""What becomes of a command: it is executed and answered; no connection can be made; it is executed
and the reply is lost; it is lost itself.
"""


class MemoryStore:
    """A store in this process that several coordinators can share.

    `comity.connect(store)` as often as you like: they exclude one another as they would over one
    Redis server. A dict of stores, `comity.connect({"a": MemoryStore(), "b": MemoryStore()})`, is a
    ring of several servers. Everything is gone when the last reference is. `execute` looks at what
    lies in a store and changes it:

        >>> store = MemoryStore()
        >>> store.execute("SET", "stock:7", 3)
        b'OK'
        >>> store.execute("INCRBY", "stock:7", -1)
        2
        >>> store.execute("MGET", "stock:7", "stock:8")
        [b'2', None]
    """

    _clock: Clock

    def __init__(self) -> None:
        self._store = _core.MemoryStore()
        self._clock = _SYSTEM
        self._listeners: dict[bytes, list[weakref.ref[MemoryPump]]] = {}

    def _fate(self) -> Fate:
        """What becomes of the next command."""
        return "answered"

    def execute(self, *argv: Word) -> bytes | int | list[Any] | None:
        """Runs one Redis command: `store.execute("SET", "stock:7", 3, "EX", 60)`.

        Words are what redis-py takes: str as UTF-8, bytes, memoryview, int or float. The reply is
        as it comes from the server, nothing decoded: bytes (also for `OK`), int, list or None. An
        error reply is raised with the server's words, as `WrongType` where they begin with
        WRONGTYPE and as `ServerRefused` otherwise; it means that nothing has changed. Raises
        `InvalidArgument` for a word that is none of these.

        `docs/embedded-store.md` lists the commands. Expiry goes by the store's clock, which `TIME`
        tells.
        """
        if not argv:
            raise InvalidArgument("execute: the name of a command is missing")
        reply = self._execute(
            [word(f"execute: word {place}", each) for place, each in enumerate(argv)]
        )
        _deliver()
        if isinstance(reply, _core.ErrorReply):
            wrong_type = reply.text.startswith(b"WRONGTYPE")
            raise (WrongType if wrong_type else ServerRefused)(str(reply))
        if isinstance(reply, str):
            return reply.encode()
        return cast("bytes | int | list[Any] | None", reply)

    def _execute(self, argv: Sequence[bytes]) -> Any:
        reply = self._store.execute(argv, self._clock.now())
        while (message := self._store.poll_message()) is not None:
            channel, payload = message
            for reference in self._listeners.get(channel, ()):
                driver = reference()
                if driver is not None:
                    published.append((driver, self, channel, payload))
        return reply

    def _subscribe(self, driver: MemoryPump, channels: Sequence[bytes]) -> None:
        for channel in channels:
            self._listeners.setdefault(channel, []).append(weakref.ref(driver))

    def _unsubscribe(self, driver: MemoryPump) -> None:
        for references in list(self._listeners.values()):
            for reference in [*references]:
                if reference() in (driver, None):
                    remove(references, reference)


class MemoryPump:
    """Executes commands where they became ready: what every driver of this store does."""

    def __init__(self, session: Session, stores: Sequence[MemoryStore]) -> None:
        """`stores`: one for each node, in their order, which go by one clock."""
        self._session = session
        self._stores = stores
        self._batch: deque[_core.Command] = deque()
        """Commands on their way to the stores. The session's mutex guards it."""
        self._clock = stores[0]._clock
        self._clock.join(self)

    def forget(self) -> None:
        """See `Driver`."""

    def leave(self) -> None:
        """Nothing is listened to any more."""
        for store in self._stores:
            store._unsubscribe(self)

    def cut(self, store: MemoryStore) -> None:
        """The connections to a store break."""
        for node, each in enumerate(self._stores):
            if each is store:
                store._unsubscribe(self)
                self._session.node(node, "lost")
                self._session.node(node, "push_lost")

    @property
    def deadline(self) -> int:
        """When the core next wants to hear the time."""
        return self._session.deadline

    def tick(self) -> None:
        """Tells the core the time, and executes what that made ready."""
        self._session.tick()
        self.pump()

    def pump(self) -> None:
        """Executes all that is ready, and whatever becomes ready by it in other coordinators on
        the same store.
        """
        self._run()
        _deliver()

    def _run(self) -> None:
        session = self._session
        batch = self._batch
        boxes = [
            outbox
            for box in session.boxes
            for outbox in (box.subscribe, box.foreground, box.background, box.blocking)
        ]
        while True:
            with session.mutex:
                for outbox in boxes:
                    for command in outbox.copy():
                        batch.append(command)
                        remove(outbox, command)
                self._execute_all()
            if not any(boxes):
                return

    def _execute_all(self) -> None:
        batch = self._batch
        try:
            while batch:
                command = batch[0]
                self._execute(command)
                remove(batch, command)
        except IndexError:
            pass  # whoever called in the middle has executed it

    def _execute(self, command: _core.Command) -> None:
        session, node = self._session, command.node
        store = self._stores[node]
        fate = store._fate()
        if fate == "unsent":
            why = ConnectionRefusedError(f"{store!r} is away")
            session.unreachable(node, NotConnected(str(why), why, lasting=True))
            session.failures([command], "not_sent")
        elif fate == "unheard":
            session.failures([command], "outcome_unknown")
        elif command.route == "subscribe":
            store._subscribe(self, command.argv[1:])
            session.node(node, "push_ready")
        else:
            reply = store._execute(command.argv)
            if fate == "answered":
                session.replies([(command.request, reply)])
            else:
                session.failures([command], "outcome_unknown")

    def _message(self, store: MemoryStore, channel: bytes, payload: bytes) -> None:
        for node, each in enumerate(self._stores):
            if each is store:
                self._session.message(node, channel, payload)
        self._run()


class MemoryDriver(MemoryPump):
    """For threads: each executes what it made ready, and one more keeps the time."""

    def __init__(self, session: Session, stores: Sequence[MemoryStore]) -> None:
        super().__init__(session, stores)
        session.run_callback = spawn
        session.stand_in = self._stand_in
        session.rouse = partial(start_new_thread, session.see_to_dropped, ())
        self._timer = _MemoryTimer(session, self) if self._clock.ticks else None

    def wait(self, operation: Operation) -> None:
        """See `Driver`."""
        outside(self._session.mutex, self._wait, operation)

    def _wait(self, operation: Operation) -> None:
        relieve()
        while not operation.done:
            if self._session.hindered:
                self._stand_in()
            self.pump()
            if operation.done or not self._clock.idle():
                park(self._session, operation)

    def _stand_in(self) -> None:
        """Does in the caller's thread what no thread can be started for, and tries again to."""
        session = self._session
        with session.mutex:
            for worker in session.hindered.copy():
                worker.ring()
        if session.hindered and session.deadline <= session.now():
            session.tick()
        hand_out()

    def finish(self, timeout: float) -> None:
        """See `Driver`."""
        drained = self._session.drained
        self.pump()
        while not drained.done and self._clock.idle():
            pass
        if self._clock.ticks:  # where it stands still there is nothing to wait for
            park(self._session, drained, timeout)

    def stop(self, *, join: bool = True) -> None:
        """See `Driver`."""
        if self._timer is not None:
            self._timer.stop()
        if join:
            self.leave()
            if self._timer is not None:
                self._timer.join(1.0)


_Message = tuple[MemoryPump, MemoryStore, bytes, bytes]
"""Whom to tell, of which store, on what channel, and what."""


published: Final[deque[_Message]] = deque()
"""What is published and not handed in yet."""


def _deliver() -> None:
    """Hands in what was published, and what is published by that. Twice does no harm: whoever does
    so may be interrupted, and another goes on.
    """
    while published:
        try:
            due = published[0]
        except IndexError:
            return
        driver, store, channel, payload = due
        driver._message(store, channel, payload)
        remove(published, due)


class _MemoryTimer(Timer):
    """The timer also executes what it made ready: there is no other thread to do it."""

    def __init__(self, session: Session, driver: MemoryDriver) -> None:
        super().__init__(session)
        self._driver = driver

    def turn(self) -> None:
        super().turn()
        self._driver.pump()


def stores_by_id(client: object) -> dict[bytes, MemoryStore] | None:
    """The stores by stable id, where `client` is one or a dict of some; None where it is neither.

    Raises `InvalidArgument` for anything between the two.
    """
    if isinstance(client, MemoryStore):
        return {MEMORY_ID: client}
    if not isinstance(client, (Mapping, list, tuple)):
        return None
    several = client.values() if isinstance(client, Mapping) else client
    if not any(isinstance(each, MemoryStore) for each in several):
        return None
    if not isinstance(client, Mapping):
        raise InvalidArgument("stores have no addresses: give connect() a dict of stable ids")
    found: dict[bytes, MemoryStore] = {}
    for key, store in client.items():
        if not isinstance(store, MemoryStore):
            raise InvalidArgument("a ring is either of stores in this process or of servers")
        found[octets("the id of a store", key)] = store
    if len(found) != len(client):
        raise InvalidArgument("two stores have the same id")
    if len({id(store) for store in found.values()}) != len(found):
        raise InvalidArgument("one store has two ids")
    if len({id(store._clock) for store in found.values()}) > 1:
        raise InvalidArgument(
            "the stores of a ring must go by one clock: comity.testing.stores() makes such"
        )
    return found
