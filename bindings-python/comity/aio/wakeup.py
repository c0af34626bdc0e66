"""How a task waits for what the session books."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..clock import NAP, Gaps
from ..errors import InvalidState
from ..session import NEVER

if TYPE_CHECKING:
    from ..operation import Operation
    from ..session import Session


class Wakeup:
    """A future and how to end it from anywhere: the embedded store is shared with threads."""

    __slots__ = ("_loop", "_thread", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call in a task of `loop`."""
        self._loop = loop
        self._thread = threading.get_ident()
        self.future: asyncio.Future[None] = loop.create_future()

    def __call__(self) -> None:
        """Ends the wait. Never blocks."""
        if threading.get_ident() == self._thread:
            self._set()
        else:
            soon(self._loop, self._set)

    def _set(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Gates(list[Wakeup]):
    """Those of several tasks that wait for one operation."""

    def __call__(self) -> None:
        """Ends each of their waits."""
        for wakeup in [*self]:
            wakeup()


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that runs here. Raises `InvalidState` where none of asyncio's does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        raise InvalidState(
            "comity.aio runs on asyncio, and this is a task of trio's: call comity.connect() and "
            "its verbs in threads, by trio.to_thread.run_sync"
        )
    raise InvalidState("comity.aio needs a running event loop of asyncio, and here is none")


def soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Has `loop` call back from any thread; nothing, if it is closed."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        pass


def after_reading(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Has `loop` call back when what has arrived by now is read: in the turn after the next."""
    loop.call_soon(loop.call_soon, callback)


def keep(work: Awaitable[Any]) -> None:
    """Has the running loop do `work`; the loop itself keeps no task alive."""
    task = asyncio.ensure_future(work)
    _kept.add(task)
    task.add_done_callback(_kept.discard)


_kept: set[asyncio.Future[Any]] = set()


async def settled(
    session: Session, operation: Operation, push: Callable[[], object], timeout: float | None = None
) -> None:
    """Until `operation` is done, at most `timeout` seconds. `push` moves what is ready to be sent.

    A cancelled wait leaves the operation as it is: whose it is says what becomes of it.
    """
    loop = asyncio.get_running_loop()
    until = None if timeout is None else loop.time() + timeout
    while True:
        push()
        wakeup = Wakeup(loop)
        with session.mutex:
            gates = operation.gate if isinstance(operation.gate, Gates) else Gates()
            gates.append(wakeup)
            operation.gate = gates
            if operation.done or (until is not None and loop.time() >= until):
                _leave(operation, gates, wakeup)
                return
        timer = None if until is None else loop.call_at(until, wakeup)
        try:
            await wakeup.future
        finally:
            _leave(operation, gates, wakeup)
            if timer is not None:
                timer.cancel()


def _leave(operation: Operation, gates: Gates, wakeup: Wakeup) -> None:
    gates.remove(wakeup)
    if not gates:
        operation.gate = None


class Timer:
    """Tells the core the time when it wants to hear it, on the loop's own clock."""

    def __init__(
        self,
        session: Session,
        loop: asyncio.AbstractEventLoop,
        tick: Callable[[], object],
    ) -> None:
        """`tick` tells the time and sends what that made ready."""
        self._session = session
        self._loop = loop
        self._tick = tick
        self._thread = threading.get_ident()
        self._handle: asyncio.TimerHandle | None = None
        self._gaps = Gaps()
        self._stopped = False
        self._stirred = False
        self._reading = False
        session.wake_timer = self._ring
        session.stir = session.rouse = self._stir
        self._set()
        self._stir()

    def stop(self) -> None:
        """No tick will come any more."""
        self._stopped = True
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        """An earlier deadline came up. Called with the session's mutex held."""
        if threading.get_ident() == self._thread:
            self._set()
        else:
            self._session.alarm = 0  # one ring is enough until the loop has heard it
            soon(self._loop, self._set)

    def _stir(self) -> None:
        """Something was counted, here or in another thread."""
        if not self._stirred:
            self._stirred = True
            soon(self._loop, self._look)

    def _look(self) -> None:
        self._stirred = False
        if self._session.dropped:
            self._session.see_to_dropped()
        self._read()

    def _read(self) -> None:
        """Has the time told once what has arrived is read."""
        if not self._reading:
            self._reading = True
            after_reading(self._loop, self._tell)

    def _tell(self) -> None:
        self._reading = False
        if not self._stopped and not self._session.foreign:
            self._tick()
            self._set()

    def _set(self) -> None:
        session = self._session
        if self._stopped or session.foreign or self._loop.is_closed():
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        session.alarm = session.deadline
        if session.deadline < NEVER:
            left = max(0, session.deadline - session.now()) / 1e6
            self._handle = self._loop.call_later(min(left, NAP), self._fire)

    def _fire(self) -> None:
        if not self._stopped and not self._session.foreign:
            if self._gaps.seen():
                self._session.gap()
            if self._session.deadline <= self._session.now():
                self._read()
            else:
                self._set()
