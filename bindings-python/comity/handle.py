"""What a lock handle knows and begins, whoever waits for the outcome: a thread or a task."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .bound import Bound
from .dropped import finalizer
from .errors import Error, InvalidState, LockLost, LockTimeout, NotHeld
from .operation import Operation
from .units import MAX_TTL, MAX_WAIT, MIN_TTL, seconds

if TYPE_CHECKING:
    from .base import Base
    from .session import Session


class Unset(Enum):
    """The `wait` that was given when the handle was made."""

    UNSET = 0


UNSET: Final = Unset.UNSET

_E = TypeVar("_E", bound=BaseException)


class Handle(Bound):
    """A handle on a lock, without the verbs that wait."""

    __slots__ = (
        "__weakref__",
        "_coordinator",
        "_gone",
        "_label",
        "_left_to",
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
        coordinator: Base,
        name: str | bytes,
        key: bytes,
        *,
        ttl: int,
        wait: int | None,
        renew: bool,
        max_hold: int | None,
        label: bytes | None,
        on_lost: Any,
    ) -> None:
        """Not for users: `Base._options` has checked every value; times are microseconds."""
        self.name: Final = name
        self._coordinator = coordinator
        self._name = key
        self._ttl = ttl
        self._wait = wait
        self._renew = renew
        self._max_hold = max_hold
        self._label = label
        self._on_lost = on_lost
        self._left_to: Session | None = None
        """Who gives back what this holds where nobody does: see `dropped.finalizer`."""
        self._operation: Operation | None = None
        self._gone: Operation | None = None
        """The grant that was last given back, if it had been lost by then."""

    def check(self) -> None:
        """Raises `LockLost` if the lease is over or unproven, also once `release` has said so, and
        `NotHeld` without a grant.
        """
        operation = self._granted()
        if self._coordinator._session.hindered:
            self._coordinator._session.stand_in()
        if operation.ended or not self._coordinator._session.core.lock_is_held(
            operation.id, self._now()
        ):
            raise self._lost(operation)

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
        """Whether the lease of the last grant has ended before its release. It stays true until
        the handle is used again.
        """
        operation = self._operation
        return self._gone is not None or (
            operation is not None
            and operation.fence > 0
            and (operation.ended or self._now() >= operation.valid_until)
        )

    @property
    def fence(self) -> int:
        """The fencing token of this grant: higher than that of every grant before it, below
        2**53. Raises `NotHeld` without a grant, and so after the release: keep the number.
        """
        return self._granted(": its fence can be read while it is").fence

    @property
    def valid_until(self) -> float:
        """When the lease ends unless it is renewed, on the clock of `comity.clock()`. Raises
        `NotHeld` without a grant.
        """
        return self._granted(": its time can be read while it is").valid_until / 1e6

    @property
    def remaining(self) -> float:
        """Seconds until `valid_until`, never negative; 0.0 without a grant."""
        operation = self._operation
        if operation is None or not operation.fence or operation.ended:
            return 0.0
        return max(0, operation.valid_until - self._now()) / 1e6

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
        home = type(self).__module__.rpartition(".")[0]
        return f"<{home}.Lock {self.name!r} {state}>"

    if TYPE_CHECKING:

        @property
        def __del__(self) -> Any:  # as stubtest finds it
            ...
    else:
        __del__ = finalizer

    def _dropped(self) -> None:
        """See `Droppable`."""
        operation, session = self._operation, self._left_to
        if (
            operation is not None
            and session is not None
            and not (operation.ended or session.closed)
        ):
            if session.now() < operation.valid_until:
                session.warn(f"lock {self.name!r} is given back: nobody has the handle any more")
            session.cancel(operation)
        self._let_go()

    # What the verbs of both kinds of handle have in common

    def _let_go(self) -> None:
        """The handle is free."""
        self._operation = self._left_to = None

    def _begin(self, operation: Operation, wait: int | None) -> None:
        """Has `operation` stand for a new acquisition by this handle."""
        session = self._coordinator._session
        with session.mutex:
            current = self._operation
            if current is not None and current.inherited:
                raise self._lost(current)
            if current is not None and not current.ended:
                state = "holds it already" if current.fence else "waits for it already"
                raise self._about(
                    InvalidState(
                        f"this handle on lock {self.name!r} {state}: it is not reentrant; release "
                        "it first, or take the lock by a handle of its own"
                    )
                )
            self._left_to = session
            self._operation = operation
            self._gone = None
            operation.name = self._name
            operation.began = self._now()
        session.begin(
            operation,
            session.core.lock_acquire,
            self._name,
            ttl_us=self._ttl,
            wait_us=wait,
            renew=self._renew,
            max_hold_us=self._max_hold,
            label=self._coordinator._label if self._label is None else self._label,
        )

    def _drop(self, operation: Operation) -> None:
        """The acquisition that `operation` stood for is not wanted any more."""
        if self._operation is operation:
            self._let_go()
        self._coordinator._session.cancel(operation)

    def _outcome(self, operation: Operation) -> bool:
        """True if `operation` was granted, False if its time ran out; raises all other failures."""
        if operation.error is None:
            return True
        self._let_go()
        if isinstance(operation.error, LockTimeout):
            return False
        raise self._failure(operation)

    def _must(self, operation: Operation) -> None:
        """Raises every failure of an acquisition."""
        if operation.error is not None:
            self._let_go()
            raise self._failure(operation)

    def _take(self) -> Operation:
        """The grant that is to be released; the handle is free from now on."""
        operation = self._granted()
        self._let_go()
        return operation

    @staticmethod
    def _span(ttl: float | None) -> int | None:
        return None if ttl is None else seconds("ttl", ttl, MIN_TTL, MAX_TTL)

    def _begin_extend(self, operation: Operation, span: int | None) -> None:
        """Asks for a renewal; `_end_extend` must follow."""
        session = self._coordinator._session
        with session.mutex:
            operation.renewing, operation.unrenewed = operation.renewing + 1, None
        session.resume(operation, session.core.lock_renew, ttl_us=span)

    def _end_extend(self, operation: Operation) -> None:
        """Whatever became of a renewal: the caller waits for it no more."""
        session = self._coordinator._session
        session.leave(operation)
        with session.mutex:
            operation.renewing = max(operation.renewing - 1, 0)
            # Another thread or task may wait for its own.
            operation.done = operation.done or not operation.renewing

    def _extended(self, operation: Operation) -> None:
        """Raises what kept a renewal from being confirmed."""
        if operation.ended:
            raise self._lost(operation)
        error = operation.unrenewed
        if error is not None:
            session = self._coordinator._session
            session.servers.tell(error, operation.node)
            raise self._about(error)

    @staticmethod
    def _note(value: BaseException, error: Error) -> None:
        """Has the exception that leaves a block tell what went wrong at its end as well."""
        if hasattr(value, "add_note"):
            value.add_note(f"comity: {type(error).__name__}: {error}")

    def _now(self) -> int:
        return self._coordinator._session.now()

    def _granted(self, why: str = "") -> Operation:
        operation = self._operation
        if operation is None and self._gone is not None:
            raise self._lost(self._gone)
        if operation is None or not operation.fence:
            raise self._about(NotHeld(f"lock {self.name!r} is not held by this handle{why}"))
        return operation

    def _lost(self, operation: Operation) -> Exception:
        session = self._coordinator._session
        if operation.error is None and session.closed and not session.foreign:
            session.give_back(operation)
        if operation.error is not None:
            return self._failure(operation)
        return self._about(LockLost(f"the lease on lock {self.name!r} is not proven any more"))

    def _failure(self, operation: Operation) -> Exception:
        """What came of `operation`, in words that name the lock, its holder, the server."""
        error = self._coordinator._session.failure(operation)
        if error is None:
            error = LockLost(f"the lease on lock {self.name!r} has ended")
        if isinstance(error, LockLost):
            self._gone = operation
        if isinstance(error, LockTimeout):
            error.holder = operation.holder or None
            by = "somebody else"
            if operation.holder:
                by = operation.holder.decode("utf-8", "backslashreplace")
            if self._holds_by_another():
                by = f"this very process, by another handle of the same coordinator ({by})"
            error.args = (f"lock {self.name!r} was not granted in time: held by {by}",)
        return self._about(error)

    def _holds_by_another(self) -> bool:
        """Whether the lock is held by another handle of the same coordinator."""
        session = self._coordinator._session
        with session.mutex:
            return any(
                one.name == self._name and one.fence and not one.ended
                for one in list(session.operations.values())
            )

    def _about(self, error: _E) -> _E:
        if isinstance(error, Error):
            error.lock_name = self.name
        return error


def wait_us(wait: float | None) -> int | None:
    """A `wait` in microseconds. Raises `InvalidArgument`."""
    return None if wait is None else seconds("wait", wait, 0, MAX_WAIT)
