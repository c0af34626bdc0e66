"""The one clock of the Python layer: microseconds that count through suspend where they can."""

from __future__ import annotations

import time
from typing import Final

_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))

COUNTS_SUSPEND: Final = hasattr(time, "CLOCK_BOOTTIME")
"""Whether the clock runs on while the machine sleeps. Where not, the driver looks for gaps."""

if _CLOCK is not None:
    _read_ns = time.clock_gettime_ns
    _id: int = _CLOCK

    def now_us() -> int:
        """Microseconds since an arbitrary origin; what every call of the core takes as `now`."""
        return _read_ns(_id) // 1000

else:

    def now_us() -> int:
        """Microseconds since an arbitrary origin; what every call of the core takes as `now`."""
        return time.monotonic_ns() // 1000


def clock() -> float:
    """The clock `Lock.valid_until` is told in, as float seconds since an arbitrary origin."""
    return now_us() / 1e6
