"""The transaction: what `co.transaction(...)` returns."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..builder import Builder, Options, Steps
from ..errors import CommandFailed

if TYPE_CHECKING:
    from typing_extensions import Self

    from .coordinator import Coordinator


class Transaction(Builder):
    """Commands that are all applied, on every server they go to, or none: `co.transaction(...)`.

    Commands are buffered by plain calls, which return the transaction; `watch`, `execute` and,
    after `watch`, reads are awaited:

        tx = co.transaction()
        tx.incrby("alice", -30).incrby("bob", 30)
        balances = await tx.execute()

    As asynchronous context manager it commits at the end of the block, and discards if the block
    raises. A transaction belongs to one task at a time. See `comity.Coordinator.transaction` for
    the options.
    """

    def __init__(self, coordinator: Coordinator, options: Options) -> None:
        """Not for users: see `Coordinator.transaction`."""
        super().__init__(options)
        self._coordinator = coordinator
        self._session = coordinator._session

    async def watch(self, *names: str | bytes | memoryview | int | float) -> None:
        """Reads these keys now, and has the transaction applied only if they are unchanged then.

        See `comity.Transaction.watch`.
        """
        await self._now(self._watch_steps(names))

    async def execute(self) -> list[Any]:
        """Applies everything at once, or nothing. The replies, in the order of the commands.

        Raises as `comity.Transaction.execute` does. Cancelled, it gives the transaction up. What
        was decided by then stays: a transaction that is committed after it was given up is logged,
        as a warning with its id, for `Coordinator.transaction_status`.
        """
        self._session.require_own()
        request, converts = self._taken()
        done = None if request.empty else await self._coordinator._transact(request)
        return self._done(done, converts)

    async def __aenter__(self) -> Self:
        self._session.require_open()
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._scope == "open":
                await self.execute()
        finally:
            self._leave()

    async def _now(self, steps: Steps[Any]) -> Any:
        self._session.require_own()
        ask = self._coordinator._transact
        try:
            request = next(steps)
            while True:
                try:
                    done = await ask(request)
                except CommandFailed as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(done)
        except StopIteration as end:
            return end.value
