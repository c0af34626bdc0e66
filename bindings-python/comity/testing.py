"""For the tests of programs that use comity: a store whose clock the test moves.

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

Time stands still but for `advance`: leases, waits and renewals fall due in it, in their order, and
nothing sleeps. A thread that waits for a lock goes on waiting until another one advances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from . import memory
from .units import seconds

if TYPE_CHECKING:
    from .memory import MemoryPump

__all__ = ["MemoryStore", "comity_store"]

_ORIGIN: Final = 1_000_000_000
_LONGEST: Final = 10 * 365 * 86_400


class MemoryStore(memory.MemoryStore):
    """A `comity.MemoryStore` with a clock of its own, for it and for every coordinator on it."""

    _ticks = False

    def __init__(self) -> None:
        super().__init__()
        self._time = _ORIGIN

    def clock(self) -> float:
        """The time in seconds since an arbitrary origin; `Lock.valid_until` is told in it."""
        return self._time / 1e6

    def advance(self, by: float) -> None:
        """Lets `by` seconds pass, from 0 to ten years. What falls due on the way happens at its
        own time and is done when this returns. One thread at a time may call it. Raises
        `InvalidArgument`.
        """
        until = self._time + seconds("by", by, 0, _LONGEST)
        for pump in list(self._pumps):
            pump.tick()  # what was counted has set no deadline yet
        while (driver := self._next(until)) is not None:
            self._time = max(self._time, driver.deadline)
            driver.tick()
        self._time = until

    def _next(self, until: int) -> MemoryPump | None:
        """Whose deadline comes first, if it comes by `until`."""
        first = min(list(self._pumps), key=lambda driver: driver.deadline, default=None)
        return first if first is not None and first.deadline <= until else None

    def _now(self) -> int:
        return self._time


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
