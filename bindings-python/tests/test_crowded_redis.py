"""A server that has as many clients as it takes, or lets nobody in, is one that is away: who waits
in line waits on, and nothing says that it is back before it serves."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from locks import connect_to, keep, until

import comity

pytestmark = pytest.mark.usefixtures("flavour")

WORDS = "max number of clients reached"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    caplog.set_level(logging.INFO, "comity")
    return lambda words: [text for text in map(str, caplog.messages) if words in text]


@contextmanager
def crowded(server: Any) -> Iterator[None]:
    """No other connection to `server` is possible, and those there were are closed."""
    with server.client() as admin, ExitStack() as others:
        admin.config_set("maxclients", 1)

        def alone() -> bool:
            # Again each time: one that subscribes between the two was of neither kind for them,
            # and Redis counts those that it is about to close.
            for kind in ("pubsub", "normal"):
                admin.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            return bool(admin.info("clients")["connected_clients"] == 1)

        until(alone)
        probe = others.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert WORDS.encode() in probe.recv(100)
        yield
        admin.config_set("maxclients", 1000)


def waiter(lock: Any) -> tuple[threading.Thread, list[Any]]:
    """A thread that acquires, and what comes of it."""
    came: list[Any] = []

    def work() -> None:
        try:
            came.append(lock.acquire())
        except comity.Error as error:
            came.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, came


def test_who_waits_in_line_waits_on(start, said):
    server = start()
    with (
        connect_to({"stock": server.client()}, timeout=60) as holder,
        connect_to({"stock": server.client()}, timeout=1) as co,
    ):
        held = keep(holder.lock("x", ttl=600))
        held.acquire()
        thread, came = waiter(keep(co.lock("x", wait=None)))
        until(lambda: co.stats()["lock_queued"])
        with crowded(server):
            until(lambda: said("the server stock is lost: "))
            refusals = co.stats()["refusals"]
            until(lambda: co.stats()["refusals"] >= refusals + 5, 60)
            time.sleep(1.5)  # longer than the timeout
            assert came == []
            assert said("the server stock is back") == []
        held.release()
        thread.join(60)
        assert came == [True]
        until(lambda: said("the server stock is back after "))
    assert len(said("what waits for a lock there waits on (1)")) == 1, said("stock")


def test_a_wait_with_a_bound_ends_there_and_says_why(start):
    server = start()
    with (
        connect_to(server.client(), timeout=60) as holder,
        connect_to(server.client(), timeout=1) as co,
    ):
        held = keep(holder.lock("x", ttl=600))
        held.acquire()
        began = time.monotonic()
        thread, came = waiter(keep(co.lock("x", wait=5)))
        until(lambda: co.stats()["lock_queued"])
        with crowded(server):
            thread.join(60)
            assert time.monotonic() - began >= 5
            (error,) = came
            assert isinstance(error, comity.ServerRefused), repr(error)
            assert WORDS in str(error)
            assert error.server


def test_who_does_not_wait_in_line_is_told_the_server_s_words(start):
    server = start()
    with connect_to(server.client(), timeout=1, check=False) as co, crowded(server):
        for verb in (
            lambda: co.inspect("x"),
            lambda: keep(co.lock("x", wait=0)).acquire(),
            lambda: keep(co.lock("x", wait=None)).acquire(),
            lambda: co.fence_check("x", 1),
            lambda: co.counter("c").read(),
            lambda: co.snapshot("x"),
            lambda: co.transaction().incr("x").execute(),
        ):
            with pytest.raises(comity.ServerRefused, match=WORDS) as caught:
                verb()
            assert caught.value.server


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_server_that_lets_nobody_in_is_not_back(start, said, protocol, password):
    server = start()
    with server.client() as admin:
        if password:
            admin.config_set("requirepass", password)
    client = server.client(protocol=protocol, password=password)
    with connect_to({"stock": client}, timeout=1) as co:
        co.inspect("x")
        server.kill()
        with pytest.raises(comity.Error):
            co.inspect("x")
        until(lambda: said("the server stock is lost: "))
        server.args = [*server.args, "--requirepass", "right"]
        server.start()
        for _ in range(3):
            with pytest.raises(comity.ServerRefused, match=r"NOAUTH|WRONGPASS"):
                co.inspect("x")
        assert said("the server stock is back") == []
        with server.client(password="right") as admin:
            admin.config_set("requirepass", password or "")
        co.inspect("x")
        until(lambda: said("the server stock is back after "))
    assert len(said("the server stock is lost")) == 1
