"""One connection to one server: bytes out, replies in, nothing longer than it is told.

The socket is non-blocking and every wait is a `poll` with its own time. Whoever moves bytes owns
none: what is to be written, what has arrived and which commands have no answer yet is kept by the
`Connection`, in steps that nobody gets in between of. So any thread may go on with it at any time,
also one that has interrupted another call here. Replies go from there to the core, which is told
what they answer; here nobody sees one.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from ._core import Baton, ErrorReply, Exchange
from .bell import poller
from .clock import now_us

if TYPE_CHECKING:
    from ._core import Command, Connection, Coordinator

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
        super().__init__(str(ErrorReply(text)))
        self.text = text


Wait = Callable[[int | None], bool]
"""Waits so many microseconds, None for ever, and says whether there is something to do."""


class Wire:
    """A connected socket with the commands that are written and not yet answered.

    What moves bytes is called with the session's mutex held, for OpenSSL allows one thread at a
    time in a connection.
    """

    __slots__ = (
        "_exchange",
        "_hindrance",
        "_owner",
        "_readable",
        "_socket",
        "_tls",
        "_writable",
        "connection",
        "last",
        "reader",
    )

    def __init__(
        self, sock: socket.socket, owner: Callable[[], object], connection: Connection
    ) -> None:
        """`owner` closes the connection for good: whoever made the socket knows how. `connection`:
        its commands and bytes, which the server has let in.
        """
        sock.setblocking(False)
        self._socket = sock
        self._owner = owner
        tls = sys.modules.get("ssl")  # which whoever has made a socket of TLS has imported
        self._tls = tls is not None and isinstance(sock, tls.SSLSocket)
        self.connection = connection
        self._exchange = Exchange(self.connection, sock, _is_plain(sock))
        self._readable = poller(sock.fileno())
        self._writable = poller(sock.fileno(), write=True)
        self._hindrance = self._readable
        """What reading was found to wait for."""
        self.reader = Baton()
        """Which thread waits here for what arrives, so that not all of them do."""
        self.last = now_us()
        """When an answer last came."""

    def listen_to(self, bell: int) -> None:
        """Has `wait` return early when the descriptor `bell` can be read."""
        self._readable = self._hindrance = poller(self._socket.fileno(), also=bell)

    def fileno(self) -> int:
        """What to poll for reading; negative once it is closed."""
        return self._socket.fileno()

    @property
    def broken(self) -> bool:
        """Whether it is of no more use."""
        return self.connection.over

    @property
    def outstanding(self) -> int:
        """How many commands have no answer yet."""
        return self.connection.outstanding

    @property
    def deadline(self) -> int:
        """When something is late: the first deadline of what is outstanding, or `check`."""
        return self.connection.deadline

    @property
    def unsent(self) -> bool:
        """Whether something is still to be written."""
        return self.connection.unsent

    @property
    def hidden(self) -> bool:
        """Whether something has arrived that polling does not show."""
        return self._tls and self._socket.pending() > 0  # type: ignore[attr-defined]

    def usable(self, now: int) -> bool:
        """Whether to send more here. An idle connection is looked at again: it is of no use if
        the server has hung up, or said something that nobody asked for.
        """
        connection = self.connection
        if connection.over:
            return False
        if connection.outstanding:
            return True
        if connection.doubtful:
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
        return self.connection.take(outbox, core, now_us()) > 0

    def write(self) -> Wait | None:
        """Writes what the socket takes. None, or how to wait where that is not all. Raises
        `WireBroken`.
        """
        try:
            self._exchange.write()
        except BlockingIOError:
            return self._writable
        except (OSError, ValueError) as error:  # the latter from one of TLS that was closed
            return self._wanted(error)
        return None

    def write_out(self, deadline: int, mutex: AbstractContextManager[object]) -> None:
        """Writes all that is to be written, by then. Called without the session's `mutex`, which is
        held while bytes move: another may read here meanwhile. Raises `WireBroken`.
        """
        with mutex:
            wait = self.write()
        while wait is not None:
            left = deadline - now_us()
            if left <= 0 or not wait(left):
                raise WireBroken("not written in time")
            with mutex:
                wait = self.write()

    def hear(self, core: Coordinator, node: int) -> bool:
        """Tells the core what is here, without waiting for anything; whether there was something.
        Raises `WireBroken` where there will never be more.
        """
        exchange, connection = self._exchange, self.connection
        try:
            while exchange.read():
                now = now_us()
                if connection.answer(core, node, now):
                    self.last = now
                    return True
        except BlockingIOError:
            self._hindrance = self._readable
        except (OSError, ValueError) as error:  # the latter also from one of TLS that was closed
            self._hindrance = self._wanted(error)
        else:
            self._hindrance = self._readable
        return False

    def _wanted(self, error: Exception) -> Wait:
        """What TLS waits for, if that is what `error` says. Raises `WireBroken` otherwise."""
        if self._tls:
            import ssl

            if isinstance(error, ssl.SSLWantReadError):
                return self._readable
            if isinstance(error, ssl.SSLWantWriteError):
                return self._writable
        raise WireBroken(str(error)) from None

    def check(self) -> None:
        """To be called at `deadline`. Raises `WireBroken` for what is late; a connection for
        messages may have something to write then.
        """
        try:
            self.connection.check(now_us())
        except ValueError as error:
            raise WireBroken(str(error)) from None

    def wait(self, us: int) -> None:
        """Waits so many microseconds at most until there may be something to hear."""
        if us > 0:
            self._hindrance(us)

    def end(self, core: Coordinator) -> int:
        """Gives up what is outstanding: the core is told of each whether it can have left. How many
        these are; the second time there are none.
        """
        return self.connection.end(core, now_us())

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
