"""The one clock of the Python layer: microseconds that count through suspend where they can."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

COUNTS_SUSPEND: Final = hasattr(time, "CLOCK_BOOTTIME")
"""Whether the clock runs on while the machine sleeps. Where not, the driver looks for gaps."""

_read_ns: Final[Callable[[], int]] = (
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if COUNTS_SUSPEND else time.monotonic_ns
)


def now_us() -> int:
    """Microseconds since an arbitrary origin; what every call of the core takes as `now`."""
    return _read_ns() // 1000


def clock() -> float:
    """The clock `Lock.valid_until` is told in, as float seconds since an arbitrary origin."""
    return now_us() / 1e6
