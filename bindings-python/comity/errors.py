"""Everything comity raises, one class per code of the core's table.

Every class derives from `Error` and, where Python or redis-py has a word for the same thing, from
that class too: code that catches `ValueError`, `TimeoutError`, or redis-py's `LockError` and
`WatchError`, keeps working. redis-py's are bases once the program has imported it: see `adopt`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:

    class _RedisLockError(Exception):
        """Stands for redis-py's `LockError`, which is a base only where redis-py is imported."""

        def __init__(self, message: str | None = None, lock_name: str | None = None) -> None: ...

    class _RedisWatchError(Exception):
        """Stands for redis-py's `WatchError`, likewise."""

    class _RedisResponseError(Exception):
        """Stands for redis-py's `ResponseError`, likewise."""

else:

    class _Replaceable(Exception):
        """Python lets no class that stands on `Exception` itself be put on another base."""

    class _RedisLockError(_Replaceable):
        """The place redis-py's `LockError` takes once the program has imported redis-py."""

    class _RedisWatchError(_Replaceable):
        """The place redis-py's `WatchError` takes."""

    class _RedisResponseError(_Replaceable):
        """The place redis-py's `ResponseError` takes."""


_awaited: Final[dict[str, type[Exception]]] = {
    "LockError": _RedisLockError,
    "WatchError": _RedisWatchError,
    "ResponseError": _RedisResponseError,
}
"""redis-py's classes that are no bases yet, and who stands in the place of each."""


def adopt() -> None:
    """Makes redis-py's classes bases, if the program has imported it: whoever names one in an
    `except` has. comity does not import it for that, because it takes longer than all of comity.
    Raises nothing, whatever is there: it would come in place of the error that is being made.
    """
    theirs = sys.modules.get("redis.exceptions") if _awaited else None
    if theirs is None:
        return
    for name, ours in list(_awaited.items()):
        base = _exception_of(theirs, name)
        if base is None:
            continue  # another thread may be in the middle of importing it
        try:
            ours.__bases__ = (base,)
        except Exception:
            pass  # the program has a class of both, whose order of bases does not go with it
        _awaited.pop(name, None)


def _exception_of(module: object, name: str) -> type[Exception] | None:
    """An exception class, where a module has one; a test may have put anything in its place."""
    try:
        found = getattr(module, name, None)
        fits = isinstance(found, type) and issubclass(found, Exception)
    except Exception:
        return None
    return found if fits and found is not Exception else None


class Error(Exception):
    """Base of everything comity raises."""

    code: ClassVar[int] = 0
    """The number of this error in every language's table."""

    lock_name: str | bytes | None = None
    """The lock this is about, where it is about one."""

    holder: bytes | None = None
    """The label of who held the lock, where that is known."""

    server: str | None = None
    """What the server is called that this is about, where it is about one."""

    def __init__(self, message: str = "") -> None:
        adopt()
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Not with what redis-py keeps here: whoever loads it may have no redis-py.
        kept = {name: value for name, value in vars(self).items() if not _is_redis_pys(value)}
        return (*super().__reduce__()[:2], kept)


def _is_redis_pys(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "redis"


class InvalidArgument(Error, ValueError):
    """An option or value is out of range; the message names it and the range."""

    code = 1


class LimitExceeded(Error, ValueError):
    """A stated limit would be exceeded; the message names it."""

    code = 2


class InvalidState(Error, RuntimeError):
    """Verbs in an order that makes no sense, or a handle that is dead or belongs elsewhere."""

    code = 3


class Unsupported(Error, NotImplementedError):
    """A server, client or command that cannot serve this; the message says why."""

    code = 4


class Closed(Error):
    """The coordinator is closed."""

    code = 5


class LockTimeout(Error, _RedisLockError, TimeoutError):
    """The lock was not granted in time."""

    code = 20

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        # An OSError keeps its text itself, which redis-py 6.4 does not hand on to it.
        TimeoutError.__init__(self, message)


class LockLost(Error, _RedisLockError):
    """The lease ended before the release: somebody else may have held the lock meanwhile.

    Whatever notices it first says so: `check`, `extend`, `release`, the end of the block.
    """

    code = 21


class NotHeld(Error, _RedisLockError):
    """Release, extend or check without a grant; a grant that was lost is `LockLost`."""

    code = 22


class ConflictError(Error, _RedisWatchError):
    """The transaction was not applied: a key was locked, or not as it was read or expected."""

    code = 30


class CommandFailed(Error, _RedisResponseError):
    """A command of the transaction failed; the message names it. Nothing was applied."""

    code = 31


class AbortedError(Error):
    """The transaction was not applied: cancelled, too late, or aborted by who recovered it."""

    code = 32


class OutcomeUnknown(Error):
    """The server that decides did not say whether the transaction is applied.

    It is all or nothing in any case. `transaction_status` and `resolve` of the coordinator take
    `transaction_id`, in any process and at any later time.
    """

    code = 33

    transaction_id: bytes | None = None
    """Which transaction."""


class CounterOverflow(Error, OverflowError):
    """A count beyond the range; nothing was counted."""

    code = 40


class RingMismatch(Error):
    """The server belongs to another ring, or is another member of it than this client takes it
    for: nothing was done. The text names both, and what to do.

    Two clients that place keys differently would hold one lock on two servers. Give all clients
    the same servers under the same ids; `docs/ring.md` says how a ring is changed.
    """

    code = 50


class Unreachable(Error, ConnectionError):
    """Nothing was sent: the server could not be reached.

    The text says why in the client's own words, and `__cause__` is its error. It is raised when the
    time is over, and at once where waiting cannot help: a name that is not known, a certificate
    that is not trusted, credentials that cannot be had, what is no Redis.
    """

    code = 60


class NoAnswer(Error, TimeoutError):
    """Sent, and no answer by the deadline: the server may or may not have done it."""

    code = 61


class ServerRefused(Error):
    """The server said no (OOM, READONLY, LOADING, NOAUTH, NOPERM ...); carries its words."""

    code = 62


class WrongType(Error, TypeError):
    """The key holds something that is not comity's."""

    code = 63


class Corrupt(Error, ValueError):
    """Bytes that are not a valid snapshot; the message says where."""

    code = 64


class InternalError(Error):
    """A bug in comity; the handle it came from is dead."""

    code = 90


def _table() -> dict[int, type[Error]]:
    found: dict[int, type[Error]] = {}
    for value in globals().values():
        if isinstance(value, type) and issubclass(value, Error) and value.code:
            found[value.code] = value
    return found


CODES: dict[int, type[Error]] = _table()
"""Code to class."""


def from_code(code: int, message: str) -> Error:
    """The exception for a code of the core's table, ready to be raised."""
    return CODES.get(code, InternalError)(message)


adopt()
