"""Counters: how they are kept, what they tell, and who waits for what is asked of their server.

The counter itself is `comity.Counter`, of the extension module: counting is one call into it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .errors import Error, InvalidArgument, InvalidState, LimitExceeded, NoAnswer
from .gathered import SPAN, Gathered, Tiding
from .operation import Operation
from .units import MAX_NAME, MAX_WAIT, octets, seconds, shown, whole
from .workers import Worker, log

if TYPE_CHECKING:
    from ._core import Counter, Event
    from .base import Base
    from .coordinator import Coordinator
    from .session import Session

MAX_DELAY: Final = 3_600.0
"""Seconds: the longest that a counter waits before it flushes."""
MAX_UNITS: Final = 2**64 - 1
PAUSE: Final = 1.0
"""Seconds until a journal that could not be written is tried again."""


@dataclass(frozen=True)
class Batched:
    """Flushed after `max_delay` seconds, 0..3600, at the latest while the server answers.

    `max_units`: so many may be unacknowledged at most; what would pass it is refused with
    `LimitExceeded`, and half of it is flushed at once. None: no bound. A process that is killed
    loses at most what is unacknowledged.
    """

    max_delay: float = 0.01
    max_units: int | None = None


@dataclass(frozen=True)
class Journaled:
    """Flushed after `max_delay` seconds, and written down as well: the first of both makes it safe.

    `write(bytes)` keeps the bytes in place of those before, for `restore=` after a crash, and
    returns when they are safe. It is called from a thread of comity's, or as a coroutine function
    by the loop; when it raises, that is logged and it is tried again every second. What is counted
    before the server has answered for the first time is in no journal.
    """

    write: Callable[[bytes], object]
    max_delay: float = 0.1


Durability: TypeAlias = Literal["sync", "batched"] | Batched | Journaled
"""When what was counted is safe. `"sync"`: flushed at once; what is counted during a round trip
shares the next. In each of them `flush()` returns when it is safe.
"""


@dataclass(frozen=True)
class CounterValue:
    """What a counter stands at."""

    value: int
    """What the server last told of all others, and all that was counted here."""

    staleness: float | None
    """How many seconds old the server's part is at most; None before its first answer."""

    token: int
    """How far the server's part goes: `read(at_least=token)` anywhere is at least as recent."""

    epoch: int
    """How many resets there were by then."""

    pending: int
    """Units counted here that are not acknowledged."""

    oldest_pending: float | None
    """How many seconds the oldest of them has waited at most; None where there are none."""

    @classmethod
    def of(cls, told: dict[str, Any]) -> CounterValue:
        """From the core's words."""
        spans = {
            name: None if told[name] is None else told[name] / 1e6
            for name in ("staleness", "oldest_pending")
        }
        return cls(**{**told, **spans})


@dataclass(frozen=True)
class CounterAudit:
    """What `Counter.audit` found."""

    live: int
    """Slots in use."""

    retired: int
    """Slots that were given back and still count."""

    pruned: int
    """Slots retired by this audit, because nobody had raised them for long."""

    compared: bool
    """Whether the sum of all slots was compared with the totals: not while others kept counting."""

    corrected: int
    """By how much the value was wrong, and was corrected."""


def counter_options(name: str | bytes, durability: Durability | None) -> dict[str, Any]:
    """What the core takes. Raises `InvalidArgument`, `LimitExceeded`."""
    key = octets("name", name)
    if not key:
        raise InvalidArgument(f"name must be 1..{MAX_NAME} bytes, not empty")
    if len(key) > MAX_NAME:
        raise LimitExceeded(f"name must be 1..{MAX_NAME} bytes, not {len(key)}")
    options: dict[str, Any] = {"name": key}
    if durability is None:
        return options
    if isinstance(durability, str) and durability in ("sync", "batched"):
        return {**options, "durability": durability}
    if isinstance(durability, Batched):
        units = durability.max_units
        if units is not None:
            whole("max_units", units, 2, MAX_UNITS, "2..2**64-1")
        delay = seconds("max_delay", durability.max_delay, 0, MAX_DELAY)
        return {**options, "durability": "batched", "max_delay_us": delay, "max_units": units}
    if isinstance(durability, Journaled):
        if not callable(durability.write):
            raise InvalidArgument(f"write must be callable, not {type(durability.write).__name__}")
        delay = seconds("max_delay", durability.max_delay, 0, MAX_DELAY)
        return {**options, "durability": "journaled", "max_delay_us": delay}
    raise InvalidArgument(
        'durability must be "sync", "batched", Batched(...) or Journaled(...), not '
        + shown(durability)
    )


class Reports:
    """Hears what befalls the counters of one coordinator: journals are written, losses logged."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._writers: dict[int, Callable[[bytes], object]] = {}
        self._last: Event | None = None
        """The last that was heard: a step that is done twice is heard once."""
        self._gathered = Gathered()
        session.on_counter = self._on_event

    def register(self, counter: int, durability: Durability | None) -> None:
        """How the journal of a counter is written. Call with the session's mutex held."""
        if isinstance(durability, Journaled):
            self._writers[counter] = durability.write

    def write(
        self, counter: int, name: bytes, write: Callable[[bytes], object], journal: bytes
    ) -> None:
        """Has a journal written down, and then `written` called. Must not block."""
        raise NotImplementedError

    def soon(self, say: Callable[[], None]) -> None:
        """Calls `say` in `gathered.SPAN` seconds. Must not block."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends it all; what was gathered is said now."""
        self._say()

    def unwritten(self, counter: int, name: bytes, error: Exception) -> None:
        """The last journal of a counter could not be written down."""
        with self._session.mutex:
            self._gather(Tiding("journal", counter, name, why=error))

    def written(self, counter: int) -> None:
        """The last journal of a counter is written down."""
        session = self._session
        with session.mutex:
            self._gathered.over(counter, "journal")
            try:
                session.core.counter_journaled(counter, session.now())
            except Error:
                pass  # closed meanwhile: nobody waits for it
            session.drain()

    def _on_event(self, event: Event) -> None:
        if self._last is event:
            return
        counter, name, node = event.counter or 0, event.name or b"", event.node or 0
        server = self._session.servers.name(node)
        if event.kind == "counter_journal":
            write = self._writers.get(counter)
            if write is not None and event.bytes is not None:
                self.write(counter, name, write, event.bytes)
        elif event.kind == "counter_closed":
            self._writers.pop(counter, None)
            if event.units and counter not in self._session.operations:  # where nobody is told
                why = self._gathered.why(counter) or self._session.servers.why(node)
                self._gather(Tiding("closed", counter, name, server, why, event.units))
            self._gathered.over(counter, "refused", "regressed", "journal")
        elif event.kind == "counter_lost":
            self._gather(Tiding("lost", counter, name, server, event.error, event.units or 0))
        elif event.kind == "counter_regressed":
            self._gather(Tiding("regressed", counter, name, server))
        elif event.kind == "counter_refused":
            self._gather(Tiding("refused", counter, name, server, event.error))
        self._last = event

    def _gather(self, one: Tiding) -> None:
        # Who closes says what there is when all is done.
        if self._gathered.put(one) and not self._session.closed:
            self.soon(self._say)

    def _say(self) -> None:
        with self._session.mutex:
            lines = self._gathered.take()
        for say in lines:
            say(log)


class Desk:
    """What a counter has done for it, without the verbs that wait.

    It keeps its coordinator alive, as a lock does; the coordinator does not know it.
    """

    def __init__(self, coordinator: Base) -> None:
        self._coordinator = coordinator
        self._session = coordinator._session
        self._opened: tuple[str | bytes, Durability | None] = ("", None)

    def called(self, name: str | bytes, durability: Durability | None) -> None:
        """How the counter is opened that this is for."""
        self._opened = (name, durability)

    def open_anew(self) -> Counter:
        """The same counter, of this process: in the child of a fork. Raises `InvalidState` for one
        with a journal: what two processes write to one place restores neither.
        """
        name, durability = self._opened
        if isinstance(durability, Journaled):
            raise InvalidState(
                f"the journal of counter {name!r}, opened before fork(), is the parent's: open it "
                "in the child, with a place of its own"
            )
        coordinator = self._coordinator
        return coordinator._counter(type(self)(coordinator), name, durability, None)

    def tell(self, counter: int) -> None:
        """Something was counted. Takes no mutex: the caller may be anywhere, in a signal handler
        or in `__del__` in the middle of this very session.
        """
        session = self._session
        session.core.counter_tell(counter, session.now())
        session.stir()

    def snapshot(self, counter: int) -> bytes:
        """See `Counter.snapshot`."""
        return bytes(self._do(self._session.core.counter_snapshot, counter))

    def merge(self, counter: int, state: bytes) -> None:
        """See `Counter.merge`."""
        self._do(self._session.core.counter_merge, counter, state)

    def restore(self, counter: int, state: bytes) -> None:
        """See `Counter.restore`."""
        self._do(self._session.core.counter_take_up, counter, state)

    def _do(self, verb: Callable[..., Any], counter: int, *args: Any) -> Any:
        session = self._session
        with session.mutex:
            session.require_open()
            result = verb(counter, *args, session.now())
            session.drain()
        return result

    def _local(self, counter: int) -> CounterValue:
        session = self._session
        return CounterValue.of(session.core.counter_value(counter, session.now()))

    # What came of an operation

    @staticmethod
    def _value(operation: Operation) -> CounterValue:
        event = operation.event
        return CounterValue.of((event.value if event is not None else None) or {})

    @staticmethod
    def _epoch(operation: Operation) -> int:
        event = operation.event
        return (event.epoch if event is not None else None) or 0

    @staticmethod
    def _audit(operation: Operation) -> CounterAudit:
        event = operation.event
        return CounterAudit(**((event.audit if event is not None else None) or {}))

    @staticmethod
    def _closed(operation: Operation) -> None:
        """Raises `NoAnswer` if the counter was closed with units that may be lost."""
        event = operation.event
        if event is not None and event.units:
            raise NoAnswer(
                f"the counter is closed; {event.units} units were not acknowledged by then: they "
                "may be counted or not"
            )


class ThreadDesk(Desk):
    """For threads: each waits for its own."""

    _coordinator: Coordinator

    def read(self, counter: int, mode: str, at_least: int | None) -> CounterValue:
        """See `Counter.read`."""
        if mode == "local":
            return self._local(counter)
        verb = self._session.core.counter_read
        return self._value(self._coordinator._call(verb, counter, at_least=at_least))

    def flush(self, counter: int) -> None:
        """See `Counter.flush`."""
        self._coordinator._call(self._session.core.counter_flush, counter)

    def reset(self, counter: int, epoch: int | None) -> int:
        """See `Counter.reset`."""
        verb = self._session.core.counter_reset
        return self._epoch(self._coordinator._call(verb, counter, epoch=epoch))

    def audit(self, counter: int, prune: float | None) -> CounterAudit:
        """See `Counter.audit`."""
        verb, span = self._session.core.counter_audit, prune_us(prune)
        return self._audit(self._coordinator._call(verb, counter, prune_us=span))

    def close(self, counter: int) -> None:
        """See `Counter.close`."""
        operation = self._coordinator._call(self._session.core.counter_close, counter)
        self._coordinator._reports.finish()
        self._closed(operation)


class ThreadReports(Reports):
    """For threads: one more writes journals."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._scribe = Scribe(session)

    def write(
        self, counter: int, name: bytes, write: Callable[[bytes], object], journal: bytes
    ) -> None:
        """See `Reports`."""
        self._scribe.put(partial(self._write, counter, name, write, journal))

    def soon(self, say: Callable[[], None]) -> None:
        """See `Reports`."""
        self._session.run_callback(partial(self._later, say))

    def finish(self) -> None:
        """Until every journal that was begun is written; in this thread if there is no other."""
        self._scribe.finish()

    def stop(self) -> None:
        """Ends the thread. Waits for nothing."""
        self._scribe.stop()
        super().stop()

    def _later(self, say: Callable[[], None]) -> None:
        if not (self._session.hindered or self._session.closed):
            time.sleep(SPAN)  # in a thread of its own, since there are some
        say()

    def _write(
        self, counter: int, name: bytes, write: Callable[[bytes], object], journal: bytes
    ) -> None:
        while True:
            try:
                write(journal)
                break
            except Exception as error:
                self.unwritten(counter, name, error)
                if self._session.closed:
                    return
                time.sleep(PAUSE)
        self.written(counter)


class Scribe(Worker):
    """The daemon thread that writes journals down, one after the other."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, "comity-journal")
        self._due: deque[Callable[[], None]] = deque()
        self._bell = threading.Event()
        self._busy = threading.RLock()
        self.wake = self._bell.set  # type: ignore[method-assign]

    def put(self, work: Callable[[], None]) -> None:
        """Has `work` done. Call with the session's mutex held."""
        self._due.append(work)
        self.ring()

    def turn(self) -> None:
        """Writes all there is, then sleeps."""
        self._bell.wait()
        self._bell.clear()
        self.finish()

    def finish(self) -> None:
        """Writes all there is."""
        with self._busy:
            while self._due:
                self._due.popleft()()

    def relieve(self) -> None:
        """Nothing is held up by a `write` that waits but the next."""


def prune_us(prune: float | None) -> int | None:
    """A `prune` in microseconds. Raises `InvalidArgument`."""
    return None if prune is None else seconds("prune", prune, 0, MAX_WAIT)
