"""A transfer between two servers whose client dies in the middle, and who brings it to its end.

For the demo: on two Redis servers with a process that is killed, and without a server on the core
itself, which never sees a network and can be stopped after any command.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import comity
import comity.core

PATIENCE = 1.0
"""Seconds that a dead client's keys stay locked at most."""


def two_names(ring: comity.Ring) -> tuple[str, str]:
    """The accounts of two people, on two servers."""
    alice = "alice"
    bobs = ("bob" if n == 0 else f"bob:{n}" for n in range(1000))
    return alice, next(bob for bob in bobs if ring.node(bob) != ring.node(alice))


class Host:
    """A program around the core: two stores, and whoever it is may vanish at any command."""

    def __init__(
        self, stores: list[comity.core.MemoryStore], prefix: str, patience: float
    ) -> None:
        self.stores = stores
        nodes = [(f"store-{n}".encode(), 1) for n in range(len(stores))]
        self.core = comity.core.Coordinator(
            nodes,
            entropy=os.urandom(32),
            now=now(),
            prefix=prefix.encode(),
            timeout_us=int(patience * 1e6),
        )

    def execute(self, *commands: str, gone_after: int = 1 << 30) -> list[object] | None:
        """The replies of a transaction; None if this host is gone after so many commands of it."""
        words = [[word.encode() for word in command.split()] for command in commands]
        self.core.transaction_execute(words, now())
        scripts = 0
        while True:
            while (command := self.core.poll_command()) is not None:
                reply = self.stores[command.node].execute(command.argv, now())
                scripts += command.argv[0] != b"TIME"
                if isinstance(reply, comity.ErrorReply):
                    scripts -= 1  # the store has not had this script before
                if scripts >= gone_after:
                    return None
                self.core.handle_reply(command.request, reply, now())
            while (event := self.core.poll_event()) is not None:
                if event.kind == "transaction_committed":
                    return event.replies
                if event.error is not None:
                    raise event.error
            time.sleep(0.001)
            self.core.handle_timeout(now())


def now() -> int:
    """The time in microseconds."""
    return int(comity.clock() * 1e6)


def without_server(prefix: str) -> tuple[int, int, float]:
    """Both balances, and how long it took to get at them."""
    stores = [comity.core.MemoryStore() for _ in range(2)]
    one, other = Host(stores, prefix, PATIENCE), Host(stores, prefix, 5 * PATIENCE)
    alice, bob = two_names(one.core.ring)
    one.execute(f"SET {alice} 100", f"SET {bob} 100")
    # Both stores have locked and staged it; nobody has been told that it is decided.
    one.execute(f"DECRBY {alice} 30", f"INCRBY {bob} 30", gone_after=2)
    began = time.monotonic()
    replies = other.execute(f"GET {alice}", f"GET {bob}") or []
    left = [int(str(reply, "ascii")) for reply in replies if isinstance(reply, bytes)]
    return left[0], left[1], time.monotonic() - began


class Silent:
    """A way to a server on which answers stop once a command has named one of `words`."""

    def __init__(self, url: str, words: list[str]) -> None:
        self.reached = threading.Event()
        self._url = urlsplit(url)
        self._words = [word.encode() for word in words]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        user, at, _ = self._url.netloc.rpartition("@")
        self.url = self._url._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        where = (self._url.hostname or "localhost", self._url.port or 6379)
        with client, socket.create_connection(where) as server:
            while request := client.recv(65536):
                server.sendall(request)
                reply = server.recv(65536)
                # An answer that there is no such script is none.
                named = any(word in request for word in self._words)
                if named and not reply.startswith(b"-NOSCRIPT"):
                    self.reached.set()
                if not self.reached.is_set():
                    client.sendall(reply)


def on_servers(
    co: comity.Coordinator, ways: list[Silent], alice: str, bob: str, kill: Callable[[], None]
) -> tuple[int, int, float]:
    """The same once both servers have it: the process that began it is killed."""
    for way in ways:
        way.reached.wait(20)
    kill()
    began = time.monotonic()
    left = co.snapshot(alice, bob)
    return int(left[alice] or 0), int(left[bob] or 0), time.monotonic() - began
