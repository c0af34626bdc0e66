"""`co.events()`: what happened, for tasks that want to watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING

from ..events import Buffer
from ..units import MAX_WAIT, seconds
from .wakeup import Wakeup

if TYPE_CHECKING:
    from .._core import Event
    from ..session import Session


class Events(Buffer):
    """A bounded buffer of `comity.core.Event`, from the moment it was made.

    A reader that is too slow loses the oldest events, never holds anything up, and finds in
    `dropped` how many it lost. `async for` waits for the next event and ends when the coordinator
    or this object is closed.
    """

    def __init__(self, session: Session, buffer: int) -> None:
        self._waiting: list[Wakeup] = []
        super().__init__(session, buffer)

    async def get(self, timeout: float | None = None) -> Event | None:
        """The next event. None if `timeout` seconds pass first, or none will ever come."""
        self._session.require_own()
        limit = None if timeout is None else seconds("timeout", timeout, 0, MAX_WAIT) / 1e6
        loop = asyncio.get_running_loop()
        until = None if limit is None else loop.time() + limit
        while True:
            with self._session.mutex:
                if self._buffer:
                    return self._buffer.popleft()
                if self._closed or (until is not None and loop.time() >= until):
                    return None
                wakeup = Wakeup(loop)
                self._waiting.append(wakeup)
            timer = None if until is None else loop.call_at(until, wakeup)
            try:
                await wakeup.future
            finally:
                if timer is not None:
                    timer.cancel()
                with self._session.mutex:
                    self._waiting = [one for one in self._waiting if one is not wakeup]

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.get()) is not None:
            yield event

    async def __aenter__(self) -> Events:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wake(self) -> None:
        for wakeup in self._waiting:
            wakeup()
