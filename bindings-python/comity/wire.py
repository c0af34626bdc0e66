"""One connection to one server: bytes out, replies in, nothing longer than it is told.

The socket is non-blocking and every wait is a `poll` with its own time. Whoever moves bytes owns
none: what is to be written, what has arrived and which commands have no answer yet is kept by the
`Exchange`, in steps that nobody gets in between of. So any thread may go on with it at any time,
also one that has interrupted another call here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from ._core import Baton, ErrorReply, Exchange
from .bell import poller
from .clock import now_us
from .resp import ProtocolError, Push, parse

if TYPE_CHECKING:
    from ._core import Command, Coordinator

_STALE_US: Final = 1_000_000
"""How long a connection may lie idle before it is looked at again before it is used."""


class WireBroken(Exception):
    """The connection is of no more use."""


class NotConnected(Exception):
    """No connection could be made: nothing was sent. `cause` is what the client said, where it said
    anything; `lasting`: waiting does not help.
    """

    def __init__(
        self, why: str, cause: BaseException | None = None, *, lasting: bool = False
    ) -> None:
        super().__init__(why)
        self.cause = cause
        self.lasting = lasting


class Refused(Exception):
    """The server answered the connection's set-up with an error; `text` has its words."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text.decode("utf-8", "replace"))
        self.text = text


Wait = Callable[[int | None], bool]
"""Waits so many microseconds, None for ever, and says whether there is something to do."""


class Wire:
    """A connected socket with the commands that are written and not yet answered.

    What moves bytes is called with the session's mutex held, for OpenSSL allows one thread at a
    time in a connection.
    """

    __slots__ = (
        "_error",
        "_exchange",
        "_hindrance",
        "_owner",
        "_readable",
        "_socket",
        "_tls",
        "_writable",
        "doubtful",
        "last",
        "reader",
    )

    def __init__(
        self, sock: socket.socket, error: Callable[[bytes], Any], owner: Callable[[], object]
    ) -> None:
        """`owner` closes the connection for good: whoever made the socket knows how."""
        sock.setblocking(False)
        self._socket = sock
        self._owner = owner
        self._error = error
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._exchange = Exchange(sock, _is_plain(sock))
        self._readable = poller(sock.fileno())
        self._writable = poller(sock.fileno(), write=True)
        self._hindrance = self._readable
        """What reading was found to wait for."""
        self.reader = Baton()
        """Which thread waits here for what arrives, so that not all of them do."""
        self.doubtful = False
        """Whether it leads to a server that is no master any more: a new one may lead elsewhere."""
        self.last = now_us()
        """When bytes last came."""

    def listen_to(self, bell: int) -> None:
        """Has `wait` return early when the descriptor `bell` can be read."""
        self._readable = self._hindrance = poller(self._socket.fileno(), also=bell)

    def fileno(self) -> int:
        """What to poll for reading; negative once it is closed."""
        return self._socket.fileno()

    @property
    def broken(self) -> bool:
        """Whether it is of no more use."""
        return self._exchange.over

    @property
    def outstanding(self) -> int:
        """How many commands have no answer yet."""
        return self._exchange.outstanding

    @property
    def deadline(self) -> int:
        """The first deadline of what is outstanding."""
        return self._exchange.deadline

    @property
    def unsent(self) -> bool:
        """Whether something is still to be written."""
        return self._exchange.unsent

    @property
    def hidden(self) -> bool:
        """Whether something has arrived that polling does not show."""
        return self._tls and self._socket.pending() > 0  # type: ignore[attr-defined]

    def usable(self, now: int) -> bool:
        """Whether to send more here. An idle connection is looked at again: it is of no use if
        the server has hung up, or said something that nobody asked for.
        """
        if self.broken:
            return False
        if self.outstanding:
            return True
        if self.doubtful:
            return False
        if self._tls or now - self.last < _STALE_US:
            return True  # with TLS session tickets may lie unread; a dead one shows when read
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def take(self, outbox: list[Command], core: Coordinator) -> bool:
        """Takes over what is to be sent, and whether some of it was too late for that."""
        return self._exchange.take(outbox, core, now_us()) > 0

    def write(self) -> Wait | None:
        """Writes what the socket takes. None, or how to wait where that is not all. Raises
        `WireBroken`.
        """
        try:
            self._exchange.write()
        except (BlockingIOError, ssl.SSLWantWriteError):
            return self._writable
        except ssl.SSLWantReadError:
            return self._readable
        except (OSError, ValueError) as error:  # the latter from one of TLS that was closed
            raise WireBroken(str(error)) from None
        return None

    def send(self, data: bytes, deadline: int, mutex: AbstractContextManager[object]) -> None:
        """Writes `data`, which is no command that waits for an answer, by then. Called without the
        session's `mutex`, which is held while bytes move: another may read here meanwhile. Raises
        `WireBroken`.
        """
        with mutex:
            self._exchange.put(data)
            wait = self.write()
        while wait is not None:
            left = deadline - now_us()
            if left <= 0 or not wait(left):
                raise WireBroken("not written in time")
            with mutex:
                wait = self.write()

    def hear(self, core: Coordinator) -> list[Any]:
        """Gives the core the answers that are here, without waiting for one; they are returned.
        Raises `WireBroken` where there will never be another.
        """
        while (found := self._replies()) is not None:
            replies, used, mark = found
            now = now_us()
            try:
                if self._exchange.answer(mark, used, replies, core, now):
                    if replies:
                        self.last = now
                        self.doubtful = self.doubtful or any(map(_is_refusal_to_write, replies))
                    return replies
            except ValueError as error:
                raise WireBroken(str(error)) from None
        return []

    def listen(self, core: Coordinator, node: int) -> list[Any]:
        """The same on a connection of pushes: gives the core the messages. What else has come is
        returned with them.
        """
        while (found := self._replies(pushes=True)) is not None:
            replies, used, mark = found
            now = now_us()
            messages = [(reply[1], reply[2]) for reply in replies if _is_message(reply)]
            if self._exchange.deliver(mark, used, messages, core, node, now):
                if replies:
                    self.last = now
                return replies
        return []

    def _replies(self, pushes: bool = False) -> tuple[list[Any], int, int] | None:
        """What has arrived and nobody has given to the core; None if there is nothing."""
        try:
            if not self._exchange.read():
                self._hindrance = self._readable
                return None
        except (BlockingIOError, ssl.SSLWantReadError):
            self._hindrance = self._readable
            return None
        except ssl.SSLWantWriteError:
            self._hindrance = self._writable
            return None
        except (OSError, ValueError) as error:
            raise WireBroken(str(error)) from None
        data, mark = self._exchange.arrived()
        try:
            replies, used = parse(data, self._error)
        except ProtocolError as error:
            raise WireBroken(str(error)) from None
        if not pushes:
            replies = [reply for reply in replies if type(reply) is not Push]
        return replies, used, mark

    def wait(self, us: int) -> None:
        """Waits so many microseconds at most until there may be something to hear."""
        if us > 0:
            self._hindrance(us)

    def end(self, core: Coordinator) -> int:
        """Gives up what is outstanding: the core is told of each whether it can have left. How many
        these are; the second time there are none.
        """
        return self._exchange.end(core, now_us())

    def close(self) -> None:
        """Closes the connection; whoever waits on it finds it broken."""
        try:
            self._owner()
        except Exception:  # the owner is somebody else's code; the socket is gone either way
            pass

    def forget(self) -> None:
        """Closes this process's copy of the socket without a word to the server (after fork)."""
        try:
            self._socket.close()
        except OSError:
            pass


def _is_plain(sock: socket.socket) -> bool:
    """Whether the bytes of a socket are those on its descriptor."""
    kind, plain = type(sock), socket.SocketType
    return kind.send is plain.send and kind.recv is plain.recv


def _is_refusal_to_write(reply: Any) -> bool:
    return type(reply) is ErrorReply and reply.text.startswith(b"READONLY")


def _is_message(reply: Any) -> bool:
    return isinstance(reply, list) and len(reply) > 2 and reply[0] == b"message"
