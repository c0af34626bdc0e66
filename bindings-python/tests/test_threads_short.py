"""Where no thread can be started, nothing dies for good and no wait is without end."""

from __future__ import annotations

import logging
import threading
import time

import pytest

redis = pytest.importorskip("redis")

from locks import line, until  # noqa: E402

import comity  # noqa: E402


@pytest.fixture
def short(monkeypatch):
    """Takes away all threads but those that run, and gives them back."""
    start = threading.Thread.start
    gone = []

    def refuse(thread):
        if gone and thread.name.startswith("comity"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    yield gone
    gone.clear()


def stores(server):
    return [comity.MemoryStore(), server.client()]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("early", [True, False])
def test_every_verb_ends_within_its_bound(kind, early, server, short, caplog):
    store = stores(server)[kind]
    caplog.set_level(logging.WARNING, "comity")
    with comity.connect(store) as other, other.lock("busy", ttl=60):
        if early:
            short.append(True)
        with comity.connect(store) as co:
            short.append(True)
            assert not co.lock("busy").acquire(wait=0.2)
            with co.lock("free", ttl=60) as held:
                held.extend()
                held.check()
            hits = co.counter("hits")
            hits.add(3)
            hits.flush()
            assert hits.read().value == 3
            with co.transaction() as tx:
                tx.incrby("a", 1)
            assert co.snapshot("a") == {"a": b"1"}
            hits.add(4)
        assert "no thread can be started" in caplog.text
        short.clear()
        assert other.counter("hits").read().value == 7


def test_the_callers_own_thread_renews(server, short):
    short.append(True)
    with comity.connect(server.client()) as co, co.lock("a", ttl=4) as held:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            held.check()
            time.sleep(0.05)


def test_threads_are_started_once_they_can_be(server, short):
    told = threading.Event()
    with comity.connect(server.client()) as co:
        lost = co.lock("a", ttl=0.05, renew=False, on_lost=lambda _: told.set())
        lost.acquire()  # the timer runs from here on
        short.append(True)
        until(lambda: lost.lost, 20)
        time.sleep(0.3)
        assert not told.is_set()
        short.clear()
        assert told.wait(20)
        with co.lock("b", ttl=3) as held:
            time.sleep(4)
            held.check()


def test_a_callback_that_raises_ends_nothing(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    with comity.connect() as co, co.lock("kept", ttl=3) as held:
        for _ in range(3):
            lost = co.lock("a", ttl=0.05, renew=False, on_lost=lambda _: 1 / 0)
            lost.acquire()
            until(lambda lost=lost: lost.lost, 20)
        time.sleep(3.5)
        held.check()


LATE = """
import sys, threading, time, comity, redis
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))

def work():
    threading.main_thread().join()
    time.sleep(0.2)
    with co.lock("late", ttl=2) as held:
        print(co.lock("busy").acquire(wait=0.2), flush=True)
        hits = co.counter("late")
        hits.add(3)
        hits.flush()
        held.check()
    print(hits.read().value, flush=True)

if sys.argv[2] == "thread":
    threading.Thread(target=work).start()
else:
    import atexit
    threading.main_thread().join = lambda: None
    atexit.register(work)
"""


@pytest.mark.parametrize("when", ["thread", "atexit"])
def test_after_the_main_thread_and_at_the_exit(when, server, script):
    with comity.connect(server.client()) as other, other.lock("busy", ttl=60):
        process = script(LATE, server.port, when)
        assert line(process) == "False"
        assert line(process) == "3"
        assert process.wait(60) == 0


UNCLOSED = """
import sys, comity, redis
def f():
    co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
    held = co.lock("z", wait=0)
    held.acquire()
    co.counter("c").add(1)
f()
"""


def test_an_exit_with_an_unclosed_coordinator_does_not_crash(server, script):
    for _ in range(8):
        assert script(UNCLOSED, server.port).wait(60) == 0
