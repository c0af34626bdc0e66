"""The lock handle: what `co.lock(...)` returns."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar

from .errors import Error, InvalidState, LockLost, LockTimeout, NotHeld
from .session import Operation
from .units import MAX_TTL, MAX_WAIT, MIN_TTL, seconds

if TYPE_CHECKING:
    from .coordinator import Coordinator


class _Unset(Enum):
    """The `wait` that was given when the handle was made."""

    UNSET = 0


UNSET: Final = _Unset.UNSET

_E = TypeVar("_E", bound=BaseException)


class Lock:
    """A fair, fenced lock on a name, held by at most one handle at a time.

    As context manager it waits its turn, yields itself and releases at the end. A handle can be
    used again after a release, by one thread at a time; it is not reentrant. Give `fence` to the
    resource you protect: it rises with every grant, so a resource that remembers the highest one
    can refuse whoever comes late. See `Coordinator.lock` for the options.
    """

    __slots__ = (
        "_coordinator",
        "_label",
        "_max_hold",
        "_name",
        "_on_lost",
        "_operation",
        "_renew",
        "_ttl",
        "_wait",
        "name",
    )

    def __init__(
        self,
        coordinator: Coordinator,
        name: str | bytes,
        key: bytes,
        *,
        ttl: int,
        wait: int | None,
        renew: bool,
        max_hold: int | None,
        label: bytes,
        on_lost: Callable[[Lock], object] | None,
    ) -> None:
        """Not for users: `Coordinator.lock` has checked every value; times are microseconds."""
        self.name: Final = name
        self._coordinator = coordinator
        self._name = key
        self._ttl = ttl
        self._wait = wait
        self._renew = renew
        self._max_hold = max_hold
        self._label = label
        self._on_lost = on_lost
        self._operation: Operation | None = None

    # Verbs

    def acquire(self, wait: float | _Unset | None = UNSET) -> bool:
        """Waits for the lock and takes it. True once it is held.

        `wait` overrides the handle's own: at most so many seconds, 0 to try once, None for as
        long as it takes. False if the time runs out first. Any other failure raises:
        `Unreachable`, `NoAnswer`, `ServerRefused`, `WrongType`, `Closed`; `InvalidState` if this
        handle already holds the lock or waits for it.
        """
        operation = self._acquire(self._wait if wait is UNSET else _wait_us(wait))
        if operation.error is None:
            return True
        self._operation = None
        if isinstance(operation.error, LockTimeout):
            return False
        raise self._failure(operation)

    def release(self) -> None:
        """Gives the lock back; the next in line gets it in the same step.

        Raises `NotHeld` without a grant, `LockLost` if the lease ended before, and what kept the
        server from confirming otherwise (comity then goes on releasing in the background). The
        handle is free afterwards in any case.
        """
        operation = self._operation
        if operation is None or not operation.fence:
            raise self._about(NotHeld(f"lock {self.name!r} is not held by this handle"))
        coordinator = self._coordinator
        session = coordinator._session
        self._operation = None
        try:
            session.resume(operation, session.core.lock_release)
            if not operation.done:
                coordinator._driver.wait(operation)
        except Error as error:
            raise self._about(error) from None
        except BaseException:
            session.cancel(operation)
            raise
        session.leave(operation)
        if operation.error is not None:
            raise self._failure(operation)

    def extend(self, ttl: float | None = None) -> None:
        """Renews the lease now, for `ttl` seconds (None: the handle's own) from now on.

        Raises `NotHeld` without a grant, `LockLost` if the lease is over.
        """
        span = None if ttl is None else seconds("ttl", ttl, MIN_TTL, MAX_TTL)
        operation = self._granted()
        coordinator = self._coordinator
        session = coordinator._session
        operation.renewing = True
        try:
            session.resume(operation, session.core.lock_renew, ttl_us=span)
            if not operation.done:
                coordinator._driver.wait(operation)
        finally:
            operation.renewing = False
            session.leave(operation)
            with session.mutex:
                operation.done = True
        if operation.ended:
            raise self._lost(operation)

    def check(self) -> None:
        """Raises `LockLost` if the lease is over or unproven, `NotHeld` without a grant."""
        operation = self._granted()
        if operation.ended or not self._coordinator._session.core.lock_is_held(
            operation.id, self._now()
        ):
            raise self._lost(operation)

    # What is known without asking the server

    @property
    def held(self) -> bool:
        """Whether the lease is certain to be valid right now."""
        operation = self._operation
        return (
            operation is not None
            and operation.fence > 0
            and not operation.ended
            and self._coordinator._session.core.lock_is_held(operation.id, self._now())
        )

    @property
    def lost(self) -> bool:
        """Whether a grant has ended that was not given back."""
        operation = self._operation
        return (
            operation is not None
            and operation.fence > 0
            and (operation.ended or self._now() >= operation.valid_until)
        )

    @property
    def fence(self) -> int:
        """The fencing token of this grant: higher than that of every grant before it, below
        2**53. Raises `NotHeld` without a grant.
        """
        return self._granted().fence

    @property
    def valid_until(self) -> float:
        """When the lease ends unless it is renewed, on the clock of `comity.clock()`. Raises
        `NotHeld` without a grant.
        """
        return self._granted().valid_until / 1e6

    @property
    def remaining(self) -> float:
        """Seconds until `valid_until`, never negative; 0.0 without a grant."""
        operation = self._operation
        if operation is None or not operation.fence or operation.ended:
            return 0.0
        return max(0, operation.valid_until - self._now()) / 1e6

    # The scope

    def __enter__(self) -> Lock:
        operation = self._acquire(self._wait)
        if operation.error is not None:
            self._operation = None
            raise self._failure(operation)
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
            if hasattr(value, "add_note"):
                value.add_note(f"comity: {type(error).__name__}: {error}")

    def __repr__(self) -> str:
        operation = self._operation
        if operation is None:
            state = "free"
        elif not operation.fence:
            state = "waiting"
        elif self.lost:
            state = "lost"
        else:
            state = f"held, {self.remaining:.3f} s left"
        return f"<comity.Lock {self.name!r} {state}>"

    # How

    def _acquire(self, wait: int | None) -> Operation:
        coordinator = self._coordinator
        session = coordinator._session
        operation = Operation()
        if self._on_lost is not None:
            operation.on_lost = partial(_tell, self._on_lost, self)
        try:
            with session.mutex:
                current = self._operation
                if current is not None and not current.ended:
                    raise InvalidState(
                        f"this handle on lock {self.name!r} "
                        + ("is held already" if current.fence else "is waited for already")
                    )
                self._operation = operation
            session.begin(
                operation,
                True,
                session.core.lock_acquire,
                self._name,
                ttl_us=self._ttl,
                wait_us=wait,
                renew=self._renew,
                max_hold_us=self._max_hold,
                label=self._label,
            )
            if not operation.done:
                coordinator._driver.wait(operation)
            session.leave(operation)
        except BaseException:
            if self._operation is operation:
                self._operation = None
            session.cancel(operation)
            raise
        return operation

    def _now(self) -> int:
        return self._coordinator._session.now()

    def _granted(self) -> Operation:
        operation = self._operation
        if operation is None or not operation.fence:
            raise self._about(NotHeld(f"lock {self.name!r} is not held by this handle"))
        return operation

    def _lost(self, operation: Operation) -> Exception:
        if operation.error is not None:
            return self._failure(operation)
        return self._about(LockLost(f"the lease on lock {self.name!r} has ended"))

    def _failure(self, operation: Operation) -> Exception:
        """What came of `operation`, in words that name the lock, its holder, the server."""
        error = self._coordinator._session.failure(operation)
        if error is None:
            error = LockLost(f"the lease on lock {self.name!r} has ended")
        if isinstance(error, LockTimeout) and operation.holder:
            error.holder = operation.holder
            by = operation.holder.decode("utf-8", "backslashreplace")
            error.args = (f"lock {self.name!r} was not granted in time: held by {by}",)
        return self._about(error)

    def _about(self, error: _E) -> _E:
        if isinstance(error, Error):
            error.lock_name = self.name
        return error


def _tell(on_lost: Callable[[Lock], object], lock: Lock) -> None:
    on_lost(lock)


def _wait_us(wait: float | None) -> int | None:
    return None if wait is None else seconds("wait", wait, 0, MAX_WAIT)
