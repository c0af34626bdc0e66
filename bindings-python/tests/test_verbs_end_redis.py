"""Every verb ends within the timeout, and says what it was, whatever a server answers: with damaged
bytes, with something that is none of comity's answers, with an error, with nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import locks
import pytest
from faults import ALWAYS, ANSWER, CUT_AFTER, DELAY_AFTER, HELD, SWALLOW
from locks import asks, connect, connect_to, keep, until

import comity

redis = pytest.importorskip("redis")

pytestmark = pytest.mark.usefixtures("flavour")

DAMAGED = b"!nothing that Redis says\r\n"
FOREIGN = b"$4\r\nwhat\r\n"
REFUSED = b"-NOPERM this user has no permissions\r\n"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"

ANSWERS: dict[str, tuple[str, bytes, type[comity.Error]]] = {
    "damaged bytes": (ANSWER, DAMAGED, comity.NoAnswer),
    "none of ours": (ANSWER, FOREIGN, comity.Unsupported),
    "a refusal": (ANSWER, REFUSED, comity.ServerRefused),
    "a refusal that passes": (ANSWER, LOADING, comity.ServerRefused),
    "nothing": (SWALLOW, b"", comity.NoAnswer),
    "an end": (CUT_AFTER, b"", comity.NoAnswer),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_renewal_that_fails_ends_in_time_and_leaves_the_lease(proxy, answer):
    action, replied, error = ANSWERS[answer]
    with connect(proxy.port) as co:
        lock = keep(co.lock("x", ttl=600))
        assert lock.acquire()
        until = lock.valid_until
        proxy.rule(action, asks(b"REN"), ALWAYS, answer=replied)
        with pytest.raises(comity.Error) as caught:
            lock.extend(60)
        assert type(caught.value) is error
        assert caught.value.lock_name == "x"
        assert caught.value.server in str(caught.value)
        if replied.startswith(b"-"):
            assert replied[1:-2].decode() in str(caught.value)
        assert lock.held
        assert lock.valid_until == until
        proxy.calm()
        lock.extend(1200)
        assert lock.remaining > 1000
        lock.release()


def test_the_answer_to_an_earlier_renewal_confirms_none_that_was_asked_for_since(proxy):
    with connect(proxy.port) as co:
        lock = keep(co.lock("x", ttl=600))
        assert lock.acquire()
        proxy.rule(DELAY_AFTER, asks(b"REN"), seconds=HELD)
        proxy.rule(SWALLOW, asks(b"REN"), ALWAYS)
        with ThreadPoolExecutor(2) as threads:
            earlier = threads.submit(lock.extend)
            until(lambda: proxy.held == 1)
            longer = threads.submit(lock.extend, 1200)
            # On a busy machine it may begin only when the first is answered, with success.
            time.sleep(0.1)
            proxy.free()
            with pytest.raises(comity.NoAnswer):
                longer.result()
            assert type(earlier.exception()) in (comity.NoAnswer, type(None))
        assert lock.held
        assert lock.remaining < 600
        proxy.calm()
        lock.extend(1200)
        assert lock.remaining > 1000
        lock.release()


def test_a_handle_may_be_extended_by_several_at_once(proxy):
    with connect(proxy.port) as co:
        lock = keep(co.lock("x", ttl=600))
        assert lock.acquire()
        proxy.delay = 0.05
        with ThreadPoolExecutor(4) as threads:
            for extended in [threads.submit(lock.extend, 1200) for _ in range(12)]:
                extended.result(60)
        assert lock.remaining > 1000
        lock.release()


def test_a_renewal_that_is_never_sent_is_unreachable(proxy):
    with connect(proxy.port) as co:
        lock = keep(co.lock("x", ttl=600, renew=False))
        assert lock.acquire()
        proxy.close()
        with pytest.raises(comity.Error):
            co.inspect("x")  # which finds that the connection is gone
        with pytest.raises(comity.Unreachable) as caught:
            lock.extend()
        assert caught.value.__cause__ is not None
        assert lock.held


def transact(co: Any) -> None:
    with co.transaction() as tx:
        tx.incrby("x", 1)


def count(co: Any) -> None:
    counter = co.counter("hits")
    counter.add(1)
    counter.flush()


VERBS: dict[str, Callable[[Any], object]] = {
    "acquire": lambda co: keep(co.lock("x")).acquire(),
    "inspect": lambda co: co.inspect("x"),
    "fence_check": lambda co: co.fence_check("x", 7),
    "read": lambda co: co.counter("hits").read(),
    "flush": count,
    "reset": lambda co: co.counter("hits").reset(),
    "audit": lambda co: co.counter("hits").audit(),
    "transaction": transact,
    "status": lambda co: co.transaction_status("0123456789abcdef.00.0000000000000001@0"),
    "resolve": lambda co: co.resolve("0123456789abcdef.00.0000000000000001@0"),
    "sweep": lambda co: co.sweep(),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_ends(proxy, verb, answer):
    action, replied, error = ANSWERS[answer]
    with connect(proxy.port) as co:
        proxy.rule(action, lambda words: words[0] != b"CLIENT", ALWAYS, answer=replied)
        with pytest.raises(comity.Error) as caught:
            VERBS[verb](co)
        # Where all is silent, no connection can be made either.
        assert isinstance(caught.value, (error, comity.Unreachable, comity.OutcomeUnknown))
        proxy.calm()


@pytest.fixture
def stuck(server: Any) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A client whose connections are not made before it is told so, and how to tell it."""
    from redis.asyncio import Connection as OnALoop

    go = threading.Event()

    class Slow(redis.Connection):  # type: ignore[misc]
        def connect(self) -> None:
            go.wait()
            super().connect()

    class SlowOnALoop(OnALoop):  # type: ignore[misc]
        async def connect(self) -> None:
            while not go.is_set():
                await asyncio.sleep(0.01)
            await super().connect()

    where = {"host": "127.0.0.1", "port": server.port}
    if locks.ON_A_LOOP[0]:
        pool: Any = redis.asyncio.ConnectionPool(connection_class=SlowOnALoop, **where)
        yield redis.asyncio.Redis(connection_pool=pool), go.set
    else:
        pool = redis.ConnectionPool(connection_class=Slow, **where)
        yield redis.Redis(connection_pool=pool), go.set
    go.set()


SHORT: dict[str, Callable[[Any], object]] = {
    **VERBS,
    "acquire for a moment": lambda co: keep(co.lock("x", wait=0.1)).acquire(),
    "transaction for a moment": lambda co: co.transaction(timeout=0.1).incr("x").execute(),
    "snapshot": lambda co: co.snapshot("x", timeout=0.1),
}


@pytest.mark.parametrize("verb", SHORT)
def test_no_verb_waits_for_a_connection_beyond_its_time(stuck, verb):
    client, go = stuck
    with connect_to(client, timeout=1, check=False) as co:
        came: list[Any] = []

        def call() -> None:
            try:
                came.append(SHORT[verb](co))
            except comity.Error as error:
                came.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(40)
        assert came, "it waits"
        assert came == [False] or isinstance(came[0], comity.Error), came
        # The connecting goes on, for whoever comes.
        go()
        assert keep(co.lock("x", wait=30)).acquire()
