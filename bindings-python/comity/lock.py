"""The lock handle: what `co.lock(...)` returns."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from .errors import Error
from .exits import exiting
from .foreign import refuse
from .handle import UNSET, Handle, Unset, wait_us
from .operation import Operation

if TYPE_CHECKING:
    from typing_extensions import Never

    from .coordinator import Coordinator


class Lock(Handle):
    """A fair, fenced lock on a name, held by at most one handle at a time.

    As context manager it waits its turn, yields itself and releases at the end. A handle can be
    used again after a release, by one thread at a time; it is not reentrant. Give `fence` to the
    resource you protect: it rises with every grant, so a resource that remembers the highest one
    can refuse whoever comes late. See `Coordinator.lock` for the options.
    """

    __slots__ = ()

    _coordinator: Coordinator
    _on_lost: Callable[[Lock], object] | None

    def acquire(self, wait: float | Unset | None = UNSET, **foreign: Never) -> bool:
        """Waits for the lock and takes it. True once it is held.

        `wait` overrides the handle's own: at most so many seconds, 0 to try once, None for as
        long as it takes. False if the time runs out first. Any other failure raises:
        `Unreachable`, `NoAnswer`, `ServerRefused`, `WrongType`, `Closed`; `InvalidState` if this
        handle already holds the lock or waits for it.
        """
        refuse("acquire()", foreign, known="wait")
        return self._outcome(self._acquire(self._wait if wait is UNSET else wait_us(wait)))

    def release(self) -> None:
        """Gives the lock back; the next in line gets it in the same step.

        Raises `NotHeld` without a grant, `LockLost` if the lease ended before, or was given back by
        `close()`, and what kept the server from confirming otherwise (comity then goes on releasing
        in the background). The handle is free afterwards in any case. Once the process
        exits, it is no error that this has given the lock back already.
        """
        operation = self._take()
        session = self._coordinator._session
        try:
            session.resume(operation, session.core.lock_release)
            if not operation.done:
                self._coordinator._driver.wait(operation)
        except Error as error:
            raise self._about(error) from None
        except BaseException:
            session.cancel(operation)
            raise
        session.leave(operation)
        if operation.error is not None:
            if session.closed and exiting:
                return  # by a finalizer, to whom it is no matter that it was given back before
            raise self._failure(operation)

    def extend(self, ttl: float | None = None) -> None:
        """Renews the lease now, for `ttl` seconds (None: the handle's own) from now on.

        Raises `NotHeld` without a grant, `LockLost` if the lease is over. Within the coordinator's
        `timeout` it raises `ServerRefused`, `Unreachable` if it was never sent, or `NoAnswer` if it
        was: the lease then lasts as long as it did, at least, and renewals by themselves go on.
        """
        span = self._span(ttl)
        operation = self._granted()
        try:
            self._begin_extend(operation, span)
            if not operation.done:
                self._coordinator._driver.wait(operation)
        finally:
            self._end_extend(operation)
        self._extended(operation)

    def __enter__(self) -> Lock:
        self._must(self._acquire(self._wait))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._operation is None:
            return  # released inside the block
        try:
            self.release()
        except Error as error:
            if value is None:
                raise
            self._note(value, error)

    def _acquire(self, wait: int | None) -> Operation:
        operation = Operation()
        if self._on_lost is not None:
            operation.on_lost = partial(_tell, self._on_lost, weakref.ref(self))
        try:
            self._begin(operation, wait)
            if not operation.done:
                self._coordinator._driver.wait(operation)
            self._coordinator._session.leave(operation)
        except BaseException:
            self._drop(operation)
            raise
        return operation


def _tell(on_lost: Callable[[Lock], object], handle: weakref.ref[Lock]) -> None:
    lock = handle()
    if lock is not None:
        on_lost(lock)
