"""The lock handle: what `co.lock(...)` returns."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..errors import Error, InvalidState
from ..foreign import refuse
from ..handle import UNSET, Handle, Unset, wait_us
from ..operation import Operation
from .wakeup import keep

if TYPE_CHECKING:
    from typing_extensions import Never

    from .coordinator import Coordinator

OnLost: TypeAlias = Callable[["Lock"], object] | Literal["cancel"] | None
"""What happens when a lease ends before its release."""

_CANCEL: Final = "cancel"


class Lock(Handle):
    """A fair, fenced lock on a name, held by at most one handle at a time.

    As asynchronous context manager it waits its turn, yields itself and releases at the end. A
    handle can be used again after a release, by one task at a time; it is not reentrant. Every
    wait can be cancelled: what was begun is then taken back in the background. Give `fence` to the
    resource you protect: it rises with every grant, so a resource that remembers the highest one
    can refuse whoever comes late. See `Coordinator.lock` for the options.
    """

    __slots__ = ("_scope",)

    _coordinator: Coordinator
    _on_lost: OnLost

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._scope: _Scope | None = None

    async def acquire(self, wait: float | Unset | None = UNSET, **foreign: Never) -> bool:
        """Waits for the lock and takes it. True once it is held.

        `wait` overrides the handle's own: at most so many seconds, 0 to try once, None for as
        long as it takes. False if the time runs out first. Any other failure raises:
        `Unreachable`, `NoAnswer`, `ServerRefused`, `WrongType`, `Closed`; `InvalidState` if this
        handle already holds the lock or waits for it, on another event loop, and for
        `on_lost="cancel"`, which needs the block of an `async with` to cancel.
        """
        refuse("acquire()", foreign, known="wait")
        if self._on_lost == _CANCEL:
            raise InvalidState(
                'on_lost="cancel" cancels the body of `async with`; acquire() has none'
            )
        span = self._wait if wait is UNSET else wait_us(wait)
        return self._outcome(await self._acquire(span, partial(_tell, weakref.ref(self))))

    async def release(self) -> None:
        """Gives the lock back; the next in line gets it in the same step.

        Raises `NotHeld` without a grant, `LockLost` if the lease ended before, and what kept the
        server from confirming otherwise (comity then goes on releasing in the background, as it
        does when this is cancelled). The handle is free afterwards in any case.
        """
        self._coordinator._here()
        operation = self._take()
        session = self._coordinator._session
        try:
            session.resume(operation, session.core.lock_release)
            if not operation.done:
                await self._coordinator._driver.wait(operation)
        except Error as error:
            raise self._about(error) from None
        except BaseException:
            session.cancel(operation)
            raise
        if operation.error is not None:
            raise self._failure(operation)

    async def extend(self, ttl: float | None = None) -> None:
        """Renews the lease now, for `ttl` seconds (None: the handle's own) from now on.

        Raises `NotHeld` without a grant, `LockLost` if the lease is over. Within the coordinator's
        `timeout` it raises `ServerRefused`, `Unreachable` if it was never sent, or `NoAnswer` if it
        was: the lease then lasts as long as it did, at least, and renewals by themselves go on. A
        renewal whose wait is cancelled may still happen; the lock stays held.
        """
        span = self._span(ttl)
        self._coordinator._here()
        operation = self._granted()
        try:
            self._begin_extend(operation, span)
            if not operation.done:
                await self._coordinator._driver.wait(operation)
        finally:
            self._end_extend(operation)
        self._extended(operation)

    async def __aenter__(self) -> Lock:
        scope = _Scope() if self._on_lost == _CANCEL else None
        lost = partial(_tell, weakref.ref(self)) if scope is None else scope.cancel
        self._must(await self._acquire(self._wait, lost))
        self._scope = scope
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        scope, self._scope = self._scope, None
        ours = scope is not None and scope.end(kind)
        operation = self._operation
        if operation is None:
            return  # released inside the block
        try:
            await self.release()
        except Error as error:
            if value is None or ours:
                raise
            self._note(value, error)

    async def _acquire(self, wait: int | None, lost: Callable[[], None]) -> Operation:
        coordinator = self._coordinator
        await coordinator._ready()
        operation = Operation()
        if self._on_lost is not None:
            operation.on_lost = lost
        try:
            self._begin(operation, wait)
            if not operation.done:
                await coordinator._driver.wait(operation)
        except BaseException:
            self._drop(operation)
            raise
        return operation

    def _told(self) -> None:
        """Calls the user back, from the loop; a coroutine becomes a task of its own."""
        if callable(self._on_lost):
            result = self._on_lost(self)
            if inspect.isawaitable(result):
                keep(result)


def _tell(handle: weakref.ref[Lock]) -> None:
    lock = handle()
    if lock is not None:
        lock._told()


class _Scope:
    """The body of an `async with`, cancelled when the lease is lost under it."""

    def __init__(self) -> None:
        """Call in the task that runs the body."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task: asyncio.Task[Any] = task
        self._before = self._cancelling()
        self._cancelled = False
        self._over = False

    def cancel(self) -> None:
        """Cancels the body, unless it has ended. Called by the loop."""
        if not self._over and not self._task.done():
            self._cancelled = True
            self._task.cancel()

    def end(self, kind: type[BaseException] | None) -> bool:
        """The body has ended with an exception of this kind. Whether that is our cancellation, and
        nobody else asked for one.
        """
        self._over = True
        if not self._cancelled:
            return False
        if hasattr(self._task, "uncancel"):
            self._task.uncancel()
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        return cancelled and self._cancelling() <= self._before

    def _cancelling(self) -> int:
        """How many have asked for the task's cancellation; before Python 3.11 nobody counts."""
        return self._task.cancelling() if hasattr(self._task, "cancelling") else 0
