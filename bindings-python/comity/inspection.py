"""What `co.inspect(name)` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    id: str
    """The request that was granted."""
    label: bytes
    """What the holder calls itself."""
    fence: int
    """The fencing token of the grant."""
    remaining: float
    """Seconds the lease still lasts on the server, if it is not renewed."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who waits for a lock."""

    id: str
    """The request that waits."""
    label: bytes
    """What the waiter calls itself."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A lock as its server sees it, the waiters in the order they will be served.

    The lists are cut where they are long; the totals count everybody.
    """

    capacity: int
    """How many may hold at once: 1 for a mutex."""
    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    holders_total: int
    waiters_total: int

    @classmethod
    def of(cls, told: dict[str, Any]) -> Inspection:
        """From what the core tells."""
        return cls(
            capacity=int(told.get("capacity", 0)),
            holders=tuple(
                Holder(
                    id=_text(one["id"]),
                    label=one["label"],
                    fence=one["fence"],
                    remaining=max(0, one["remaining"]) / 1e6,
                )
                for one in told.get("holders", ())
            ),
            waiters=tuple(
                Waiter(id=_text(one["id"]), label=one["label"]) for one in told.get("waiters", ())
            ),
            holders_total=int(told.get("holders_total", 0)),
            waiters_total=int(told.get("waiters_total", 0)),
        )


def _text(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace")
