"""Commands that are to be sent: the lists of each node, and how they are taken out.

A list may be changed by whatever interrupts its reader, so each change is one step.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ._core import Command

_T = TypeVar("_T")


class Box:
    """What waits to be sent to one node, and whom to wake for it.

    The hooks are called with the session's mutex held and must not block.
    """

    __slots__ = (
        "background",
        "blocking",
        "foreground",
        "subscribe",
        "wake_background",
        "wake_blocking",
        "wake_subscribe",
    )

    def __init__(self) -> None:
        self.foreground: list[Command] = []
        self.background: list[Command] = []
        self.blocking: list[Command] = []
        self.subscribe: list[Command] = []
        self.wake_background: Callable[[], object] = nobody
        self.wake_blocking: Callable[[], object] = nobody
        self.wake_subscribe: Callable[[], object] = nobody


def nobody() -> None:
    """The hook of a box that no driver has taken over."""


def remove(things: MutableSequence[_T], thing: _T) -> bool:
    """Whether it was among them; it is not any more."""
    try:
        things.remove(thing)
    except ValueError:
        return False
    return True
