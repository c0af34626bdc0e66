"""Servers by their URLs, with no client's library: credentials, TLS, sockets with a path, and what
goes wrong."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from conftest import free_port

import comity
import comity.aio
from comity.clock import now_us
from comity.server import ServerConnector

LONG = 60.0
"""A `timeout` that nobody waits out here."""
ENOUGH = 3.0
"""One that is waited out, and in which a busy machine connects."""


def by_threads(client: Any, **options: Any) -> tuple[int, int]:
    """What every verb comes to: a lock that is waited for, a transaction, a counter."""
    with comity.connect(client, **options) as co, comity.connect(client, **options) as other:
        order = []
        first = other.lock("job")
        first.acquire()

        def work() -> None:
            with co.lock("job"):
                order.append("mine")

        thread = threading.Thread(target=work)
        events = co.events()
        thread.start()
        for event in events:
            if event.kind == "lock_queued":
                break
        order.append("the other's")
        first.release()
        thread.join()
        assert order == ["the other's", "mine"]
        with co.transaction() as tx:
            tx.incrby("alice", -30).incrby("bob", 30)
        hits = co.counter("hits")
        hits.add(2)
        hits.flush()
        alice, bob = co.snapshot("alice", "bob").values()
    return int(alice), int(bob)


def by_a_loop(client: Any, **options: Any) -> tuple[int, int]:
    """The same for tasks."""

    async def main() -> tuple[int, int]:
        async with (
            comity.aio.connect(client, **options) as co,
            comity.aio.connect(client, **options) as other,
        ):
            order = []
            first = other.lock("job")
            await first.acquire()

            async def work() -> None:
                async with co.lock("job"):
                    order.append("mine")

            events = co.events()
            task = asyncio.ensure_future(work())
            async for event in events:
                if event.kind == "lock_queued":
                    break
            order.append("the other's")
            await first.release()
            await task
            assert order == ["the other's", "mine"]
            async with co.transaction() as tx:
                tx.incrby("alice", -30).incrby("bob", 30)
            hits = co.counter("hits")
            hits.add(2)
            await hits.flush()
            alice, bob = (await co.snapshot("alice", "bob")).values()
        return int(alice), int(bob)

    return asyncio.run(main())


Uses = Callable[..., tuple[int, int]]


@pytest.fixture(params=[by_threads, by_a_loop])
def uses(request: pytest.FixtureRequest) -> Uses:
    return request.param


def test_a_url_is_enough(start, uses: Uses):
    port = start("--requirepass", "p@ss").port
    url = f"redis://:p%40ss@localhost:{port}/3?client_name=shop"
    assert uses(url) == (-30, 30)
    assert uses(comity.tcp(url)) == (-60, 60)
    assert uses(f"valkey://default:p%40ss@127.0.0.1:{port}/3?protocol=3") == (-90, 90)


def test_urls_form_a_ring(start, uses: Uses):
    ports = [start().port, start().port]
    a, b = (f"redis://127.0.0.1:{port}" for port in ports)
    assert uses({"a": a, "b": comity.tcp(b)}) == (-30, 30)
    with pytest.warns(RuntimeWarning, match="something else elsewhere"):
        co = comity.connect([a, b], check=False, prefix="other:")
    assert dict(co.ring.nodes()) == {f"127.0.0.1:{port}": 1 for port in ports}
    co.close()


def test_a_client_and_a_url_of_one_server_are_the_same(start):
    redis = pytest.importorskip("redis")
    port = start().port
    with (
        comity.connect(redis.Redis(port=port)) as co,
        comity.connect(f"redis://localhost:{port}") as other,
        co.lock("x"),
    ):
        assert not other.lock("x", wait=0).acquire()


def test_credentials_that_are_refused_are_so_at_once(start, uses: Uses):
    port = start("--requirepass", "right").port
    for url, word in [
        (f"redis://:wrong@localhost:{port}", "WRONGPASS"),
        (f"redis://nobody:wrong@localhost:{port}?protocol=3", "WRONGPASS"),
        (f"redis://localhost:{port}", "NOAUTH"),
    ]:
        with pytest.raises(comity.ServerRefused, match=word) as caught:
            uses(url, timeout=LONG)
        assert "wrong@" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_an_empty_password_is_one_for_a_user_and_none_without(start, uses: Uses):
    words = "--user anybody on nopass ~* &* +@all --requirepass pw"
    port = start(*words.split()).port
    assert uses(f"redis://anybody:@localhost:{port}") == (-30, 30)
    with pytest.raises(comity.ServerRefused, match="NOAUTH"):
        uses(f"redis://:@localhost:{port}", timeout=LONG)


def test_a_database_that_there_is_not(start, uses: Uses):
    port = start("--databases", "4").port
    with pytest.raises(comity.ServerRefused, match="DB index is out of range"):
        uses(f"redis://localhost:{port}/9", timeout=LONG)


def test_tls(tls, uses: Uses):
    port, certificate = tls
    context = ssl.create_default_context(cafile=certificate)
    url = f"rediss://127.0.0.1:{port}"
    assert uses(comity.tcp(url, tls=context)) == (-30, 30)
    with pytest.raises(comity.Unreachable, match="certificate verify failed"):
        uses(url, timeout=LONG)


def test_tls_where_there_is_none(server, uses: Uses):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(comity.Unreachable):
        uses(comity.tcp(f"rediss://127.0.0.1:{server.port}", tls=context), timeout=0.5)


def test_no_tls_where_it_is_wanted(tls, uses: Uses):
    port, _ = tls
    with pytest.raises(comity.Unreachable, match="a server that wants TLS would"):
        uses(f"redis://127.0.0.1:{port}", timeout=ENOUGH)


def test_who_may_not_ask_whether_the_server_is_there_is_let_in_all_the_same(start, uses: Uses):
    port = start().port
    redis = pytest.importorskip("redis")
    with redis.Redis(port=port) as client:
        client.acl_setuser("default", enabled=True, commands=["+@all", "-ping"])
    assert uses(f"redis://127.0.0.1:{port}") == (-30, 30)


def test_a_socket_with_a_path(start, tmp_path, uses: Uses):
    path = f"{tmp_path}/a b.sock"
    os.symlink(start("--requirepass", "pw").path, path)
    url = f"unix://:pw@{tmp_path}/a%20b.sock?db=2"
    assert comity.tcp(url).where == path
    assert uses(url) == (-30, 30)
    with pytest.raises(comity.Unreachable, match="No such file"):
        uses(f"unix://{tmp_path}/none.sock", timeout=ENOUGH)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("localhost:6379", "begins with redis://"),
        ("http://:secret@h", "begins with redis://"),
        ("redis://:secret@h:0", "port"),
        ("redis://:secret@a b", "host"),
        ("redis://:secret@h/x", "database"),
        ("redis://:secret@h/1?db=2", "database"),
        ("redis://secret@h", "has no password"),
        ("redis://:secret%zz@h", "%"),
        ("redis://:secret@h?timeout=1", "db, client_name and protocol"),
        ("redis://:secret#@h", "#"),
        ("unix://:secret@", "socket"),
        ("unix://:secret@/a%00b", "zero byte"),
    ],
)
def test_each_malformed_part_is_named_and_no_password_is_told(url: str, word: str):
    for make in (comity.connect, comity.aio.connect, comity.tcp):
        with pytest.raises(comity.InvalidArgument, match=word) as caught:
            make(url)
        assert "secret" not in str(caught.value)


def test_what_is_no_url_and_no_context():
    with pytest.raises(comity.InvalidArgument, match="url must be a str, not 7"):
        comity.tcp(7)  # type: ignore[arg-type]
    with pytest.raises(comity.InvalidArgument, match="tls is for rediss://"):
        comity.tcp("redis://h", tls=ssl.create_default_context())
    with pytest.raises(comity.InvalidArgument, match="SSLContext, not True"):
        comity.tcp("rediss://h", tls=True)  # type: ignore[arg-type]
    for make in (comity.connect, comity.aio.connect):
        with pytest.raises(TypeError, match=r"comity\.tcp\(url, tls=context\)"):
            make("rediss://h", tls=ssl.create_default_context())  # type: ignore[arg-type]
    assert repr(comity.tcp("redis://u:secret@[::1]:7/3")) == "<comity.Server [::1]:7>"


def test_what_is_no_text_is_refused_and_not_told():
    for make in (comity.connect, comity.aio.connect, comity.tcp):
        with pytest.raises(comity.InvalidArgument, match="lone surrogate") as caught:
            make("redis://:secret\udc80@h")
        assert caught.value.__context__ is None
        assert "secret" not in repr(caught.value)


def test_nobody_there(uses: Uses):
    with pytest.raises(comity.Unreachable, match=r"refused|Connect call failed"):
        uses(f"redis://127.0.0.1:{free_port()}", timeout=ENOUGH)
    with pytest.raises(comity.Unreachable, match=r"(?i)name|address"):
        uses("redis://no.such.host.invalid", timeout=LONG)


@contextmanager
def dropping() -> Iterator[int]:
    """The port of what answers no packet that asks for a connection: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()[1]


async def opened(client: Any, **options: Any) -> None:
    async with comity.aio.connect(client, **options):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="others refuse where the queue is full")
@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_an_address_that_drops_packets_leaves_time_for_the_next(kind, server, monkeypatch):
    resolve = socket.getaddrinfo

    def both(host: str, port: int, *args: Any, **options: Any) -> Any:
        found = resolve("127.0.0.1", port, *args, **options)
        if host != "several":
            return found
        return [(*each, ("127.0.0.1", at)) for (*each, _) in found for at in (silent, server.port)]

    with dropping() as silent:
        monkeypatch.setattr(socket, "getaddrinfo", both)
        if kind == "asyncio":
            asyncio.run(opened("redis://several", timeout=LONG))
            return
        deadline = now_us() + 12_000_000
        wire = ServerConnector(comity.tcp("redis://several")).connect(deadline)
        assert now_us() < deadline
        wire.close()


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of what says the same to whatever it is told first, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    sock.recv(1)
                    sock.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("login", [":pw@", ""])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"+PONG\r\n" * 2])
def test_what_is_no_redis(answer: bytes, login: str, uses: Uses):
    with answering(answer) as port, pytest.raises(comity.Unreachable) as caught:
        uses(f"redis://{login}127.0.0.1:{port}", timeout=LONG if answer else ENOUGH)
    words = {b"H": "no reply begins with 'H'", b"": "closed|reset", b"+": "a reply to nothing"}
    assert re.search(words[answer[:1]], str(caught.value))


REFUSALS = {
    b"": "an error without words",
    b"DENIED " + b"x" * 60_000: "DENIED " + "x" * 249 + "\u2026",
    b"DENIED \x1b[2J\x00\tno": r"DENIED \u{1b}[2J\u{0}\tno",
}


@pytest.mark.parametrize("told", REFUSALS)
def test_a_refusal_is_told_in_few_printable_words(told: bytes, uses: Uses):
    with answering(b"-" + told + b"\r\n") as port, pytest.raises(comity.ServerRefused) as caught:
        uses(f"redis://:pw@127.0.0.1:{port}", timeout=LONG)
    assert str(caught.value).endswith(REFUSALS[told])
    assert str(comity.ErrorReply(told)) == REFUSALS[told]


def test_redis_py_need_not_be_there(server):
    program = f"""
import sys
sys.modules["redis"] = sys.modules["redis.asyncio"] = None
import asyncio, comity, comity.aio
url = "redis://127.0.0.1:{server.port}"
with comity.connect(url) as co, co.lock("x") as held:
    print(held.fence > 0)
try:
    comity.connect("redis://127.0.0.1:{free_port()}", timeout=3)
except comity.Unreachable as error:
    print("refused" in str(error))
async def main():
    async with comity.aio.connect(url) as co, co.lock("x") as held:
        print(held.fence > 0)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True\nTrue\nTrue\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_connects_by_itself(server):
    co = comity.connect(f"redis://127.0.0.1:{server.port}")
    counter = co.counter("forks")
    counter.add(1)
    counter.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            counter.add(1)
            counter.flush()
            with co.lock("x"):
                status = 0
            co.close()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    counter.add(1)
    counter.flush()
    assert counter.read("fresh").value == 3
    co.close()
