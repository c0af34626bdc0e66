"""The transaction: what `co.transaction(...)` returns, and what the other verbs need."""

from __future__ import annotations

import random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from .builder import Builder, Committed, Options, Request, Steps, replies_of
from .errors import CommandFailed, InvalidArgument
from .units import whole, word

if TYPE_CHECKING:
    from typing_extensions import Self

    from .coordinator import Coordinator

MAX_ATTEMPTS: Final = 1_000


class Transaction(Builder):
    """Commands that are all applied, on every server they go to, or none: `co.transaction(...)`.

    As redis-py's pipeline it buffers commands and returns itself, `execute` sends them, and it can
    be used again afterwards:

        tx = co.transaction()
        tx.incrby("alice", -30).incrby("bob", 30)
        balances = tx.execute()

    As context manager it commits at the end of the block, and discards if the block raises. A
    transaction belongs to one thread at a time. See `Coordinator.transaction` for the options.
    """

    def __init__(self, coordinator: Coordinator, options: Options) -> None:
        """Not for users: see `Coordinator.transaction`."""
        super().__init__(options)
        self._coordinator = coordinator
        self._session = coordinator._session

    def watch(self, *names: str | bytes | memoryview | int | float) -> None:
        """Reads these keys now, and has the transaction applied only if they are unchanged then.

        From here on reads are executed at once and answer with values; they are validated too. What
        was read stays what it was: the same read has the same answer. `multi` lets commands be
        buffered again. Values are compared, not versions: a value that was changed and changed
        back, or got another end, is unchanged.

        Raises `InvalidState` after `multi` or a buffered command, and as `execute` does.
        """
        self._now(self._watch_steps(names))

    def execute(self) -> list[Any]:
        """Applies everything at once, or nothing. The replies, in the order of the commands.

        The buffer is empty afterwards, whatever became of it. A reply is None where another client
        had to finish the transaction and its replies are gone.

        Raises, with nothing applied: `ConflictError` (a key is locked, or not as it was read or
        checked), `CommandFailed` (names the command), `AbortedError`, `RingMismatch`,
        `Unreachable`, `NoAnswer`, `ServerRefused`, `LimitExceeded`, `InvalidArgument`,
        `Unsupported`, `Closed`; `InvalidState` in the child of a fork and in a block that has
        committed. Raises `OutcomeUnknown` where the server that decides does not say: the
        transaction is all or nothing, and `Coordinator.resolve` tells which.

        Ctrl-C gives the transaction up. What was decided by then stays: a transaction that is
        committed after it was given up is logged, as a warning with its id, for
        `Coordinator.transaction_status`.
        """
        self._session.require_own()
        request, converts = self._taken()
        done = None if request.empty else self._coordinator._transact(request)
        return self._done(done, converts)

    def __enter__(self) -> Self:
        self._session.require_open()
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._scope == "open":
                self.execute()
        finally:
            self._leave()

    def _now(self, steps: Steps[Any]) -> Any:
        self._session.require_own()
        ask = self._coordinator._transact
        try:
            request = next(steps)
            while True:
                try:
                    done = ask(request)
                except CommandFailed as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(done)
        except StopIteration as end:
            return end.value


def pause(attempt: int) -> float:
    """Seconds before attempt number `attempt`, from 1, of those who met each other."""
    return random.uniform(0, min(0.05, 0.001 * 2**attempt))  # noqa: S311 - no secret


def checked_attempts(attempts: object) -> int:
    """`attempts` where it can be that. Raises `InvalidArgument`."""
    return whole("attempts", attempts, 1, MAX_ATTEMPTS)


def snapshot_request(keys: tuple[Any, ...], timeout: float | None) -> Request:
    """The request that reads these strings at one instant. Raises `InvalidArgument`."""
    if not keys:
        raise InvalidArgument("snapshot: no key is given")
    names = [word(f"snapshot: key {at}", key) for at, key in enumerate(keys, 1)]
    return Request([[b"GET", name] for name in names], [], Options.of("decided", timeout))


def snapshot_of(keys: tuple[Any, ...], done: Committed) -> dict[Any, bytes | None]:
    """The strings by their keys."""
    return dict(zip(keys, replies_of(done, len(keys)), strict=True))
