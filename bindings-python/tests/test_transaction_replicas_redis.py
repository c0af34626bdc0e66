"""Transactions that replicas are to have, on real servers with a real replica each."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import faults
import pytest
from conftest import Server, need_redis
from faults import Proxy
from locks import connect_to, until
from transactions import at_rest, step

import comity

redis = pytest.importorskip("redis")

both = pytest.mark.usefixtures("flavour")


class Pair:
    """A server with a replica, behind a proxy."""

    def __init__(self, make: Callable[..., Server]) -> None:
        self.master = make("--repl-diskless-sync-delay", "0")
        address = f"127.0.0.1 {self.master.port}"
        self.replica = make("--replicaof", address, "--repl-diskless-load", "swapdb")
        self.proxy = Proxy(self.master.port)

    def is_in_step(self) -> bool:
        with self.master.client() as client:
            info = client.info("replication")
        return info.get("slave0", {}).get("state") == "online"

    def send(self, number: signal.Signals) -> None:
        """To the replica."""
        assert self.replica.process is not None
        self.replica.process.send_signal(number)

    def close(self) -> None:
        self.proxy.close()
        self.replica.kill()
        self.master.kill()


@pytest.fixture(scope="module")
def shared_pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pair]]:
    need_redis()

    def make(*args: str) -> Server:
        return Server(tmp_path_factory.mktemp("redis"), *args)

    made = [Pair(make) for _ in range(2)]
    yield made
    for pair in made:
        pair.close()


@pytest.fixture
def pairs(shared_pairs: list[Pair]) -> list[Pair]:
    """Two servers with a replica each, all empty."""
    for pair in shared_pairs:
        pair.proxy.calm()
        until(pair.is_in_step)
        with pair.master.client() as client:
            client.flushall()
    return shared_pairs


def connect(pairs: list[Pair], **options: Any) -> Any:
    clients = {
        name: redis.Redis(host="127.0.0.1", port=pair.proxy.port)
        for name, pair in zip("ab", pairs, strict=True)
    }
    return connect_to(clients, **{"timeout": 2.0, **options})


def keys_on(co: Any) -> tuple[str, str]:
    """A key on each of the two."""
    names = [f"account:{number}" for number in range(100)]
    first, second = (next(n for n in names if co.ring.node(n) == node) for node in ("a", "b"))
    return first, second


def is_wait(words: list[bytes]) -> bool:
    return words[0] == b"WAIT"


def is_confirm(words: list[bytes]) -> bool:
    return step(words) == "CONFIRM"


@both
def test_it_returns_when_replicas_have_it(pairs):
    with connect(pairs) as co:
        first, second = keys_on(co)
        tx = co.transaction(durability=comity.Wait(replicas=1, timeout=5))
        for value in range(5):
            tx.set(first, value).set(second, value).execute()
            assert tx.replicas == 1
            for pair, key in zip(pairs, (first, second), strict=True):
                with pair.replica.client() as client:
                    assert client.get(key) == b"%d" % value
        assert tx.set(first, "alone").execute() == [True]
        assert tx.replicas == 1
        with pairs[0].replica.client() as client:
            assert client.get(first) == b"alone"
        tx.get(first).execute()
        assert tx.replicas is None
        assert co.run_transaction(lambda tx: tx.incr(second + "n"), durability=comity.Wait()) == [1]
    for pair in pairs:
        with pair.master.client() as client:
            assert client.info("commandstats")["cmdstat_wait"]["calls"] > 0
    at_rest(*[pair.master for pair in pairs])


@both
def test_a_replica_that_stands_still_does_not_hold_up_the_commit(pairs, caplog):
    with connect(pairs) as co, connect(pairs) as other:
        first, second = keys_on(co)
        tx = co.transaction(durability=comity.Wait(replicas=1, timeout=0.4))
        tx.set(first, 1).set(second, 1).execute()
        pairs[1].send(signal.SIGSTOP)
        try:
            with caplog.at_level(logging.WARNING, logger="comity"):
                began = time.monotonic()
                tx.set(first, 2).set(second, 2).execute()
                took = time.monotonic() - began
                until(lambda: caplog.messages)
            assert tx.replicas == 0
            assert 0.35 < took < 15
            assert "is committed, and not durable: the server b: 0 of 1 replicas" in caplog.text
            assert other.snapshot(first, second) == {first: b"2", second: b"2"}
            assert co.transaction().incr(first).incr(second).execute() == [3, 3]
        finally:
            pairs[1].send(signal.SIGCONT)
        until(lambda: tx.set(first, 4).execute() and tx.replicas == 1)
    at_rest(*[pair.master for pair in pairs])


@both
@pytest.mark.parametrize("at", [is_wait, is_confirm], ids=["wait", "confirm"])
@pytest.mark.parametrize("action", [faults.CUT_BEFORE, faults.CUT_AFTER])
def test_a_connection_that_breaks_is_another_round(pairs, at, action):
    with connect(pairs) as co:
        first, second = keys_on(co)
        tx = co.transaction(durability=comity.Wait(replicas=1, timeout=5))
        tx.set(first, 1).set(second, 1).execute()
        rule = pairs[0].proxy.rule(action, at)
        tx.set(first, 2).set(second, 2).execute()
        assert rule.met == 1
        assert tx.replicas == 1
    at_rest(*[pair.master for pair in pairs])


@both
def test_every_wait_is_behind_a_question_on_its_own_connection(pairs):
    with connect(pairs) as co:
        first, _ = keys_on(co)
        for pair in pairs:
            pair.proxy.seen.clear()
        tx = co.transaction(durability=comity.Wait(replicas=1, timeout=5))
        for value in range(10):
            tx.set(first, value).execute()
        seen = [words for words in pairs[0].proxy.seen if is_wait(words) or is_confirm(words)]
        kinds = [is_wait(words) for words in seen]
        assert kinds == [False, True] * (len(seen) // 2)
        assert len(seen) >= 20


def test_many_at_once_share_their_waits(pairs):
    import threading

    with connect(pairs) as co:
        pairs[0].proxy.delay = 0.005
        try:
            done: list[int | None] = []

            def work(number: int) -> None:
                tx = co.transaction(durability=comity.Wait(replicas=1, timeout=5))
                name = next(
                    n for n in (f"{number}x{i}" for i in range(99)) if co.ring.node(n) == "a"
                )
                for _ in range(5):
                    tx.incr(name).execute()
                    done.append(tx.replicas)

            threads = [threading.Thread(target=work, args=[number]) for number in range(16)]
            pairs[0].proxy.seen.clear()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert done == [1] * 80
            waits = sum(map(is_wait, pairs[0].proxy.seen))
            assert waits < 60
        finally:
            pairs[0].proxy.delay = 0.0


@both
def test_what_is_durable_survives_the_death_of_its_server(start):
    pairs = [Pair(start) for _ in range(2)]
    try:
        for pair in pairs:
            until(pair.is_in_step)
        with connect(pairs) as co:
            first, second = keys_on(co)
            tx = co.transaction(durability=comity.Wait(replicas=1, timeout=5))
            durable = 0
            for value in range(1, 30):
                tx.set(first, value).set(second, value).execute()
                if tx.replicas:
                    durable = value
            pairs[0].master.kill()
            with pairs[0].replica.client() as client:
                client.replicaof("NO", "ONE")
                assert int(client.get(first)) >= durable == 29
            pairs[0].proxy.back = pairs[0].replica.port
            until(lambda: _works(co, first), 10)
            assert co.snapshot(first, second) == {first: b"29", second: b"29"}
        at_rest(pairs[0].replica, pairs[1].master)
    finally:
        for pair in pairs:
            pair.close()


def _works(co: Any, key: str) -> bool:
    try:
        co.snapshot(key)
    except comity.Error:
        return False
    return True


@both
def test_a_user_who_may_not_wait_is_told(pairs, caplog):
    with pairs[0].master.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-wait")
    try:
        with connect(pairs) as co, caplog.at_level(logging.WARNING, logger="comity"):
            first, _ = keys_on(co)
            tx = co.transaction(durability=comity.Wait(replicas=1, timeout=0.3))
            assert tx.set(first, 1).execute() == [True]
            assert tx.replicas == 0
            until(lambda: "NOPERM" in caplog.text)
    finally:
        with pairs[0].master.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "+wait")
