"""The one clock of the Python layer: microseconds that count through suspend where they can."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

_SLEEPLESS: Final[int | None] = getattr(
    time, "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME", None
)
"""The system's clock that counts through a suspend: on Apple's systems the monotonic one does."""

COUNTS_SUSPEND: Final = _SLEEPLESS is not None
"""Whether the clock runs on while the machine sleeps. Where not, the driver looks for gaps."""

NAP: Final = 3600.0 if COUNTS_SUSPEND else 1.0
"""The longest that a timer sleeps, in seconds: so long may a gap go unnoticed."""

_JUMP_US: Final = 1_000_000
"""How far wall clock and monotonic clock may part before a suspend is assumed."""

_read_ns: Final[Callable[[], int]] = (
    time.monotonic_ns if _SLEEPLESS is None else partial(time.clock_gettime_ns, _SLEEPLESS)
)


def now_us() -> int:
    """Microseconds since an arbitrary origin; what every call of the core takes as `now`."""
    return _read_ns() // 1000


def seconds_left(deadline: int) -> float:
    """What is left until `deadline`, for a socket: never 0, which would mean not to wait at all."""
    return max(0.001, (deadline - now_us()) / 1e6)


def clock() -> float:
    """The clock `Lock.valid_until` is told in, as float seconds since an arbitrary origin."""
    return now_us() / 1e6


class Gaps:
    """Notices that the machine slept, where the clock does not count it: it compares with the
    wall clock.
    """

    def __init__(self) -> None:
        self._offset = _offset()

    def seen(self) -> bool:
        """Whether there was a gap since this was last asked."""
        if COUNTS_SUSPEND:
            return False
        before, self._offset = self._offset, _offset()
        return abs(self._offset - before) > _JUMP_US


def _offset() -> int:
    return time.time_ns() // 1000 - now_us()
