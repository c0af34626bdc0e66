"""What the tests of the counter have in common."""

from __future__ import annotations

from collections.abc import Callable


def asks(op: bytes) -> Callable[[list[bytes]], bool]:
    """Whether a command is this operation of the counter's script: it stands behind two keys."""
    return lambda words: len(words) > 5 and words[2] == b"2" and words[5] == op


def key(name: str) -> str:
    """Where the counter `name` lies, for names without braces."""
    return f"comity:1:counter:{{{name}}}"
