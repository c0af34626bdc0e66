"""For the tests of programs that use comity: a store whose clock the test moves, and which is away,
or loses replies, when the test says so.

    from comity.testing import MemoryStore

    def test_the_job_gives_up_when_its_lease_is_over():
        store = MemoryStore()
        co = comity.connect(store)
        with pytest.raises(comity.LockLost), co.lock("job", ttl=10, renew=False):
            store.advance(11)

    def test_the_cache_forgets():
        store = MemoryStore()
        store.execute("SET", "rate", "1.08", "EX", 60)
        store.advance(61)
        assert store.execute("GET", "rate") is None

    def test_the_report_says_that_the_server_is_away():
        store = MemoryStore()
        co = comity.connect(store)
        with store.away(), pytest.raises(comity.Unreachable):
            co.lock("report").acquire()

Time stands still but for `advance`: leases, waits and renewals fall due in it, in their order, and
nothing sleeps. A thread that waits for a lock goes on waiting until another one advances; with
`autojump=True` time jumps ahead by itself, to whatever falls due next, while somebody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from . import memory
from .dropped import Weakly
from .errors import InvalidArgument
from .session import NEVER
from .units import flag, octets, seconds, shown, whole

if TYPE_CHECKING:
    from .memory import Fate, MemoryPump

__all__ = ["MemoryStore", "comity_store", "stores"]

_ORIGIN: Final = 1_000_000_000
_LONGEST: Final = 10 * 365 * 86_400
_MOST: Final = 1_000_000


class Clock(memory.Clock):
    """A clock that the test moves."""

    ticks = False

    def __init__(self, autojump: bool) -> None:
        self._time = _ORIGIN
        self._autojump = autojump
        self._jumping = threading.Lock()
        self._pumps: Weakly[MemoryPump] = Weakly()

    def now(self) -> int:
        """See `memory.Clock`."""
        return self._time

    def join(self, pump: MemoryPump) -> None:
        """See `memory.Clock`."""
        self._pumps.add(pump)

    def idle(self) -> bool:
        """See `memory.Clock`."""
        if not self._autojump:
            return False
        with self._jumping:
            return self._step(None)

    def advance(self, by: int) -> None:
        """Lets so many microseconds pass, what falls due on the way at its own time."""
        with self._jumping:
            until = self._time + by
            for pump in list(self._pumps):
                pump.tick()  # what was counted has set no deadline yet
            while self._step(until):
                pass
            self._time = max(self._time, until)

    def _step(self, until: int | None) -> bool:
        """Does what falls due next, if that is by `until`; whether there was something."""
        first = min(list(self._pumps), key=lambda pump: pump.deadline, default=None)
        if first is None or first.deadline >= NEVER:
            return False
        if until is not None and first.deadline > until:
            return False
        self._time = max(self._time, first.deadline)
        first.tick()
        return True


class MemoryStore(memory.MemoryStore):
    """A `comity.MemoryStore` with a clock of its own, for it and for every coordinator on it.

    `autojump`: while a verb waits, time jumps to whatever falls due next, so that a test of one
    thread or one loop sees timeouts and repeated attempts through without waiting.
    """

    _clock: Clock

    def __init__(self, *, autojump: bool = False) -> None:
        super().__init__()
        self._clock = Clock(flag("autojump", autojump))
        self._name = "the store"
        self._absences = 0
        self._losing = 0
        self._executed = True

    def clock(self) -> float:
        """The time in seconds since an arbitrary origin; `Lock.valid_until` is told in it."""
        return self._clock.now() / 1e6

    def advance(self, by: float) -> None:
        """Lets `by` seconds pass, from 0 to ten years. What falls due on the way happens at its
        own time and is done when this returns. It is the time of all stores of a ring. Raises
        `InvalidArgument`.
        """
        self._clock.advance(seconds("by", by, 0, _LONGEST))

    @contextmanager
    def away(self) -> Iterator[None]:
        """In the block no connection to this store can be made: verbs raise `Unreachable` at once,
        and what is done in the background is tried again until it is back.
        """
        self._absences += 1
        self._cut()
        try:
            yield
        finally:
            self._absences -= 1

    def lose_replies(self, count: int = 1, *, executed: bool = True) -> None:
        """The next `count` commands, 0..1,000,000, get no answer: as when the connection breaks
        after they were sent. `executed`: whether they were carried out all the same. It takes the
        place of what was said before.

        comity asks again a little later, in the store's time: give the store `autojump`, or
        `advance` from another thread. Raises `InvalidArgument`.
        """
        whole("count", count, 0, _MOST, f"0..{_MOST:,}")
        self._executed = flag("executed", executed)
        self._losing = count

    def __repr__(self) -> str:
        return self._name

    def _fate(self) -> Fate:
        if self._absences:
            return "unsent"
        if self._losing:
            self._losing -= 1
            return "unanswered" if self._executed else "unheard"
        return "answered"

    def _cut(self) -> None:
        """Ends the connections that there are."""
        for pump in list(self._clock._pumps):
            pump.cut(self)


def stores(*ids: str, autojump: bool = False) -> dict[str, MemoryStore]:
    """Stores that go by one clock: `comity.connect(stores("a", "b"))` is a ring of them.

    `advance` of any of them is that of all. Raises `InvalidArgument` without an id, or for one that
    is there twice.
    """
    for name in ids:
        octets("the id of a store", name)
    if not ids or len(set(ids)) != len(ids):
        raise InvalidArgument(f"stores() takes different ids, at least one, not {shown(ids)}")
    found = {name: MemoryStore(autojump=autojump) for name in ids}
    clock = next(iter(found.values()))._clock
    for name, store in found.items():
        store._clock = clock
        store._name = f"the store {name!r}"
    return found


def _fixture() -> Callable[[], Iterator[MemoryStore]] | Any:
    """The pytest fixture, where there is a pytest; this module needs none."""

    def comity_store() -> Iterator[MemoryStore]:
        """A store whose clock the test moves: `from comity.testing import comity_store`."""
        yield MemoryStore()

    try:
        import pytest
    except ImportError:
        return comity_store
    return pytest.fixture(comity_store)


comity_store = _fixture()
