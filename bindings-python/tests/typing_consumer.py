"""What a user's strictly typed program does with comity. Checked, never run."""

from __future__ import annotations

from typing import Any

import redis
from typing_extensions import assert_type

import comity
import comity.aio
from comity import core


def use() -> None:
    """Every public name, with the types it should have."""
    with comity.connect() as co:
        assert_type(co, comity.Coordinator)
    comity.connect(redis.Redis(), prefix=b"p:", timeout=1, check=False, push=False).close()
    comity.connect({"a": redis.Redis()}).close()
    comity.connect([redis.Redis()]).close()
    store = comity.MemoryStore()
    assert_type(store.execute("SET", b"key", 1, "PX", 1.5), bytes | int | list[Any] | None)
    store.execute("GET", None)  # type: ignore[arg-type]
    co = comity.connect(store)
    lock = co.lock(b"name", ttl=5, wait=None, renew=True, max_hold=60, label="me", on_lost=told)
    assert_type(lock, comity.Lock)
    assert_type(lock.acquire(wait=0), bool)
    assert_type(lock.acquire(), bool)
    with lock as held:
        assert_type(held, comity.Lock)
        assert_type(held.fence, int)
        assert_type(held.valid_until, float)
        assert_type(held.remaining, float)
        assert_type(held.lost, bool)
        assert_type(held.held, bool)
        assert_type(held.name, str | bytes)
        held.check()
        held.extend(5.0)
    lock.release()
    seen = co.inspect("name")
    assert_type(seen, comity.Inspection)
    assert_type(seen.holders, tuple[comity.Holder, ...])
    assert_type(seen.waiters[0].label, bytes)
    assert_type(co.fence_check("file", 1), bool)
    assert_type(co.ring, comity.Ring)
    assert_type(co.ring.node("key"), str | bytes | None)
    assert_type(co.ring.replicas("key", 3), list[str | bytes])
    assert_type(co.ring.with_node("b", 2).without_node("a"), comity.Ring)
    for event in co.events():
        assert_type(event, comity.Event)
        assert_type(event.fence, int | None)
        assert_type(event.error, Exception | None)
    assert_type(co.events().get(1.0), comity.Event | None)
    assert_type(co.stats(), dict[str, int])
    assert_type(comity.clock(), float)
    try:
        lock.check()
    except comity.LockLost as error:
        assert_type(error.code, int)
        assert_type(error.lock_name, str | bytes | None)
    except comity.Error as error:
        assert_type(error.holder, bytes | None)


def count(co: comity.Coordinator) -> None:
    """The counter."""
    hits = co.counter("hits", durability=comity.Batched(0.01, max_units=100))
    assert_type(hits, comity.Counter)
    assert_type(hits.add(), None)
    assert_type(hits.value(), int)
    assert_type(hits.read("local").staleness, float | None)
    assert_type(hits.read(at_least=hits.read().token), comity.CounterValue)
    assert_type(hits.audit(prune=60.0), comity.CounterAudit)
    assert_type(hits.snapshot(), bytes)
    hits.add(1.5)  # type: ignore[arg-type]
    hits.read("newest")  # type: ignore[arg-type]
    co.counter("hits", durability="safe")  # type: ignore[arg-type]
    co.counter("hits", durability=comity.Journaled(print), restore=b"")
    assert_type(comity.PNCounter.restore(b"").slots(), dict[bytes, tuple[int, int]])


async def count_on_a_loop(co: comity.aio.Coordinator) -> None:
    """The same, awaited."""
    hits = co.counter("hits")
    assert_type(hits.add(1), None)
    assert_type(await hits.read(), comity.CounterValue)
    assert_type(await hits.reset(), int)


def told(lock: comity.Lock) -> None:
    """What `on_lost` is given."""
    assert_type(lock, comity.Lock)


def drive(coordinator: core.Coordinator, now: int) -> None:
    """The core as it is."""
    command = coordinator.poll_command()
    if command is not None:
        assert_type(command.argv, list[bytes])
        coordinator.handle_reply(command.request, core.ErrorReply(b"ERR no"), now)
        coordinator.handle_failure(command.request, "not_sent", now)
    coordinator.handle_failure(1, "lost", now)  # type: ignore[arg-type]
    coordinator.lock_acquire("name", now)  # type: ignore[arg-type]
    assert_type(coordinator.next_deadline(), int | None)
