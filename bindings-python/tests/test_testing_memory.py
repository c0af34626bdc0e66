"""`comity.testing`: leases end, waits run out and renewals happen when the test says so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest
from locks import connect_to, keep

import comity
import comity.aio
from comity.testing import MemoryStore, comity_store, stores

__all__ = ["comity_store"]


def test_a_lease_ends_when_its_time_has_passed(comity_store):
    with comity.connect(comity_store) as co:
        lock = co.lock("a", ttl=10, renew=False)
        lock.acquire()
        assert lock.valid_until - comity_store.clock() == pytest.approx(9.898)
        comity_store.advance(9)
        assert lock.held
        assert lock.remaining == pytest.approx(0.898)
        comity_store.advance(1)
        assert lock.lost
        assert not lock.held
        with pytest.raises(comity.LockLost):
            lock.check()
        assert keep(co.lock("a")).acquire(wait=0)


def test_a_day_of_renewals_takes_no_time(comity_store):
    with comity.connect(comity_store) as co:
        lock = co.lock("a", ttl=10)
        lock.acquire()
        fence = lock.fence
        comity_store.advance(86_400)
        assert lock.held
        assert lock.fence == fence
        assert co.stats()["lock_renewals"] > 86_400 / 10 * 3 * 0.9


def test_the_next_in_line_gets_the_lock_of_one_that_vanished(comity_store):
    gone = comity.connect(comity_store)
    keep(gone.lock("a", ttl=5, renew=False)).acquire()
    with comity.connect(comity_store) as co:
        lock = co.lock("a")
        thread = threading.Thread(target=lock.acquire)
        thread.start()
        while co.inspect("a").waiters_total == 0:
            time.sleep(0.001)
        comity_store.advance(4.9)
        assert not lock.held
        comity_store.advance(0.2)
        thread.join(40)
        assert lock.held
        lock.release()
    gone.close()


def test_a_wait_runs_out(comity_store):
    with comity.connect(comity_store) as co, co.lock("a", label="me"):
        said: list[bool] = []
        thread = threading.Thread(target=lambda: said.append(co.lock("a", wait=60).acquire()))
        thread.start()
        while co.inspect("a").waiters_total == 0:
            time.sleep(0.001)
        comity_store.advance(59)
        assert said == []
        comity_store.advance(2)
        thread.join(40)
        assert said == [False]


def test_time_stands_still_otherwise():
    store = MemoryStore()
    before = store.clock()
    with comity.connect(store) as co, co.lock("a", ttl=0.05) as held:
        time.sleep(0.1)
        assert held.held
    assert store.clock() == before


@pytest.mark.parametrize("by", [-1, float("nan"), float("inf"), True, "1", 1e12])
def test_advance_takes_seconds(by):
    store = MemoryStore()
    before = store.clock()
    with pytest.raises(comity.InvalidArgument, match="by must be"):
        store.advance(by)
    assert store.clock() == before


def test_pytest_is_not_needed():
    source = "import sys; sys.modules['pytest'] = None; import comity.testing as t; t.MemoryStore()"
    subprocess.run([sys.executable, "-c", source], check=True)


def test_the_stores_of_a_ring_go_by_one_clock():
    ring = stores("a", "b")
    with comity.connect(ring) as co:
        locks = [co.lock(f"{n}", ttl=10, renew=False) for n in range(8)]
        assert {co.ring.node(lock.name) for lock in locks} == {"a", "b"}
        assert all(lock.acquire() for lock in locks)
        ring["b"].advance(11)
        assert all(lock.lost for lock in locks)
    assert ring["a"].clock() == ring["b"].clock()
    for ids in ((), ("a", "a")):
        with pytest.raises(comity.InvalidArgument, match="different ids"):
            stores(*ids)


def test_time_jumps_while_somebody_waits():
    store = MemoryStore(autojump=True)
    with comity.connect(store) as co, co.lock("a", ttl=10):
        before = store.clock()
        assert not co.lock("a").acquire(wait=60)
        assert store.clock() - before == pytest.approx(60, abs=1)


def test_time_jumps_on_a_loop_too():
    async def main():
        store = MemoryStore(autojump=True)
        async with comity.aio.connect(store) as co, co.lock("a", ttl=10) as held:
            before = store.clock()
            assert not await co.lock("a").acquire(wait=60)
            assert store.clock() - before == pytest.approx(60, abs=1)
            assert held.held

    asyncio.run(main())


VERBS = {
    "lock": lambda co: keep(co.lock("a")).acquire(),
    "transaction": lambda co: co.transaction().incr("n").execute(),
    "snapshot": lambda co: co.snapshot("n"),
    "counter": lambda co: co.counter("n").read(),
    "inspect": lambda co: co.inspect("a"),
    "fence_check": lambda co: co.fence_check("a", 1),
    "sweep": lambda co: co.sweep(),
}


@pytest.mark.usefixtures("flavour")
@pytest.mark.parametrize("verb", VERBS)
def test_a_store_that_is_away_is_unreachable_at_once(verb):
    store = MemoryStore(autojump=True)
    with connect_to(store) as co:
        with store.away():
            before = store.clock()
            with pytest.raises(comity.Unreachable, match="the store is away") as caught:
                VERBS[verb](co)
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)
            assert caught.value.server == "memory"
            assert store.clock() == before
        VERBS[verb](co)


@pytest.mark.usefixtures("flavour")
@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "sweep"])
def test_a_lost_reply_is_asked_for_again(verb, executed):
    store = MemoryStore(autojump=True)
    with connect_to(store) as co:
        store.lose_replies(2, executed=executed)
        VERBS[verb](co)
    assert store.execute("GET", "n") == (b"1" if verb == "transaction" else None)


def test_a_push_is_lost_with_the_connection(comity_store):
    with comity.connect(comity_store) as co, comity.connect(comity_store) as other:
        held, waiting = co.lock("a"), other.lock("a")
        held.acquire()
        thread = threading.Thread(target=waiting.acquire)
        thread.start()
        while co.inspect("a").waiters_total == 0:
            time.sleep(0.001)
        with comity_store.away():
            comity_store.advance(1)
        comity_store.advance(1)
        held.release()
        comity_store.advance(1)
        thread.join(30)
        assert waiting.held


def test_closing_waits_for_nothing_where_time_stands_still(comity_store):
    began = time.monotonic()
    co = comity.connect(comity_store, timeout=60)
    held = co.lock("a")
    held.acquire()
    with comity_store.away():
        co.close()
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("count", [-1, 1_000_001, True, 1.5, "1"])
def test_how_many_replies_are_lost(count):
    with pytest.raises(comity.InvalidArgument, match="count must be"):
        MemoryStore().lose_replies(count)
    with pytest.raises(comity.InvalidArgument, match="executed must be"):
        MemoryStore().lose_replies(1, executed=1)
