"""How to wait in the middle of something.

A signal handler, a finalizer or a callback of a weak reference may run in any thread between two
steps of comity's own code, and call any verb there. The mutexes of this package let the same
thread in again; but nobody may wait for others, be it for a grant or for bytes, while one of them
is held: whoever waits does it `outside`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def outside(mutex: Any, wait: Callable[..., _T], *args: Any) -> _T:
    """`wait(*args)`, during which the RLock `mutex` is free even where the caller has interrupted
    a frame of its own thread that holds it.
    """
    if not mutex._is_owned():
        return wait(*args)
    held = mutex._release_save()  # as `threading.Condition` does
    try:
        return wait(*args)
    finally:
        mutex._acquire_restore(held)
