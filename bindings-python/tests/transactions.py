"""What the tests of transactions have in common."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import locks
from faults import Proxy

import comity

_ID = re.compile(rb"[0-9a-f]{16}\.\d\d\.\d{16}$")


def step(words: list[bytes]) -> str | None:
    """Which of the transaction's scripts a command calls, if it is one."""
    if words[0].upper() not in (b"EVAL", b"EVALSHA") or not words[2].isdigit():
        return None
    arguments = words[3 + int(words[2]) :]
    if not arguments or not _ID.match(arguments[0]):
        return None
    # These end with the print of their server's id.
    if all(map(_ID.match, arguments[:-1])):
        return "CONFIRM"
    if len(arguments) == 4:
        return "QUERY"
    if len(arguments) == 6 and arguments[2] in (b"C", b"A", b"Q"):
        return "FINISH"
    if len(arguments) > 8 and re.match(rb"[k-]\d+$", arguments[8]):
        return "PREPARE"
    return "ONE_PHASE"


def asks(wanted: str) -> Callable[[list[bytes]], bool]:
    """For rules: whether a command is this step."""
    return lambda words: step(words) == wanted


class Ring:
    """Three servers, the first to be asked behind a proxy each, and a key on each."""

    def __init__(self, servers: list[Any], proxy: type[Proxy] = Proxy) -> None:
        self.servers = servers
        self.proxies = [proxy(server.port) for server in servers]
        ring = comity.Ring(["a", "b", "c"])
        names = [f"account:{number}" for number in range(100)]
        self.keys = [
            next(name for name in names if ring.node(name) == node) for node in ("a", "b", "c")
        ]

    def connect(self, *, direct: bool = False, **options: Any) -> Any:
        """A coordinator over the three, through the proxies unless `direct`."""
        import redis

        ports = [one.port for one in (self.servers if direct else self.proxies)]
        clients = {
            node: redis.Redis(host="127.0.0.1", port=port)
            for node, port in zip("abc", ports, strict=True)
        }
        # Nothing disturbs what is direct, but a busy machine.
        timeout = options.pop("timeout", 30 if direct else 2)
        return locks.connect_to(clients, timeout=timeout, **options)

    def values(self) -> list[int]:
        """What plain readers see, without comity."""
        found = []
        for server, key in zip(self.servers, self.keys, strict=True):
            with server.client() as client:
                found.append(int(client.get(key) or 0))
        return found

    def fill(self, value: int) -> None:
        for server, key in zip(self.servers, self.keys, strict=True):
            with server.client() as client:
                client.set(key, value)

    def close(self) -> None:
        for proxy in self.proxies:
            proxy.close()


class Transfers:
    """One client that moves amounts to and fro until it is stopped, and what it was told."""

    def __init__(self, three: Ring, seed: int, **options: Any) -> None:
        self.three = three
        self.options = {"timeout": 2, **options}
        self.dice = random.Random(seed)
        self.stop = threading.Event()
        self.told: list[tuple[int, int]] = []
        self.doubtful: list[bytes] = []
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            with self.three.connect(**self.options) as co:
                while not self.stop.is_set():
                    self.transfer(co)
                    if self.dice.random() < 0.2:
                        self.look(co)
        except BaseException as error:
            self.failure = error

    def transfer(self, co: Any) -> None:
        source, target = self.dice.sample(range(3), 2)
        tx = co.transaction()
        tx.decrby(self.three.keys[source], 1).incrby(self.three.keys[target], 1)
        try:
            tx.execute()
            self.told.append((source, target))
        except comity.OutcomeUnknown as error:
            self.doubtful.append(error.transaction_id or b"")
        except (comity.AbortedError, comity.ConflictError, comity.NoAnswer, comity.Unreachable):
            pass

    def look(self, co: Any) -> None:
        try:
            balances = co.snapshot(*self.three.keys)
        except comity.Error:
            return
        if sum(map(int, balances.values())) != 3000:
            raise AssertionError(balances)

    def end(self) -> None:
        """Stops it. Raises what it has failed with."""
        self.stop.set()
        self.thread.join(20)
        if self.failure is not None:
            raise self.failure


def settled(three: Ring, clients: list[Transfers]) -> list[int]:
    """The balances once all has come to its end: what they were told is what is there."""
    told = [transfer for client in clients for transfer in client.told]
    doubtful = [txid for client in clients for txid in client.doubtful]
    with three.connect(direct=True) as co:
        for txid in doubtful:
            co.resolve(txid)
        balances = list(map(int, co.snapshot(*three.keys).values()))
    assert sum(balances) == 3000
    if not doubtful:
        expected = [1000, 1000, 1000]
        for source, target in told:
            expected[source] -= 1
            expected[target] += 1
        assert balances == expected
    return balances


def left_over(server: Any) -> list[str]:
    """Locks and shadows on a server. At rest there are none."""
    found = []
    with server.client() as client:
        for key in client.scan_iter(match="comity:1:t:*", count=1000):
            if client.type(key) != b"hash" or key.count(b":") > 3:
                found.append(f"shadow {key!r}")
                continue
            found += [f"lock {field!r}" for field in client.hkeys(key) if field.startswith(b"k")]
    return found


def at_rest(*servers: Any, seconds: float = 30.0) -> None:
    """What the background still has to do is done in the end."""
    deadline = time.monotonic() + seconds
    for server in servers:
        while left := left_over(server):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


@contextmanager
def logged(caplog: Any) -> Iterator[list[str]]:
    """What comity logs meanwhile."""
    import logging

    with caplog.at_level(logging.INFO, logger="comity"):
        yield caplog.messages
