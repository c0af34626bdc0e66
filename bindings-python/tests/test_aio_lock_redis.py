"""The lock for asyncio, over a real server: turns, waits, cancellation, loops, the end."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import signal
import time

import pytest

redis = pytest.importorskip("redis")

from asynchronous import connected, run, until  # noqa: E402
from locks import asks, idle, keep, warned_of  # noqa: E402

import comity  # noqa: E402
import comity.aio  # noqa: E402
from comity.aio.wire import Wire  # noqa: E402

# Turns


def test_a_lock_is_held_in_its_block_and_free_after(server, traces):
    async def main():
        async with connected(server.port) as co:
            async with co.lock("a", ttl=10) as held:
                assert held.held
                assert 9 < held.remaining <= 10
                first = held.fence
                told = await co.inspect("a")
                assert [one.fence for one in told.holders] == [first]
                held.check()
                await held.extend(20)
                assert held.remaining > 15
            assert not held.held
            handle = co.lock("a", wait=0)
            assert await handle.acquire()
            assert handle.fence > first
            assert not await co.lock("a").acquire(wait=0)
            await handle.release()
            with pytest.raises(comity.NotHeld):
                await handle.release()
            assert await co.fence_check("resource", handle_fence := first + 1)
            assert not await co.fence_check("resource", handle_fence - 1)

    run(main())
    idle(server, traces)


def test_tasks_take_turns_in_the_order_they_came(server, traces):
    async def main():
        inside, order, fences = 0, [], []

        async def worker(co, number):
            nonlocal inside
            async with co.lock("a") as held:
                assert inside == 0
                inside += 1
                await asyncio.sleep(0)
                inside -= 1
                order.append(number)
                fences.append(held.fence)

        async with connected(server.port) as co, connected(server.port) as other:
            for turn in range(2):
                async with co.lock("a"):
                    tasks = []
                    for number in range(20):
                        tasks.append(
                            asyncio.create_task(worker((co, other)[number % 2], 20 * turn + number))
                        )
                        await until(lambda n=number: _queued(co, other) >= 20 * turn + n + 1)  # noqa: B023
                await asyncio.gather(*tasks)
        assert order == list(range(40))
        assert fences == sorted(set(fences))

    def _queued(*coordinators):
        return sum(co.stats()["lock_queued"] for co in coordinators)

    run(main())
    idle(server, traces)


def test_try_once_and_wait_a_while(server):
    async def main():
        async with connected(server.port) as co, co.lock("a", label="me"):
            assert not await co.lock("a").acquire(wait=0)
            before = time.monotonic()
            assert not await co.lock("a", wait=0.2).acquire()
            assert 0.19 < time.monotonic() - before < 15
            with pytest.raises(comity.LockTimeout, match=r"'a'.*held by this very process.*me"):
                async with co.lock("a", wait=0.05):
                    pytest.fail("granted twice")

    run(main())


def test_verbs_without_a_grant_and_twice(server):
    async def main():
        async with connected(server.port) as co:
            handle = co.lock("a")
            for verb in (handle.release, handle.extend):
                with pytest.raises(comity.NotHeld, match="'a'"):
                    await verb()
            async with handle:
                with pytest.raises(comity.InvalidState, match="holds it already"):
                    await handle.acquire()
                assert handle.held
                waiting = co.lock("a")
                task = asyncio.create_task(waiting.acquire())
                await asyncio.sleep(0.05)
                with pytest.raises(comity.InvalidState, match="waits for it already"):
                    await waiting.acquire()
            assert await task
            await waiting.release()
            async with handle:
                await handle.release()

    run(main())


def test_many_tasks_share_writes_and_connections(server, proxy, monkeypatch):
    writes = []
    write = Wire.write
    monkeypatch.setattr(Wire, "write", lambda wire: (writes.append(wire), write(wire)))

    async def main():
        async with connected(proxy.port) as co:
            before = co.stats()["commands"]
            writes.clear()
            locks = [co.lock(f"name {number}") for number in range(200)]
            assert all(await asyncio.gather(*[lock.acquire() for lock in locks]))
            await asyncio.gather(*[lock.release() for lock in locks])
            assert co.stats()["commands"] - before >= 400
            assert len(writes) < 40
            handles = [co.lock("b") for _ in range(5)]
            waiting = [asyncio.create_task(handle.acquire(wait=0.3)) for handle in handles]
            await asyncio.gather(*waiting)
        assert proxy.accepted <= 2

    run(main())


# Cancellation


def test_a_cancelled_wait_leaves_no_waiter(server, traces):
    async def main():
        async with connected(server.port) as co:
            async with co.lock("a"):
                task = asyncio.create_task(co.lock("a").acquire())
                await until(lambda: co.stats()["lock_queued"])
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                end = time.monotonic() + 30
                while (await co.inspect("a")).waiters_total:
                    assert time.monotonic() < end
            async with co.lock("a", wait=30):
                pass

    run(main())
    idle(server, traces)


@pytest.mark.parametrize("slow", [False, True], ids=["", "through a slow network"])
def test_cancelled_at_any_moment_nothing_is_left_behind(server, proxy, traces, slow):
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    if slow:
        proxy.delay = 0.002

    async def use(handle):
        async with handle:
            await asyncio.sleep(rng.random() * 0.001)
            await handle.extend()

    async def main():
        async with connected(proxy.port) as co, connected(server.port) as other:
            for turn in range(150):
                busy = other.lock("a")
                if turn % 3 == 0:
                    await busy.acquire()
                handle = co.lock("a", ttl=30)
                task = asyncio.create_task(use(handle))
                for _ in range(rng.randrange(8)):
                    await asyncio.sleep(0)
                await asyncio.sleep(rng.choice([0, 0, rng.random() * (0.012 if slow else 0.002)]))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert not handle.held, f"seed {seed}, turn {turn}"
                if busy.held:
                    await busy.release()
                fresh = other.lock("a", wait=30)
                assert await fresh.acquire(), f"seed {seed}, turn {turn}"
                await fresh.release()

    run(main())
    idle(server, traces)


def test_a_cancelled_release_releases_all_the_same(server, proxy, traces):
    async def main():
        async with connected(proxy.port) as co, connected(server.port) as other:
            handle = co.lock("a", ttl=30)
            await handle.acquire()
            proxy.delay = 0.2
            task = asyncio.create_task(handle.release())
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not handle.held
            assert await keep(other.lock("a")).acquire(wait=15)

    run(main())
    idle(server, traces)


def test_a_cancelled_renewal_keeps_the_lock(server, proxy):
    async def main():
        async with connected(proxy.port) as co, co.lock("a", ttl=30) as held:
            proxy.delay = 0.1
            task = asyncio.create_task(held.extend(60))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert held.held
            await until(lambda: held.remaining > 40)
            proxy.delay = 0
            await held.extend(10)
            assert held.held

    run(main())


def test_cancelled_while_it_connects(fake):
    silent = fake()

    async def main():
        client = redis.asyncio.Redis(port=silent.port)
        co = comity.aio.connect(client, check=False, timeout=60)
        task = asyncio.create_task(co.lock("a").acquire())
        await until(lambda: silent.accepted)
        task.cancel()
        before = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - before < 15
        closing = asyncio.create_task(co.close())
        await asyncio.sleep(0.05)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(comity.Closed):
            await co.lock("a").acquire()

    run(main())


# Loops, forks


def test_another_loop_is_refused_by_name(server, traces):
    co = comity.aio.connect(redis.asyncio.Redis(port=server.port))
    handle = co.lock("a")

    async def first():
        await handle.acquire()
        return repr(asyncio.get_running_loop())

    async def second():
        for verb in (handle.release, handle.extend, co.lock("b").acquire, co.close):
            with pytest.raises(comity.InvalidState, match="belongs to the event loop") as caught:
                await verb()
            assert repr(loop) in str(caught.value)
            assert repr(asyncio.get_running_loop()) in str(caught.value)
        with pytest.raises(comity.InvalidState):
            await co.inspect("a")

    async def end():
        assert handle.held
        await handle.release()
        await co.close()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(first())
        run(second())
        loop.run_until_complete(end())
    finally:
        loop.close()
    idle(server, traces)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_sends_nothing_and_its_parent_keeps_the_lock(server, proxy):
    async def in_child(co, held):
        assert not held.held
        assert held.lost
        for verb in (held.acquire, held.extend, held.release):
            with pytest.raises(comity.InvalidState, match="before fork"):
                await verb()
        await co.close()
        async with connected(server.port) as own:
            assert not await own.lock("a").acquire(wait=0)

    async def main():
        async with connected(proxy.port) as co, connected(server.port) as other:
            held = co.lock("a", ttl=3)
            await held.acquire()
            seen = len(proxy.seen)
            child = os.fork()
            if not child:
                status = 1
                try:
                    asyncio.run(in_child(co, held))
                    del co, held
                    gc.collect()
                    status = 0
                finally:
                    os._exit(status)
            _, status = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, child, 0)
            assert status == 0
            assert all(map(asks(b"REN"), proxy.seen[seen:]))
            await asyncio.sleep(3.5)
            assert held.held
            assert not await other.lock("a").acquire(wait=0)
            await held.release()
            assert await keep(other.lock("a")).acquire(wait=15)

    run(main())


# The end


def test_closing_releases_and_tells_whoever_waits(server, traces):
    async def main():
        async with connected(server.port) as other:
            co = await comity.aio.connect(redis.asyncio.Redis(port=server.port))
            held = co.lock("a")
            await held.acquire()
            waiting = asyncio.create_task(co.lock("a").acquire())
            await until(lambda: co.stats()["lock_queued"])
            await co.close()
            await co.close()
            with pytest.raises(comity.Closed):
                await waiting
            assert not held.held
            for verb in (held.acquire, co.lock("b").acquire):
                with pytest.raises(comity.Closed):
                    await verb()
            with pytest.raises(comity.Closed):
                await co.inspect("a")
            assert await keep(other.lock("a")).acquire(wait=0)
            mine = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            assert len(mine) == 1, mine  # `run` itself

    run(main())
    idle(server, traces)


def test_one_that_is_dropped_unclosed_says_so_and_ends_its_connections(server):
    async def main():
        async with connected(server.port) as other:
            co = comity.aio.connect(redis.asyncio.Redis(port=server.port))
            held = co.lock("a", ttl=0.3)
            await held.acquire()
            del co
            async with warned_of("unclosed comity.aio.Coordinator"):
                del held
            assert await keep(other.lock("a")).acquire(wait=20)
            with server.client() as admin:
                end = time.monotonic() + 30
                while len(admin.client_list()) > 3:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.01)

    run(main())


def test_events_are_awaited(server):
    async def main():
        async with connected(server.port) as co:
            events = co.events(buffer=4)
            assert await events.get(timeout=0) is None
            reader = asyncio.create_task(events.get())
            await asyncio.sleep(0)
            async with co.lock("a"):
                pass
            assert (await reader).kind == "lock_granted"
            assert (await events.get(30)).kind == "lock_released"
            for _ in range(5):
                async with co.lock("a"):
                    pass
            assert events.dropped == 6
            rest = asyncio.create_task(_all(events))
            await asyncio.sleep(0.01)
            await co.close()
            assert [event.kind for event in await rest][-1] == "closed"

    async def _all(events):
        async with events:
            return [event async for event in events]

    run(main())


def test_ctrl_c_ends_a_wait_and_leaves_no_waiter(server, script):
    source = """
import asyncio, signal, sys, comity.aio, redis.asyncio
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
async def main():
    async with comity.aio.connect(redis.asyncio.Redis(port=int(sys.argv[1]))) as co:
        print("ready")
        await co.lock("a").acquire()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""

    async def main():
        async with connected(server.port) as co, co.lock("a"):
            process = script(source, server.port)
            assert process.stdout.readline() == "ready\n"
            while (await co.inspect("a")).waiters_total != 1:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert process.wait(60) == 0
            assert (await co.inspect("a")).waiters_total == 0

    run(main())


def test_the_end_of_the_program_without_close_says_so_and_the_lease_runs_out(server, script):
    source = """
import asyncio, sys, comity.aio, redis.asyncio
async def main():
    co = comity.aio.connect(redis.asyncio.Redis(port=int(sys.argv[1])))
    held = co.lock("a", ttl=0.5)
    await held.acquire()
    print("held")
asyncio.run(main())
"""
    process = script(source, server.port)
    assert process.stdout.readline() == "held\n"
    assert process.wait(60) == 0

    async def main():
        async with connected(server.port) as co:
            assert await keep(co.lock("a")).acquire(wait=30)

    run(main())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_multiprocessing_worker_forked_inside_a_block_sends_nothing(server, proxy):
    async def in_child(co, held):
        assert not held.held
        for verb in (held.acquire, held.extend, held.release):
            with pytest.raises(comity.InvalidState, match="before fork"):
                await verb()
        async with connected(server.port) as own:
            assert not await own.lock("a").acquire(wait=0)

    async def main():
        async with connected(proxy.port) as co, co.lock("a", ttl=9) as held:
            events = co.events()
            seen = len(proxy.seen)
            process = multiprocessing.get_context("fork").Process(
                target=lambda: asyncio.run(in_child(co, held))
            )
            process.start()
            await asyncio.get_running_loop().run_in_executor(None, process.join, 10)
            assert process.exitcode == 0
            assert all(map(asks(b"REN"), proxy.seen[seen:]))
            # The parent's lock goes on: renewed behind all that.
            async for event in events:
                if event.kind == "lock_renewed":
                    break
            assert held.held

    run(main())


def test_an_application_that_is_loaded_before_its_workers_are_forked(server, script, traces):
    source = """
import asyncio, os, sys, comity, comity.aio, redis.asyncio
port = int(sys.argv[1])
co = comity.aio.connect(redis.asyncio.Redis(port=port))    # as a preloaded application does
async def loaded():
    global held
    held = co.lock("loaded")
    await held.acquire()
asyncio.run(loaded())
async def work():
    try:
        await held.extend()
    except comity.InvalidState as error:
        assert "before fork" in str(error)
    else:
        os._exit(2)
    async with co:    # what was loaded serves the worker, in its own loop
        for _ in range(5):
            async with co.lock("a", wait=60) as mine:
                print(mine.fence, flush=True)
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        asyncio.run(work())
        os._exit(0)
    children.append(child)
print("exits", [os.waitpid(child, 0)[1] for child in children], flush=True)
os._exit(0)
"""
    process = script(source, server.port)
    *fences, exits = process.stdout.read().splitlines()
    assert exits == "exits [0, 0, 0]"
    assert len({int(fence) for fence in fences}) == 15
    with server.client() as admin:
        admin.delete("comity:1:lock:{loaded}")
    idle(server, traces)
