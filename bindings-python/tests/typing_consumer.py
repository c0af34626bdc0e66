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
    assert_type(co.ring, comity.Ring[str])
    assert_type(co.ring.node("key"), str | None)
    assert_type(co.ring.replicas("key", 3), list[str])
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


def place() -> None:
    """The ring: its ids are what they were given as."""
    ring = comity.Ring(["a", ("b", 2)])
    assert_type(ring.node(b"key"), str | None)
    assert_type(ring.with_node("c", 2).with_weight("c", 1).without_node("a"), comity.Ring[str])
    assert_type(comity.Ring([b"a"]).replicas("key", 3), list[bytes])
    empty: comity.Ring = comity.Ring()
    assert_type(empty.nodes(), list[tuple[str, int]])
    assert_type(ring.moved_share(comity.Ring([b"a"])), float)
    comity.Ring([1])  # type: ignore[list-item]


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


def transact(co: comity.Coordinator) -> None:
    """The transaction."""
    durable = co.transaction(durability=comity.Wait(replicas=1, timeout=0.5))
    reached: int | None = durable.replicas
    print(reached)
    tx = co.transaction(ack="decided", timeout=1, patience=2.5, copy_elements=10, copy_bytes=10)
    assert_type(tx, comity.Transaction)
    chained = tx.incrby("alice", -30).set(b"bob", 1.5, ex=10).zadd("z", {"a": 1})
    assert_type(chained, comity.Transaction)
    assert_type(tx.check("a", value=b"1").check("b", absent=True), comity.Transaction)
    assert_type(tx.execute(), list[Any])
    assert_type(tx.results, list[Any] | None)
    assert_type(tx.id, bytes | None)
    assert_type(len(tx), int)
    mark = tx.savepoint()
    assert_type(mark, comity.Savepoint)
    tx.rollback(mark)
    tx.rollback()
    tx.watch("a", b"b", 3)
    assert_type(tx.get("a"), Any)
    tx.multi()
    with co.transaction() as block:
        assert_type(block, comity.Transaction)
        block.command("XADD", "stream", "*", "field", 1)
    tx.set("a", None)  # type: ignore[arg-type]
    co.transaction(ack="soon")  # type: ignore[arg-type]
    assert_type(co.snapshot("a", b"b"), dict[Any, bytes | None])
    co.run_transaction(lambda tx: tx.incr("a"), "a", attempts=3, value_from_callable=True)
    try:
        tx.execute()
    except comity.OutcomeUnknown as error:
        assert_type(error.transaction_id, bytes | None)
        if co.resolve(error.transaction_id or "") == "committed":
            return
    if co.transaction_status(b"id") == "done":  # type: ignore[comparison-overlap]
        return


async def transact_on_a_loop(co: comity.aio.Coordinator) -> None:
    """The same, awaited."""
    tx = co.transaction()
    assert_type(tx.incr("a").decr("b"), comity.aio.Transaction)
    assert_type(await tx.execute(), list[Any])
    await tx.watch("a")
    assert_type(await tx.get("a"), Any)
    async with co.transaction() as block:
        assert_type(block, comity.aio.Transaction)
    assert_type(await co.snapshot("a"), dict[Any, bytes | None])


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
