"""The ends of a process: what was counted is flushed, and what is held given back.

`atexit` sees to it where the interpreter ends by itself. Where it does not run, something else has
to call `close_all`: see `docs/python.md`.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Protocol

from . import rouse
from .callbacks import spawn
from .dropped import Weakly
from .errors import Error, InvalidArgument
from .units import shown


class _Closable(Protocol):
    """A coordinator for threads."""

    def close(self) -> None:
        """See `Coordinator.close`."""


open_here: Final[Weakly[Any]] = Weakly()
"""The coordinators for threads of this process that are not closed."""


_dropped: deque[_Closable] = deque()
_closing = threading.RLock()
"""Held while one is closed that was dropped, so that the end of the process waits for it."""


exiting: Final[list[bool]] = []
"""Not empty once the process has begun to exit by itself."""


@atexit.register
def _at_exit() -> None:
    exiting.append(True)
    close_all()


def close_all() -> None:
    """Closes every coordinator of `comity.connect()` in this process, as `Coordinator.close` does.

    For hooks at the end of a process that ends by `os._exit` or by a signal, where `atexit` does
    not run. Those of `comity.aio` are closed by their own loop. Harmless when repeated.
    """
    _close_dropped()
    for coordinator in list(open_here):
        if coordinator._begun:
            _close(coordinator)


def close_soon(coordinator: _Closable) -> None:
    """Closes one that nobody else refers to any more. Waits for nothing."""
    _dropped.append(coordinator)
    spawn(_close_dropped)


def _close_dropped() -> None:
    with _closing:
        while _dropped:
            _close(_dropped.popleft())


def _close(coordinator: _Closable) -> None:
    try:
        coordinator.close()
    except Error:
        pass


def close_on_signal(*signals: int) -> None:
    """Has the process close its coordinators when one of these signals comes, SIGTERM by default,
    and then do what it did before: call the handler that was there, or end by the signal.

    Call it in the main thread, after whatever else sets handlers. In a process of
    `multiprocessing` it also takes `signal.set_wakeup_fd` and SIGURG where nobody has, so that the
    handler begins whatever the process waits for. Raises `InvalidArgument` for what is no signal
    that can be handled.
    """
    for number in signals or (signal.SIGTERM,):
        try:
            before = signal.getsignal(number)
            signal.signal(number, _handler(before))
            if not callable(before):  # whose exception would be lost where it is unblocked
                rouse.keep_through_forks(number)
        except (OSError, ValueError, TypeError, OverflowError) as error:
            raise InvalidArgument(
                f"signals: {shown(number)} cannot be handled here: {error}"
            ) from None
    _see_to_handlers()


def _see_to_handlers() -> None:
    """Has `rouse` see to it in each process of multiprocessing, now and after forks. Others may
    have a use of their own for what it takes: event loops have.
    """
    global _seen_to  # noqa: PLW0603 - one process, one hook
    from multiprocessing import parent_process, util

    if not _seen_to:
        _seen_to = True
        util.register_after_fork(_marker, lambda _: rouse.arm())
    if parent_process() is not None:
        rouse.arm()


def _handler(before: Any) -> Callable[[int, FrameType | None], None]:
    def close_then(number: int, frame: FrameType | None) -> None:
        rouse.begin()
        if before is signal.SIG_IGN:
            return
        close_all()
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return close_then


def in_child() -> None:
    """In the child of a fork: what the parent has dropped is its own."""
    global _closing  # noqa: PLW0603 - it may be held by a thread that is not here
    _closing = threading.RLock()
    _dropped.clear()
    exiting.clear()
    rouse.in_child()
    if not _armed:
        arm()


class _Marker:
    """What multiprocessing's registry of hooks holds on to."""


_marker = _Marker()
_armed = 0
_seen_to = False


def arm() -> None:
    """Has a process of multiprocessing close its coordinators at its end, which is `os._exit`. One
    that has not loaded it is none of those; its children are armed when they are forked.
    """
    global _armed  # noqa: PLW0603 - one process, one hook
    util: Any = sys.modules.get("multiprocessing.util")
    if _armed == os.getpid() or not hasattr(util, "Finalize"):  # not all of it is there yet
        return
    from multiprocessing.process import parent_process

    if not _armed:
        util.register_after_fork(_marker, _again)
    _armed = os.getpid()
    if parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=100)


def _again(_: object) -> None:
    """Multiprocessing has forgotten, in the child, what its parent would do at its end."""
    global _armed  # noqa: PLW0603
    _armed = -1
    arm()
