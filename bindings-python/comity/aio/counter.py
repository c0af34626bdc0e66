"""Who waits for what a counter asks of its server, on an event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from ..counter import PAUSE, CounterAudit, CounterValue, Desk, Reports, prune_us
from ..gathered import SPAN

if TYPE_CHECKING:
    from ..session import Session
    from .coordinator import Coordinator


class Counter(Protocol):
    """A `comity.Counter` on an event loop: what asks the server is awaited."""

    @property
    def name(self) -> str | bytes:
        """The name it was opened with; bytes where it is not UTF-8."""

    @property
    def id(self) -> int:
        """What `Event.counter` says."""

    def add(self, n: int = 1, /) -> None:
        """See `comity.Counter.add`."""

    def add_many(self, amounts: Iterable[int], /) -> None:
        """See `comity.Counter.add_many`."""

    def value(self) -> int:
        """See `comity.Counter.value`."""

    async def read(
        self, mode: Literal["fresh", "local"] = "fresh", *, at_least: int | None = None
    ) -> CounterValue:
        """See `comity.Counter.read`."""

    async def flush(self) -> None:
        """See `comity.Counter.flush`."""

    async def reset(self, *, epoch: int | None = None) -> int:
        """See `comity.Counter.reset`."""

    async def audit(self, *, prune: float | None = None) -> CounterAudit:
        """See `comity.Counter.audit`."""

    async def close(self) -> None:
        """See `comity.Counter.close`."""

    def snapshot(self) -> bytes:
        """See `comity.Counter.snapshot`."""

    def merge(self, state: bytes, /) -> None:
        """See `comity.Counter.merge`."""

    def restore(self, state: bytes, /) -> None:
        """See `comity.Counter.restore`."""


class TaskDesk(Desk):
    """For tasks: each awaits its own. Cancelled, what was asked for may still happen."""

    _coordinator: Coordinator

    async def read(self, counter: int, mode: str, at_least: int | None) -> CounterValue:
        """See `comity.Counter.read`."""
        if mode == "local":
            return self._local(counter)
        verb = self._session.core.counter_read
        return self._value(await self._coordinator._call(verb, counter, at_least=at_least))

    async def flush(self, counter: int) -> None:
        """See `comity.Counter.flush`."""
        await self._coordinator._call(self._session.core.counter_flush, counter)

    async def reset(self, counter: int, epoch: int | None) -> int:
        """See `comity.Counter.reset`."""
        verb = self._session.core.counter_reset
        return self._epoch(await self._coordinator._call(verb, counter, epoch=epoch))

    async def audit(self, counter: int, prune: float | None) -> CounterAudit:
        """See `comity.Counter.audit`."""
        verb, span = self._session.core.counter_audit, prune_us(prune)
        return self._audit(await self._coordinator._call(verb, counter, prune_us=span))

    async def close(self, counter: int) -> None:
        """See `comity.Counter.close`."""
        operation = await self._coordinator._call(self._session.core.counter_close, counter)
        await self._coordinator._reports.finish()
        self._closed(operation)


class TaskReports(Reports):
    """For tasks: journals are written by the loop, one after the other."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._writing: set[asyncio.Task[None]] = set()

    def write(
        self, counter: int, name: bytes, write: Callable[[bytes], object], journal: bytes
    ) -> None:
        """See `Reports`."""
        self._session.run_callback(lambda: self._begin(self._write(counter, name, write, journal)))

    def soon(self, say: Callable[[], None]) -> None:
        """See `Reports`."""
        self._session.run_callback(partial(self._later, say))

    async def finish(self, timeout: float | None = None) -> None:
        """Until every journal that was begun is written, at most `timeout` seconds."""
        await asyncio.sleep(0)  # the loop's own turn for those that are about to begin
        if self._writing:
            await asyncio.wait(set(self._writing), timeout=timeout)

    @staticmethod
    def _later(say: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(SPAN, say)

    def _begin(self, writing: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(
        self, counter: int, name: bytes, write: Callable[[bytes], object], journal: bytes
    ) -> None:
        while True:
            try:
                result = write(journal)
                if inspect.isawaitable(result):
                    await result
                break
            except Exception as error:
                self.unwritten(counter, name, error)
                if self._session.closed:
                    return
                await asyncio.sleep(PAUSE)
        self.written(counter)
