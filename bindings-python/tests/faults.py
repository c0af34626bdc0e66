"""A proxy between a client and a redis-server that does to commands and replies what networks do.

It reads whole commands and whole replies, one after the other on each connection, and asks its
rules about every command. Other tests reuse it: it knows nothing of locks.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from listener import Listener, end

SWALLOW = "swallow"  # execute the command, keep the reply
CUT_BEFORE = "cut before"  # close the connection, the command unexecuted
CUT_AFTER = "cut after"  # execute the command, close the connection
REPEAT = "repeat"  # execute the command twice, pass on the first reply
STALL = "stall"  # neither execute nor answer, and leave the connection open


@dataclass
class Rule:
    """Does `action` to the next `times` commands for which `wanted` holds."""

    wanted: Callable[[list[bytes]], bool]
    action: str
    times: int
    met: int = 0


class Proxy(Listener):
    """Listens on `port`, passes on to `back`; `calm()` ends all rules. Every command waits for
    `delay` seconds before it is executed.
    """

    def __init__(self, back: int) -> None:
        super().__init__()
        self.back = back
        self.delay = 0.0
        self.accepted = 0
        self.seen: list[list[bytes]] = []
        self._rules: list[Rule] = []
        self.start()

    def rule(self, action: str, wanted: Callable[[list[bytes]], bool], times: int = 1) -> Rule:
        rule = Rule(wanted, action, times)
        with self._mutex:
            self._rules.append(rule)
        return rule

    def calm(self) -> None:
        with self._mutex:
            self._rules.clear()

    def again(self, words: list[bytes]) -> None:
        """Executes a command once more, as a straggler of the network would."""
        with (
            socket.create_connection(("127.0.0.1", self.back)) as sock,
            sock.makefile("rb") as back,
        ):
            sock.sendall(_packed(words))
            _reply(back)

    def serve(self, front: socket.socket) -> None:
        self.accepted += 1
        with (
            socket.create_connection(("127.0.0.1", self.back)) as back,
            front.makefile("rb") as commands,
            back.makefile("rb") as replies,
        ):
            for one in (front, back):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self.owns(back):
                return
            try:
                self._exchange(front, commands, back, replies)
            finally:
                end(front)
                self.disown(back)

    def _exchange(
        self, front: socket.socket, commands: BinaryIO, back: socket.socket, replies: BinaryIO
    ) -> None:
        while (words := _command(commands)) is not None:
            action = self._action(words)
            if action == STALL:
                continue
            if action == CUT_BEFORE:
                return
            if self.delay:
                time.sleep(self.delay)
            back.sendall(_packed(words) * (2 if action == REPEAT else 1))
            if words[0].upper() == b"SUBSCRIBE":
                self._push(front, commands, back, replies)
                return
            reply = _reply(replies)
            if action == REPEAT:
                _reply(replies)
            if action == CUT_AFTER:
                return
            if action != SWALLOW:
                front.sendall(reply)

    def _push(
        self, front: socket.socket, commands: BinaryIO, back: socket.socket, replies: BinaryIO
    ) -> None:
        """From here on the server speaks when it likes: both directions at once."""

        def pump() -> None:
            try:
                while True:
                    front.sendall(_reply(replies))
            except (OSError, ValueError):
                end(front)

        pumping = threading.Thread(target=pump, daemon=True)
        pumping.start()
        try:
            while (words := _command(commands)) is not None:
                back.sendall(_packed(words))
        finally:
            end(back)
            pumping.join()

    def _action(self, words: list[bytes]) -> str | None:
        with self._mutex:
            self.seen.append(words)
            for rule in self._rules:
                if rule.met < rule.times and rule.wanted(words):
                    rule.met += 1
                    return rule.action
        return None


def _packed(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def _command(stream: BinaryIO) -> list[bytes] | None:
    line = stream.readline()
    if not line:
        return None
    words = []
    for _ in range(int(line[1:])):
        size = int(stream.readline()[1:])
        words.append(stream.read(size + 2)[:-2])
    return words


def _reply(stream: BinaryIO) -> bytes:
    line = stream.readline()
    if not line:
        raise OSError("the server is gone")
    kind, count = line[:1], line[1:]
    if kind in b"$=!" and int(count) >= 0:
        return line + stream.read(int(count) + 2)
    if kind in b"*~>%" and int(count) > 0:
        items = int(count) * (2 if kind == b"%" else 1)
        return line + b"".join(_reply(stream) for _ in range(items))
    return line
