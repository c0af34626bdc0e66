"""Transactions through a network that loses, repeats and cuts: all or nothing, and told truly."""

from __future__ import annotations

import random
import time

import faults
import pytest
from locks import connect_patiently, until
from transactions import Ring, Transfers, asks, at_rest, settled, step

import comity

pytest.importorskip("redis")

pytestmark = pytest.mark.usefixtures("flavour")

ACTIONS = ["SWALLOW", "CUT_BEFORE", "CUT_AFTER", "REPEAT", "STALL", "DELAY_BEFORE", "DELAY_AFTER"]


@pytest.mark.parametrize("action", ACTIONS)
def test_one_fault_at_the_only_server(server, proxy, action):
    with server.client() as client, connect_patiently(proxy.port) as co:
        client.set("alice", 100)
        rule = proxy.rule(getattr(faults, action), asks("ONE_PHASE"), seconds=faults.GIVEN_UP)
        tx = co.transaction()
        tx.decrby("alice", 30).incrby("bob", 30)
        assert tx.execute() == [70, 30]
        assert rule.met
        # A straggler of the network changes nothing.
        until(lambda: not proxy.held)
        for words in [words for words in proxy.seen if step(words) == "ONE_PHASE"]:
            proxy.again(words)
        assert client.mget("alice", "bob") == [b"70", b"30"]
        with co.transaction() as tx:
            tx.incr("alice")
        assert client.get("alice") == b"71"
    at_rest(server)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("node", [0, 1], ids=["primary", "secondary"])
@pytest.mark.parametrize("at", ["PREPARE", "FINISH"])
def test_one_fault_at_one_of_three(three: Ring, at, node, action):
    three.fill(100)
    proxy = three.proxies[node]
    rule = proxy.rule(getattr(faults, action), asks(at), seconds=faults.GIVEN_UP)
    with three.connect(timeout=30) as co:
        tx = co.transaction()
        for key, amount in zip(three.keys, (-30, 10, 20), strict=True):
            tx.incrby(key, amount)
        assert tx.execute() == [70, 110, 120]
        assert rule.met
        # What is applied is seen once the server that was cut off has heard of it.
        until(lambda: three.values() == [70, 110, 120])
        until(lambda: not proxy.held)
        at_rest(*three.servers)
        for one in three.proxies:
            for words in [words for words in one.seen if step(words)]:
                one.again(words)
        assert three.values() == [70, 110, 120]
        assert sum(map(int, co.snapshot(*three.keys).values())) == 300
    at_rest(*three.servers)


@pytest.mark.parametrize("at", ["PREPARE", "FINISH"])
def test_every_step_lost_at_one_until_it_is_given_up(three: Ring, at):
    three.fill(100)
    with three.connect() as co, three.connect(direct=True) as other:
        three.proxies[1].rule(faults.STALL, asks(at), faults.ALWAYS)
        tx = co.transaction().incrby(three.keys[0], -1).incrby(three.keys[1], 1)
        if at == "FINISH":
            assert tx.execute() == [99, 101]
        else:
            with pytest.raises((comity.NoAnswer, comity.AbortedError)):
                tx.execute()
        three.proxies[1].calm()
        values = [99, 101, 100] if at == "FINISH" else [100, 100, 100]
        until(lambda: three.values() == values)
        assert list(other.snapshot(*three.keys).values()) == [b"%d" % each for each in values]
    at_rest(*three.servers)


def test_an_outcome_that_is_unknown_is_resolved(three: Ring):
    three.fill(100)
    with three.connect() as co, three.connect(direct=True) as other:
        # The servers have the scripts: one that lacks them has executed nothing, and knows nothing.
        co.transaction().incrby(three.keys[0], 0).incrby(three.keys[1], 0).execute()
        primary = three.proxies[0]
        primary.rule(faults.SWALLOW, lambda words: step(words) is not None, faults.ALWAYS)
        tx = co.transaction().incrby(three.keys[0], -1).incrby(three.keys[1], 1)
        with pytest.raises(comity.OutcomeUnknown, match=r"resolve\(b'.*@a'\)") as caught:
            tx.execute()
        txid = caught.value.transaction_id
        assert txid is not None
        outcome = other.resolve(txid)
        assert outcome in ("committed", "aborted")
        assert other.transaction_status(txid.decode()) == outcome
        values = [99, 101, 100] if outcome == "committed" else [100, 100, 100]
        assert list(other.snapshot(*three.keys).values()) == [b"%d" % each for each in values]
        assert three.values() == values
        primary.calm()
        with co.transaction() as tx:
            tx.incr(three.keys[0])
    at_rest(*three.servers)


@pytest.mark.parametrize("nodes", [1, 2])
def test_what_was_in_doubt_is_answered_though_others_have_come_since(three: Ring, nodes: int):
    three.fill(100)
    keys = three.keys[:nodes]

    def transact(co: comity.Coordinator, **options: float) -> None:
        tx = co.transaction(**options)
        for key in keys:
            tx.incr(key)
        tx.execute()

    with three.connect() as co, three.connect(direct=True) as other:
        transact(co)
        primary = three.proxies[0]
        primary.rule(faults.SWALLOW, lambda words: step(words) is not None, faults.ALWAYS)
        with pytest.raises(comity.OutcomeUnknown) as caught:
            transact(co)
        txid = caught.value.transaction_id
        assert txid is not None
        primary.calm()
        # The next waits behind it, until its coordinator knows how it ended.
        for _ in range(5):
            transact(co, timeout=30, patience=30)
        outcome = other.transaction_status(txid)
        assert outcome in ("committed", "aborted")
        assert other.resolve(txid) == outcome
        other.sweep()
        assert other.transaction_status(txid) == outcome
        count = 106 + (outcome == "committed")
        assert three.values() == [count] * nodes + [100] * (3 - nodes)
    at_rest(*three.servers)


def test_transfers_through_a_bad_network_keep_the_sum(three: Ring):
    three.fill(1000)
    dice = random.Random(7)
    clients = [Transfers(three, seed) for seed in range(4)]
    actions = [faults.CUT_BEFORE, faults.CUT_AFTER, faults.REPEAT, faults.DELAY_AFTER]
    end = time.monotonic() + 4

    def told() -> int:
        return sum(len(client.told) for client in clients)

    while time.monotonic() < end + (0 if told() > 50 else 50):
        proxy = dice.choice(three.proxies)
        proxy.rule(dice.choice(actions), lambda words: step(words) is not None, seconds=0.05)
        time.sleep(0.02)
    for proxy in three.proxies:
        proxy.calm()
    for client in clients:
        client.end()
    assert told() > 50
    settled(three, clients)
    at_rest(*three.servers)


def test_who_dies_between_the_phases_is_recovered(three: Ring, script):
    three.fill(100)
    source = """
import sys, comity, redis
clients = {n: redis.Redis(host="127.0.0.1", port=int(p)) for n, p in zip("abc", sys.argv[1:4])}
co = comity.connect(clients, timeout=10)
tx = co.transaction(patience=0.3, ack="decided")
tx.incrby(sys.argv[4], -30).incrby(sys.argv[5], 30)
print(tx.execute(), flush=True)
import time; time.sleep(60)
"""
    for proxy in three.proxies:
        proxy.rule(faults.STALL, asks("FINISH"), faults.ALWAYS)
    ports = [proxy.port for proxy in three.proxies]
    process = script(source, *ports, *three.keys[:2])
    assert process.stdout.readline() == "[70, 130]\n"
    process.kill()
    process.wait()
    assert three.values() == [100, 100, 100]  # decided, and not applied by anybody yet
    with three.connect(direct=True) as co:
        with co.transaction() as tx:
            tx.incrby(three.keys[1], 1)
        assert tx.results == [131]
        until(lambda: three.values() == [70, 131, 100])
    at_rest(*three.servers)


def test_a_sweep_finds_what_nobody_asks_for(three: Ring, script):
    three.fill(100)
    source = """
import sys, comity, redis
clients = {n: redis.Redis(host="127.0.0.1", port=int(p)) for n, p in zip("abc", sys.argv[1:4])}
co = comity.connect(clients, timeout=10)
tx = co.transaction(patience=0.1, ack="decided")
print(tx.incr(sys.argv[4]).incr(sys.argv[5]).execute(), flush=True)
import time; time.sleep(60)
"""
    for proxy in three.proxies:
        proxy.rule(faults.STALL, asks("FINISH"), faults.ALWAYS)
    process = script(source, *[proxy.port for proxy in three.proxies], *three.keys[:2])
    assert process.stdout.readline() == "[101, 101]\n"
    process.kill()
    process.wait()
    time.sleep(0.2)
    with three.connect(direct=True) as co:
        assert co.sweep() > 0
        until(lambda: three.values() == [101, 101, 100])
        at_rest(*three.servers)
        assert co.sweep() == 0


def test_a_sweep_drops_shadows_that_an_accident_has_left(three: Ring):
    hash_of_all, left = "comity:1:t:{t}", []
    for number, one in enumerate(three.servers):
        with one.client() as client:
            # As one of 3,000 keys, one of whose names begins like its own.
            client.mset({f"user:{n}": n for n in range(3_000)})
            client.set(f"{hash_of_all}:not one", "x")
            left.append(f"{hash_of_all}:0123456789abcdef.0{number}:1")
            client.rpush(left[-1], "x")
    with three.connect() as co:
        assert co.sweep(shadows=False) == 0
        assert co.sweep() == 3
        assert co.sweep() == 0
    for name, one in zip(left, three.servers, strict=True):
        with one.client() as client:
            assert client.exists(name, "user:7", f"{hash_of_all}:not one") == 2


def test_a_server_that_is_gone(start):
    servers = [start() for _ in range(3)]
    three = Ring(servers)
    try:
        three.fill(100)
        with three.connect(direct=True) as co:
            assert co.snapshot(three.keys[0]) == {three.keys[0]: b"100"}
            servers[1].kill()
            tx = co.transaction().incrby(three.keys[0], -1).incrby(three.keys[1], 1)
            with pytest.raises((comity.Unreachable, comity.NoAnswer)):
                tx.execute()
            # The others go on.
            tx.incrby(three.keys[0], -1).incrby(three.keys[2], 1)
            assert tx.execute() == [99, 101]
            servers[1].start()
            tx.set(three.keys[1], 100).incrby(three.keys[0], 0)
            until(lambda: _done(tx, three))
    finally:
        three.close()


def _done(tx, three: Ring) -> bool:
    try:
        tx.set(three.keys[1], 100).incrby(three.keys[0], 0).execute()
    except (comity.Unreachable, comity.NoAnswer):
        return False
    return True
