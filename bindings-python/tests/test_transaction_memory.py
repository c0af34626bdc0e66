"""Transactions on the embedded store: the buffer, the block, reads, checks, and what is refused."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

import comity
from comity import ConflictError, InvalidArgument, InvalidState, LimitExceeded, Unsupported


@pytest.fixture
def store():
    return comity.MemoryStore()


@pytest.fixture
def co(store):
    with comity.connect(store) as one:
        yield one


# The buffer


def test_commands_chain_and_are_executed_at_once(co, store):
    tx = co.transaction()
    assert tx.incrby("alice", -30).incrby("bob", 30) is tx
    assert len(tx) == 2
    assert tx
    assert "2 commands" in repr(tx)
    assert store.execute("EXISTS", "alice", "bob") == 0
    assert tx.execute() == [-30, 30]
    assert store.execute("MGET", "alice", "bob") == [b"-30", b"30"]
    assert tx.results == [-30, 30]


def test_it_can_be_used_again(co):
    tx = co.transaction()
    for total in (1, 2, 3):
        assert len(tx.incr("n")) == 1
        assert tx.execute() == [total]
        assert len(tx) == 0
    assert tx.execute() == []
    assert tx.results == []


def test_reads_see_what_was_written_before(co):
    tx = co.transaction()
    tx.set("a", "1").get("a").incr("a").get("a").delete("a").get("a").exists("a")
    assert tx.execute() == [True, b"1", 2, b"2", 1, None, 0]


def test_savepoints_cut_the_buffer(co):
    tx = co.transaction().set("a", 1)
    first = tx.savepoint()
    tx.set("b", 2).check("a", value="never")
    second = tx.savepoint()
    tx.set("c", 3)
    tx.rollback(second)
    assert len(tx) == 2
    tx.rollback(first)
    assert len(tx) == 1
    tx.set("d", 4)
    tx.rollback(first)
    with pytest.raises(InvalidState, match="savepoint"):
        tx.rollback(second)
    with pytest.raises(InvalidState, match="savepoint"):
        tx.rollback(co.transaction().savepoint())
    assert tx.execute() == [True]
    with pytest.raises(InvalidState, match="savepoint"):
        tx.rollback(first)
    assert co.snapshot("a", "b", "c", "d") == {"a": b"1", "b": None, "c": None, "d": None}


@pytest.mark.parametrize("verb", ["discard", "reset", "rollback"])
def test_what_is_discarded_is_not_executed(co, verb):
    tx = co.transaction().set("a", 1).check("b", exists=True)
    getattr(tx, verb)()
    assert len(tx) == 0
    assert tx.execute() == []
    assert co.snapshot("a") == {"a": None}


# The block


def test_a_block_commits_at_its_end(co):
    with co.transaction() as tx:
        tx.set("a", 1)
        tx.incr("a")
    assert tx.results == [True, 2]
    assert tx.id is not None
    assert co.snapshot("a") == {"a": b"2"}


def test_a_block_that_raises_discards(co):
    tx = co.transaction()
    with pytest.raises(KeyError), tx:
        tx.set("a", 1)
        raise KeyError
    assert len(tx) == 0
    assert co.snapshot("a") == {"a": None}
    with tx:
        tx.set("a", 2)
    assert co.snapshot("a") == {"a": b"2"}


def test_a_block_that_has_committed_is_over(co):
    with co.transaction() as tx:
        assert tx.incr("a").execute() == [1]
        for verb in (lambda: tx.incr("a"), tx.execute, tx.multi, tx.savepoint, tx.unwatch):
            with pytest.raises(InvalidState, match="committed"):
                verb()
        with pytest.raises(InvalidState, match="committed"):
            tx.watch("a")
        with pytest.raises(InvalidState, match="committed"):
            tx.check("a", exists=True)
    assert tx.incr("a").execute() == [2]


def test_blocks_do_not_nest(co):
    with co.transaction() as tx:
        tx.set("a", 1)
        with pytest.raises(InvalidState, match="nest"), tx:
            raise AssertionError
        assert len(tx) == 1
    assert co.snapshot("a") == {"a": b"1"}


def test_a_failed_attempt_in_a_block_can_be_repeated(co, store):
    with co.transaction() as tx:
        for value in (1, 2):
            try:
                tx.watch("a")
                if value == 1:
                    store.execute("SET", "a", "other")
                tx.multi()
                tx.set("a", value)
                tx.execute()
                break
            except ConflictError:
                assert value == 1
    assert co.snapshot("a") == {"a": b"2"}


# Conditions


def test_checks(co, store):
    store.execute("SET", "a", 1)
    tx = co.transaction()
    assert tx.check("a", value=1).check("a", exists=True).check("b", absent=True).set(
        "b", 1
    ).execute() == [True]
    for wrong in (
        {"key": "a", "value": b"2"},
        {"key": "b", "absent": True},
        {"key": "c", "exists": True},
        {"key": "c", "value": ""},
    ):
        with pytest.raises(ConflictError):
            tx.check(**wrong).set("a", 3).set("c", 3).execute()
        assert len(tx) == 0
    assert co.snapshot("a", "b", "c") == {"a": b"1", "b": b"1", "c": None}
    # A check without a command validates, and no more.
    assert tx.check("a", value="1").execute() == []
    with pytest.raises(ConflictError):
        tx.check("a", value="2").execute()


def test_a_conflict_is_redis_pys_watch_error(co):
    redis = pytest.importorskip("redis")
    with pytest.raises(redis.WatchError):
        co.transaction().check("a", exists=True).execute()
    with pytest.raises(redis.ResponseError):
        co.transaction().set("a", "x").incr("a").execute()


def test_a_failed_command_is_named_and_nothing_is_applied(co, store):
    store.execute("RPUSH", "list", "x")
    tx = co.transaction().set("a", 1).incr("b").incr("list").set("c", 1)
    with pytest.raises(comity.CommandFailed, match=r"Command # 3 \(INCRBY list 1\).*WRONGTYPE"):
        tx.execute()
    assert co.snapshot("a", "b", "c") == {"a": None, "b": None, "c": None}
    assert store.execute("LRANGE", "list", 0, -1) == [b"x"]


# Reads at once


def test_reads_after_watch_are_answered_at_once_and_validated(co, store):
    store.execute("SET", "a", 1)
    tx = co.transaction()
    tx.watch("a", "b")
    assert tx.get("a") == b"1"
    assert tx.mget("a", "b", "c") == [b"1", None, None]
    assert tx.exists("a", "b", "a") == 2
    tx.multi()
    assert tx.set("c", 1) is tx
    store.execute("SET", "d", 1)
    assert tx.execute() == [True]
    for changed in ("a", "b", "c"):
        tx.watch("a", "b")
        tx.mget("c", "d")
        tx.multi()
        tx.set("e", 1)
        store.execute("SET", changed, f"other {changed}")
        with pytest.raises(ConflictError):
            tx.execute()
    assert co.snapshot("e") == {"e": None}


def test_a_read_stays_what_it_was(co, store):
    tx = co.transaction()
    tx.watch("a")
    store.execute("SET", "a", 1)
    assert tx.get("a") is None
    tx.multi()
    with pytest.raises(ConflictError):
        tx.set("b", 1).execute()


def test_a_value_that_is_changed_back_is_unchanged(co, store):
    store.execute("SET", "a", 1)
    tx = co.transaction()
    tx.watch("a")
    store.execute("SET", "a", 2)
    store.execute("SET", "a", 1, "EX", 100)
    tx.multi()
    assert tx.set("b", 1).execute() == [True]


@pytest.mark.parametrize(
    ("fill", "change", "read", "value"),
    [
        (("HSET", "k", "f", 1), ("HSET", "k", "g", 2), ("hgetall", "k"), {b"f": b"1"}),
        (("RPUSH", "k", "x", "y"), ("LPUSH", "k", "z"), ("lrange", "k", 0, -1), [b"x", b"y"]),
        (("SADD", "k", "x", "y"), ("SREM", "k", "x"), ("smembers", "k"), {b"x", b"y"}),
        (("ZADD", "k", 1, "x"), ("ZADD", "k", 2, "x"), ("zscore", "k", "x"), 1.0),
        (("SET", "k", "x"), ("DEL", "k"), ("get", "k"), b"x"),
        (("DEL", "k"), ("SADD", "k", "x"), ("exists", "k"), 0),
        (("SADD", "k", "x"), ("DEL", "k"), ("type", "k"), b"set"),
    ],
)
def test_keys_of_any_type_can_be_watched(co, store, fill, change, read, value):
    store.execute(*fill)
    for asked in (False, True):
        tx = co.transaction()
        tx.watch("k", "other")
        if asked:
            assert getattr(tx, read[0])(*read[1:]) == value
        tx.multi()
        assert tx.set("a", 1).execute() == [True]
        tx.watch("k")
        tx.multi()
        store.execute(*change)
        with pytest.raises(ConflictError):
            tx.set("a", 2).execute()
        store.execute("DEL", "k")
        store.execute(*fill)


def test_verbs_in_the_wrong_order(co):
    tx = co.transaction().set("a", 1)
    with pytest.raises(InvalidState, match=r"watch\(\)"):
        tx.watch("a")
    with pytest.raises(InvalidState, match=r"multi\(\)"):
        tx.multi()
    tx.reset()
    tx.watch("a")
    with pytest.raises(InvalidState, match=r"SET.*multi"):
        tx.set("a", 1)
    with pytest.raises(InvalidState, match=r"XADD.*multi"):
        tx.command("XADD", "a", "*", "f", "v")
    assert tx.command("strlen", "a") == 0
    tx.multi()
    for verb in (tx.multi, tx.unwatch, lambda: tx.watch("a")):
        with pytest.raises(InvalidState):
            verb()
    tx.reset()
    with pytest.raises(InvalidArgument, match="no key"):
        tx.watch()
    tx.watch("a")
    assert tx.unwatch() is True
    assert len(tx.set("a", 1)) == 1


def test_reads_alone_are_validated_at_the_end_of_a_block(co, store):
    with co.transaction() as tx:
        tx.watch("a")
        assert tx.get("b") is None
    with pytest.raises(ConflictError), co.transaction() as tx:
        tx.watch("a")
        store.execute("SET", "a", 1)


# The coordinator's verbs


def test_run_transaction(co, store):
    store.execute("SET", "n", 20)
    seen = []

    def double(tx):
        value = int(tx.get("n"))
        seen.append(value)
        if len(seen) < 3:
            store.execute("SET", "n", value + 1)
        tx.multi()
        tx.set("n", 2 * value)
        return value

    assert co.run_transaction(double, "n") == [True]
    assert seen == [20, 21, 22]
    assert co.run_transaction(double, "n", value_from_callable=True) == 44
    assert co.run_transaction(lambda tx: tx.incr("n")) == [89]


def test_run_transaction_gives_up(co, store):
    calls = []

    def disturbed(tx):
        calls.append(1)
        store.execute("SET", "n", len(calls))
        tx.multi()
        tx.set("m", 1)

    with pytest.raises(ConflictError):
        co.run_transaction(disturbed, "n", attempts=3)
    assert len(calls) == 3

    def failing(tx):
        calls.append(1)
        raise KeyError

    with pytest.raises(KeyError):
        co.run_transaction(failing, "n")
    assert len(calls) == 4
    assert co.snapshot("m") == {"m": None}


def test_a_snapshot(co, store):
    store.execute("SET", "a", 1)
    assert co.snapshot("a", b"b", 3) == {"a": b"1", b"b": None, 3: None}
    store.execute("SADD", "set", "x")
    with pytest.raises(comity.CommandFailed, match="WRONGTYPE"):
        co.snapshot("a", "set")


def test_the_store_has_no_replicas(co, store, caplog):
    with co.events() as told, caplog.at_level(logging.WARNING, logger="comity"):
        began = time.monotonic()
        tx = co.transaction(durability=comity.Wait(replicas=1, timeout=60))
        assert tx.replicas is None
        assert tx.set("a", 1).execute() == [True]
        assert (tx.replicas, store.execute("GET", "a")) == (0, b"1")
        assert time.monotonic() - began < 50
        events = list(iter(lambda: told.get(timeout=0), None))
    assert [e.kind for e in events] == ["transaction_not_durable", "transaction_committed"]
    assert [e.replicas for e in events] == [0, 0]
    assert (events[0].id, events[0].transaction) == (events[1].id, events[1].transaction)
    assert str(events[0].error) == "0 of 1 replicas are known to have it"
    deadline = time.monotonic() + 30
    while "not durable" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    tx.get("a").execute()
    assert tx.replicas is None


def test_status_and_resolve(co):
    tx = co.transaction()
    tx.set("a", 1).execute()
    assert tx.id is not None
    assert co.transaction_status(tx.id) == "committed"
    assert co.resolve(tx.id) == "committed"
    assert co.transaction_status(tx.id.decode()) == "committed"
    # One of another session, of which nobody has heard.
    unheard = b"0" * 16 + tx.id[16:]
    assert co.transaction_status(unheard) == "unheard"
    assert co.resolve(unheard) == "aborted"
    assert co.transaction_status(unheard) == "aborted"
    first = tx.id
    with pytest.raises(ConflictError):
        tx.check("a", value="2").set("a", 2).execute()
    assert tx.id == first
    assert co.snapshot("a") == {"a": b"1"}
    assert co.sweep() == 0


def test_every_verb_is_refused_after_close(co):
    tx = co.transaction().set("a", 1)
    co.close()
    verbs = (tx.execute, lambda: co.snapshot("a"), lambda: co.resolve(b"x"), co.sweep)
    for verb in verbs:
        with pytest.raises(comity.Closed):
            verb()


# What is refused, before anything is sent


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda tx: tx.set("a", None), InvalidArgument, r"Command # 1 \(SET\): argument 2.*None"),
        (lambda tx: tx.set("a", True), InvalidArgument, r"Command # 1 \(SET\): argument 2.*bool"),
        (lambda tx: tx.set(None, 1), InvalidArgument, r"argument 1"),
        (lambda tx: tx.set("\ud800", 1), InvalidArgument, r"argument 1.*Unicode"),
        (lambda tx: tx.incr("a").hset("b", "f", [1]), InvalidArgument, r"Command # 2 \(HSET\)"),
        (lambda tx: tx.set("a", 1, ex=1, px=1), InvalidArgument, "ex and px"),
        (lambda tx: tx.set("a", 1, nx=True, xx=True), InvalidArgument, "nx and xx"),
        (lambda tx: tx.set("a", 1, ex=1, keepttl=True), InvalidArgument, "ex and keepttl"),
        (lambda tx: tx.getex("a", ex=1, persist=True), InvalidArgument, "persist"),
        (lambda tx: tx.expire("a", 1, gt=True, lt=True), InvalidArgument, "gt and lt"),
        (lambda tx: tx.hset("a"), InvalidArgument, "no field"),
        (lambda tx: tx.zadd("a", {}), InvalidArgument, "mapping"),
        (lambda tx: tx.zadd("a", {"x": 1, "y": 1}, incr=True), InvalidArgument, "incr"),
        (lambda tx: tx.zadd("a", {"x": 1}, nx=True, gt=True), InvalidArgument, "nx and gt"),
        (lambda tx: tx.mset({}), InvalidArgument, "mapping"),
        (lambda tx: tx.zrangebyscore("a", 0, 1, start=1), InvalidArgument, "offset"),
        (lambda tx: tx.check("a"), InvalidArgument, "check # 1.*exactly one"),
        (lambda tx: tx.check("a", value=1, exists=True), InvalidArgument, "exactly one"),
        (lambda tx: tx.check("a", exists=1), InvalidArgument, "exactly one"),
        (lambda tx: tx.check(None, exists=True), InvalidArgument, "check # 1: key"),
        (lambda tx: tx.check("a", value=[1]), InvalidArgument, "check # 1: value"),
        (lambda tx: tx.command(None), InvalidArgument, r"Command # 1.*argument 0"),
        # What the core refuses
        (lambda tx: tx.command("BLPOP", "a", 0).execute(), Unsupported, r"# 1 \(BLPOP\).*blocks"),
        (lambda tx: tx.command("TTL", "a").execute(), Unsupported, r"\(TTL\).*time"),
        (lambda tx: tx.command("SRANDMEMBER", "a").execute(), Unsupported, "random"),
        (lambda tx: tx.command("MULTI").execute(), Unsupported, "nest"),
        (lambda tx: tx.command("RENAME", "a", "b").execute(), Unsupported, "several keys"),
        (lambda tx: tx.command("FLUSHALL").execute(), Unsupported, "FLUSHALL"),
        (lambda tx: tx.incr("a").command("GET").execute(), InvalidArgument, r"Command # 2 \(GET\)"),
        (lambda tx: tx.command("SET", "a").execute(), InvalidArgument, "number of arguments"),
        (lambda tx: tx.set("comity:1:lock:{a}", 1).execute(), InvalidArgument, "comity's own"),
        (lambda tx: [tx.incr("a") for _ in range(1001)] and tx.execute(), LimitExceeded, "1000"),
        (lambda tx: tx.sadd("a", *range(4000)).execute(), LimitExceeded, "4000"),
        (lambda tx: tx.set("a", "x" * (4 << 20)).execute(), LimitExceeded, "4194304"),
    ],
)
def test_bad_input(co, store, call, error, match):
    with pytest.raises(error, match=match):
        call(co.transaction())
    assert store.execute("EXISTS", "a", "b") == 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ack": "soon"}, "ack"),
        ({"ack": None}, "ack"),
        ({"timeout": 0}, "timeout must be 0.01..60"),
        ({"timeout": "1"}, "timeout"),
        ({"timeout": 61}, "timeout"),
        ({"patience": -1}, "patience"),
        ({"copy_elements": -1}, "copy_elements"),
        ({"copy_bytes": 2**32}, "copy_bytes"),
        ({"copy_bytes": 1.5}, "copy_bytes"),
        ({"durability": "wait"}, "durability must be None or Wait"),
        ({"durability": comity.Wait(replicas=0)}, "replicas must be 1..64, not 0"),
        ({"durability": comity.Wait(replicas=65)}, "replicas must be 1..64, not 65"),
        ({"durability": comity.Wait(replicas=True)}, "replicas must be an int, not bool"),
        ({"durability": comity.Wait(timeout=0.001)}, "timeout"),
        ({"durability": comity.Wait(timeout=61)}, "timeout"),
        ({"durability": comity.Wait(), "ack": "decided"}, 'with ack="applied"'),
    ],
)
def test_bad_options(co, options, match):
    with pytest.raises(InvalidArgument, match=match):
        co.transaction(**options)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda co: co.snapshot(), "no key"),
        (lambda co: co.snapshot(None), "key 1"),
        (lambda co: co.snapshot("a", timeout=0), "timeout"),
        (lambda co: co.run_transaction(print, attempts=0), "attempts must be 1..1000"),
        (lambda co: co.run_transaction(print, attempts=True), "attempts"),
        (lambda co: co.resolve(5), "id of a transaction"),
        (lambda co: co.resolve(b"x"), "x"),
        (lambda co: co.transaction_status(b"nonsense"), "nonsense"),
    ],
)
def test_bad_verbs(co, call, match):
    with pytest.raises(InvalidArgument, match=match):
        call(co)


def test_big_values_are_not_copied(co, store):
    for at in range(20):
        store.execute("RPUSH", "list", at)
    # Two that can fail, and neither can be undone: they are tried on copies first.
    tx = co.transaction(copy_elements=10)
    with pytest.raises(LimitExceeded, match=r"'list'.*20.*10"):
        tx.lset("list", 0, "x").hincrby("hash", "f", 1).execute()
    assert store.execute("LINDEX", "list", 0) == b"0"
    tx = co.transaction(copy_elements=20)
    assert tx.lset("list", 0, "x").hincrby("hash", "f", 1).execute() == [True, 1]
    assert store.execute("LINDEX", "list", 0) == b"x"


# Methods


def test_the_methods_answer_as_redis_py_does(co):
    end = datetime(2090, 1, 1, tzinfo=timezone.utc)
    tx = co.transaction()
    calls = [
        (tx.set, ("s", "v"), {"ex": 10}, True),
        (tx.set, ("s", "v"), {"nx": True}, None),
        (tx.set, ("s", "w"), {"get": True, "px": timedelta(seconds=1)}, b"v"),
        (tx.set, ("s", "x"), {"xx": True, "keepttl": True}, True),
        (tx.append, ("s", b"yz"), {}, 3),
        (tx.setrange, ("s", 1, "-"), {}, 3),
        (tx.getrange, ("s", 0, 1), {}, b"x-"),
        (tx.strlen, ("s",), {}, 3),
        (tx.mset, ({"m": 1, b"n": 2.5},), {}, True),
        (tx.mget, (["m", "n"], "none"), {}, [b"1", b"2.5", None]),
        (tx.incr, ("m",), {}, 2),
        (tx.incrby, ("m", 5), {}, 7),
        (tx.decr, ("m",), {}, 6),
        (tx.decrby, ("m", 2), {}, 4),
        (tx.incrbyfloat, ("n", 0.5), {}, 3.0),
        (tx.expire, ("m", timedelta(hours=1)), {}, True),
        (tx.pexpire, ("m", 100_000), {"lt": True}, True),
        (tx.expireat, ("m", end), {"gt": True}, True),
        (tx.pexpireat, ("none", end), {}, False),
        (tx.persist, ("m",), {}, True),
        (tx.persist, ("m",), {}, False),
        (tx.hset, ("h", "f", 1), {"mapping": {"g": 2}}, 2),
        (tx.hset, ("h",), {"items": ["k", 3]}, 1),
        (tx.hsetnx, ("h", "f", 9), {}, 0),
        (tx.hget, ("h", "f"), {}, b"1"),
        (tx.hmget, ("h", ["f", "g"]), {}, [b"1", b"2"]),
        (tx.hincrby, ("h", "f", 4), {}, 5),
        (tx.hdel, ("h", "g", "none"), {}, 1),
        (tx.hgetall, ("h",), {}, {b"f": b"5", b"k": b"3"}),
        (tx.hexists, ("h", "f"), {}, True),
        (tx.hlen, ("h",), {}, 2),
        (tx.sadd, ("z", "a", "b"), {}, 2),
        (tx.srem, ("z", "b"), {}, 1),
        (tx.smembers, ("z",), {}, {b"a"}),
        (tx.sismember, ("z", "a"), {}, 1),
        (tx.scard, ("z",), {}, 1),
        (tx.zadd, ("ss", {"a": 1, "b": 2.5}), {}, 2),
        (tx.zadd, ("ss", {"a": 1}), {"incr": True}, 2.0),
        (tx.zadd, ("ss", {"a": 3}), {"xx": True, "gt": True, "ch": True}, 1),
        (tx.zincrby, ("ss", 1, "b"), {}, 3.5),
        (tx.zscore, ("ss", "b"), {}, 3.5),
        (tx.zscore, ("ss", "none"), {}, None),
        (tx.zrank, ("ss", "b"), {}, 1),
        (tx.zcard, ("ss",), {}, 2),
        (tx.zrange, ("ss", 0, -1), {"withscores": True}, [(b"a", 3.0), (b"b", 3.5)]),
        (tx.zrange, ("ss", 0, -1), {"desc": True}, [b"b", b"a"]),
        (tx.zrangebyscore, ("ss", 3, "+inf"), {"start": 1, "num": 5}, [b"b"]),
        (tx.zrem, ("ss", "a"), {}, 1),
        (tx.lpush, ("l", "b", "a"), {}, 2),
        (tx.rpush, ("l", "c"), {}, 3),
        (tx.lset, ("l", 1, "B"), {}, True),
        (tx.lindex, ("l", 1), {}, b"B"),
        (tx.lrange, ("l", 0, -1), {}, [b"a", b"B", b"c"]),
        (tx.lpop, ("l",), {}, b"a"),
        (tx.rpop, ("l", 1), {}, [b"c"]),
        (tx.llen, ("l",), {}, 1),
        (tx.type, ("l",), {}, b"list"),
        (tx.command, ("SET", "raw", 1), {}, b"OK"),
        (tx.command, (b"hgetall", "h"), {}, [b"f", b"5", b"k", b"3"]),
        (tx.exists, ("l", "h", "none"), {}, 2),
        (tx.unlink, ("l", "h"), {}, 2),
        (tx.delete, ("s", "none"), {}, 1),
    ]
    for method, args, options, _ in calls:
        assert method(*args, **options) is tx
    for (method, args, _, wanted), got in zip(calls, tx.execute(), strict=True):
        assert got == wanted, (method.__name__, args)
        assert type(got) is type(wanted), (method.__name__, args)


# At once


def test_transfers_of_many_threads_keep_the_sum(co, store):
    accounts = [f"account:{number}" for number in range(4)]
    for account in accounts:
        store.execute("SET", account, 100)
    failures = []

    def transfer(seed):
        try:
            for step in range(25):
                source, target = accounts[(seed + step) % 4], accounts[(seed * 3 + step + 1) % 4]
                if source != target:
                    with co.transaction() as tx:
                        tx.decrby(source, 1).incrby(target, 1)
                balances = co.snapshot(*accounts)
                assert sum(map(int, balances.values())) == 400
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=transfer, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(map(int, co.snapshot(*accounts).values())) == 400


def test_a_heuristic_is_one_of_two():
    with comity.connect() as co:
        tx = co.transaction().incr("n")
        tx.execute()
        assert co.resolve(tx.id, heuristic="abort") == "committed"
        with pytest.raises(comity.InvalidArgument, match="heuristic"):
            co.resolve(tx.id, heuristic="perhaps")
