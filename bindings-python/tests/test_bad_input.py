"""Values out of range, clients that cannot serve, servers that will not: the typed error of the
table, in time, and nothing of ours left behind."""

from __future__ import annotations

import asyncio
import math
import socket
import time

import pytest

redis = pytest.importorskip("redis")

import comity  # noqa: E402
import comity.aio  # noqa: E402
import comity.testing  # noqa: E402
from comity import (  # noqa: E402
    InvalidArgument,
    LimitExceeded,
    NoAnswer,
    ServerRefused,
    Unreachable,
    Unsupported,
)

# Values


@pytest.fixture
def nothing_sent(fake):
    """A coordinator over a server to which nothing may be sent."""
    quiet = fake()
    co = comity.connect(quiet.client(), check=False)
    yield co
    assert quiet.accepted == 0
    co.close()


@pytest.mark.parametrize(
    "ttl",
    [0, 0.0, -1, 0.049, 86_401, math.nan, math.inf, -math.inf, True, False, "10", None, 1e300, [1]],
    ids=repr,
)
def test_ttl(nothing_sent, ttl):
    with pytest.raises(InvalidArgument, match="ttl") as caught:
        nothing_sent.lock("a", ttl=ttl)
    assert isinstance(caught.value, ValueError)
    assert "0.05" in str(caught.value) or "seconds" in str(caught.value)


@pytest.mark.parametrize("wait", [-0.001, math.nan, math.inf, True, "1", 1e12], ids=repr)
def test_wait(nothing_sent, wait):
    with pytest.raises(InvalidArgument, match="wait"):
        nothing_sent.lock("a", wait=wait)
    with pytest.raises(InvalidArgument, match="wait"):
        nothing_sent.lock("a").acquire(wait=wait)


@pytest.mark.parametrize("max_hold", [0, -1, math.nan, True, "1"], ids=repr)
def test_max_hold(nothing_sent, max_hold):
    with pytest.raises(InvalidArgument, match="max_hold"):
        nothing_sent.lock("a", max_hold=max_hold)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"renew": 1}, InvalidArgument),
        ({"renew": None}, InvalidArgument),
        ({"label": 5}, InvalidArgument),
        ({"label": "x" * 257}, LimitExceeded),
        ({"on_lost": "print"}, InvalidArgument),
    ],
)
def test_other_options(nothing_sent, options, error):
    with pytest.raises(error, match=next(iter(options))):
        nothing_sent.lock("a", **options).acquire(wait=0)


@pytest.mark.parametrize(
    ("option", "here"),
    [
        ("timeout", "ttl="),
        ("timeout", "wait="),
        ("blocking", "wait=0"),
        ("blocking_timeout", "wait="),
        ("expire", "ttl="),
        ("auto_renewal", "renew="),
    ],
)
def test_options_of_other_locks(nothing_sent, option, here):
    loop = comity.aio.connect()
    for lock in (nothing_sent.lock, loop.lock):
        with pytest.raises(TypeError, match=f"lock\\(\\) has no option '{option}': .*{here}"):
            lock("a", **{option: 1})
        with pytest.raises(TypeError, match="its options are ttl, wait"):
            lock("a", length=1)
    with pytest.raises(TypeError, match=f"acquire\\(\\) has no option '{option}': .*{here}"):
        nothing_sent.lock("a").acquire(**{option: 1})
    with pytest.raises(TypeError, match=f"acquire\\(\\) has no option '{option}': .*{here}"):
        loop.lock("a").acquire(**{option: 1}).send(None)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", InvalidArgument),
        (b"", InvalidArgument),
        ("x" * 513, LimitExceeded),
        ("ä" * 257, LimitExceeded),
        ("\ud800", InvalidArgument),
        (None, InvalidArgument),
        (7, InvalidArgument),
        (bytearray(b"x"), InvalidArgument),
    ],
)
def test_names(nothing_sent, name, error):
    with pytest.raises(error, match="name"):
        nothing_sent.lock(name)
    with pytest.raises(error):
        nothing_sent.inspect(name)
    with pytest.raises(error):
        nothing_sent.fence_check(name, 1)


@pytest.mark.parametrize("fence", [0, -1, 1 << 53, 1.5, True, "1", None], ids=repr)
def test_fences(nothing_sent, fence):
    with pytest.raises(InvalidArgument, match="fence"):
        nothing_sent.fence_check("a", fence)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0}, InvalidArgument),
        ({"timeout": 61}, InvalidArgument),
        ({"timeout": math.nan}, InvalidArgument),
        ({"prefix": "{a}"}, InvalidArgument),
        ({"prefix": "with space"}, InvalidArgument),
        ({"prefix": "x" * 129}, LimitExceeded),
        ({"prefix": None}, InvalidArgument),
        ({"check": "yes"}, InvalidArgument),
        ({"push": 0}, InvalidArgument),
    ],
)
def test_options_of_connect(options, error):
    with pytest.raises(error, match=next(iter(options))):
        comity.connect(**options)


@pytest.mark.parametrize("buffer", [0, -1, 1.5, True, 1 << 30], ids=repr)
def test_event_buffers(nothing_sent, buffer):
    with pytest.raises(InvalidArgument, match="buffer"):
        nothing_sent.events(buffer)


# Clients


def test_what_is_no_client():
    for client in (b"redis://localhost", 6379, object(), print):
        with pytest.raises(Unsupported, match=r"not a redis\.Redis"):
            comity.connect(client)
    with pytest.raises(InvalidArgument, match="begins with redis://"):
        comity.connect("localhost:6379")
    for none in ({}, [], ()):
        with pytest.raises(InvalidArgument, match="no clients"):
            comity.connect(none)
    for odd in ({"a": None}, [None], {1: redis.Redis()}):
        with pytest.raises((Unsupported, InvalidArgument)):
            comity.connect(odd)


def test_clients_that_cannot_be_served():
    import redis.asyncio

    with pytest.raises(Unsupported, match="asyncio"):
        comity.connect(redis.asyncio.Redis())
    with pytest.raises(Unsupported, match="Cluster"):
        comity.connect(object.__new__(redis.RedisCluster))
    with pytest.raises(Unsupported, match="asyncio"):
        comity.connect({"a": redis.Redis(), "b": redis.asyncio.Redis()})
    with pytest.raises(LimitExceeded, match="3"):
        comity.connect(redis.Redis(connection_pool=redis.ConnectionPool(max_connections=2)))


def test_a_list_of_local_addresses_is_warned_about(start):
    one, two = start(), start()
    with pytest.warns(RuntimeWarning, match=r"localhost.*127\.0\.0\.1"):
        co = comity.connect([one.client(), two.client()])
    assert {name for name, _ in co.ring.nodes()} == {
        f"127.0.0.1:{one.port}",
        f"127.0.0.1:{two.port}",
    }
    with co.lock("a"), co.lock("b"), co.lock("c"):
        pass
    co.close()
    with pytest.raises(InvalidArgument, match="same address"):
        comity.connect([one.client(), one.client()])


# Servers


def refused(client, error, *words, timeout=1.0, check=True, **options):
    """What `connect`, and a lock without it, raise for a server; in time, and naming it."""
    caught = []
    if check:
        before = time.monotonic()
        with pytest.raises(error) as info:
            comity.connect(client, timeout=timeout, **options)
        assert time.monotonic() - before < timeout + 20
        caught.append(info.value)
    co = comity.connect(client, check=False, timeout=timeout, **options)
    before = time.monotonic()
    with pytest.raises(error) as info, co.lock("a", wait=30):
        pass
    assert time.monotonic() - before < timeout + 20
    caught.append(info.value)
    before = time.monotonic()
    co.close()
    assert time.monotonic() - before < timeout + 20
    for one in caught:
        for word in words:
            assert word in str(one), one
    return caught


def test_a_server_that_is_down():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        refused(redis.Redis(host="127.0.0.1", port=port), Unreachable, f"127.0.0.1:{port}")


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_server_that_accepts_and_is_silent(fake, protocol):
    refused(fake().client(protocol=protocol), (NoAnswer, Unreachable))


def test_a_server_that_falls_silent_once_connected(fake):
    def talk(peer, data):
        if b"EVAL" not in data:
            peer.sendall(b"+OK\r\n" * data.count(b"*"))

    refused(fake(talk).client(protocol=2), NoAnswer)


def test_a_server_that_is_loading(fake):
    def talk(peer, data):
        peer.sendall(b"-LOADING Redis is loading the dataset in memory\r\n" * data.count(b"*"))

    refused(fake(talk).client(protocol=2), ServerRefused, "LOADING")


def test_a_server_that_has_loaded_by_then(fake):
    asked = []

    def talk(peer, data):
        if b"EVAL" in data:
            asked.append(data)
        text = b"-LOADING Redis is loading the dataset in memory\r\n"
        if len(asked) > 3:
            text = (
                b"*5\r\n$7\r\nCHECKED\r\n$5\r\n7.0.0\r\n$10\r\nnoeviction\r\n$0\r\n\r\n$1\r\n0\r\n"
            )
        if len(asked) > 4:
            # Which ring the server belongs to: none, until it is told the stamp of this one.
            stamp = next((word for word in data.split(b"\r\n") if b".4." in word), b"")
            text = b"*3\r\n$5\r\nSTAMP\r\n$%d\r\n%s\r\n$0\r\n\r\n" % (len(stamp), stamp)
        peer.sendall((text if b"EVAL" in data else b"+OK\r\n") * data.count(b"*"))

    co = comity.connect(fake(talk).client(protocol=2), timeout=3)
    assert len(asked) == 6
    co._session.closed = True
    co._end()


def test_what_does_not_speak_redis(fake):
    client = fake(lambda peer, data: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")).client(
        protocol=2
    )
    refused(client, (NoAnswer, Unreachable))


def test_a_replica(start, traces):
    replica = start("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes")
    refused(replica.client(), ServerRefused, "READONLY", check=False)
    with replica.client() as admin:
        assert traces(admin) == []


def test_a_server_without_memory(start, traces):
    server = start("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    refused(server.client(), ServerRefused, "OOM", check=False)
    with server.client() as admin:
        assert traces(admin) == []


def test_a_server_that_runs_out_of_memory_while_a_lock_is_held(start, traces):
    server = start()
    with server.client() as admin, comity.connect(server.client(), timeout=1) as co:
        with co.lock("a", ttl=2):
            admin.config_set("maxmemory", "1")
        with pytest.raises(ServerRefused, match="OOM"):
            co.lock("b").acquire()
        admin.config_set("maxmemory", "0")
        with co.lock("a", wait=30):
            pass
        assert traces(admin) == []


def test_a_server_that_needs_a_password(start, traces):
    server = start("--requirepass", "secret")
    for protocol in (2, 3):
        refused(server.client(protocol=protocol), ServerRefused, "NOAUTH")
        refused(server.client(protocol=protocol, password="no"), ServerRefused, "WRONGPASS")
    with comity.connect(server.client(password="secret")) as co, co.lock("a"):
        pass
    with server.client(password="secret") as admin:
        assert traces(admin) == []


def user(server, *rules):
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", *rules)
    return server.client(username="app", password="pw")


def test_a_user_who_may_not_run_scripts(start, traces):
    server = start()
    client = user(server, "~*", "&*", "+@all", "-@scripting")
    refused(client, ServerRefused, "NOPERM")
    with server.client() as admin:
        assert traces(admin) == []
        assert list(admin.scan_iter()) == []


def test_a_user_who_may_not_touch_our_keys(start, traces):
    server = start()
    client = user(server, "~other:*", "&*", "+@all")
    refused(client, ServerRefused, check=False)
    with server.client() as admin:
        assert traces(admin) == []


def test_a_user_who_may_not_use_our_channel(start, traces):
    server = start()
    client = user(server, "~comity:*", "resetchannels", "+@all")
    with pytest.raises(ServerRefused, match="channel"):
        comity.connect(client, timeout=1)
    with comity.connect(client, push=False) as co, co.lock("a"):
        assert not co.lock("a").acquire(wait=0.2)
    with server.client() as admin:
        assert traces(admin) == []


def test_waiting_works_where_pushes_turn_out_to_be_forbidden(start):
    import threading

    server = start()
    client = user(server, "~comity:*", "resetchannels", "+@all")
    with comity.connect(client, check=False) as co:
        events = co.events()
        lock = co.lock("a")
        with co.lock("a"):
            waiter = threading.Thread(target=lock.acquire)
            waiter.start()
            while (event := events.get(30)).kind != "push_unavailable":
                pass
            assert isinstance(event.error, ServerRefused)
        waiter.join(40)
        assert lock.held
        lock.release()


def test_a_key_that_is_not_ours(server):
    with comity.connect(server.client()) as co, server.client() as admin:
        with co.lock("a"):
            (key,) = admin.keys("*lock*")
        admin.delete(key)
        admin.lpush(key, "something else")
        with pytest.raises(comity.WrongType):
            co.lock("a").acquire()
        assert admin.lrange(key, 0, -1) == [b"something else"]


def test_a_server_that_evicts_is_warned_about(start, caplog):
    server = start("--maxmemory-policy", "allkeys-lru")
    with pytest.warns(RuntimeWarning, match="allkeys-lru"):
        co = comity.connect(server.client())
    co.close()
    assert "noeviction" in caplog.text


def test_only_the_broken_one_of_several_is_named(start):
    good = start()
    clients = {"good": good.client(), "broken": redis.Redis(host="127.0.0.1", port=1)}
    with pytest.raises(Unreachable, match="broken"):
        comity.connect(clients, timeout=1)


# What no message can quote, and what has no bytes

LONE = "a\ud800"
HUGE = 10**5000
"""More digits than Python writes."""


@pytest.mark.parametrize(
    "verb",
    [
        lambda co: co.lock("a", ttl=HUGE),
        lambda co: co.lock("a", wait=HUGE),
        lambda co: co.lock("a", renew=HUGE),
        lambda co: co.fence_check("a", HUGE),
        lambda co: co.events(HUGE),
        lambda co: co.counter("a", durability=comity.Batched(HUGE)),
        lambda co: co.counter("a", durability=comity.Batched(0.1, HUGE)),
        lambda co: co.counter("a", durability=HUGE),
        lambda co: co.counter("a").read(at_least=HUGE),
        lambda co: co.counter("a").read(at_least=-1),
        lambda co: co.counter("a").read(at_least="1"),
        lambda co: co.counter("a").reset(epoch=HUGE),
        lambda co: co.counter("a").audit(prune=HUGE),
        lambda co: co.transaction(timeout=HUGE),
        lambda co: co.transaction(ack=HUGE),
        lambda co: co.transaction(copy_bytes=HUGE),
        lambda co: co.transaction(durability=comity.Wait(replicas=HUGE)),
        lambda co: co.transaction().set("a", HUGE),
        lambda co: co.transaction().incr("a", HUGE),
        lambda co: co.transaction().expire("a", HUGE),
        lambda co: co.run_transaction(lambda tx: None, attempts=HUGE),
        lambda _: comity.connect(timeout=HUGE),
        lambda _: comity.MemoryStore().execute("SET", "a", HUGE),
        lambda _: comity.testing.MemoryStore().advance(HUGE),
        lambda _: comity.testing.stores(HUGE),
        lambda _: comity.testing.stores(None),
        lambda _: comity.testing.stores(["a"]),
        lambda _: comity.testing.stores(LONE),
        lambda _: comity.close_on_signal(HUGE),
        lambda _: comity.Ring(["a"], seed=HUGE),
        lambda _: comity.Ring(["a"], seed=-1),
        lambda _: comity.Ring(["a"], points_per_weight=HUGE),
        lambda _: comity.Ring([("a", HUGE)]),
        lambda _: comity.Ring({"a": HUGE}),
        lambda _: comity.Ring({"a": redis.Redis()}),
        lambda _: comity.Ring(5),
        lambda _: comity.Ring([LONE]),
        lambda _: comity.Ring({LONE: 1}),
        lambda _: comity.Ring(["a"]).node(LONE),
        lambda _: comity.Ring(["a"]).replicas(LONE, 1),
        lambda _: comity.Ring(["a"]).replicas("a", HUGE),
        lambda _: comity.Ring(["a"]).replicas("a", -1),
        lambda _: comity.Ring(["a"]).with_node(LONE),
        lambda co: co.lock(LONE),
        lambda co: co.counter(LONE),
        lambda co: co.transaction().set(LONE, 1),
        lambda co: co.inspect(LONE),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(verb):
    with comity.connect() as co, pytest.raises(InvalidArgument) as caught:
        verb(co)
    assert len(str(caught.value)) < 400
    assert "int string conversion" not in str(caught.value).partition(":")[0]


def test_a_ring_of_a_dict_has_its_weights():
    ring = comity.Ring({"a": 5, "b": 1})
    assert ring.nodes() == [("a", 5), ("b", 1)]
    assert ring == comity.Ring([("a", 5), ("b", 1)])


@pytest.mark.parametrize("connect", [comity.connect, comity.aio.connect])
def test_a_warning_is_about_the_line_that_calls(connect):
    clients = [redis.Redis(port=1), redis.Redis(port=2)]
    if connect is comity.aio.connect:
        clients = [redis.asyncio.Redis(port=1), redis.asyncio.Redis(port=2)]
    with pytest.warns(RuntimeWarning, match="mean something else") as told:
        co = connect(clients, check=False)
    assert told[0].filename == __file__
    if connect is comity.connect:
        co.close()


def test_a_warning_of_eviction_is_about_the_line_that_calls(start):
    server = start("--maxmemory-policy", "allkeys-lru")
    with pytest.warns(RuntimeWarning, match="evicts keys") as told:
        comity.connect(server.client()).close()

    async def main():
        async with comity.aio.connect(redis.asyncio.Redis(port=server.port)):
            pass
        co = comity.aio.connect(redis.asyncio.Redis(port=server.port))
        await co.inspect("a")
        await co.close()

    with pytest.warns(RuntimeWarning, match="evicts keys") as more:
        asyncio.run(main())
    assert {one.filename for one in [*told, *more] if "evicts" in str(one.message)} == {__file__}


def test_a_damaged_stamp_is_called_that(start):
    server = start()
    comity.connect(server.client()).close()
    with server.client() as admin:
        (meta,) = [key for key in admin.keys("*") if admin.hexists(key, "e")]
        admin.hset(meta, "e", "torn in tw")
    with pytest.raises(comity.RingMismatch, match="'torn in tw' for its stamp") as told:
        comity.connect(server.client())
    assert "one server alone" not in str(told.value)
