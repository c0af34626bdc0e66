"""What the logger "comity" says at INFO: one line for each thing that happened, with names."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any

import pytest
from locks import connect_to, keep, until

import comity
from comity.testing import MemoryStore

pytestmark = pytest.mark.usefixtures("flavour")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """What was said at INFO with these words in it."""
    caplog.set_level(logging.INFO, "comity")
    return lambda words: _said(caplog, words, logging.INFO)


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Any:
    """What was said above INFO with these words in it."""
    return lambda words: _said(caplog, words, logging.WARNING, logging.ERROR)


def _said(caplog: pytest.LogCaptureFixture, words: str, *levels: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno in levels and words in record.getMessage()
    ]


def test_a_server_is_lost_and_back_once(start, said):
    server = start()
    clients = ({"stock": server.client()} for _ in range(2))
    with (
        connect_to(next(clients), timeout=1) as co,
        connect_to(next(clients), timeout=1) as other,
    ):
        assert all(keep(co.lock(f"{n}", ttl=60)).acquire() for n in range(20))
        keep(other.lock("taken", ttl=60)).acquire()
        # A push connection, a connection for verbs and one for what is done in the background.
        waiting = threading.Thread(target=keep(co.lock("taken")).acquire)
        waiting.start()
        until(lambda: co.stats()["lock_queued"], 30)
        server.kill()
        with pytest.raises(comity.Error):
            co.inspect("a")
        until(lambda: said("the server stock is lost: "), 30)
        server.start()
        until(lambda: said("the server stock is back after "), 30)
        co.inspect("a")
        waiting.join(60)  # it has waited on, and the lock was lost with the server's memory
        assert not waiting.is_alive()
    for words in ("the server stock is lost: ", "the server stock is back after "):
        assert len(said(words)) <= 2, said(words)  # one for each coordinator
    assert any("what waits for a lock there waits on (1)" in text for text in said("is lost"))


def test_an_outage_is_an_event_with_its_reason_and_its_length(start):
    server = start()
    with connect_to({"stock": server.client()}, timeout=1) as co:
        keep(co.lock("a", ttl=60)).acquire()
        heard = keep(co.events(buffer=100))
        server.kill()
        with pytest.raises(comity.Error):
            co.inspect("a")
        server.start()
        co.inspect("a")
        told = {}
        until(lambda: (e := heard.get(0)) and told.setdefault(e.kind, e) and "node_up" in told, 30)
        down, up = told["node_down"], told["node_up"]
        assert (down.node, down.waiting, up.node) == (0, 0, 0)
        assert str(down.error)
        assert up.outage > 0


def test_an_idle_connection_that_is_closed_is_no_loss(start, said, monkeypatch):
    monkeypatch.setattr("comity.wire._STALE_US", 0)
    server = start()
    with connect_to(server.client()) as co:
        co.inspect("a")
        with server.client() as admin:
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        co.inspect("a")
    assert said("the server") == []


def test_why_no_connection_can_be_made(said):
    import redis

    client = redis.Redis(host="no-such-host.invalid")
    with connect_to({"stock": client}, timeout=1, check=False) as co:
        for _ in range(3):
            with pytest.raises(comity.Unreachable):
                co.inspect("a")
    (text,) = said("the server stock is lost: ")
    assert "no-such-host.invalid" in text


def test_a_lease_that_is_lost(said):
    store = MemoryStore()
    with connect_to(store) as co:
        lock = co.lock("invoice:42", ttl=10, renew=False)
        lock.acquire()
        store.advance(11)
        until(lambda: said("'invoice:42'"), 30)
    (text,) = said("'invoice:42'")
    assert "has ended" in text


def test_a_lock_that_is_granted_after_a_long_wait(said):
    store = MemoryStore()
    with connect_to(store) as co, connect_to(store) as other:
        for seconds in (5, 60):
            held, waiting = co.lock(f"for {seconds} s"), keep(other.lock(f"for {seconds} s"))
            held.acquire()
            thread = threading.Thread(target=waiting.acquire)
            thread.start()
            until(lambda name=held.name: co.inspect(name).waiters_total, 30)
            store.advance(seconds)
            held.release()
            thread.join(30)
            assert waiting.held
            waiting.release()
        until(lambda: said("after a wait"), 30)
    (text,) = said("after a wait")
    assert text.startswith("lock 'for 60 s' is granted after a wait of 60.")


def test_nothing_is_said_where_nobody_listens(caplog):
    caplog.set_level(logging.WARNING, "comity")
    store = MemoryStore()
    with connect_to(store) as co:
        lock = co.lock("a", ttl=10, renew=False)
        lock.acquire()
        store.advance(11)
        assert lock.lost
    assert caplog.records == []


def test_counters_that_a_server_does_not_take_are_one_line(start, warned):
    server = start()
    clients = {"stock": server.client()}
    with connect_to(clients, timeout=1) as co, server.client() as admin:
        admin.config_set("maxmemory", 1)
        hits = [co.counter(f"hits {n}") for n in range(20)]
        for each in hits:
            each.add(2)
        until(lambda: warned("does not take"))
        (text,) = warned("does not take")
        assert text.startswith("the server stock does not take what is counted by 20 counters: OOM")
        co.counter("late").add(1)  # and one more, for the same cause
    (text,) = warned("closed with")
    assert text.startswith("21 counters were closed with 41 units that the server stock has not")
    assert "acknowledged (OOM" in text
    assert len(warned("")) == 2


def test_one_counter_is_named(start, warned):
    server = start()
    clients = {"stock": server.client()}
    with connect_to(clients, timeout=1) as co, server.client() as admin:
        admin.config_set("maxmemory", 1)
        co.counter("hits").add(7)
        until(lambda: warned("does not take"))
    assert [text.partition(": ")[0] for text in warned("does not take")] == [
        "the server stock does not take what is counted by counter 'hits'"
    ]
    (text,) = warned("closed with")
    assert text.startswith("counter 'hits' was closed with 7 units that the server stock has not")


def test_counters_that_a_server_has_lost_are_one_line(start, warned):
    server = start()
    with connect_to({"stock": server.client()}) as co, server.client() as admin:
        hits = [co.counter(f"hits {n}") for n in range(20)]
        for each in hits:
            each.add(1)
            each.flush()
        admin.flushall()
        for each in hits:
            each.add(1)
            with contextlib.suppress(comity.Error):
                each.flush()
        until(lambda: warned("units of"))
    texts = warned("units of")
    assert len(texts) <= 2, texts
    assert "20 counters" in texts[0]
    assert "stock" in texts[0]


def test_a_journal_that_cannot_be_written_is_said_once(start, warned):
    broken = [True]

    def write(journal: bytes) -> None:
        if broken:
            raise OSError("no space left")

    with connect_to(start().client()) as co:
        for n in range(5):
            counter = co.counter(f"hits {n}", durability=comity.Journaled(write, 0))
            counter.add(1)
            until(lambda counter=counter: counter.read().pending == 0)
            counter.add(1)
        until(lambda: warned("could not be written"))
        time.sleep(2.5)  # it is tried again meanwhile
        broken.clear()
    (text,) = warned("")
    assert text.startswith("the journal of ")
    assert text.endswith(" could not be written: no space left")
