"""Every verb, called by finalizers and signal handlers in the middle of every verb.

    python interrupted.py threads|asyncio memory|PORT[,PORT...] rounds

A collector with threshold 1 and a timer of one millisecond interrupt whatever runs. Prints how
often they did, and ends with a stack of every thread where nothing moves any more.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import time
from collections import Counter

import comity
import comity.aio

done: Counter[str] = Counter()
faults: list[str] = []


def clients(servers: str, home):
    if servers == "memory":
        return comity.MemoryStore()
    ports = [int(port) for port in servers.split(",")]
    found = {f"s{at}": home.Redis(port=port) for at, port in enumerate(ports)}
    return found if len(found) > 1 else found["s0"]


def verbs(co, who: str):
    """What threads can do, by name. Each waits for nobody but the servers and other threads."""
    hits = co.counter("hits")
    name = iter(range(10**9))

    def lock():
        # One that others hold as well, but nobody in this thread.
        with co.lock(f"{who}:{next(name)}", ttl=20) as held:
            held.check()
            held.extend()

    def contended():
        held = co.lock("all", ttl=20)
        if held.acquire(wait=0.002):
            held.release()

    def add():
        hits.add(1)
        done["added"] += 1

    def transaction():
        with co.transaction() as tx:
            tx.incrby(f"{who}:a", 1).incrby(f"{who}:b", -1)

    def events():
        with co.events() as seen:
            seen.get(0)

    def counter():
        one = co.counter(f"{who}:{next(name)}")
        one.add(2)
        assert one.read().value == 2
        one.snapshot()
        one.close()

    def lookups():
        co.stats()
        co.inspect("all")
        assert co.fence_check("r", 1)

    return [
        lock,
        contended,
        add,
        hits.flush,
        hits.read,
        hits.value,
        transaction,
        lambda: co.snapshot("a", "b"),
        events,
        counter,
        lookups,
    ]


class Dropped:
    """Calls a verb when the collector finds it."""

    inside = threading.local()

    def __init__(self, calls) -> None:
        self.me = self
        self.calls = calls

    def __del__(self) -> None:
        if getattr(self.inside, "depth", 0) > 2:
            return
        self.inside.depth = getattr(self.inside, "depth", 0) + 1
        try:
            attempt(random.choice(self.calls), "finalizer")
        finally:
            self.inside.depth -= 1


def attempt(call, why: str) -> None:
    try:
        call()
        done[why] += 1
    except comity.ConflictError:
        done["conflict"] += 1
    except comity.NoAnswer:
        # What waits behind a frame that is interrupted again and again may be given up by then. It
        # never waits longer, and is counted once at most.
        done["stalled"] += 1
    except BaseException as error:
        faults.append(f"{why}: {call}: {error!r}")


def threads(servers: str, rounds: int) -> None:
    import redis

    co = comity.connect(clients(servers, redis), timeout=5, prefix=f"{os.getpid()}:")
    inner = verbs(co, "inner")
    stop = threading.Event()

    def beside() -> None:
        mine = verbs(co, f"beside{threading.get_ident()}")
        while not stop.is_set():
            attempt(random.choice(mine), "beside")

    def interrupt(*_: object) -> None:
        began = time.monotonic()
        attempt(random.choice(inner), "handler")
        # What is interrupted gets as much time as its interruption, on however slow a machine.
        signal.setitimer(signal.ITIMER_REAL, max(0.001, time.monotonic() - began))

    others = [threading.Thread(target=beside) for _ in range(2)]
    for one in others:
        one.start()
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    gc.set_threshold(1, 1, 1)
    outer = verbs(co, "outer")
    for _ in range(rounds):
        random.shuffle(outer)
        for verb in outer:
            Dropped(inner)
            attempt(verb, "outer")
    gc.set_threshold(700, 10, 10)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    stop.set()
    for one in others:
        one.join()
    hits = co.counter("hits")
    hits.flush()
    counted = hits.read().value
    assert done["added"] <= counted <= done["added"] + done["stalled"], (counted, done)
    # The end, in the middle of something.
    signal.signal(signal.SIGALRM, lambda *_: co.close())
    signal.setitimer(signal.ITIMER_REAL, 0.003)
    try:
        while True:
            try:
                random.choice(outer)()
            except (comity.AbortedError, comity.OutcomeUnknown, comity.LockLost, comity.NoAnswer):
                pass  # what the end leaves of a transaction, or of a lock that is held
    except comity.Closed:
        pass


def awaited(co, hits):
    """What tasks can do."""
    name = iter(range(10**9))

    async def lock():
        async with co.lock(f"l{next(name)}", ttl=20) as held:
            held.check()
            await held.extend()

    async def contended():
        held = co.lock("all", ttl=20)
        if await held.acquire(wait=0.002):
            await held.release()

    async def transaction():
        async with co.transaction() as tx:
            tx.incrby("a", 1).incrby("b", -1)

    async def counter():
        one = co.counter(f"c{next(name)}")
        one.add(2)
        assert (await one.read()).value == 2
        await one.close()

    async def lookups():
        await co.inspect("all")
        await co.snapshot("a", "b")
        assert await co.fence_check("r", 1)

    return [lock, contended, transaction, counter, lookups, hits.flush, hits.read]


def at_once(co, hits, waits):
    """What a finalizer or a handler can do on an event loop: it waits for nothing."""
    loop = asyncio.get_running_loop()
    kept: set[asyncio.Task] = set()

    async def run(verb):
        try:
            await verb()
            done["task"] += 1
        except comity.ConflictError:
            done["conflict"] += 1
        except Exception as error:
            faults.append(f"task: {verb}: {error!r}")

    def begin() -> None:
        if len(kept) < 20:
            task = loop.create_task(run(random.choice(waits)))
            kept.add(task)
            task.add_done_callback(kept.discard)

    def count() -> None:
        hits.add(1)
        done["added"] += 1

    def events() -> None:
        co.events().close()

    return [begin, count, hits.value, hits.snapshot, co.stats, events], kept


async def tasks(servers: str, rounds: int) -> None:
    import redis.asyncio

    if "eager" in sys.argv:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    prefix = f"{os.getpid()}:"
    co = await comity.aio.connect(clients(servers, redis.asyncio), timeout=20, prefix=prefix)
    hits = co.counter("hits")
    waits = awaited(co, hits)
    inner, kept = at_once(co, hits, waits)

    def interrupt(*_: object) -> None:
        began = time.monotonic()
        attempt(random.choice(inner), "handler")
        # What is interrupted gets as much time as its interruption, on however slow a machine.
        signal.setitimer(signal.ITIMER_REAL, max(0.001, time.monotonic() - began))

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    gc.set_threshold(1, 1, 1)
    for _ in range(rounds):
        for verb in waits:
            Dropped(inner)
            try:
                await verb()
            except comity.ConflictError:
                done["conflict"] += 1
            done["outer"] += 1
    gc.set_threshold(700, 10, 10)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while kept:
        await asyncio.wait(set(kept))
    await hits.flush()
    assert (await hits.read()).value == done["added"]
    await co.close()


if __name__ == "__main__":
    faulthandler.dump_traceback_later(float(os.environ.get("PATIENCE", "100")), exit=True)
    kind, servers, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "threads":
        threads(servers, rounds)
    else:
        asyncio.run(tasks(servers, rounds))
    print(dict(done), *faults[:20], sep="\n", flush=True)
    sys.exit(bool(faults) or not done["handler"] or not done["finalizer"])
