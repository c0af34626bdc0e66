"""What belongs to one process, and is there once."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex


class Bound:
    """A thing that is neither pickled nor copied: a copy would give back what the other holds."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Raises `TypeError`, which says what to do instead."""
        kind = type(self)
        raise TypeError(
            f"a {kind.__module__.rpartition('.')[0]}.{kind.__name__} belongs to its process, and "
            "is neither pickled nor copied: have a module connect(), which each process imports, "
            "and send names"
        )
