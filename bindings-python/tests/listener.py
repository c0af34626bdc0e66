"""A listening socket and a thread for each connection, all of them gone after `close()`.

For tests only: what a connection says is `serve`'s affair.
"""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable


class Listener(ABC):
    """Accepts on a free loopback port; `start()` once the subclass is ready to serve."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._closed = False
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    @abstractmethod
    def serve(self, front: socket.socket) -> None:
        """Talks on one connection, which is closed when this returns or raises an OSError."""

    def start(self) -> None:
        self.spawn(self._accept)

    def spawn(self, work: Callable[..., None], *args: object) -> None:
        """A thread that `close()` waits for."""
        thread = threading.Thread(target=work, args=args, daemon=True)
        with self._mutex:
            self._threads.append(thread)
            thread.start()

    def cut(self) -> None:
        """Ends every connection there is. Each is closed by the thread that serves it, so that no
        number is given to a new socket while a thread still reads from the old one."""
        with self._mutex:
            sockets = list(self._open)
        for one in sockets:
            end(one)

    def close(self) -> None:
        with self._mutex:
            self._closed = True
        end(self._listener)
        self.cut()
        self._listener.close()
        # The accepting thread comes first: after it no thread is added.
        for thread in self._threads:
            thread.join(5)

    def owns(self, sock: socket.socket) -> bool:
        """Puts a socket among those that `cut` ends; false, when it is too late for that."""
        with self._mutex:
            if not self._closed:
                self._open.add(sock)
            return not self._closed

    def disown(self, sock: socket.socket) -> None:
        with self._mutex:
            self._open.discard(sock)

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            if not self.owns(front):
                front.close()
                return
            self.spawn(self._serve, front)

    def _serve(self, front: socket.socket) -> None:
        with front:
            try:
                self.serve(front)
            except (OSError, ValueError):
                pass
            finally:
                self.disown(front)


def end(sock: socket.socket) -> None:
    """Wakes whoever reads from the socket, here and at the other end."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
