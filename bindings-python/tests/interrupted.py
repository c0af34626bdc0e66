"""Every verb, called by finalizers and signal handlers in the middle of every verb.

    [TLS=certificate] python interrupted.py threads|asyncio memory|PORT[,...] rounds [eager] [dense]

A collector with threshold 1 and a timer of one millisecond interrupt whatever runs. Prints how
often they did, and ends with a stack of every thread where nothing moves any more.

What is interrupted gets as much time as its interruption took, so that it gets on on however slow a
machine; `dense`: none, so that handlers are interrupted by handlers, up to three deep.
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
added: list[int] = []
"""One for each unit. Unlike a number it can be added to in the middle of that."""
faults: list[str] = []


def clients(servers: str, home):
    if servers == "memory":
        return comity.MemoryStore()
    ports = [int(port) for port in servers.split(",")]
    tls = {"ssl": True, "ssl_ca_certs": os.environ["TLS"]} if "TLS" in os.environ else {}
    found = {
        f"s{at}": home.Redis(host="127.0.0.1", port=port, **tls) for at, port in enumerate(ports)
    }
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
        added.append(1)

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
    except (comity.NoAnswer, comity.Unreachable) as error:
        # Over TLS a connection may be given up, and what has little time then fails.
        done["given up"] += 1
        if "TLS" not in os.environ:
            faults.append(f"{why}: {call}: {error!r}")
    except BaseException as error:
        faults.append(f"{why}: {call}: {error!r}")


def interrupt_by(calls) -> None:
    """Has a timer call one of them in the middle of everything."""
    depth = 0

    def interrupt(*_: object) -> None:
        nonlocal depth
        if depth > 2:
            return
        depth += 1
        began = time.monotonic()
        if "dense" in sys.argv:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        try:
            attempt(random.choice(calls), "handler")
        finally:
            depth -= 1
        took = 0 if "dense" in sys.argv else time.monotonic() - began
        signal.setitimer(signal.ITIMER_REAL, max(0.001, took))

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001)


def threads(servers: str, rounds: int) -> None:
    import redis

    co = comity.connect(clients(servers, redis), timeout=5, prefix=f"{os.getpid()}:")
    inner = verbs(co, "inner")
    stop = threading.Event()

    def beside() -> None:
        mine = verbs(co, f"beside{threading.get_ident()}")
        while not stop.is_set():
            attempt(random.choice(mine), "beside")

    others = [threading.Thread(target=beside) for _ in range(2)]
    for one in others:
        one.start()
    interrupt_by(inner)
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
    assert counted == len(added), (counted, len(added))
    # The end, in the middle of something.
    signal.signal(signal.SIGALRM, lambda *_: co.close())
    signal.setitimer(signal.ITIMER_REAL, 0.003)
    try:
        while True:
            try:
                random.choice(outer)()
            except (comity.AbortedError, comity.OutcomeUnknown, comity.LockLost):
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
        added.append(1)

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

    interrupt_by(inner)
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
    assert (await hits.read()).value == len(added)
    await co.close()


if __name__ == "__main__":
    faulthandler.dump_traceback_later(float(os.environ.get("PATIENCE", "100")), exit=True)
    kind, servers, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "threads":
        threads(servers, rounds)
    else:
        asyncio.run(tasks(servers, rounds))
    print(dict(done), len(added), *faults[:20], sep="\n", flush=True)
    sys.exit(bool(faults) or not done["handler"] or not done["finalizer"])
