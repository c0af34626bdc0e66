"""What every method of a command needs: its words, its options, and what its reply becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from typing_extensions import Self

Word: TypeAlias = str | bytes | memoryview | int | float
"""What a command is made of: text is UTF-8, numbers are written as Python writes them."""
Seconds: TypeAlias = int | timedelta
Moment: TypeAlias = int | datetime
Convert: TypeAlias = Callable[[Any], Any]
"""What the reply of a server becomes."""


class Commands:
    """How the methods of commands say what is to be done."""

    def _write(self, convert: Convert, *words: object) -> Self:
        """A command that may write."""
        raise NotImplementedError

    def _read(self, convert: Convert, *words: object) -> Any:
        """A command that only reads."""
        raise NotImplementedError


# Replies


def as_it_came(reply: Any) -> Any:
    """Bytes, int, list or None."""
    return reply


def done(reply: Any) -> bool | None:
    """True for OK, None where there was nothing to do."""
    return None if reply is None else reply in (b"OK", "OK")


def true(reply: Any) -> bool:
    """True for 1."""
    return bool(reply)


def number(reply: Any) -> float | None:
    """A float that came as text."""
    return None if reply is None else float(reply)


def members(reply: Any) -> set[bytes]:
    """A set that came as a list."""
    return set(reply)


def fields(reply: Any) -> dict[bytes, bytes]:
    """A hash that came as a list."""
    return dict(zip(reply[::2], reply[1::2], strict=True))


def scores(reply: Any) -> list[tuple[bytes, float]]:
    """Members and their scores, which came one after the other."""
    return [(member, float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]


def numbers(reply: Any) -> list[float | None]:
    """Floats that came as texts."""
    return [number(each) for each in reply]


# Options


def keys(first: Any, more: tuple[Any, ...] = ()) -> list[Any]:
    """Keys given one by one, or as a list first."""
    if isinstance(first, (str, bytes, memoryview, int, float)):
        return [first, *more]
    if isinstance(first, Iterable):
        return [*first, *more]
    return [first, *more]  # refused with the other words


def pairs(name: str, mapping: Any) -> list[Any]:
    """A mapping as words. Raises `InvalidArgument` for what is none, or is empty."""
    if not isinstance(mapping, Mapping) or not mapping:
        raise InvalidArgument(f"{name} must be a mapping that is not empty, not {mapping!r:.80}")
    return [each for item in mapping.items() for each in item]


def at_most_one(what: str, **options: object) -> list[str]:
    """The names of the options that are set, as words. Raises `InvalidArgument` for several."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if len(given) > 1:
        raise InvalidArgument(f"{what}: {' and '.join(given)} exclude each other")
    return given


def seconds(time: Any) -> Any:
    """A time to live in seconds."""
    return int(time.total_seconds()) if isinstance(time, timedelta) else time


def milliseconds(time: Any) -> Any:
    """A time to live in milliseconds."""
    return int(time.total_seconds() * 1000) if isinstance(time, timedelta) else time


def moment(when: Any) -> Any:
    """A time of day in seconds since 1970."""
    return int(when.timestamp()) if isinstance(when, datetime) else when


def moment_ms(when: Any) -> Any:
    """A time of day in milliseconds since 1970."""
    return int(when.timestamp() * 1000) if isinstance(when, datetime) else when


def expiry(
    what: str,
    *,
    ex: Seconds | None,
    px: Seconds | None,
    exat: Moment | None,
    pxat: Moment | None,
    keepttl: bool = False,
    persist: bool = False,
) -> list[Any]:
    """When a key ends, as words. Raises `InvalidArgument` if it is said twice."""
    at_most_one(what, ex=ex, px=px, exat=exat, pxat=pxat, keepttl=keepttl, persist=persist)
    words: list[Any] = []
    if ex is not None:
        words += ["EX", seconds(ex)]
    elif px is not None:
        words += ["PX", milliseconds(px)]
    elif exat is not None:
        words += ["EXAT", moment(exat)]
    elif pxat is not None:
        words += ["PXAT", moment_ms(pxat)]
    elif keepttl:
        words.append("KEEPTTL")
    elif persist:
        words.append("PERSIST")
    return words


def limit(what: str, start: int | None, num: int | None) -> list[Any]:
    """A part of a range, as words. Raises `InvalidArgument` for half of it."""
    if (start is None) != (num is None):
        raise InvalidArgument(f"{what}: the offset and the number must both be given")
    return [] if start is None else ["LIMIT", start, num]
