"""Drivers for an event loop: over sockets, and over the embedded store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..memory import MemoryPump
from ..outbox import remove
from .lane import Lane
from .link import Connector, Link
from .push import PushReader
from .wakeup import Timer, settled, soon

if TYPE_CHECKING:
    from ..memory import MemoryStore
    from ..operation import Operation
    from ..session import Session


class Driver(Protocol):
    """What the friendly API needs of a driver."""

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on everything happens on `loop`, whose running task calls this."""

    async def wait(self, operation: Operation, timeout: float | None = None) -> None:
        """Until `operation` is done, at most `timeout` seconds."""

    def stop(self) -> None:
        """Ends every connection and timer."""

    async def stopped(self) -> None:
        """After `stop`: until nothing of it runs any more."""

    def forget(self) -> None:
        """In the child of a fork: drops connections without a word to the server."""


class SocketDriver:
    """Per node a lane and a push connection, and where it is needed a lane for what blocks; one
    timer.
    """

    def __init__(self, session: Session, connectors: Sequence[Connector]) -> None:
        self._session = session
        self._connectors = connectors
        self._lanes: list[Lane] = []
        self._pushes: list[PushReader] = []
        self._ready: list[Link] = []
        self._timer: Timer | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `Driver`."""
        session = self._session
        session.run_callback = partial(soon, loop)
        others = self._flush
        for node, connector in enumerate(self._connectors):
            box = session.boxes[node]
            lane = Lane(session, node, box.background, connector, loop=loop, others=others)
            push = PushReader(session, node, box.subscribe, connector, loop=loop, others=others)
            box.wake_background = partial(self._rung, loop.call_soon, lane)
            box.wake_subscribe = partial(self._rung, loop.call_soon, push)
            box.wake_blocking = partial(self._block, node, connector, loop)
            self._lanes.append(lane)
            self._pushes.append(push)
        self._timer = Timer(session, loop, self._tick)

    def _block(self, node: int, connector: Connector, loop: asyncio.AbstractEventLoop) -> None:
        """Has a connection of its own do what blocks one."""
        box = self._session.boxes[node]
        outbox = box.blocking
        lane = Lane(self._session, node, outbox, connector, loop=loop, others=self._flush)
        self._lanes.append(lane)
        box.wake_blocking = partial(self._rung, loop.call_soon, lane)
        box.wake_blocking()

    async def wait(self, operation: Operation, timeout: float | None = None) -> None:
        """See `Driver`."""
        await settled(self._session, operation, self._send, timeout)

    def stop(self) -> None:
        """See `Driver`."""
        if self._timer is not None:
            self._timer.stop()
        for one in self._all():
            one.stop()

    async def stopped(self) -> None:
        """See `Driver`."""
        if making := [task for one in self._all() if (task := one.making) is not None]:
            await asyncio.wait(making)
        await asyncio.sleep(0)  # the loop's own turn for the connections that were ended

    def forget(self) -> None:
        """See `Driver`."""
        for one in self._all():
            one.forget()

    def _all(self) -> list[Link]:
        return [*self._lanes, *self._pushes]

    def _rung(self, call_soon: Callable[[Callable[[], None]], object], one: Link) -> None:
        """Something is ready to be sent; it leaves with all that this turn of the loop adds."""
        if not self._ready:
            call_soon(self._flush)
        if one not in self._ready:
            self._ready.append(one)

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for one in ready:
            one.flush()

    def _send(self) -> None:
        """Sends at once where nothing is on its way: to wait for this turn's end gains nothing."""
        for one in [one for one in self._ready if one.idle]:
            remove(self._ready, one)
            one.flush()

    def _tick(self) -> None:
        self._session.tick()
        self._flush()


class MemoryDriver(MemoryPump):
    """Executes in the task that made it ready; a timer of the loop keeps the time."""

    def __init__(self, session: Session, stores: Sequence[MemoryStore]) -> None:
        super().__init__(session, stores)
        self._timer: Timer | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `Driver`."""
        self._session.run_callback = partial(soon, loop)
        self._session.rouse = partial(soon, loop, self._session.see_to_dropped)
        if self._clock.ticks:
            self._timer = Timer(self._session, loop, self.tick)

    async def wait(self, operation: Operation, timeout: float | None = None) -> None:
        """See `Driver`."""
        self.pump()
        while not operation.done and self._clock.idle():
            await asyncio.sleep(0)  # whoever is not waiting for comity goes first
        if timeout is not None and not self._clock.ticks:
            return  # it stands still: there is nothing to wait for
        await settled(self._session, operation, self.pump, timeout)

    def stop(self) -> None:
        """See `Driver`."""
        if self._timer is not None:
            self._timer.stop()
        self.leave()

    async def stopped(self) -> None:
        """See `Driver`."""
