"""What comity does, in one screenful. Ends with an error if anything is not as promised.

python demo.py                              no server: the embedded store, threads
python demo.py --redis redis://host:6379    a real Redis, processes, kill -9
python demo.py --redis URL URL URL          several: a ring of independent masters
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import crash

import comity
import comity.core

TURNS = 2
TURN = 0.04
TTL = 2.0
WORKERS = ("Ada", "Ben", "Cleo")
COUNTERS = 8
UNITS = 250
LOSES = 20
"""Of so many commands that count one loses its reply."""


class Stage:
    """Where the demo plays: in this process, or between processes over Redis."""

    def __init__(self, urls: list[str], prefix: str) -> None:
        self.urls = urls
        self.prefix = prefix
        self.store = None if urls else comity.MemoryStore()
        self.where = f"Redis at {', '.join(urls)}" if urls else "the embedded store, no server"
        self.actors = "processes" if urls else "threads"

    def connect(self, **options: Any) -> comity.Coordinator:
        """A coordinator of its own for whoever asks."""
        if self.store is not None:
            return comity.connect(self.store, prefix=self.prefix)
        import redis

        clients = {f"redis-{n}": redis.Redis.from_url(url) for n, url in enumerate(self.urls, 1)}
        one = next(iter(clients.values()))
        return comity.connect(clients if len(clients) > 1 else one, prefix=self.prefix, **options)

    def play(self, role: str, name: str) -> Callable[[], list[str]]:
        """Starts a worker; what is returned waits for its lines."""
        if self.store is None:
            process = self.spawn(role, name)

            def finish() -> list[str]:
                return process.communicate(timeout=30)[0].splitlines()

        else:
            lines: list[str] = []
            thread = threading.Thread(target=lines.extend, args=(ROLES[role](self, name),))
            thread.start()

            def finish() -> list[str]:
                thread.join(30)
                return lines

        return finish

    def clear(self) -> None:
        """Counters and balances stay until somebody deletes them."""
        if self.store is None:
            import redis

            for url in self.urls:
                with redis.Redis.from_url(url) as client:
                    for key in client.scan_iter(match=f"{self.prefix}*"):
                        client.delete(key)

    def spawn(self, role: str, name: str, urls: list[str] | None = None) -> subprocess.Popen[str]:
        """This very file, in a process of its own."""
        urls = urls or self.urls
        command = [sys.executable, "-u", __file__, "--prefix", self.prefix, "--redis", *urls]
        return subprocess.Popen([*command, "--role", role, name], stdout=subprocess.PIPE, text=True)


def take_turns(stage: Stage, name: str) -> Iterator[str]:
    """The worker: takes its turns, and tells when it asked, got the lock, and with which fence."""
    with stage.connect() as co:
        lock = co.lock("turns", ttl=TTL, label=name)
        for _ in range(TURNS):
            asked = comity.clock()
            with lock as held:
                yield f"{comity.clock()} {asked} {held.fence} {name}"
                time.sleep(TURN)


def hold(stage: Stage, name: str) -> Iterator[str]:
    """The holder that will be killed."""
    with stage.connect() as co, co.lock("vanish", ttl=TTL, label=name):
        yield "held"
        time.sleep(60)


def wait_behind(stage: Stage, name: str) -> Iterator[str]:
    """One who waits for the lock of the holder that vanishes."""
    with stage.connect() as co, co.lock("vanish", ttl=TTL, label=name):
        yield f"{comity.clock()} {name}"


def count(stage: Stage, url: str) -> Iterator[str]:
    """Counts with comity, and by `INCR` as redis-py repeats it; replies are lost on the way."""
    if stage.store is not None:
        yield count_without_server(stage.store, stage.prefix)
        return
    from lossy import client_of

    client = client_of(url)
    # One server of several: used alone it is no server of their ring.
    with comity.connect(client, prefix=f"{stage.prefix}alone:") as co:
        hits = co.counter("hits", durability=comity.Batched(0.002))
        for _ in range(UNITS):
            hits.add(1)
            client.incr(f"{stage.prefix}incr")
    yield ""


def count_without_server(store: comity.MemoryStore, prefix: str) -> str:
    """The same where there is no network: the core knows of the world what it is told, and is told
    of every third command that counts that it was not answered.
    """

    def now() -> int:
        return int(comity.clock() * 1e6)

    lost = 0
    core = comity.core.Coordinator(
        [(b"memory", 1)], entropy=os.urandom(32), now=now(), prefix=prefix.encode()
    )
    hits = core.counter_open(b"hits", now(), max_delay_us=1_000)
    for n in range(UNITS):
        core.counter_add(hits, 1, now())
        store.execute("INCR", f"{prefix}incr")
        if n % LOSES == LOSES - 1:
            store.execute("INCR", f"{prefix}incr")  # as whoever is not answered repeats it
            lost += 1
    core.close(now())
    answered = 0
    while (event := core.poll_event()) is None or event.kind != "closed":
        core.handle_timeout(now())
        while (command := core.poll_command()) is not None:
            try:
                reply = store.execute(*command.argv)
            except comity.Error as error:
                reply = comity.ErrorReply(str(error).encode())
            answered += 1
            if answered % 3 == 0:
                core.handle_failure(command.request, "outcome_unknown", now())
                lost += 1
            else:
                core.handle_reply(command.request, reply, now())
        time.sleep(0.001)
    return str(lost)


def transfer(stage: Stage, name: str) -> Iterator[str]:
    """Who moves money between two servers, and will be killed before it knows what came of it."""
    alice, bob = name.split(",")
    with stage.connect(timeout=crash.PATIENCE) as co, co.transaction() as tx:
        tx.decrby(alice, 30).incrby(bob, 30)
    yield ""


ROLES: dict[str, Callable[[Stage, str], Iterator[str]]] = {
    "take_turns": take_turns,
    "hold": hold,
    "wait_behind": wait_behind,
    "count": count,
    "transfer": transfer,
}


def fifo(stage: Stage, co: comity.Coordinator) -> None:
    """Workers queue up behind a lock that is held, then take turns."""
    print(f"Three workers ({stage.actors}) take turns on one lock, first come, first served:")
    started = []
    with co.lock("turns"):
        for ahead, name in enumerate(WORKERS):
            started.append(stage.play("take_turns", name))
            in_line(co, "turns", ahead + 1)
        opened = comity.clock()
    turns = sorted(line.split() for finish in started for line in finish())
    fences = [int(fence) for _, _, fence, _ in turns]
    ranks = {fence: rank for rank, fence in enumerate(sorted(fences), 1)}
    for at, asked, fence, name in turns:
        waited = float(at) - max(float(asked), opened)
        print(f"  {name:5} fence #{ranks[int(fence)]}   waited {1000 * waited:4.0f} ms")
    promise([name for *_, name in turns] == list(WORKERS) * TURNS, "the order is that of asking")
    promise(fences == sorted(set(fences)), "every fence is higher than the one before")


def vanish(stage: Stage, co: comity.Coordinator) -> None:
    """A holder dies without a word; its lease runs out and the next in line follows."""
    how = "is killed with kill -9" if stage.urls else "is dropped without a release"
    print(f"The holder {how}; its ttl is {TTL:g} s:")
    with holder(stage) as kill:
        started = []
        for ahead, name in enumerate(WORKERS[:2]):
            started.append(stage.play("wait_behind", name))
            in_line(co, "vanish", ahead + 1)
        gone = comity.clock()
        kill()
        for line in sorted(line for finish in started for line in finish()):
            at, name = line.split()
            waited = float(at) - gone
            print(f"  {name:5} has the lock {waited:.2f} s later")
            promise(waited < TTL + 1, "a dead owner costs at most its ttl")


@contextmanager
def holder(stage: Stage) -> Iterator[Callable[[], None]]:
    """Somebody who holds the lock and can be made to vanish."""
    if stage.store is None:
        process = stage.spawn("hold", "Zoe")
        line = process.stdout.readline() if process.stdout is not None else ""
        promise(line == "held\n", "the holder holds the lock")

        def kill() -> None:
            os.kill(process.pid, signal.SIGKILL)

        try:
            yield kill
        finally:
            process.kill()
            process.communicate()
        return
    owned: list[Any] = [stage.connect()]
    owned.append(owned[0].lock("vanish", ttl=TTL, label="Zoe"))
    owned[1].acquire()

    def drop() -> None:
        owned.clear()
        gc.collect()

    yield drop


def guard(co: comity.Coordinator) -> None:
    """A late writer shows an old fence and is refused."""
    print("A holder that slept past its lease writes late:")
    lock = co.lock("disk")
    with lock:
        late = lock.fence
    with lock:
        promise(co.fence_check("disk", lock.fence), "the present holder is accepted")
    promise(not co.fence_check("disk", late), "the late one is refused")
    print("  fence #2 accepted by the guard, then fence #1 refused")


def counting(stage: Stage, co: comity.Coordinator) -> None:
    """Eight count at once; replies are lost on the way."""
    total = COUNTERS * UNITS
    each = f"{COUNTERS} {stage.actors} count to {total:,} together"
    if stage.store is not None:
        started = [stage.play("count", "") for _ in range(COUNTERS)]
        lost = sum(int(line) for finish in started for line in finish())
        counted = co.counter("hits").read().value
        incr = int(stage.store.execute("GET", f"{stage.prefix}incr") or 0)
    else:
        from lossy import Lossy, client_of

        with Lossy(stage.urls[0], every=LOSES) as network:
            started = [stage.play("count", network.through()) for _ in range(COUNTERS)]
            for finish in started:
                finish()
            lost = network.lost
        client = client_of(stage.urls[0])
        with comity.connect(client, prefix=f"{stage.prefix}alone:") as alone:
            counted = alone.counter("hits").read().value
        incr = int(client.get(f"{stage.prefix}incr") or 0)
    print(f"{each}; {lost} replies are lost on the way:")
    print(f"  comity counts {counted:,}; INCR, repeated where no reply came, {incr:,}")
    promise(counted == total, "every unit is counted once")


def transaction(stage: Stage, co: comity.Coordinator) -> None:
    """All or nothing across two servers, though the client dies in the middle."""
    if len(stage.urls) < 2:
        print("A transfer between two stores; its client vanishes when both have staged it:")
        alice, bob, waited = crash.without_server(stage.prefix)
    else:
        print("A transfer between two servers; its client is killed when both have staged it:")
        names = [f"{stage.prefix}{name}" for name in ("alice", "bob")]
        names[1] = next(
            name
            for name in (f"{names[1]}:{n}" for n in range(1000))
            if co.ring.node(name) != co.ring.node(names[0])
        )
        with co.transaction() as tx:
            tx.set(names[0], 100).set(names[1], 100)
        ways = [crash.Silent(url, names) for url in stage.urls]
        process = stage.spawn("transfer", ",".join(names), [way.url for way in ways])
        wanted = [ways[int(str(co.ring.node(name))[6:]) - 1] for name in names]
        alice, bob, waited = crash.on_servers(co, wanted, names[0], names[1], process.kill)
        process.communicate()
    print(f"  Alice has {alice}, Bob has {bob}: somebody else has ended it, {waited:.2f} s later")
    promise(alice + bob == 200, "no money is made or lost")
    promise((alice, bob) == (70, 130), "what all servers have staged is committed")


def ring() -> None:
    """Where keys lie, and how few of them move."""
    three = comity.Ring(["a", "b", "c"])
    four = three.with_node("d")
    keys = [f"user:{n}" for n in range(1, 6)]
    print("Keys on a ring of three nodes:")
    print("  " + ", ".join(f"{key} on {three.node(key)!s}" for key in keys))
    share = three.moved_share(four)
    promise(0.15 < share < 0.35, "about a quarter of the keys moves")
    promise(all(four.node(key) in (three.node(key), "d") for key in keys), "and only to the new")
    print(f"  node d joins: {100 * share:.1f} % of all keys move, all of them to d")


def promise(kept: bool, what: str) -> None:
    """Ends the demo where a promise is not kept."""
    if not kept:
        raise SystemExit(f"NOT AS PROMISED: {what}")


def in_line(co: comity.Coordinator, name: str, waiters: int) -> None:
    """Until so many wait for the lock."""
    deadline = time.monotonic() + 20
    while co.inspect(name).waiters_total < waiters:
        promise(time.monotonic() < deadline, "the workers come to work")
        time.sleep(0.005)


def main() -> None:
    """Reads the arguments and plays."""
    parser = argparse.ArgumentParser(description="What comity does, in one screenful.")
    parser.add_argument("--redis", nargs="+", default=[], metavar="URL", help="URL or local port")
    parser.add_argument("--prefix", default=f"comity-demo-{os.getpid()}:", help=argparse.SUPPRESS)
    parser.add_argument("--role", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    urls = [f"redis://127.0.0.1:{u}" if u.isdecimal() else u for u in arguments.redis]
    stage = Stage(urls, arguments.prefix)
    if arguments.role:
        role, name = arguments.role
        for line in ROLES[role](stage, name):
            print(line)
        return
    began = time.monotonic()
    print(f"comity {comity.__version__} on {stage.where}")
    with stage.connect() as co:
        fifo(stage, co)
        vanish(stage, co)
        guard(co)
        counting(stage, co)
        transaction(stage, co)
    stage.clear()
    ring()
    print(f"All as promised, in {time.monotonic() - began:.1f} s.")


if __name__ == "__main__":
    main()
