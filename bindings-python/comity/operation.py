"""What somebody waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._core import Event


class Operation:
    """One thing somebody waits for: a lock, a call or a transaction, and what became of it.

    `done` is false while an answer is awaited. `attended` says that a thread waits, and so will
    send this operation's commands itself; what nobody attends to goes to the background. `nodes`
    are those that it has commands for: a transaction may have several, and `node` is the first.
    """

    __slots__ = (
        "attended",
        "began",
        "done",
        "ended",
        "error",
        "event",
        "fence",
        "gate",
        "holder",
        "id",
        "name",
        "node",
        "nodes",
        "on_lost",
        "rank",
        "renewing",
        "several",
        "unrenewed",
        "valid_until",
    )

    def __init__(self) -> None:
        self.id = -1
        self.node = -1
        self.nodes: list[int] = []
        self.several = False
        self.name = b""
        self.began = 0
        self.attended = False
        self.done = False
        self.ended = False
        self.error: Exception | None = None
        self.event: Event | None = None
        self.fence = 0
        self.valid_until = 0
        self.holder: bytes | None = None
        self.rank: int | None = None
        self.renewing = 0  # so many wait for a renewal
        self.unrenewed: Exception | None = None
        self.on_lost: Callable[[], None] | None = None
        self.gate: Callable[[], object] | None = None

    @property
    def inherited(self) -> bool:
        """Whether it is a grant of the process that this one was forked from."""
        return self.id < 0 and self.fence > 0

    def comes_to(self, node: int) -> None:
        """It has a command for a node. Called with the session's mutex held."""
        if node not in self.nodes:
            self.nodes.append(node)
            self.several = len(self.nodes) > 1
            self.node = self.nodes[0]

    def signal(self) -> None:
        """Wakes whoever is parked on this; twice does no harm. Called with the session's mutex
        held. The gate stays: whoever waits behind it takes it away.
        """
        gate = self.gate
        if gate is not None:
            try:
                gate()
            except RuntimeError:
                pass  # open already
