"""What the user wants to be told, away from every thread that matters."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

waiting: Final[deque[Callable[[], None]]] = deque()
"""Callbacks for which no thread could be started yet."""


def spawn(callback: Callable[[], None]) -> None:
    """Runs a callback in a thread of its own, as soon as one can be started. Never blocks."""
    waiting.append(callback)
    hand_out()


def hand_out() -> None:
    """Starts a thread for each that waits, or leaves it to a later call."""
    for _ in range(len(waiting)):
        try:
            start(threading.Thread(target=_next, name="comity-callback", daemon=True))
        except RuntimeError:
            return


def start(thread: threading.Thread) -> None:
    """Starts a thread. What the handler of a signal raises meanwhile is raised: `Thread.start`
    itself may raise a KeyError in its place.
    """
    try:
        thread.start()
    except KeyError as error:
        if error.__context__ is None:
            raise
        raise error.__context__ from None


def run_late() -> None:
    """Runs, in the caller's thread, those for which no thread could be started."""
    while waiting:
        _next()


def _next() -> None:
    try:
        callback = waiting.popleft()
    except IndexError:
        return  # another thread has run it
    callback()
