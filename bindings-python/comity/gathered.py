"""What befalls many counters for one cause is one line in the log, not one for each of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .units import readable

# As in `builder.py`: a union of one word each.
_Kind: TypeAlias = (
    Literal["refused"]
    | Literal["regressed"]
    | Literal["lost"]
    | Literal["closed"]
    | Literal["journal"]
)
_Cause = tuple[_Kind, str, str]

SPAN: Final = 1.0
"""Seconds for which what has one cause is gathered before it is said."""

_LEVELS: Final[dict[_Kind, int]] = {"lost": logging.ERROR, "journal": logging.ERROR}
_LASTING: Final = frozenset(("refused", "regressed", "journal"))
"""What goes on: it is said once, until it befalls a counter anew, or has an end of its own."""


@dataclass(frozen=True)
class Tiding:
    """What befell one counter."""

    kind: _Kind
    counter: int
    name: bytes
    server: str = ""
    why: BaseException | str | None = None
    units: int = 0


class Episode:
    """What has one cause."""

    def __init__(self, cause: _Cause) -> None:
        self.cause: Final = cause
        self.error: BaseException | None = None
        self.counters: Final[dict[int, tuple[bytes, int]]] = {}
        """The name of each counter, and how many units of it."""
        self.said = False

    def __str__(self) -> str:
        kind, server, why = self.cause
        what, each = f"{len(self.counters)} counters", "each"
        units = sum(units for _, units in self.counters.values())
        if len(self.counters) == 1:
            what = each = f"counter {readable(next(iter(self.counters.values()))[0])}"
        why = why.replace("\0", each)
        if kind == "refused":
            return f"the server {server} does not take what is counted by {what}: {why}"
        if kind == "regressed":
            return f"the server {server} has lost acknowledged units of {what}"
        if kind == "lost":
            return f"{units} units of {what} on the server {server} are lost: {why}"
        if kind == "closed":
            were = "was" if len(self.counters) == 1 else "were"
            because = f" ({why})" if why else ""
            return (
                f"{what} {were} closed with {units} units that the server {server} has not "
                f"acknowledged{because}: they may be counted or not"
            )
        return f"the journal of {what} could not be written: {why}"


class Gathered:
    """See the module. Every call is made with the session's mutex held."""

    def __init__(self) -> None:
        self._episodes: dict[_Cause, Episode] = {}

    def put(self, one: Tiding) -> bool:
        """Takes one in. Whether it is the first for its cause, and has to be said soon."""
        kind, counter, name = one.kind, one.counter, one.name
        why = "" if one.why is None else str(one.why)
        # The cause is the same for the others, though it names this one.
        cause = (kind, one.server, why.replace(f"counter {readable(name)}", "\0"))
        episode = self._episodes.get(cause)
        again = episode is not None and episode.said and counter in episode.counters
        if episode is None or (again and kind != "journal"):
            episode = self._episodes[cause] = Episode(cause)
            episode.error = one.why if isinstance(one.why, BaseException) else None
        first = not episode.counters
        before = episode.counters.get(counter, (name, 0))[1]
        episode.counters[counter] = (name, before + one.units)
        return first

    def why(self, counter: int) -> str | None:
        """Why what this counter counts is not taken, where that was said."""
        for (kind, _, why), episode in self._episodes.items():
            if kind == "refused" and counter in episode.counters:
                return why.replace("\0", f"counter {readable(episode.counters[counter][0])}")
        return None

    def over(self, counter: int, *kinds: _Kind) -> None:
        """What was said of these kinds does not befall this counter any more."""
        for cause, episode in list(self._episodes.items()):
            if episode.said and cause[0] in kinds:
                episode.counters.pop(counter, None)
                if not episode.counters:
                    self._episodes.pop(cause, None)

    def take(self) -> list[Callable[[logging.Logger], None]]:
        """What is to be said now."""
        lines = []
        for cause, episode in list(self._episodes.items()):
            if not episode.said:
                episode.said = True
                lines.append(_line(episode))
                if cause[0] not in _LASTING:
                    self._episodes.pop(cause, None)
        return lines


def _line(episode: Episode) -> Callable[[logging.Logger], None]:
    kind, text = episode.cause[0], str(episode)
    error = episode.error if kind == "journal" else None
    level = _LEVELS.get(kind, logging.WARNING)
    return lambda log: log.log(level, "%s", text, exc_info=error)
