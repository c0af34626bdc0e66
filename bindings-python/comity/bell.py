"""A bell that a thread can hear while it waits for a socket."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from . import causes
from .errors import Unreachable

_MANY: Final = 4096
"""More rings than are unheard as a rule."""


class Bell:
    """`ring` from any thread ends the current or next `wait`; it never blocks."""

    __slots__ = ("_ear", "_hammer")

    def __init__(self) -> None:
        try:
            self._ear, self._hammer = socket.socketpair()
        except OSError as error:  # no descriptor to be had
            why = f"the server could not be reached: {causes.words(error)}"
            raise Unreachable(why) from causes.bare(error)
        self._ear.setblocking(False)
        self._hammer.setblocking(False)

    def fileno(self) -> int:
        """What to poll for reading."""
        return self._ear.fileno()

    def ring(self) -> None:
        """Ends a wait. What was made ready before is seen by who then clears the bell."""
        try:
            self._hammer.send(b"\0")
        except OSError:
            pass  # closed, or full of unheard rings

    def clear(self) -> None:
        """Makes the bell ready to ring again; look for what it rang for *after* this."""
        try:
            while len(self._ear.recv(_MANY)) == _MANY:
                pass
        except OSError:
            pass  # silent

    def wait(self) -> None:
        """Until the bell rings."""
        poller(self._ear.fileno())(None)

    def close(self) -> None:
        """Frees the descriptors."""
        self._ear.close()
        self._hammer.close()


def poller(
    fd: int, *, write: bool = False, also: int | None = None
) -> Callable[[int | None], bool]:
    """A function that waits so many microseconds (None: for ever) until `fd` is ready to be read
    (or written), or `also` to be read, and says whether one is. Any number of threads may wait.
    """
    if hasattr(select, "poll"):

        def polls() -> Any:
            poll = select.poll()
            poll.register(fd, select.POLLOUT if write else select.POLLIN)
            if also is not None:
                poll.register(also, select.POLLIN)
            return poll

        first = polls()

        def polled(us: int | None) -> bool:
            left = None if us is None else min((us + 999) // 1000, 86_400_000)
            try:
                return bool(first.poll(left))
            except RuntimeError:  # another waits with it
                return bool(polls().poll(left))

        return polled

    reads = ([] if write else [fd]) + ([] if also is None else [also])
    writes = [fd] if write else []

    def selected(us: int | None) -> bool:
        read, written, _ = select.select(
            reads, writes, [], None if us is None else min(us / 1e6, 86_400.0)
        )
        return bool(read or written)

    return selected


def any_of(fds: Sequence[int]) -> Callable[[int], object]:
    """A function that waits so many microseconds until one of these can be read or is closed."""
    if hasattr(select, "poll"):
        poll = select.poll()
        for fd in fds:
            poll.register(fd, select.POLLIN)
        return lambda us: poll.poll(min((us + 999) // 1000, 86_400_000))
    return lambda us: select.select(fds, [], [], min(us / 1e6, 86_400.0))
