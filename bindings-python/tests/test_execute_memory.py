"""`MemoryStore.execute`: Redis commands without a server, with redis-py's raw replies."""

from __future__ import annotations

import doctest
import enum
import re
from pathlib import Path

import pytest

import comity
from comity import memory
from comity.testing import MemoryStore

CALLS = [
    ("SET", "k", "v"),
    ("SET", "k", "w", "GET"),
    ("GET", b"k"),
    ("GET", "none"),
    ("SET", "\u00e9", memoryview(b"\xff\0\r\n")),
    ("GET", "\u00e9"),
    ("set", "n", 41),
    ("INCR", "n"),
    ("INCRBYFLOAT", "n", 0.1),
    ("INCRBYFLOAT", "n", 1e-05),
    ("APPEND", "n", ""),
    ("MGET", "k", "none", "n"),
    ("DEL", "k", "none"),
    ("TYPE", "n"),
    ("RENAME", "n", "m"),
    ("COPY", "m", "n"),
    ("TTL", "n"),
    ("HSET", "h", "f", 1, "g", -2.5),
    ("HGETALL", "h"),
    ("HMGET", "h", "f", "x"),
    ("SADD", "s", 3, 1, 2),
    ("SMEMBERS", "s"),
    ("RPUSH", "l", "a", "b"),
    ("LRANGE", "l", 0, -1),
    ("LPOP", "l", 5),
    ("LPOP", "l"),
    ("ZADD", "z", 0.1, "a", float("inf"), "b", 10**15, "c"),
    ("ZRANGE", "z", 0, -1, "WITHSCORES"),
    ("ZRANGEBYSCORE", "z", "(0.1", "+inf"),
    ("ZRANK", "z", "none"),
    ("SET", "k2", "x"),
    ("PING",),
]

REFUSED = [
    ("INCR", "h"),
    ("HGET", "k2", "f"),
    ("GET",),
    ("SET", "k2", "v", "EX", 0),
    ("INCRBY", "k2", "x"),
    ("RENAME", "none", "other"),
    ("LSET", "none", 0, "x"),
]


def test_replies_and_errors_are_those_of_redis_py(shared):
    redis = pytest.importorskip("redis")
    store = comity.MemoryStore()
    with shared.client(protocol=2) as client:
        client.flushall()
        client.response_callbacks.clear()
        for call in CALLS:
            assert store.execute(*call) == client.execute_command(*call), call
        for call in REFUSED:
            with pytest.raises(redis.ResponseError) as real:
                client.execute_command(*call)
            with pytest.raises(comity.Error) as ours:
                store.execute(*call)
            # redis-py takes the code word off where it is ERR.
            assert str(ours.value).removeprefix("ERR ") == str(real.value), call
        client.flushall()


def test_error_replies_are_raised_and_nothing_has_changed():
    store = comity.MemoryStore()
    store.execute("HSET", "h", "f", 1)
    with pytest.raises(comity.WrongType, match=r"^WRONGTYPE Operation against a key") as wrong:
        store.execute("APPEND", "h", "x")
    assert isinstance(wrong.value, TypeError)
    with pytest.raises(comity.ServerRefused, match=r"^ERR value is not an integer"):
        store.execute("HINCRBY", "h", "f", 1.5)
    with pytest.raises(comity.ServerRefused, match="'BLPOP' is unsupported by the embedded store"):
        store.execute("blpop", "l", 0)
    assert store.execute("HGETALL", "h") == [b"f", b"1"]
    assert store.execute("EXISTS", "l") == 0


@pytest.mark.parametrize("word", [None, True, [1], {"a": 1}, bytearray(b"x"), 1j, object()])
def test_a_word_of_another_type_is_named(word):
    store = comity.MemoryStore()
    with pytest.raises(comity.InvalidArgument, match="word 2 must be str, bytes, int or float"):
        store.execute("SET", "k", word)
    with pytest.raises(comity.InvalidArgument, match=type(word).__name__):
        store.execute("SET", "k", word)
    assert store.execute("EXISTS", "k") == 0


def test_there_has_to_be_a_command_and_text_has_to_be_unicode():
    store = comity.MemoryStore()
    with pytest.raises(comity.InvalidArgument, match="name of a command"):
        store.execute()
    with pytest.raises(comity.InvalidArgument, match="word 1 is not valid Unicode"):
        store.execute("GET", "\ud800")


def test_subclasses_of_numbers_are_numbers():
    class Size(enum.IntEnum):
        LARGE = 3

    store = comity.MemoryStore()
    store.execute("SET", "k", Size.LARGE)
    assert store.execute("GET", "k") == b"3"


def test_expiry_goes_by_the_clock_that_the_test_moves():
    store = MemoryStore()
    store.execute("SET", "k", "v", "PX", 1500)
    assert store.execute("PTTL", "k") == 1500
    store.advance(1.4)
    assert store.execute("PTTL", "k") == 100
    seconds = int(store.execute("TIME")[0])
    store.execute("EXPIREAT", "k", seconds + 10)
    store.advance(9)
    assert store.execute("EXISTS", "k") == 1
    store.advance(1)
    assert store.execute("EXISTS", "k") == 0


def test_locks_and_other_keys_share_the_store():
    store = MemoryStore()
    key = "comity:1:lock:{a}"
    with comity.connect(store) as co:
        lock = co.lock("a")
        lock.acquire()
        assert store.execute("TYPE", key) == b"string"
        store.execute("DEL", key)
        store.execute("HSET", key, "field", "value")
        with pytest.raises(comity.LockLost, match="overwritten with another type"):
            lock.release()


def test_the_examples_say_what_is_so(capsys):
    found = doctest.testmod(memory)
    assert (found.failed, found.attempted > 3) == (0, True)
    page = (Path(__file__).parents[2] / "docs" / "embedded-store.md").read_text(encoding="utf-8")
    source, printed = re.findall(r"^```(?:python|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(source, {})
    assert capsys.readouterr().out == printed
