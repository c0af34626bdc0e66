"""A network that loses replies: what is sent is executed, and its answer never arrives."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

import redis


class Lossy:
    """Listens on `port` and passes everything on to the server at `url`.

    Every n-th command that counts loses its reply, and its connection with it: `INCR`, and a flush
    of comity's. At most so many are lost; `lost` says how many were.
    """

    def __init__(self, url: str, every: int, most: int = 1 << 62) -> None:
        self.url = url
        self.lost = 0
        self._every = every
        self._most = most
        self._counted = 0
        self._mutex = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections; those there are end with their clients."""
        # To close it alone would not wake the thread that waits on it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Lossy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def through(self) -> str:
        """The URL of the same server through here."""
        url = urlsplit(self.url)
        user, at, _ = url.netloc.rpartition("@")
        path = "" if url.scheme == "unix" else url.path
        return url._replace(
            scheme="redis", netloc=f"{user}{at}127.0.0.1:{self.port}", path=path
        ).geturl()

    def _server(self) -> socket.socket:
        url = urlsplit(self.url)
        if url.scheme == "unix":
            server = socket.socket(socket.AF_UNIX)
            server.connect(url.path)
            return server
        return socket.create_connection((url.hostname or "localhost", url.port or 6379))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # One after the other, as both clients do: a request, then its reply.
        with contextlib.suppress(OSError), client, self._server() as server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := client.recv(65536):
                server.sendall(request)
                reply = server.recv(65536)
                if not reply or self._loses(request):
                    return
                client.sendall(reply)

    def _loses(self, request: bytes) -> bool:
        if b"\r\nINCR" not in request and b"\r\nADD\r\n" not in request:
            return False
        with self._mutex:
            self._counted += 1
            loses = self._counted % self._every == 0 and self.lost < self._most
            self.lost += loses
            return loses


def client_of(url: str) -> redis.Redis:
    """redis-py's client as `redis.Redis(...)` makes it, which repeats what was not answered; the
    one of `redis.Redis.from_url` does so only when told to.
    """
    return redis.Redis(**redis.connection.parse_url(url))
