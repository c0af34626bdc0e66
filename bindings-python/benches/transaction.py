"""Transactions beside what redis-py offers, on redis-servers of their own: one, two, three of them.

Everything is measured in this one run, in turns, so that whatever else the machine does meets all
sides. Every transaction moves an amount between accounts, one on each server (two on the only one).

    python benches/transaction.py [--rounds 9] [--count 300] [--seconds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle

import redis
import redis.asyncio
import stage
from redis.utils import HIREDIS_AVAILABLE

import comity
import comity.aio

NODES = "abc"
SETS = 64
"""Each one is on the next accounts, so that none meets the end of the one before."""
Side = Callable[[], object]


class Bank:
    """Accounts on one, two or three servers, and the ways to move an amount between them."""

    def __init__(self, ports: list[int], stack: ExitStack) -> None:
        self.ports = ports
        self.clients = [stack.enter_context(stage.client(port)) for port in ports]
        for client in self.clients:
            client.flushall()  # also of the ring that it was part of
        ids = list(NODES[: len(ports)])
        self.ring = comity.Ring(ids)
        nodes = ids if len(ids) > 1 else ["a", "a"]
        self.homes = [self.clients[ids.index(node)] for node in nodes]
        lists = [self.accounts(node)[place * SETS :] for place, node in enumerate(nodes)]
        sets = [[accounts[number] for accounts in lists] for number in range(SETS)]
        self.keys = sets[0]
        self.turn = cycle(sets)
        self.co = stack.enter_context(self.connect())
        self.locks = {
            key: client.lock(f"lock:{key}", timeout=10, sleep=0.001)
            for keys in sets
            for client, key in zip(self.homes, keys, strict=True)
        }

    def connect(self) -> comity.Coordinator:
        """Another coordinator."""
        pairs = zip(NODES, self.ports, strict=False)
        return comity.connect({node: stage.client(port) for node, port in pairs}, timeout=20)

    def accounts(self, node: str) -> list[str]:
        """Names of accounts on a node."""
        names = (f"account:{each}" for each in range(2_000))
        return [name for name in names if self.ring.node(name) == node]

    def transaction(self) -> None:
        """With comity: applied when it returns."""
        tx = self.co.transaction()
        for key in next(self.turn):
            tx.incrby(key, 1)
        tx.execute()

    def decided(self) -> None:
        """With comity: certain when it returns."""
        tx = self.co.transaction(ack="decided")
        for key in next(self.turn):
            tx.incrby(key, 1)
        tx.execute()

    def pipelines(self) -> None:
        """With redis-py: one transactional pipeline on each server, and hope."""
        keys = next(self.turn)
        for client in dict.fromkeys(self.homes):
            pipe = client.pipeline(transaction=True)
            for home, key in zip(self.homes, keys, strict=True):
                if home is client:
                    pipe.incrby(key, 1)
            pipe.execute()

    def locked(self) -> None:
        """With redis-py: lock each account, get, set, unlock. Half of it is applied if it dies."""
        keys = next(self.turn)
        for key in keys:
            self.locks[key].acquire()
        for client, key in zip(self.homes, keys, strict=True):
            client.set(key, int(client.get(key) or 0) + 1)
        for key in keys:
            self.locks[key].release()

    def script(self) -> None:
        """One empty script on one server: what a round trip of comity's costs at least."""
        self.co.fence_check("bench", 1)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=300, help="per round and side")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run of many at once")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        ports = [stack.enter_context(stage.server()) for _ in NODES]
        with stage.client(ports[0]) as client:
            version = client.info("server")["redis_version"]
        name = "with" if HIREDIS_AVAILABLE else "without"
        print(f"redis-server {version}, redis-py {redis.__version__} {name} hiredis")
        alone(ports, arguments.rounds, arguments.count, "loopback")
        slow = [stack.enter_context(stage.delayed(port)) for port in ports]
        alone(slow, arguments.rounds, max(1, arguments.count // 5), "1 ms added to each round trip")
        for where, each in (("loopback", ports), ("1 ms added", slow)):
            together(each, arguments.seconds, where)
        hot(ports, arguments.seconds)


def alone(ports: list[int], rounds: int, count: int, where: str) -> None:
    """One client, one after the other."""
    targets = {
        1: [("transaction", "pipelines", "target 1.0x")],
        2: [
            ("transaction", "locked", "target 4x, 3.5x with 1 ms"),
            ("transaction", "pipelines", "which promise nothing"),
            ("decided", "script", "target 1/1.3 = 0.77x"),
        ],
        3: [("transaction", "locked", ""), ("transaction", "pipelines", "which promise nothing")],
    }
    for servers, ratios in targets.items():
        with ExitStack() as stack:
            bank = Bank(ports[:servers], stack)
            sides: dict[str, Side] = {
                "transaction": bank.transaction,
                "decided": bank.decided,
                "pipelines": bank.pipelines,
                "locked": bank.locked,
                "script": bank.script,
            }
            figures: dict[str, list[float]] = {side: [] for side in sides}
            for side in sides.values():
                side()
            for _ in range(rounds):
                for side, action in sides.items():
                    figures[side].append(stage.rate(action, count))
            print(f"{servers} servers, one client, {where}:")
            for side, rates in figures.items():
                middle = statistics.median(rates)
                spent = server_time(bank, sides[side], min(count, 200))
                print(
                    f"  {side:12} {middle:8.0f}/s  {1e6 / middle:7.0f} us, server {spent:6.1f} us"
                )
            for ours, theirs, target in ratios:
                pairs = zip(figures[ours], figures[theirs], strict=True)
                ratio = statistics.median(a / b for a, b in pairs)
                print(f"  {ours} / {theirs}: {ratio:.2f}x   {target}")


def server_time(bank: Bank, action: Side, count: int) -> float:
    """Microseconds that all servers spend on one, as they say themselves."""
    time.sleep(0.05)
    for client in bank.clients:
        client.config_resetstat()
    for _ in range(count):
        action()
    time.sleep(0.05)
    total = 0.0
    for client in bank.clients:
        for name, stat in client.info("commandstats").items():
            if name not in ("cmdstat_config|resetstat", "cmdstat_info"):
                total += stat["usec"]
    return total / count


def together(ports: list[int], seconds: float, where: str) -> None:
    """Many at once over two servers, each on accounts of its own."""
    print(f"2 servers, many at once on accounts of their own, {where}:")
    with ExitStack() as stack:
        bank = Bank(ports[:2], stack)
        left, right = bank.accounts("a"), bank.accounts("b")
        for kind, measure in (("threads", threads), ("tasks", tasks)):
            single = 0.0
            for count in (1, 16, 64):
                rate = measure(bank, list(zip(left, right, strict=False))[:count], seconds)
                single = single or rate
                target = "target 2x" if count == 64 else ""
                print(f"  {count:2} {kind:8} {rate:8.0f}/s  {rate / single:5.2f}x  {target}")
        for count in (16, 64):
            rate = naive(bank, list(zip(left, right, strict=False))[:count], seconds)
            print(f"  {count:2} threads with redis-py's locks {rate:8.0f}/s")


def threads(bank: Bank, pairs: list[tuple[str, str]], seconds: float) -> float:
    """Transactions a second of as many threads as pairs."""

    def work(pair: tuple[str, str], until: float) -> int:
        done = 0
        while time.monotonic() < until:
            bank.co.transaction().incrby(pair[0], -1).incrby(pair[1], 1).execute()
            done += 1
        return done

    return in_threads(work, pairs, seconds)


def naive(bank: Bank, pairs: list[tuple[str, str]], seconds: float) -> float:
    """The same with a lock of redis-py's on each account."""
    left, right = bank.clients[:2]

    def work(pair: tuple[str, str], until: float) -> int:
        done = 0
        locks = [
            left.lock(f"lock:{pair[0]}", timeout=10),
            right.lock(f"lock:{pair[1]}", timeout=10),
        ]
        while time.monotonic() < until:
            for lock in locks:
                lock.acquire()
            left.set(pair[0], int(left.get(pair[0]) or 0) - 1)
            right.set(pair[1], int(right.get(pair[1]) or 0) + 1)
            for lock in locks:
                lock.release()
            done += 1
        return done

    return in_threads(work, pairs, seconds)


def in_threads(
    work: Callable[[tuple[str, str], float], int], pairs: list[tuple[str, str]], seconds: float
) -> float:
    """How much a second is done by a thread for each pair."""
    until = time.monotonic() + seconds
    done: list[int] = []
    all_threads = [
        threading.Thread(target=lambda pair=pair: done.append(work(pair, until))) for pair in pairs
    ]
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    return sum(done) / seconds


def tasks(bank: Bank, pairs: list[tuple[str, str]], seconds: float) -> float:
    """Transactions a second of as many tasks as pairs."""

    async def main() -> float:
        clients = {
            node: redis.asyncio.Redis(host="127.0.0.1", port=port)
            for node, port in zip(NODES, bank.ports, strict=False)
        }
        async with comity.aio.connect(clients, timeout=20) as co:
            until = time.monotonic() + seconds

            async def work(pair: tuple[str, str]) -> int:
                done = 0
                while time.monotonic() < until:
                    await co.transaction().incrby(pair[0], -1).incrby(pair[1], 1).execute()
                    done += 1
                return done

            return sum(await asyncio.gather(*map(work, pairs))) / seconds

    return asyncio.run(main())


def hot(ports: list[int], seconds: float) -> None:
    """Sixteen clients that all want the same two accounts."""
    print("2 servers, 16 clients on the same 2 accounts, loopback:")
    for kind in ("threads of one coordinator", "coordinators"):
        with ExitStack() as stack:
            bank = Bank(ports[:2], stack)
            cos = [bank.co] * 16
            if kind == "coordinators":
                cos = [stack.enter_context(bank.connect()) for _ in range(16)]
            for co in cos:
                co.transaction().incrby(bank.keys[0], 0).incrby(bank.keys[1], 0).execute()
            for client in bank.clients:
                client.config_resetstat()
            before = retries(cos)
            commits, slowest = contend(cos, bank.keys, seconds)
            aborts = (retries(cos) - before) / commits
            calls = sum(
                client.info("commandstats")["cmdstat_evalsha"]["calls"] for client in bank.clients
            )
            print(
                f"  {kind}: {commits / seconds:.0f} commits/s, {aborts:.3f} aborts for each "
                f"(target 0.1), {calls / commits:.2f} script calls (4 without a conflict), "
                f"longest wait {slowest * 1e3:.0f} ms"
            )


def retries(cos: list[comity.Coordinator]) -> int:
    """How often a transaction was aborted and began again."""
    return sum(co.stats()["transaction_retries"] for co in set(cos))


def contend(cos: list[comity.Coordinator], keys: list[str], seconds: float) -> tuple[int, float]:
    """How many are committed, and how long the slowest took."""
    until = time.monotonic() + seconds
    took: list[float] = []

    def work(co: comity.Coordinator) -> None:
        while (began := time.monotonic()) < until:
            co.transaction().incrby(keys[0], -1).incrby(keys[1], 1).execute()
            took.append(time.monotonic() - began)

    all_threads = [threading.Thread(target=work, args=(co,)) for co in cos]
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    return len(took), max(took)


if __name__ == "__main__":
    main()
