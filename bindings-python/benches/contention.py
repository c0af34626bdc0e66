"""Threads and tasks of one process: on one lock, and on as many locks as there are of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
import stage

import comity.aio


def one_lock(port: int, contenders: int, seconds: float, work: float) -> None:
    """How often each contender has the lock, and how long it waits at most; each works for `work`
    seconds under the lock and as long again elsewhere.
    """
    with stage.client(port) as client, comity.connect(client) as co:
        mine = _contend(lambda _: co.lock("bench:contended", ttl=30), contenders, seconds, work)
        other = _contend(
            lambda _: client.lock("bench:polled", timeout=30), contenders, seconds, work
        )
    for name, (counts, longest) in (("comity", mine), ("redis-py, sleep=0.1", other)):
        apart = (max(counts) - min(counts)) / max(1, *counts) * 100
        print(
            f"  {name:24} {sum(counts):6} in all, {min(counts)} to {max(counts)} each"
            f" ({apart:.0f} % apart), longest wait {longest * 1e3:.0f} ms"
        )
    ratio = sum(mine[0]) / max(1, sum(other[0]))
    print(f"  ratio of totals {ratio:.1f} (target >= 5; each within 5 % of the others)")


def many_locks(port: int, threads: int, seconds: float) -> None:
    """Pairs per second of all threads together, each on a lock of its own."""
    with stage.client(port) as client, comity.connect(client) as co:
        mine = _contend(lambda n: co.lock(f"bench:{n}", ttl=30), threads, seconds)
        other = _contend(lambda n: client.lock(f"bench:r{n}", timeout=30), threads, seconds)
    speeds = [sum(counts) / seconds for counts, _ in (mine, other)]
    print(
        f"  comity {speeds[0]:.0f} pairs/s on one coordinator, redis-py {speeds[1]:.0f} on its pool"
    )
    # Of a very short run the other may have none.
    print(f"  ratio {speeds[0] / max(speeds[1], 1 / seconds):.2f} (target >= 1.0)")


def many_locks_of_tasks(port: int, tasks: int, seconds: float) -> None:
    """The same for the tasks of an event loop."""
    mine = asyncio.run(_race(port, tasks, seconds, ours=True))
    other = asyncio.run(_race(port, tasks, seconds, ours=False))
    print(f"  comity.aio {mine:.0f} pairs/s on one coordinator, redis.asyncio {other:.0f}")
    print(f"  ratio {mine / max(other, 1 / seconds):.2f} (target >= 1.0)")


async def _race(port: int, tasks: int, seconds: float, *, ours: bool) -> float:
    """Pairs per second of all tasks together."""
    async with redis.asyncio.Redis(port=port) as client, comity.aio.connect(client) as co:
        until = stage.now() + seconds

        async def work(number: int) -> int:
            name = f"bench:{number}"
            lock: Any = co.lock(name, ttl=30) if ours else client.lock(f"{name}:r", timeout=30)
            pairs = 0
            while stage.now() < until:
                await lock.acquire()
                await lock.release()
                pairs += 1
            return pairs

        return sum(await asyncio.gather(*[work(number) for number in range(tasks)])) / seconds


def _contend(
    make: Callable[[int], Any], threads: int, seconds: float, pause: float = 0
) -> tuple[list[int], float]:
    """Acquisitions per thread, and the longest wait of all."""
    counts = [0] * threads
    longest = [0.0] * threads
    start = threading.Barrier(threads + 1)
    stop = threading.Event()

    def work(number: int) -> None:
        lock = make(number)
        start.wait()
        while not stop.is_set():
            asked = stage.now()
            lock.acquire()
            longest[number] = max(longest[number], stage.now() - asked)
            counts[number] += not stop.is_set()
            if pause:
                time.sleep(pause)
            lock.release()
            if pause:
                time.sleep(pause)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    stop.wait(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    return counts, max(longest)
