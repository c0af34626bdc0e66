"""What somebody still has, and what nobody has any more.

In `__del__`, and in the callback of a weak reference, Python swallows what the handler of a signal
raises. So nothing of this package's own runs there: what `finalizer` makes is one step that puts
the object where it is seen to later, and the sets of objects that may go have no callbacks.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from ._core import leave

_T = TypeVar("_T")

_MANY: Final = 64
"""From so many on those that are gone are looked for."""


class Droppable(Protocol):
    """What is left to a session once nobody refers to it: the one in its attribute `_left_to`."""

    def _dropped(self) -> None:
        """Gives back what it holds; twice does no harm. Called with the session's mutex held."""


def _fixed(_: object, value: object) -> None:
    """Nobody sets it. Checkers of types take what can only be read for a property of the class."""
    raise AttributeError(f"a finalizer cannot be set, to {value!r}")


finalizer: Final[Any] = property(partial(partial, leave), _fixed)
"""A `__del__` for a `Droppable`. A function, even a builtin one, would not do: to find it calls
`property`, which makes `leave` of the object; Python's own code runs nowhere in between.
"""


class Weakly(Generic[_T]):
    """A set that keeps nothing alive."""

    __slots__ = ("_enough", "_those")

    def __init__(self) -> None:
        self._those: dict[int, weakref.ref[_T]] = {}
        self._enough = _MANY

    def add(self, one: _T) -> None:
        """It is among them as long as somebody has it."""
        self._those[id(one)] = weakref.ref(one)
        if len(self._those) > self._enough:
            for key, reference in list(self._those.items()):
                if reference() is None:
                    gone = self._those.pop(key, None)
                    if gone is not None and gone is not reference:
                        self._those[key] = gone  # another has taken its place meanwhile
            self._enough = max(_MANY, 2 * len(self._those))

    def discard(self, one: _T) -> None:
        """It is not any more."""
        self._those.pop(id(one), None)

    def __iter__(self) -> Iterator[_T]:
        for reference in list(self._those.values()):
            if (one := reference()) is not None:
                yield one
