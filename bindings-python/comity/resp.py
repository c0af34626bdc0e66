"""Reads Redis replies (RESP2 and RESP3) from bytes as they arrive.

comity reads replies itself, because redis-py's parsers drop an error's code word, differ in what
they do with a reply that is half there, and cannot be given one deadline for a whole reply on
every version. Server text stays as the server wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

MAX_BULK: Final = 512 * 1024 * 1024
"""The longest string a Redis server sends (`proto-max-bulk-len`)."""
MAX_ITEMS: Final = 1_048_576
"""The longest array comity reads: more than any answer it asks for."""
MAX_DEPTH: Final = 8
"""How deep arrays may lie inside one another."""

_SHORT: Final = 2048


class ProtocolError(Exception):
    """The peer does not speak RESP, or not what was asked for; the stream cannot be trusted."""


class Push(list[Any]):
    """A RESP3 push: not the answer to any request."""

    __slots__ = ()


class _Incomplete(Exception):
    """More bytes are needed."""


_INCOMPLETE = _Incomplete()


class Reader:
    """An incremental parser. `feed` returns the replies that the new bytes complete.

    Bulk strings are bytes, simple strings str, errors whatever `error` makes of the server's
    whole text, everything else the Python value that is closest.
    """

    __slots__ = ("_buffer", "_error")

    def __init__(self, error: Callable[[bytes], Any]) -> None:
        self._buffer = b""
        self._error = error

    @property
    def pending(self) -> int:
        """Bytes of a reply that is not yet complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Any]:
        """Takes bytes from the socket. Raises `ProtocolError` on anything that is not RESP."""
        data = self._buffer + data if self._buffer else data
        replies, used = parse(data, self._error)
        self._buffer = data[used:]
        return replies


def parse(data: bytes, error: Callable[[bytes], Any]) -> tuple[list[Any], int]:
    """The replies that `data` begins with, as `Reader` has them, and how many bytes they are.
    Raises `ProtocolError` on anything that is not RESP.
    """
    if len(data) < _SHORT:
        flat = _flat(data)
        if flat is not None:
            return [flat], len(data)
    parser = _Parser(error)
    replies: list[Any] = []
    at = 0
    end = len(data)
    try:
        while at < end:
            value, at = parser.value(data, at, 0)
            replies.append(value)
    except _Incomplete:
        pass
    except ValueError as wrong:
        raise ProtocolError(f"not a RESP number: {wrong}") from None
    return replies, at


class _Parser:
    """Reads values. `error` makes something of an error's text."""

    __slots__ = ("_error",)

    def __init__(self, error: Callable[[bytes], Any]) -> None:
        self._error = error

    def value(self, data: bytes, at: int, depth: int) -> tuple[Any, int]:
        """The value at `at`, and where it ends."""
        line = data.find(b"\r\n", at)
        if line < 0:
            raise _INCOMPLETE
        kind = data[at]
        head = data[at + 1 : line]
        at = line + 2
        if kind == 36:  # $
            size = int(head)
            if size < 0:
                return None, at
            return self._bulk(data, at, size)
        if kind == 42:  # *
            count = int(head)
            if count < 0:
                return None, at
            return self._items(data, at, count, depth)
        if kind == 58:  # :
            return int(head), at
        if kind == 43:  # +
            return head.decode("utf-8", "replace"), at
        if kind == 45:  # -
            return self._error(head), at
        return self._value3(kind, head, data, at, depth)

    def _value3(self, kind: int, head: bytes, data: bytes, at: int, depth: int) -> tuple[Any, int]:
        """The kinds RESP3 added."""
        if kind == 95:  # _
            return None, at
        if kind == 35 and head in (b"t", b"f"):  # #
            return head == b"t", at
        if kind == 44:  # ,
            return float(head), at
        if kind == 40:  # (
            return int(head), at
        if kind == 61:  # = text with a three letter format in front
            text, at = self._bulk(data, at, int(head))
            return text[4:], at
        if kind == 33:  # !
            text, at = self._bulk(data, at, int(head))
            return self._error(text), at
        if kind == 62:  # >
            items, at = self._items(data, at, int(head), depth)
            return Push(items), at
        if kind == 126:  # ~ as a list: elements need not be hashable
            return self._items(data, at, int(head), depth)
        if kind in (37, 124):  # % and |
            items, at = self._items(data, at, 2 * int(head), depth)
            if kind == 124:  # attributes talk about the value that follows
                return self.value(data, at, depth)
            return _pairs(items), at
        raise ProtocolError(f"not a RESP reply: {bytes((kind,)) + head[:40]!r}")

    @staticmethod
    def _bulk(data: bytes, at: int, size: int) -> tuple[bytes, int]:
        if not 0 <= size <= MAX_BULK:
            raise ProtocolError(f"a string of {size} bytes (at most {MAX_BULK})")
        end = at + size
        if len(data) < end + 2:
            raise _INCOMPLETE
        if data[end : end + 2] != b"\r\n":
            raise ProtocolError("a string does not end where its length says")
        return data[at:end], end + 2

    def _items(self, data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
        if not 0 <= count <= MAX_ITEMS:
            raise ProtocolError(f"an array of {count} items (at most {MAX_ITEMS})")
        if depth >= MAX_DEPTH:
            raise ProtocolError(f"arrays inside arrays (at most {MAX_DEPTH} deep)")
        items: list[Any] = []
        for _ in range(count):
            value, at = self.value(data, at, depth + 1)
            items.append(value)
        return items, at


def _flat(data: bytes) -> list[bytes] | None:
    """`data` as one whole array of bulk strings: what comity's scripts answer, read without a loop.

    A payload that contains a line end gives another number of lines or a length that does not
    match, and is left to the parser proper.
    """
    lines = data.split(b"\r\n")
    values = lines[2::2]
    if lines[0] != b"*%d" % len(values) or lines.pop() or not values:
        return None
    if lines[1::2] != [b"$%d" % len(value) for value in values]:
        return None
    return values


def _pairs(items: list[Any]) -> Any:
    """A map as dict; as list of pairs where a key cannot be one of a dict."""
    pairs = list(zip(items[::2], items[1::2], strict=True))
    try:
        return dict(pairs)
    except TypeError:
        return [list(pair) for pair in pairs]
