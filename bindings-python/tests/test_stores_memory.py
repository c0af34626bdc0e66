"""Several stores in this process: a ring of servers without servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from locks import connect_to, until

import comity
import comity.aio
import comity.testing


@pytest.fixture
def stores(flavour: None) -> dict[str, comity.MemoryStore]:
    return {name: comity.MemoryStore() for name in "abc"}


def on(co: Any, node: str, what: str = "key") -> str:
    """A name that lies on `node`."""
    return next(name for n in range(1000) if co.ring.node(name := f"{what}{n}") == node)


def test_each_key_lies_on_the_store_that_the_ring_says(
    stores: dict[str, comity.MemoryStore],
) -> None:
    with connect_to(stores) as co:
        for name, store in stores.items():
            co.transaction().set(key := on(co, name), name).execute()
            assert store.execute("GET", key) == name.encode()
            assert [s.execute("EXISTS", key) for s in stores.values()].count(1) == 1


def test_a_transaction_goes_to_several_stores(stores: dict[str, comity.MemoryStore]) -> None:
    with connect_to(stores) as co:
        first, second = on(co, "a"), on(co, "b")
        assert co.transaction().incrby(first, -30).incrby(second, 30).execute() == [-30, 30]
        assert co.snapshot(first, second) == {first: b"-30", second: b"30"}


def test_locks_and_counters_of_two_coordinators_meet(stores: dict[str, comity.MemoryStore]) -> None:
    with connect_to(stores) as one, connect_to(dict(reversed(stores.items()))) as other:
        for node in stores:
            name = on(one, node)
            with one.lock(name):
                assert not other.lock(name).acquire(wait=0)
            one.counter(name).add(2)
            other.counter(name).add(3)
            one.counter(name).flush()
            other.counter(name).flush()
            assert one.counter(name).read().value == 5


def test_a_lock_is_handed_over_on_each_store(stores: dict[str, comity.MemoryStore]) -> None:
    with connect_to(stores) as one, connect_to(stores) as other:
        for node in stores:
            held, waiting = one.lock(on(one, node)), other.lock(on(one, node))
            held.acquire()
            thread = threading.Thread(target=waiting.acquire)
            thread.start()
            until(lambda name=held.name: one.inspect(name).waiters_total)
            held.release()
            thread.join(30)
            assert waiting.held
            waiting.release()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: [comity.MemoryStore()], "no addresses"),
        (lambda: {"a": comity.MemoryStore(), "b": object()}, "either of stores"),
        (lambda: {"a": comity.MemoryStore(), b"a": comity.MemoryStore()}, "the same id"),
        (lambda: dict.fromkeys("ab", comity.MemoryStore()), "two ids"),
        (lambda: {"a": comity.MemoryStore(), 1: comity.MemoryStore()}, "the id of a store"),
        (lambda: {name: comity.testing.MemoryStore() for name in "ab"}, "one clock"),
    ],
)
@pytest.mark.parametrize("connect", [comity.connect, comity.aio.connect])
def test_what_is_no_ring_of_stores(
    connect: Callable[[Any], Any], make: Callable[[], Any], words: str
) -> None:
    with pytest.raises(comity.InvalidArgument, match=words):
        connect(make())
