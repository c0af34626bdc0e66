"""What the tests of the lock have in common."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import comity

ON_A_LOOP = [False]
"""Whether coordinators are those of `comity.aio`: see the fixture `flavour`."""


def connect(port: int, **options: Any) -> Any:
    """A coordinator that gives a command up after 1 s, which is what a lost reply costs."""
    import redis

    return connect_to(redis.Redis(host="127.0.0.1", port=port), timeout=2, **options)


def connect_patiently(port: int) -> Any:
    """One that gives a command up after 2 s, and a verb after 30 s.

    Though the network loses a command and the machine is busy, each verb succeeds.
    """
    import redis

    return connect_to(redis.Redis(host="127.0.0.1", port=port), timeout=30)


def connect_to(clients: Any, **options: Any) -> Any:
    """`comity.connect`, or its counterpart for event loops."""
    if ON_A_LOOP[0]:
        import bridge

        return bridge.connect(clients, **options)
    return comity.connect(clients, **options)


def asks(op: bytes) -> Callable[[list[bytes]], bool]:
    """Whether a command is this operation of the queue script: it stands behind the six keys."""
    return lambda words: is_queue(words) and words[9] == op


def is_queue(words: list[bytes]) -> bool:
    """Whether a command is one of the queue script's."""
    return len(words) > 10 and words[2] == b"6"


KEPT: list[Any] = []
"""Handles that a test has no name for; they go with it: see `keep`."""


def keep(handle: Any) -> Any:
    """The handle, which is not dropped before the test ends."""
    KEPT.append(handle)
    return handle


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Waits for something to come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


@contextmanager
def warned(text: str) -> Iterator[None]:
    """The block drops something, of which the background warns."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
        until(lambda: _says(told, text))


@asynccontextmanager
async def warned_of(text: str) -> AsyncIterator[None]:
    """The same on a loop."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
        deadline = time.monotonic() + 30
        while not _says(told, text):
            assert time.monotonic() < deadline, "did not come true in time"
            await asyncio.sleep(0.01)


def _says(told: Any, text: str) -> bool:
    return any(one.category is ResourceWarning and text in str(one.message) for one in told)


def idle(server: Any, traces: Callable[..., list[str]], seconds: float = 30.0) -> None:
    """What the background still has to take back is gone in the end."""
    deadline = time.monotonic() + seconds
    with server.client() as admin:
        while left := traces(admin):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


def in_child(work: Callable[[], object]) -> bool:
    """Runs `work` in a child; whether it returned true."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a script prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
