"""What is known of a coordinator's servers: what they are called, and why one cannot be reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .errors import Error, NoAnswer, ServerRefused, Unreachable, Unsupported

_NAMED_FIRST: Final = (Unreachable, NoAnswer, ServerRefused, Unsupported)
"""What is a server's doing: their words begin with its name."""


class Servers:
    """See the module. Every call is made with the session's mutex held."""

    __slots__ = ("_causes", "_lost", "name")

    def __init__(self, name: Callable[[int], str]) -> None:
        """`name`: what the server of a node is called."""
        self.name = name
        self._causes: dict[int, BaseException] = {}
        self._lost: dict[int, str] = {}

    def lost(self, node: int, why: str) -> None:
        """It does not answer any more."""
        self._lost[node] = why

    def why(self, node: int) -> str | None:
        """Why it does not answer; None while it does."""
        return self._lost.get(node)

    def away(self, node: int, cause: BaseException) -> None:
        """No connection can be made, for this error of the client."""
        self._causes[node] = cause

    def back(self, node: int) -> None:
        """It answers again."""
        self._causes.pop(node, None)
        self._lost.pop(node, None)

    def tell(self, error: Exception, node: int) -> None:
        """Has an error that is about a node say so, and why the node could not be reached."""
        if not isinstance(error, Error) or error.server is not None or node < 0:
            return
        error.server = name = self.name(node)
        if isinstance(error, _NAMED_FIRST):
            error.args = (f"{name}: {error}",)
        if isinstance(error, Unreachable) and error.__cause__ is None:
            error.__cause__ = self._causes.get(node)
