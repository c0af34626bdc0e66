"""comity's own parser alone: what arrives is given as a core would be told it."""

from __future__ import annotations

from typing import Any

from comity._core import Command, Connection


class Reader:
    """A connection on which much was asked, and the core that it tells."""

    def __init__(self, asked: int = 1) -> None:
        self.connection = Connection(0)
        self.asked = asked
        self.replies: list[Any] = []
        self.failures: list[str] = []
        self.ask(asked)

    def ask(self, count: int) -> None:
        self.connection.take([Command(0, [b"PING"], 1) for _ in range(count)], self, 0)
        self.connection.transmit()

    def feed(self, data: bytes) -> list[Any]:
        """The replies that these bytes complete. Raises `ValueError` where they are none."""
        self.connection.receive(data, self, 0, 0)
        replies, self.replies = self.replies, []
        self.ask(len(replies))
        return replies

    def end(self) -> list[str]:
        """What is known of each command that is not answered."""
        self.connection.end(self, 0)
        return self.failures

    # What a core is told

    def handle_reply(self, request: int, reply: Any, now: int) -> None:
        self.replies.append(reply)

    def handle_failure(self, request: int, failure: str, now: int) -> None:
        self.failures.append(failure)

    def handle_refused(self, node: int, text: bytes, now: int) -> None:
        raise AssertionError("something is always asked")
