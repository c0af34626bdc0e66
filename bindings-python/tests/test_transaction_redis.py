"""Transactions on real servers, one and three: what is applied, refused, given up, and by whom."""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import faults
import pytest
from locks import connect, connect_to, until
from transactions import Ring, asks, at_rest, step

import comity

redis = pytest.importorskip("redis")

both = pytest.mark.usefixtures("flavour")


# What is applied


@both
def test_one_server(server):
    with server.client() as client, connect(server.port) as co:
        client.mset({"alice": 100, "bob": 100})
        with co.transaction() as tx:
            tx.incrby("alice", -30).incrby("bob", 30).set("log", "moved", ex=60)
        assert tx.results == [70, 130, True]
        assert client.mget("alice", "bob", "log") == [b"70", b"130", b"moved"]
        assert 0 < client.ttl("log") <= 60
        assert co.snapshot("alice", "none") == {"alice": b"70", "none": None}
        assert co.transaction_status(tx.id) == "committed"
        with pytest.raises(KeyError), co.transaction() as tx:
            tx.delete("alice")
            raise KeyError
        assert client.get("alice") == b"70"
    at_rest(server)


@both
def test_three_servers(three: Ring):
    with three.connect(direct=True) as co:
        tx = co.transaction()
        for number, key in enumerate(three.keys):
            tx.set(key, number).incr(key).expire(key, 100)
        assert tx.execute() == [True, 1, True, True, 2, True, True, 3, True]
        assert three.values() == [1, 2, 3]
        for server, key in zip(three.servers, three.keys, strict=True):
            with server.client() as client:
                assert 0 < client.ttl(key) <= 100
                client.hset("h" + key, "f", 1)
        # Deletions, keys of several types, reads of what was written.
        tx.delete(three.keys[0]).get(three.keys[0]).rpush(three.keys[1] + "l", "x", "y")
        tx.hset(three.keys[2] + "h", mapping={"f": 1, "g": 2}).hgetall(three.keys[2] + "h")
        assert tx.execute() == [1, None, 2, 2, {b"f": b"1", b"g": b"2"}]
        assert co.snapshot(*three.keys) == dict(zip(three.keys, [None, b"2", b"3"], strict=True))
    at_rest(*three.servers)


@both
def test_decided_is_sooner_than_applied(three: Ring):
    three.fill(1)
    with three.connect(timeout=30) as co:
        co.snapshot(*three.keys)
        at_rest(*three.servers)
        for proxy in three.proxies:
            proxy.rule(faults.DELAY_BEFORE, asks("FINISH"), seconds=faults.GIVEN_UP)
        tx = co.transaction(ack="decided").incr(three.keys[0]).incr(three.keys[1])
        assert tx.execute() == [2, 2]
        assert three.values() == [1, 1, 1]  # plain readers never see what is not applied
        until(lambda: three.values() == [2, 2, 1])
    at_rest(*three.servers)


def test_who_is_told_early_wakes_no_thread_for_the_rest_and_leaves_nothing_unread(
    three: Ring, monkeypatch
):
    three.fill(0)
    woken = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (woken.append(self), start(self)))
    with three.connect(direct=True, check=False) as co:
        co.transaction().incr(three.keys[0]).incr(three.keys[1]).execute()  # brings the scripts
        for box in co._session.boxes:
            wake = box.wake_background
            box.wake_background = lambda wake=wake: (woken.append(wake), wake())
        woken.clear()
        for _ in range(49):
            co.transaction(ack="decided").incr(three.keys[0]).incr(three.keys[1]).execute()
        # Two would be woken for each; on a busy machine the timer comes between now and then.
        assert len(woken) < 49
        lanes = co._driver._lanes
        # Nobody has anything more to say there, and all the same somebody reads.
        until(lambda: not any(lane.wire and lane.wire.outstanding for lane in lanes))
    assert three.values() == [50, 50, 0]
    at_rest(*three.servers)


def test_the_methods_answer_as_redis_py_does(server):
    with server.client() as client, connect(server.port) as co:
        ours, theirs = co.transaction(), client.pipeline()
        for each in (ours, theirs):
            each.set("s", "v", ex=10).set("s", "w", nx=True).set("s", "x", xx=True, get=True)
            each.setnx("s", 1).setnx("t", 1).setex("t", 10, "a").psetex("t", 9999, "b")
            each.getset("s", "y").getex("s", persist=True).getdel("t").append("s", "z")
            each.setrange("s", 1, "--").getrange("s", 0, 1).strlen("s").setbit("b", 7, 1)
            each.getbit("b", 7).bitcount("b").bitcount("b", 0, 0).mset({"m": 1, "n": 2})
            each.mget("m", "n", "none").incr("m", 4).decr("m").incrbyfloat("n", 0.5)
            each.expire("m", timedelta(seconds=9)).pexpire("m", 9999, gt=True).persist("m")
            each.hset("h", "f", 1, {"g": 2}).hset("h", items=["k", 3]).hsetnx("h", "f", 1)
            each.hget("h", "f").hmget("h", "f", "none").hgetall("h").hexists("h", "f")
            each.hlen("h").hkeys("h").hvals("h").hstrlen("h", "f").hdel("h", "g")
            each.hincrby("h", "f", 2).hincrbyfloat("h", "f", 0.5)
            each.sadd("set", "a", "b").srem("set", "b").smembers("set").sismember("set", "a")
            each.smismember("set", ["a", "b"]).scard("set").spop("set").spop("set", 2)
            each.zadd("z", {"a": 1, "b": 2.5, "c": 3}).zadd("z", {"a": 1}, incr=True)
            each.zadd("z", {"a": 5}, gt=True, ch=True).zincrby("z", 1.5, "b").zscore("z", "b")
            each.zscore("z", "none").zmscore("z", ["a", "none"]).zrank("z", "b")
            each.zrevrank("z", "b").zcard("z").zcount("z", 0, "(5")
            each.zrange("z", 0, -1, withscores=True).zrange("z", 0, 9, desc=True, byscore=False)
            each.zrange("z", 0, 9, byscore=True, offset=0, num=2).zrevrange("z", 0, 1)
            each.zrangebyscore("z", 0, 9, 0, 2, withscores=True)
            each.zrevrangebyscore("z", 9, 0).zpopmin("z").zpopmax("z", 1)
            each.zremrangebyrank("z", 0, 0).zremrangebyscore("z", 0, 9).zrem("z", "a")
            each.lpush("l", "b", "a").rpush("l", "c", "d", "e").lpushx("none", 1).rpushx("l", "f")
            each.llen("l").lindex("l", 0).lrange("l", 0, -1).lset("l", 0, "A").lrem("l", 0, "b")
            each.ltrim("l", 0, 2).linsert("l", "BEFORE", "A", "0").lpop("l").rpop("l", 2)
            each.xadd("x", {"f": 1}, id="1-1").xlen("x").xdel("x", "1-1").type("x").type("none")
            each.exists("x", "l", "none").delete("x", "none").unlink("l")
        ours, theirs = ours.execute(), _fresh(client, theirs)
        assert len(ours) == len(theirs) > 90
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            assert own == other, number
            assert type(own) is type(other), number


def _fresh(client, pipeline):
    """What the pipeline says on the same empty server."""
    client.flushdb()
    return pipeline.execute()


# What is refused, with nothing applied


@both
def test_a_command_that_fails_on_one_server_is_applied_on_none(three: Ring):
    three.fill(5)
    with three.connect(direct=True) as co:
        tx = co.transaction().incr(three.keys[0]).lpush(three.keys[1], "x").incr(three.keys[2])
        with pytest.raises(comity.CommandFailed, match=r"Command # 2 \(LPUSH account.* x\).*WRONG"):
            tx.execute()
        assert three.values() == [5, 5, 5]
        tx = co.transaction().set(three.keys[0], 2**63 - 1).incr(three.keys[0])
        with pytest.raises(comity.CommandFailed, match=r"# 2 .*overflow"):
            tx.set(three.keys[1], 0).execute()
        assert three.values() == [5, 5, 5]
    at_rest(*three.servers)


@both
def test_checks_and_reads_are_validated_on_every_server(three: Ring):
    three.fill(5)
    with three.connect(direct=True) as co, three.servers[1].client() as plain:
        tx = co.transaction()
        tx.check(three.keys[0], value=5).check(three.keys[1], exists=True)
        assert tx.check(three.keys[2] + "new", absent=True).incr(three.keys[0]).execute() == [6]
        with pytest.raises(comity.ConflictError, match=three.keys[1]):
            tx.check(three.keys[1], value=6).incr(three.keys[0]).execute()
        tx.watch(*three.keys)
        assert tx.get(three.keys[1]) == b"5"
        tx.multi()
        plain.set(three.keys[1], 7)
        with pytest.raises(comity.ConflictError, match=three.keys[1]):
            tx.incr(three.keys[0]).execute()
        assert three.values() == [6, 7, 5]
    at_rest(*three.servers)


@both
def test_a_read_modify_write_is_repeated_until_it_fits(three: Ring):
    three.fill(10)
    tries = []
    with three.connect(direct=True) as co, three.servers[2].client() as plain:

        def double(tx):
            tries.append(int(tx.get(three.keys[2])))
            if len(tries) < 3:
                plain.incr(three.keys[2])
            tx.multi()
            tx.set(three.keys[0], 2 * tries[-1])

        assert co.run_transaction(double, three.keys[2]) == [True]
        assert tries == [10, 11, 12]
        assert three.values() == [24, 10, 12]
        with pytest.raises(comity.ConflictError):
            tries.clear()
            co.run_transaction(double, three.keys[2], attempts=2)


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda tx, a, b: tx.mget(a, b), comity.Unsupported, r"# 1 \(MGET\).*two participants"),
        (lambda tx, a, b: tx.delete(a, b), comity.Unsupported, "two participants.*'a' and 'b'"),
        (lambda tx, a, b: tx.incr(a).command("WAIT", 1), comity.Unsupported, r"# 2 \(WAIT\)"),
        (lambda tx, a, b: tx.set("comity:1:x", 1), comity.InvalidArgument, "comity's own"),
        (lambda tx, a, b: tx.set(a, "x" * 5_000_000), comity.LimitExceeded, "bytes"),
        (lambda tx, a, b: tx.command("SUBSCRIBE", a), comity.Unsupported, "SUBSCRIBE"),
        (lambda tx, a, b: tx.command("EVAL", "x", 0), comity.Unsupported, "EVAL"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(fake, build, error, match):
    silent = {node: fake() for node in "ab"}
    clients = {node: one.client() for node, one in silent.items()}
    with comity.connect(clients, check=False) as co:
        a, b = (
            next(key for key in map(str, range(99)) if co.ring.node(key) == node) for node in "ab"
        )
        tx = co.transaction()
        build(tx, a, b)
        with pytest.raises(error, match=match):
            tx.execute()
        assert len(tx) == 0
    assert [one.accepted for one in silent.values()] == [0, 0]


@both
def test_a_value_too_big_to_be_copied(server):
    with server.client() as client, connect(server.port) as co:
        client.rpush("list", *range(50))
        tx = co.transaction(copy_elements=49)
        with pytest.raises(comity.LimitExceeded, match=r"'list'.*50.*49"):
            tx.lset("list", 0, "x").hincrby("hash", "f", 1).execute()
        assert client.exists("hash") == 0
        assert client.lindex("list", 0) == b"0"
    at_rest(server)


@both
def test_clients_with_different_rings(three: Ring):
    three.fill(1)
    with three.connect(direct=True) as co:
        co.transaction().incr(three.keys[0]).execute()
        alone = {"a": redis.Redis(host="127.0.0.1", port=three.servers[0].port)}
        with pytest.raises(comity.RingMismatch, match="'a'"), connect_to(alone) as other:
            other.transaction().incr(three.keys[0]).execute()
    assert three.values() == [2, 1, 1]


@both
def test_a_server_that_evicts_is_refused(start):
    server = start("--maxmemory-policy", "allkeys-lru")
    with pytest.warns(RuntimeWarning, match="evicts"):
        co = connect(server.port)
    with co:
        with pytest.raises(comity.Unsupported, match=r"allkeys-lru.*allow_eviction=True"):
            co.transaction().set("a", 1).execute()
        with pytest.raises(comity.Unsupported, match="allkeys-lru"):
            co.transaction().check("a", exists=True).execute()
        with pytest.raises(comity.Unsupported, match="allkeys-lru"):
            co.snapshot("a")
    with pytest.warns(RuntimeWarning, match="evicts"):
        co = connect(server.port, allow_eviction=True)
    with co:
        assert co.transaction().set("a", 1).execute() == [True]


def test_the_access_control_of_the_docs(start):
    page = (Path(__file__).resolve().parents[2] / "docs" / "transaction.md").read_text("utf-8")
    lines = re.findall(r"^ACL SETUSER .*$", page, re.MULTILINE)
    assert len(lines) == 2
    servers = {node: start() for node in "ab"}
    for server in servers.values():
        for line in lines:
            server.client().execute_command(*line.replace("PASSWORD", "secret").split())
    user = {"username": "comity", "password": "secret"}
    with comity.connect({node: one.client(**user) for node, one in servers.items()}) as co:
        left, right = (
            next(key for key in map(str, range(99)) if co.ring.node(key) == node) for node in "ab"
        )
        tx = co.transaction().set(left, 1, ex=100).incr(left).append(right, "x").expire(right, 100)
        tx.hset("h" + left, "f", 1).lpush("l" + right, 1).sadd("s" + left, 1)
        tx.zadd("z" + left, {"a": 1}).xadd("x" + left, {"f": 1}, id="1-1").setbit("b" + right, 1, 1)
        tx.command("PFADD", "p" + left, "x").command("GEOADD", "g" + left, 1, 1, "x")
        assert len(tx.execute()) == 12
        assert tx.incr(left).delete(right).execute() == [3, 1]
        with pytest.raises(comity.ConflictError):
            tx.check(left, value="2").incr(left).set(right, 1).execute()
        assert co.snapshot(left, right) == {left: b"3", right: None}
        tx.incr(left).incr(right).execute()
        assert co.transaction_status(tx.id or b"") == "committed"
        assert co.resolve(tx.id or b"") == "committed"
        with co.lock("a"):
            pass
    with servers["a"].client(username="everybody", password="secret") as reader:
        assert reader.get(left) == b"4"
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.set(left, 4)


# Many at once


@both
def test_sixteen_on_two_hot_keys(three: Ring):
    three.fill(1000)
    left, right = three.keys[:2]
    failures = []
    with three.connect(direct=True, timeout=20) as co:

        def work(number):
            try:
                for _ in range(12):
                    tx = co.transaction()
                    tx.incrby(left, -number).incrby(right, number)
                    before, after = tx.execute()
                    assert before + after == 2000
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        moved = 12 * sum(range(16))
        assert three.values() == [1000 - moved, 1000 + moved, 1000]
        stats = co.stats()
        assert stats["transaction_commits"] == 16 * 12
        assert stats["transaction_failures"] == 0
    at_rest(*three.servers)


def test_coordinators_on_two_hot_keys(three: Ring):
    three.fill(1000)
    left, right = three.keys[:2]
    failures = []

    def work(number):
        try:
            with three.connect(direct=True, timeout=20) as co:
                for _ in range(25):
                    tx = co.transaction()
                    tx.incrby(left, -number).incrby(right, number)
                    assert sum(tx.execute()) == 2000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    moved = 25 * sum(range(6))
    assert three.values() == [1000 - moved, 1000 + moved, 1000]
    at_rest(*three.servers)


def test_over_tls(tls):
    port, certificate = tls
    options = {"ssl": True, "ssl_ca_certs": certificate, "host": "127.0.0.1", "port": port}
    clients = {node: redis.Redis(**options, db=db) for db, node in enumerate("abc")}
    with comity.connect(clients) as co:
        keys = [next(k for k in map(str, range(99)) if co.ring.node(k) == node) for node in "abc"]

        def work():
            for _ in range(20):
                with co.transaction() as tx:
                    for key in keys:
                        tx.incr(key)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(co.snapshot(*keys).values()) == {b"80"}
        spent = time.process_time()
        work()
        plain = time.process_time() - spent
        # Who waits for a server that is busy sleeps.
        clients["a"].execute_command("CLIENT", "PAUSE", 1500)
        spent = time.process_time()
        work()
        assert time.process_time() - spent < 2 * plain + 0.5


# Given up


def test_ctrl_c_gives_a_transaction_up(three: Ring, script):
    source = """
import logging, signal, sys, comity, redis
logging.basicConfig(stream=sys.stdout, format="%(message)s")
clients = {n: redis.Redis(host="127.0.0.1", port=int(p)) for n, p in zip("abc", sys.argv[1:4])}
co = comity.connect(clients, timeout=10)
co.snapshot(sys.argv[4])
tx = co.transaction().incr(sys.argv[4]).incr(sys.argv[5])
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
try:
    tx.execute()
    print("executed")
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print(co.transaction().incr(sys.argv[6]).execute())
co.close()
"""
    three.fill(0)
    # The second server's vote takes longer than the patience of who sits before the terminal.
    three.proxies[1].rule(faults.DELAY_BEFORE, asks("PREPARE"), seconds=faults.HELD)
    ports = [proxy.port for proxy in three.proxies]
    process = script(source, *ports, *three.keys)
    until(lambda: three.proxies[1].held)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    three.proxies[1].free()
    assert process.stdout.read() == "[1]\n"
    assert process.wait(60) == 0
    at_rest(*three.servers)
    assert three.values() == [0, 0, 1]


def test_what_was_decided_before_ctrl_c_is_logged(three: Ring, script):
    source = """
import logging, signal, sys, comity, redis
logging.basicConfig(stream=sys.stdout, format="%(message)s")
clients = {n: redis.Redis(host="127.0.0.1", port=int(p)) for n, p in zip("abc", sys.argv[1:4])}
co = comity.connect(clients, timeout=10)
co.snapshot(sys.argv[4])
tx = co.transaction().incr(sys.argv[4]).incr(sys.argv[5])
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
try:
    tx.execute()
except KeyboardInterrupt:
    print("interrupted", flush=True)
co.close()
"""
    three.fill(0)
    for proxy in three.proxies:
        proxy.rule(faults.DELAY_AFTER, asks("FINISH"), seconds=faults.HELD)
    process = script(source, *[proxy.port for proxy in three.proxies], *three.keys)
    until(lambda: any(proxy.held for proxy in three.proxies))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    for proxy in three.proxies:
        proxy.free()
    assert "was given up, and is committed" in process.stdout.read()
    assert process.wait(60) == 0
    at_rest(*three.servers)
    assert three.values() == [1, 1, 0]


def test_a_cancelled_task_gives_its_transaction_up(three: Ring, caplog):
    import asyncio

    import comity.aio

    three.fill(0)
    clients = zip("abc", three.proxies, strict=True)

    async def main() -> None:
        async with comity.aio.connect(
            {n: redis.asyncio.Redis(host="127.0.0.1", port=p.port) for n, p in clients}, timeout=5
        ) as co:
            await co.snapshot(*three.keys)
            for at, wanted in (("PREPARE", [0, 0, 0]), ("FINISH", [1, 1, 0])):
                await asyncio.to_thread(at_rest, *three.servers)
                rule = three.proxies[1].rule(faults.DELAY_BEFORE, asks(at), seconds=1.5)
                tx = co.transaction().incr(three.keys[0]).incr(three.keys[1])
                task = asyncio.ensure_future(tx.execute())
                while not rule.met:
                    await asyncio.sleep(0.005)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await co.transaction().incrby(three.keys[2], 0).execute() == [0]
                while three.proxies[1].held:
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(at_rest, *three.servers)
                assert [int(v or 0) for v in (await co.snapshot(*three.keys)).values()] == wanted

    with caplog.at_level(logging.WARNING, logger="comity"):
        asyncio.run(asyncio.wait_for(main(), 30))
    assert [text for text in caplog.messages if "is committed" in text]
    at_rest(*three.servers)


def test_close_ends_what_is_under_way(three: Ring):
    three.fill(0)
    three.proxies[1].rule(faults.STALL, asks("PREPARE"), faults.ALWAYS)
    co = three.connect(timeout=5)
    told = []

    def work():
        try:
            told.append(co.transaction().incr(three.keys[0]).incr(three.keys[1]).execute())
        except comity.Error as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: any(step(words) == "PREPARE" for words in three.proxies[0].seen))
    co.close()
    thread.join(40)
    assert len(told) == 1
    assert isinstance(told[0], comity.Error)
    three.proxies[1].calm()
    with three.connect(direct=True) as other:
        assert set(other.snapshot(*three.keys).values()) == {b"0"}


# Forks


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_has_none_of_its_parents_transactions(three: Ring):
    import os

    three.fill(0)
    with three.connect() as co:
        tx = co.transaction().incr(three.keys[0]).incr(three.keys[1])
        co.snapshot(*three.keys)
        at_rest(*three.servers)
        time.sleep(0.1)
        sent = [len(proxy.seen) for proxy in three.proxies]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                refused = False
                try:
                    tx.execute()
                except comity.InvalidState:
                    refused = True
                with three.connect(direct=True) as mine:
                    done = mine.transaction().incr(three.keys[2]).execute() == [1]
                code = 0 if refused and done else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert [len(proxy.seen) for proxy in three.proxies] == sent
        assert tx.execute() == [1, 1]
    assert three.values() == [1, 1, 1]
    at_rest(*three.servers)
