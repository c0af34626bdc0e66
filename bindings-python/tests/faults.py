"""A proxy between a client and a redis-server that does to commands and replies what networks do.

It reads whole commands and whole replies, one after the other on each connection, and asks its
rules about every command. On a connection that has subscribed it asks them about every push
instead, whose words are `message`, the channel and the payload. It knows nothing of locks.
"""

from __future__ import annotations

import math
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from listener import Listener, end

# What is said of a reply is true of a push, but that later ones pass; nothing else happens to one.
SWALLOW = "swallow"  # execute the command, keep the reply and all later ones
CUT_BEFORE = "cut before"  # close the connection, the command unexecuted
CUT_AFTER = "cut after"  # execute the command, close the connection
REPEAT = "repeat"  # execute the command twice, pass on the first reply; pass on a push twice
STALL = "stall"  # neither execute nor answer, now or later, and leave the connection open
ANSWER = "answer"  # execute the command, pass on other bytes in place of the reply
DELAY_BEFORE = "delay before"  # execute the command after a while, even if nobody waits any more
DELAY_AFTER = "delay after"  # execute the command, pass on the reply after a while

ALWAYS = 1 << 62
"""For a rule that lasts until `calm()`."""

GIVEN_UP = math.inf
"""For a delay that lasts until the client has given the command up, however long that takes."""

HELD = -1.0
"""For a delay that lasts until `free()`."""


@dataclass(frozen=True)
class Fault:
    """One thing done to one command or push. `seconds`: how long a delay is; what comes later on
    the same connection waits behind it. `answer`: what is passed on.
    """

    action: str
    seconds: float = 0.0
    answer: bytes = b""


@dataclass
class Rule:
    """Does `fault` to the next `times` commands or pushes for which `wanted` holds."""

    wanted: Callable[[list[bytes]], bool]
    fault: Fault
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
        self.held = 0
        """So many commands and replies are delayed."""
        self.seen: list[list[bytes]] = []
        self._rules: list[Rule] = []
        self._freed = threading.Event()
        self._ended = threading.Event()
        self.start()

    def rule(
        self,
        action: str,
        wanted: Callable[[list[bytes]], bool],
        times: int = 1,
        seconds: float = 0.2,
        answer: bytes = b"",
    ) -> Rule:
        rule = Rule(wanted, Fault(action, seconds, answer), times)
        with self._mutex:
            self._rules.append(rule)
        return rule

    def calm(self) -> None:
        with self._mutex:
            self._rules.clear()

    def free(self) -> None:
        """Ends all delays that are `HELD`, those to come as well."""
        self._freed.set()

    def again(self, words: list[bytes]) -> bytes:
        """Executes a command once more, as a straggler of the network would. Returns its reply,
        which no client gets.
        """
        with (
            socket.create_connection(("127.0.0.1", self.back)) as sock,
            sock.makefile("rb") as back,
        ):
            sock.sendall(_packed(words))
            return _reply(back)

    def close(self) -> None:
        self._ended.set()
        self._freed.set()
        super().close()

    # For subclasses, which see and decide more than rules can

    def fault(self, words: list[bytes]) -> Fault | None:
        """What is done to this command or push. Called once for each."""
        with self._mutex:
            for rule in self._rules:
                if rule.met < rule.times and rule.wanted(words):
                    rule.met += 1
                    return rule.fault
        return None

    def executing(self, words: list[bytes]) -> None:
        """The server is about to be sent this command."""

    def executed(self, words: list[bytes], reply: bytes) -> None:
        """The server has answered it."""

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
        lost: str | None = None
        while (words := _command(commands)) is not None:
            with self._mutex:
                self.seen.append(words)
            # No later byte arrives on a connection that has lost one.
            fault = Fault(lost) if lost else self.fault(words)
            action = None if fault is None else fault.action
            if action in (STALL, SWALLOW):
                lost = action
            if action == STALL:
                continue
            if action == CUT_BEFORE:
                return
            if self.delay:
                time.sleep(self.delay)
            self._hold(front, fault, DELAY_BEFORE)
            self.executing(words)
            back.sendall(_packed(words) * (2 if action == REPEAT else 1))
            if words[0].upper() == b"SUBSCRIBE":
                self._push(front, commands, back, replies)
                return
            reply = _reply(replies)
            self._let_go(fault, DELAY_BEFORE)
            self.executed(words, reply)
            if action == REPEAT:
                self.executed(words, _reply(replies))
            if action == CUT_AFTER:
                return
            self._hold(front, fault, DELAY_AFTER)
            self._let_go(fault, DELAY_AFTER)
            if action != SWALLOW:
                front.sendall(fault.answer if fault and action == ANSWER else reply)

    def _push(
        self, front: socket.socket, commands: BinaryIO, back: socket.socket, replies: BinaryIO
    ) -> None:
        """From here on the server speaks when it likes: both directions at once."""

        def pump() -> None:
            try:
                while True:
                    push = _reply(replies)
                    words = words_of(push)
                    fault = self.fault(words) if words and is_push(words) else None
                    if fault is not None and fault.action in (CUT_BEFORE, CUT_AFTER):
                        break
                    self._hold(front, fault, DELAY_AFTER)
                    self._let_go(fault, DELAY_AFTER)
                    if fault is None or fault.action not in (SWALLOW, STALL):
                        front.sendall(push)
                    if fault is not None and fault.action == REPEAT:
                        front.sendall(push)
            except (OSError, ValueError):
                pass
            end(front)

        pumping = threading.Thread(target=pump, daemon=True)
        pumping.start()
        try:
            while (words := _command(commands)) is not None:
                back.sendall(_packed(words))
        finally:
            end(back)
            pumping.join()

    def _hold(self, front: socket.socket, fault: Fault | None, action: str) -> None:
        if fault is None or fault.action != action:
            return
        with self._mutex:
            self.held += 1
        if fault.seconds == HELD:
            self._freed.wait()
            return
        if fault.seconds != GIVEN_UP:
            self._ended.wait(fault.seconds)
            return
        # Its end is seen though there are bytes ahead of it.
        gone = select.poll()
        gone.register(front, getattr(select, "POLLRDHUP", select.POLLHUP))
        while not gone.poll(20) and not self._ended.is_set():
            pass

    def _let_go(self, fault: Fault | None, action: str) -> None:
        if fault is not None and fault.action == action:
            with self._mutex:
                self.held -= 1


def is_push(words: list[bytes]) -> bool:
    """For rules: whether this is no command, but a push."""
    return words[0] == b"message"


def words_of(reply: bytes) -> list[bytes]:
    """The strings of a flat array, up to the first item that is none; nothing of other replies."""
    stream = BytesIO(reply)
    words = []
    if stream.readline()[:1] in (b"*", b">"):
        while (line := stream.readline()).startswith(b"$"):
            words.append(stream.read(int(line[1:]) + 2)[:-2])
    return words


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
