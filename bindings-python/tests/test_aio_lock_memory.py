"""`comity.aio` on the embedded store: no server, no redis-py, shared with threads."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from locks import keep

import comity
import comity.aio
from comity.testing import MemoryStore


def run(main):
    return asyncio.run(asyncio.wait_for(main, 20))


def test_tasks_take_turns():
    async def main():
        inside, fences = 0, []

        async def worker(co):
            nonlocal inside
            async with co.lock("a") as held:
                assert inside == 0
                inside += 1
                await asyncio.sleep(0.001)
                inside -= 1
                fences.append(held.fence)

        async with comity.aio.connect() as co:
            await asyncio.gather(*[worker(co) for _ in range(50)])
            assert fences == sorted(set(fences))
            assert (await co.inspect("a")).holders_total == 0
            assert repr(co) == "<comity.aio.Coordinator open: memory>"
        assert repr(co) == "<comity.aio.Coordinator closed: memory>"

    run(main())


def test_it_needs_no_entering():
    async def main():
        co = comity.aio.connect()
        assert await keep(co.lock("a")).acquire()
        await co.close()
        with pytest.raises(comity.Closed):
            await co.lock("a").acquire()
        for block in (co, co.transaction(), co.lock("a")):
            with pytest.raises(comity.Closed):
                async with block:
                    pass
        with pytest.raises(comity.Closed):
            await co

    run(main())


def test_threads_and_tasks_share_a_store():
    store = comity.MemoryStore()
    count, fences = 0, []

    def thread():
        nonlocal count
        with comity.connect(store) as co:
            for _ in range(100):
                with co.lock("a") as held:
                    now = count
                    fences.append(held.fence)
                    time.sleep(0)
                    count = now + 1

    async def task(co):
        nonlocal count
        for _ in range(25):
            async with co.lock("a") as held:
                now = count
                fences.append(held.fence)
                await asyncio.sleep(0)
                count = now + 1

    async def main():
        async with comity.aio.connect(store) as co:
            await asyncio.gather(*[task(co) for _ in range(4)])

    threads = [threading.Thread(target=thread) for _ in range(2)]
    for one in threads:
        one.start()
    run(main())
    for one in threads:
        one.join(40)
    assert count == 300
    assert fences == sorted(set(fences))


def test_a_thread_lets_a_waiting_task_in():
    store = comity.MemoryStore()

    async def main():
        with comity.connect(store) as other:
            held = other.lock("a")
            held.acquire()
            threading.Timer(0.05, held.release).start()
            async with comity.aio.connect(store) as co:
                before = time.monotonic()
                async with co.lock("a"):
                    assert 0.04 < time.monotonic() - before < 15

    run(main())


def test_leases_are_renewed_and_run_out_without():
    store = MemoryStore()

    async def main():
        async with comity.aio.connect(store) as co:
            kept = co.lock("kept", ttl=10)
            lost = co.lock("lost", ttl=10, renew=False)
            await kept.acquire()
            await lost.acquire()
            store.advance(30)
            assert kept.held
            assert lost.lost
            with pytest.raises(comity.LockLost):
                await lost.release()
            with pytest.raises(comity.LockLost):
                async with co.lock("body", ttl=10, renew=False, on_lost="cancel"):
                    store.advance(11)
                    await asyncio.sleep(60)

    run(main())


def test_a_clock_that_the_test_moves():
    store = MemoryStore()

    async def main():
        async with comity.aio.connect(store) as co:
            async with co.lock("a", ttl=10) as held:
                waiting = asyncio.create_task(co.lock("a", wait=60).acquire())
                await asyncio.sleep(0)
                store.advance(59)
                assert held.held
                store.advance(2)
                assert not await waiting
            with pytest.raises(comity.LockLost):
                async with co.lock("a", ttl=10, renew=False):
                    store.advance(11)

    run(main())


def test_a_cancelled_wait_leaves_no_waiter():
    async def main():
        async with comity.aio.connect() as co:
            async with co.lock("a"):
                task = asyncio.create_task(co.lock("a").acquire())
                await asyncio.sleep(0)
                assert (await co.inspect("a")).waiters_total == 1
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert (await co.inspect("a")).waiters_total == 0

    run(main())


def test_one_loop_only():
    co = comity.aio.connect()
    run(keep(co.lock("a")).acquire())
    with pytest.raises(comity.InvalidState, match="each loop"):
        run(co.lock("b").acquire())
    co._session.close()  # what nobody can do any more from a loop that has ended


@pytest.mark.parametrize(
    ("name", "error"),
    [("", comity.InvalidArgument), ("x" * 513, comity.LimitExceeded), (1, comity.InvalidArgument)],
    ids=["empty", "long", "int"],
)
def test_bad_input_is_named(name, error):
    co = comity.aio.connect()
    with pytest.raises(error, match="name"):
        co.lock(name)
    with pytest.raises(comity.InvalidArgument, match="ttl"):
        co.lock("a", ttl=0.01)
    with pytest.raises(comity.InvalidArgument, match="wait"):
        co.lock("a", wait=-1)
    with pytest.raises(comity.InvalidArgument, match="buffer"):
        co.events(buffer=0)
