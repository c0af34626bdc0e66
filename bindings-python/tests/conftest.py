"""Real redis-servers on free ports, fakes where a real one cannot misbehave, and what is common."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import locks
import pytest
from faults import Proxy
from listener import Listener
from stepping import Servers
from transactions import Ring

PREFIX = "comity:"


class Server:
    """A redis-server of this test's own, ended by its process id."""

    def __init__(self, folder: Path, *args: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.path = str(folder / "s.sock")
        self.args = args
        self.process: subprocess.Popen[bytes] | None = None
        # Another test's server may take a free port before this one does.
        for left in reversed(range(1 if port else 20)):
            try:
                self.start()
                break
            except RuntimeError:
                if not left:
                    raise
                self.port = free_port()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--unixsocket", self.path, *self.args]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                # Over its own socket: at the port another server might answer.
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.path)
                    probe.sendall(b"PING\r\n")
                    # One that still reads its file of commands answers, but serves nobody yet.
                    answer = probe.recv(64)
                    if answer and not answer.startswith(b"-LOADING"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        self.kill()
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self, **kwargs: Any) -> Any:
        import redis

        return redis.Redis(host="127.0.0.1", port=self.port, **kwargs)


def free_port() -> int:
    """Below the ports that systems hand out to clients, so that none of those takes it before the
    server does; and 10,000 more, the port of a cluster's bus, is a port as well."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One plain server for all tests that do not break it."""
    need_redis()
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def server(shared: Server) -> Server:
    """The shared server, empty."""
    with shared.client() as client:
        client.flushall()
    return shared


@pytest.fixture(scope="session")
def shared_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Three more."""
    need_redis()
    servers = [Server(tmp_path_factory.mktemp("redis")) for _ in range(3)]
    yield servers
    for one in servers:
        one.kill()


@pytest.fixture
def three(shared_three: list[Server]) -> Iterator[Ring]:
    """The three servers, empty, as a ring behind proxies."""
    for one in shared_three:
        with one.client() as client:
            client.flushall()
    ring = Ring(shared_three)
    yield ring
    ring.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with the given arguments; they end with the test."""
    need_redis()
    servers: list[Server] = []

    def starter(*args: str) -> Server:
        servers.append(Server(tmp_path / str(len(servers)), *args))
        return servers[-1]

    yield starter
    for one in servers:
        one.kill()


@pytest.fixture
def tls(start: Callable[..., Server], tmp_path: Path) -> tuple[int, str]:
    """The port of a server that speaks TLS, and the file with its certificate."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    request += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(
            [*request, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no openssl to make a certificate with: {error}")
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", certificate, "--tls-key-file", key]
    try:
        start(*options)
    except RuntimeError:
        pytest.skip("redis-server is built without TLS")
    return port, certificate


@pytest.fixture
def sentinel(start: Callable[..., Server], tmp_path: Path) -> Iterator[int]:
    """The port of a sentinel that knows a master by the name `m`."""
    import redis
    from redis.sentinel import Sentinel

    master = start()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"sentinel monitor m 127.0.0.1 {master.port} 1\n")
    port = free_port()
    command = ["redis-server", str(config), "--sentinel", "--port", str(port)]
    process = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            found = Sentinel([("127.0.0.1", port)], socket_timeout=1)
            try:
                found.discover_master("m")
                break
            except redis.RedisError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            finally:
                for one in found.sentinels:
                    one.close()
        yield port
    finally:
        process.kill()
        process.wait()


def need_redis() -> None:
    """Skips the test where there is no Redis."""
    pytest.importorskip("redis")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")


class Fake(Listener):
    """A server that says what it is told to say, or nothing."""

    def __init__(self, talk: Callable[[socket.socket, bytes], object] | None = None) -> None:
        super().__init__()
        self.talk = talk
        self.received = b""
        self.accepted = 0
        self.start()

    def serve(self, front: socket.socket) -> None:
        self.accepted += 1
        while data := front.recv(65536):
            self.received += data
            if self.talk is not None:
                self.talk(front, data)

    def client(self, **kwargs: Any) -> Any:
        import redis

        return redis.Redis(host="127.0.0.1", port=self.port, **kwargs)


@pytest.fixture
def fake() -> Iterator[Callable[..., Fake]]:
    """Makes fake servers; they end with the test."""
    fakes: list[Fake] = []

    def maker(talk: Callable[[socket.socket, bytes], object] | None = None) -> Fake:
        fakes.append(Fake(talk))
        return fakes[-1]

    yield maker
    for one in fakes:
        one.close()


def count_commands(data: bytes) -> int:
    """How many whole commands a fake received; they come as arrays."""
    return sum(line.startswith(b"*") for line in data.split(b"\r\n"))


@pytest.fixture
def commands() -> Callable[[bytes], int]:
    """See `count_commands`."""
    return count_commands


@pytest.fixture
def traces() -> Callable[..., list[str]]:
    """What comity has left on a server that it should not have: keys that never expire, holders,
    waiters. An admin's client is given where the default user cannot look."""

    def look(client: Any, prefix: str = PREFIX) -> list[str]:
        found = []
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            name = key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key
            if name.endswith(":t:{t}"):
                continue  # where a server keeps which ring it belongs to
            if client.pttl(key) < 0:
                found.append(f"{name} never expires")
            kind = client.type(key)
            kind = kind.decode() if isinstance(kind, bytes) else kind
            if kind == "string" and client.get(key)[:1] in (b"F", b"Q", "F", "Q"):
                found.append(f"{name} has a holder or a waiter")
        return found

    return look


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs Python source in a process of its own, lines of output to be read; ended by pid."""
    started: list[subprocess.Popen[str]] = []

    def run(source: str, *args: object) -> subprocess.Popen[str]:
        file = tmp_path / f"script{len(started)}.py"
        file.write_text(source)
        process = subprocess.Popen(
            [sys.executable, "-u", str(file), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    """See `locks.keep`."""
    yield
    locks.KEPT.clear()


@pytest.fixture(params=["threads", "asyncio"])
def flavour(request: pytest.FixtureRequest) -> Iterator[None]:
    """Has `locks.connect` make coordinators of both kinds, one after the other."""
    locks.ON_A_LOOP[0] = request.param == "asyncio"
    yield
    locks.ON_A_LOOP[0] = False


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of the shared server; see `faults.py`."""
    one = Proxy(server.port)
    yield one
    one.close()


@pytest.fixture
def steps(shared_three: list[Server]) -> Iterator[Servers]:
    """The same three, to be asked step by step."""
    servers = Servers(shared_three)
    servers.empty()
    yield servers
    servers.close()
