"""What is known of a coordinator's servers: what they are called, and which is away, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .errors import Error, NoAnswer, ServerRefused, Unreachable, Unsupported

Say = Callable[..., None]

_NAMED_FIRST: Final = (Unreachable, NoAnswer, ServerRefused, Unsupported)
"""What is a server's doing: their words begin with its name."""


class Servers:
    """See the module. Every call is made with the session's mutex held.

    A server is away from the first sign of it, a connection that breaks under what was asked or one
    that cannot be made, until a connection is made or an answer comes. That is said once for each
    time, whatever was lost by it.
    """

    __slots__ = ("_causes", "_say", "_since", "missing", "name")

    def __init__(self, name: Callable[[int], str], say: Say) -> None:
        """`name`: what the server of a node is called."""
        self.name = name
        self._say = say
        self._since: dict[int, int] = {}
        self._causes: dict[int, BaseException] = {}
        self.missing = False
        """Whether any is away."""

    def away(
        self, node: int, why: str, now: int, waits: int, cause: BaseException | None = None
    ) -> None:
        """A sign that a server is away; `waits` for a grant of its wait on."""
        if cause is not None:
            self._causes[node] = cause
        if node in self._since:
            return
        self._since[node] = now
        self.missing = True
        if waits:
            text = "the server %s is lost: %s; what waits for a lock there waits on (%d)"
            self._say(text, self.name(node), why, waits)
        else:
            self._say("the server %s is lost: %s", self.name(node), why)

    def back(self, node: int, now: int) -> None:
        """A sign that it is there."""
        since = self._since.pop(node, None)
        if since is not None:
            self._causes.pop(node, None)
            self.missing = bool(self._since)
            spent = (now - since) / 1e6
            self._say("the server %s is back after %.3f s", self.name(node), spent)

    def tell(self, error: Exception, node: int) -> None:
        """Has an error that is about a node say so, and why the node could not be reached."""
        if not isinstance(error, Error) or error.server is not None or node < 0:
            return
        error.server = name = self.name(node)
        if isinstance(error, _NAMED_FIRST):
            error.args = (f"{name}: {error}",)
        if isinstance(error, Unreachable) and error.__cause__ is None:
            error.__cause__ = self._causes.get(node)
