"""Threads of one process: on one lock, and on as many locks as threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import stage

import comity


def one_lock(port: int, contenders: int, seconds: float) -> None:
    """How often each contender has the lock, and how long it waits at most."""
    with stage.client(port) as client, comity.connect(client) as co:
        mine = _contend(lambda _: co.lock("bench:contended", ttl=30), contenders, seconds)
        other = _contend(lambda _: client.lock("bench:polled", timeout=30), contenders, seconds)
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
    print(f"  ratio {speeds[0] / speeds[1]:.2f} (target >= 1.0)")


def _contend(make: Callable[[int], Any], threads: int, seconds: float) -> tuple[list[int], float]:
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
            lock.release()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    stop.wait(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    return counts, max(longest)
