"""From release() in one process to the return of acquire() in the other, beside what Redis itself
takes to bring a message across.

Each process holds long enough for the other to be waiting, and after a release lets the other
go first: what is measured is the way of the grant, not who wins a race.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Protocol

import redis
import redis.asyncio
import stage

import comity
import comity.aio


class Lock(Protocol):
    """What all the locks compared here have."""

    def acquire(self) -> object:
        """Waits for the lock."""

    def release(self) -> object:
        """Gives it back."""


def _comity(client: redis.Redis) -> Lock:
    return comity.connect(client).lock("bench:handoff", ttl=30)


def _polling(sleep: float) -> Callable[[redis.Redis], Lock]:
    return lambda client: client.lock("bench:handoff", timeout=30, sleep=sleep)


def _python_redis_lock(client: redis.Redis) -> Lock:
    import redis_lock  # the package python-redis-lock

    lock: Lock = redis_lock.Lock(client, "bench:handoff", expire=30)
    return lock


KINDS: dict[str, tuple[Callable[[redis.Redis], Lock] | None, float, int]] = {
    "comity": (_comity, 0.002, 200),
    "comity.aio": (None, 0.002, 200),
    "python-redis-lock": (_python_redis_lock, 0.002, 200),
    "redis-py, sleep=0.01": (_polling(0.01), 0.012, 100),
    "redis-py, sleep=0.1": (_polling(0.1), 0.11, 20),
}
"""How it is made (None: by tasks); how long it lets the other go first; how often each has it."""


def measure(port: int, share: float) -> None:
    """Prints the floor, then every lock; `share` of the usual number of turns."""
    with stage.client(port) as client:
        pings = []
        for _ in range(int(300 * share)):
            time.sleep(0.005)
            began = stage.now()
            client.ping()
            pings.append(stage.now() - began)
        print(f"  {'paced PING':24} {stage.spread(pings)}")
    floor = _across(port, share)
    print(f"  {'bare PUBLISH to recv':24} {stage.spread(floor)}")
    for kind in KINDS:
        times = _between(port, kind, share)
        if times is None:
            print(f"  {kind:24} not installed")
            continue
        ratio = statistics.median(times) / statistics.median(floor)
        target = " (target <= 1.4)" if kind.startswith("comity") else ""
        print(f"  {kind:24} {stage.spread(times)}, {ratio:.2f}x of the bare push{target}")


def _across(port: int, share: float) -> list[float]:
    """How long a message takes from one process to the other."""
    with _other(port, "listen", share) as child, stage.client(port) as client:
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(int(300 * share)):
            time.sleep(0.005)
            client.publish("bench:floor", repr(stage.now()))
        return [float(line) for line in child.communicate()[0].split()]


def _between(port: int, kind: str, share: float) -> list[float] | None:
    """Hand-offs in both directions; none if the lock is not there."""
    with _other(port, kind, share) as child:
        try:
            here = [(when, what, "here") for when, what in _turns(port, kind, share)]
        except ImportError:
            child.kill()
            return None
        lines = child.communicate()[0].splitlines()
    there = [(float(when), what, "there") for when, what in (line.split() for line in lines)]
    events = sorted(here + there)
    return [
        then[0] - first[0]
        for first, then in itertools.pairwise(events)
        if first[1] == "release" and then[1] == "acquired" and first[2] != then[2]
    ]


def _turns(port: int, kind: str, share: float) -> list[tuple[float, str]]:
    make, gap, count = KINDS[kind]
    count = max(2, int(count * share))
    if make is None:
        return asyncio.run(_turns_of_tasks(port, gap, count))
    lock = make(stage.client(port))
    events = []
    for _ in range(count):
        lock.acquire()
        events.append((stage.now(), "acquired"))
        time.sleep(gap + 0.004)
        events.append((stage.now(), "release"))
        lock.release()
        time.sleep(gap)
    return events


async def _turns_of_tasks(port: int, gap: float, count: int) -> list[tuple[float, str]]:
    events = []
    async with redis.asyncio.Redis(port=port) as client, comity.aio.connect(client) as co:
        lock = co.lock("bench:handoff", ttl=30)
        for _ in range(count):
            await lock.acquire()
            events.append((stage.now(), "acquired"))
            await asyncio.sleep(gap + 0.004)
            events.append((stage.now(), "release"))
            await lock.release()
            await asyncio.sleep(gap)
    return events


def _other(port: int, role: str, share: float) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(port), role, str(share)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _listen(port: int, share: float) -> None:
    pubsub = stage.client(port).pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("bench:floor")
    pubsub.get_message(timeout=5)
    print("ready", flush=True)
    times = []
    while len(times) < int(300 * share):
        message = pubsub.get_message(timeout=5)
        if message is not None:
            times.append(stage.now() - float(message["data"]))
    print(*times)


if __name__ == "__main__":
    where, what, part = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    if what == "listen":
        _listen(where, part)
    else:
        for event in _turns(where, what, part):
            print(*event)
