"""A lease that was lost is `LockLost` wherever it is noticed, and stays lost; what is taken twice,
or held by oneself, says so."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from locks import ON_A_LOOP, connect_to, line, until

import comity
import comity.aio
from comity.testing import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def stall(store: MemoryStore, seconds: float = 11) -> None:
    """Time passes, and nobody is told: as when the process was stopped."""
    store._clock._time += round(seconds * 1e6)


def is_lost(caught: Any, name: str = "job") -> None:
    error = caught.value
    assert type(error) is comity.LockLost
    assert error.lock_name == name
    assert f"'{name}'" in str(error)
    assert error.server == "memory"


VERBS: dict[str, Callable[[Any], object]] = {
    "release": lambda lock: lock.release(),
    "extend": lambda lock: lock.extend(),
    "extend by": lambda lock: lock.extend(5.0),
    "check": lambda lock: lock.check(),
    "the end of the block": lambda lock: lock.__exit__(None, None, None),
}


@pytest.mark.usefixtures("flavour")
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_that_it_is_lost(store, verb, told):
    heard: list[Any] = []
    with connect_to(store) as co:
        lock = co.lock("job", ttl=10, renew=False, on_lost=heard.append)
        lock.acquire()
        store.advance(11) if told else stall(store)
        with pytest.raises(comity.LockLost) as caught:
            VERBS[verb](lock)
        if verb != "check" or told:
            is_lost(caught)
            until(lambda: heard)
        else:
            # A renewal may be answered yet, by what has arrived and was not read.
            assert "not proven any more" in str(caught.value)
        assert lock.lost
        assert not lock.held
        if verb.startswith("extend") or verb == "check":
            with pytest.raises(comity.LockLost):
                lock.release()
        assert lock.lost
        # It can be used again, and is what it then is.
        assert lock.acquire(wait=30)
        assert not lock.lost
        lock.release()
        assert not lock.lost


@pytest.mark.usefixtures("flavour")
def test_it_stays_lost_once_that_was_told_and_after_a_close(store):
    with connect_to(store) as co:
        lock = co.lock("job", ttl=10, renew=False)
        with pytest.raises(comity.NotHeld):
            lock.release()
        lock.acquire()
        store.advance(11)
        for closes in (False, True):
            if closes and ON_A_LOOP[0]:
                break  # the loop of the tests ends with the coordinator
            if closes:
                co.close()
            for name, verb in VERBS.items():
                if name == "the end of the block":
                    continue  # in which it was released
                with pytest.raises(comity.LockLost) as caught:
                    verb(lock)
                is_lost(caught)
                assert lock.lost


@pytest.mark.parametrize("told", [False, True])
def test_a_cancelled_body_ends_in_lock_lost(store, told):
    async def main() -> None:
        async with comity.aio.connect(store) as co:
            ended: list[str] = []
            with pytest.raises(comity.LockLost) as caught:
                async with co.lock("job", ttl=10, renew=False, on_lost="cancel"):
                    if told:
                        store.advance(11)
                        try:
                            await asyncio.sleep(60)
                        except asyncio.CancelledError:
                            ended.append("cancelled")
                            raise
                    stall(store)
            is_lost(caught)
            assert ended == (["cancelled"] if told else [])

    asyncio.run(main())


STOPPED = """
import asyncio, sys
import comity, comity.aio, redis, redis.asyncio

def threads(port):
    co = comity.connect(redis.Redis(port=port))
    heard = []
    lock = co.lock("job", ttl=0.5, on_lost=lambda lock: heard.append(lock.lost))
    try:
        with lock:
            print("in", flush=True)
            sys.stdin.readline()
        return "nothing"
    except comity.Error as error:
        return f"{type(error).__name__} {error.lock_name} {error.server} {lock.lost}"

async def loop(port):
    async with comity.aio.connect(redis.asyncio.Redis(port=port)) as co:
        lock = co.lock("job", ttl=0.5)
        try:
            async with lock:
                print("in", flush=True)
                sys.stdin.readline()
            return "nothing"
        except comity.Error as error:
            return f"{type(error).__name__} {error.lock_name} {error.server} {lock.lost}"

port = int(sys.argv[2])
print(threads(port) if sys.argv[1] == "threads" else asyncio.run(loop(port)), flush=True)
"""


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_a_process_that_was_stopped(kind, server, script):
    process = script(STOPPED, kind, server.port)
    assert line(process) == "in"
    os.kill(process.pid, signal.SIGSTOP)
    with comity.connect(server.client()) as co:
        with co.lock("job"):  # which it is granted once the other's lease is over
            pass
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        said = line(process)
    assert said.startswith("LockLost job "), said
    assert said.endswith(f"{server.port} True"), said


# Taken twice


@pytest.mark.usefixtures("flavour")
def test_a_handle_that_is_taken_twice_says_so(store):
    with connect_to(store) as co:
        lock = co.lock("job")
        with lock:
            for again in (lock.acquire, lock.__enter__, lambda: lock.acquire(wait=0)):
                with pytest.raises(comity.InvalidState, match="holds it already: it is not"):
                    again()
            assert lock.held
        assert lock.acquire(wait=0)


@pytest.mark.usefixtures("flavour")
def test_who_stands_in_its_own_way_is_told(store):
    with connect_to(store) as co, connect_to(store) as other:
        with co.lock("job", label="me"):
            with pytest.raises(comity.LockTimeout) as caught, co.lock("job", wait=0):
                pass
            assert "held by this very process, by another handle" in str(caught.value)
            assert caught.value.holder == b"me"
            with pytest.raises(comity.LockTimeout) as caught, other.lock("job", wait=0):
                pass
            assert str(caught.value).endswith("held by me")
        with other.lock("job", label=""), pytest.raises(comity.LockTimeout) as caught:
            with co.lock("job", wait=0):
                pass
        assert str(caught.value).endswith("held by somebody else")


AFTER = ("check", "extend", "release", "extend", "check")


@pytest.mark.parametrize("first", ["check", "extend", "release"])
def test_what_is_held_at_a_close_is_lost(first):
    co = comity.connect()
    lock, other = co.lock("invoice:42"), co.lock("b")
    lock.acquire()
    other.acquire()
    other.release()
    co.close()
    for name in (first, *AFTER):
        with pytest.raises(comity.LockLost, match="was given back when the coordinator") as told:
            getattr(lock, name)()
        is_lost(told, "invoice:42")
        assert lock.lost
        assert not lock.held
        with pytest.raises(comity.NotHeld):  # it was released before
            getattr(other, name)()
    with pytest.raises(comity.Closed):
        lock.acquire()


@pytest.mark.parametrize("first", ["check", "extend", "release"])
def test_what_is_held_at_a_close_is_lost_on_a_loop(first):
    async def main():
        co = comity.aio.connect()
        lock = co.lock("invoice:42")
        await lock.acquire()
        await co.close()
        for name in (first, *AFTER):
            with pytest.raises(comity.LockLost, match="was given back when the coord") as told:
                result = getattr(lock, name)()
                if result is not None:
                    await result
            is_lost(told, "invoice:42")
            assert lock.lost
        with pytest.raises(comity.Closed):
            await lock.acquire()

    asyncio.run(main())


def test_so_is_what_the_server_did_not_confirm(start):
    server = start()
    co = comity.connect(server.client(), timeout=1)
    with pytest.raises(comity.LockLost, match="'a' was given back"), co.lock("a") as held:
        server.kill()
        co.close()
        assert held.lost
        held.release()

    async def main():
        server.start()
        co = comity.aio.connect(redis.asyncio.Redis(port=server.port), timeout=1)
        with pytest.raises(comity.LockLost, match="'a' was given back"):
            async with co.lock("a") as held:
                server.kill()
                await co.close()
                assert held.lost

    asyncio.run(main())


def test_a_finalizer_after_the_exit_is_silent():
    script = """
import atexit, gc
atexit.register(gc.collect)  # after comity's own, before the interpreter is taken apart
import comity
co = comity.connect()
class Holder:
    def __init__(self):
        self.me = self  # the collector finds it at the end
        self.lock = co.lock(str(id(self)))
        assert self.lock.acquire()
    def __del__(self):
        self.lock.release()
        print("given back")
gc.disable()
Holder()
last = Holder()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == 2 * "given back\n"
    assert ran.stderr == ""
