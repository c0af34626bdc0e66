"""What the friendly API takes, turned into what the core takes, or refused by name."""

from __future__ import annotations

import math
from typing import Final

from .errors import InvalidArgument

MAX_NAME: Final = 512
MIN_TTL: Final = 0.05
MAX_TTL: Final = 86_400.0
MAX_WAIT: Final = 365 * 86_400.0
MIN_TIMEOUT: Final = 0.01
MAX_TIMEOUT: Final = 60.0


def shown(value: object) -> str:
    """A value for messages, also a number of more digits than Python writes."""
    try:
        return f"{value!r:.80}"
    except ValueError:
        bits = f" of {value.bit_length()} bits" if isinstance(value, int) else ""
        return f"{type(value).__name__}{bits}"


def whole(name: str, value: object, low: int, high: int, span: str | None = None) -> int:
    """`value` where it is an int in `low..=high`, which messages call `span`.

    Raises `InvalidArgument`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise InvalidArgument(f"{name} must be {span or f'{low}..{high}'}, not {shown(value)}")
    return value


def seconds(name: str, value: object, low: float, high: float) -> int:
    """`value` seconds as whole microseconds.

    Raises `InvalidArgument`, naming the option and its range, for anything that is not a finite
    int or float in `low..=high`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgument(
            f"{name} must be seconds as int or float, not {type(value).__name__} ({shown(value)})"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgument(f"{name} must be {low:g}..{high:g} seconds, not {shown(value)}")
    if not low <= value <= high:
        raise InvalidArgument(f"{name} must be {low:g}..{high:g} seconds, not {shown(value)}")
    return round(value * 1_000_000)


def octets(name: str, value: object) -> bytes:
    """`value` as bytes; text as UTF-8. Raises `InvalidArgument` for anything else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"{name} is not valid Unicode: {error}") from None
    raise InvalidArgument(f"{name} must be str or bytes, not {type(value).__name__}")


def readable(name: bytes) -> str:
    """A name for people, in quotes."""
    return repr(name.decode("utf-8", "backslashreplace"))


def flag(name: str, value: object) -> bool:
    """`value` where it is a bool. Raises `InvalidArgument` otherwise."""
    if isinstance(value, bool):
        return value
    raise InvalidArgument(f"{name} must be True or False, not {shown(value)}")


def word(name: str, value: object) -> bytes:
    """A word of a command as redis-py makes it of str, bytes, memoryview, int or float.

    Raises `InvalidArgument` for anything else.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return octets(name, value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return int.__repr__(value).encode()
        except ValueError as error:
            raise InvalidArgument(f"{name} is {shown(value)}: {error}") from None
    if isinstance(value, float):
        return float.__repr__(value).encode()
    if isinstance(value, memoryview):
        return bytes(value)
    raise InvalidArgument(
        f"{name} must be str, bytes, int or float, not {type(value).__name__} ({shown(value)})"
    )
