"""One connection to one server: bytes out, replies in, nothing longer than it is told.

The socket is non-blocking and every wait is a `poll` with its own time, so that one thread may
write while another reads, each with its own deadline.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from ._core import Baton
from .bell import poller
from .clock import now_us
from .resp import ProtocolError, Reader

if TYPE_CHECKING:
    from ._core import Command

_READ_SIZE: Final = 65536
_GUARD: Final = 5.0
"""How many seconds one thread may keep another from a TLS connection."""
_STALE_US: Final = 1_000_000
"""How long a connection may lie idle before it is looked at again before it is used."""


class WireBroken(Exception):
    """The connection is of no more use. `sent` of the bytes being written may have left."""

    def __init__(self, why: str, sent: int = 0) -> None:
        super().__init__(why)
        self.sent = sent


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


class _Guard:
    """A lock that breaks the wire for whoever does not get it: its holder waits for nothing, unless
    it was interrupted by something that does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_GUARD):
            raise WireBroken("held up")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Wire:
    """A connected socket with the commands that are written and not yet answered."""

    __slots__ = (
        "_guard",
        "_hindrance",
        "_owner",
        "_readable",
        "_reader",
        "_socket",
        "_tls",
        "_writable",
        "broken",
        "doubtful",
        "last",
        "outstanding",
        "reader",
    )

    def __init__(
        self, sock: socket.socket, error: Callable[[bytes], Any], owner: Callable[[], object]
    ) -> None:
        """`owner` closes the connection for good: whoever made the socket knows how."""
        sock.setblocking(False)
        self._socket = sock
        self._owner = owner
        self._tls = isinstance(sock, ssl.SSLSocket)
        # OpenSSL allows one thread at a time in a connection; a plain socket any number.
        self._guard: AbstractContextManager[Any] = _Guard() if self._tls else nullcontext()
        self._reader = Reader(error)
        self._readable = poller(sock.fileno())
        self._writable = poller(sock.fileno(), write=True)
        self._hindrance = self._readable
        """What `take` found to be waited for."""
        self.outstanding: deque[Command] = deque()
        self.reader = Baton()
        """Which thread reads here for all."""
        self.broken = False
        self.doubtful = False
        """Whether it leads to a server that is no master any more: a new one may lead elsewhere."""
        self.last = now_us()
        """When bytes last moved."""

    def listen_to(self, bell: int) -> None:
        """Has `receive` return early, with nothing, when the descriptor `bell` can be read."""
        self._readable = self._hindrance = poller(self._socket.fileno(), also=bell)

    def fileno(self) -> int:
        """What to poll for reading; negative once it is closed."""
        return self._socket.fileno()

    @property
    def hidden(self) -> bool:
        """Whether something has arrived that polling does not show."""
        return self._tls and self._pending() > 0

    def _pending(self) -> int:
        with self._guard:
            return self._socket.pending()  # type: ignore[attr-defined, no-any-return]

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

    def send(self, data: bytes, deadline: int) -> None:
        """Writes all of `data`. Raises `WireBroken` with the bytes that may have left."""
        sent = 0
        if not self._tls:
            try:
                sent = self._socket.send(data)
            except OSError:
                pass
            if sent == len(data):
                return
        self._send_rest(data, sent, deadline)

    def _send_rest(self, data: bytes, sent: int, deadline: int) -> None:
        view = memoryview(data)
        while sent < len(data):
            wait = self._writable
            try:
                with self._guard:
                    sent += self._socket.send(view[sent:])
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                pass
            except ssl.SSLWantReadError:
                wait = self._readable
            except OSError as error:
                # A record that TLS has begun may be on its way although it counts as unwritten.
                raise WireBroken(str(error), len(data) if self._tls else sent) from None
            left = deadline - now_us()
            if left <= 0 or not wait(left):
                raise WireBroken("not written in time", len(data) if self._tls else sent)
            if self._socket.fileno() < 0:
                raise WireBroken("closed meanwhile", len(data) if self._tls else sent)

    def receive(self, until: int) -> list[Any]:
        """The replies that are complete at `until` or before; none if none is. Returns with the
        first that is. Raises `WireBroken` when there will never be another.
        """
        # A server that is near has answered by now as often as not: that saves a wait.
        replies = self.take()
        if replies:
            return replies
        left = until - now_us()
        return self.take() if left > 0 and self._hindrance(left) else []

    def take(self) -> list[Any]:
        """The replies that are here, without waiting for one. Raises `WireBroken`."""
        try:
            with self._guard:
                data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError):
            self._hindrance = self._readable
            return []
        except ssl.SSLWantWriteError:
            self._hindrance = self._writable
            return []
        except OSError as error:
            raise WireBroken(str(error)) from None
        if not data:
            raise WireBroken("closed by the server")
        try:
            return self._reader.feed(data)
        except ProtocolError as error:
            raise WireBroken(str(error)) from None

    def close(self) -> None:
        """Ends the connection; whoever waits on it finds it broken."""
        self.broken = True
        try:
            self._owner()
        except Exception:  # the owner is somebody else's code; the socket is gone either way
            pass

    def forget(self) -> None:
        """Closes this process's copy of the socket without a word to the server (after fork)."""
        self.broken = True
        try:
            self._socket.close()
        except OSError:
            pass
