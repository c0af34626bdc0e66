"""The counter on the embedded store: what is counted, refused, restored and told."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading

import pytest
from counters import key
from locks import until, warned

import comity
import comity.aio
from comity.testing import MemoryStore

TOP = 2**64 - 1
KEY = key("hits")


@pytest.fixture
def co():
    with comity.connect() as coordinator:
        yield coordinator


def test_counting(co):
    hits = co.counter("hits")
    hits.add()
    hits.add(5)
    hits.add(-2)
    hits.add(0)
    hits.add(True)
    hits.add_many(n for n in (1, 2, -10))
    assert hits.value() == -2
    hits.flush()
    assert hits.read().value == -2
    assert hits.name == "hits"
    assert co.counter("hits").value() == -2
    assert co.counter(b"\xff").name == b"\xff"


def test_numbers_of_any_size_are_exact_or_refused(co):
    hits = co.counter("hits")
    hits.add(2**53 + 1)
    hits.add(-(2**63))
    hits.add(2**63)
    assert hits.value() == 2**53 + 1
    hits.add(TOP - 2**63 - 2**53 - 1)
    for one_more in (1, 2**63, TOP, 2**64, 2**200):
        with pytest.raises(comity.CounterOverflow):
            hits.add(one_more)
        with pytest.raises(comity.CounterOverflow):
            hits.add_many([-1, one_more])
    with pytest.raises(comity.CounterOverflow):
        hits.add(-(2**64))
    assert hits.value() == TOP - 2**63
    hits.add(-(2**63 - 1))
    with pytest.raises(OverflowError):
        hits.add(-1)
    hits.flush()
    # Another life begins at zero, and the sum of both is beyond 64 bits.
    hits.close()
    again = co.counter("hits")
    again.add(TOP)
    assert again.read().value == 2 * TOP - TOP
    again.flush()
    assert again.read().value == TOP


@pytest.mark.parametrize("n", ["1", 1.0, None, [1], b"1"])
def test_what_is_no_int_is_not_counted(co, n):
    hits, peer = co.counter("hits"), comity.PNCounter()
    for counter in (hits, peer):
        with pytest.raises(comity.InvalidArgument, match="must be an int"):
            counter.add(n)
        with pytest.raises(comity.InvalidArgument, match="must be an int"):
            counter.add_many([1, n])
        with pytest.raises(comity.InvalidArgument, match="iterable"):
            counter.add_many(1)
        assert counter.value() == 0


def test_a_failing_iterable_counts_nothing(co):
    def amounts():
        yield 1
        raise KeyError("no more")

    hits = co.counter("hits")
    with pytest.raises(KeyError):
        hits.add_many(amounts())
    assert hits.value() == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": ""}, "1..512"),
        ({"name": "x" * 513}, "1..512"),
        ({"name": 7}, "str or bytes"),
        ({"durability": "safe"}, "durability"),
        ({"durability": 0.01}, "durability"),
        ({"durability": comity.Batched(-1)}, "max_delay"),
        ({"durability": comity.Batched(3601)}, "max_delay"),
        ({"durability": comity.Batched(float("nan"))}, "max_delay"),
        ({"durability": comity.Batched(max_units=1)}, "max_units"),
        ({"durability": comity.Batched(max_units=2**64)}, "max_units"),
        ({"durability": comity.Batched(max_units=2.0)}, "max_units"),
        ({"durability": comity.Journaled("file")}, "write"),
        ({"restore": "text"}, "restore"),
        ({"restore": b"CMTY"}, "snapshot"),
    ],
)
def test_bad_options_are_named(co, options, says):
    with pytest.raises((comity.InvalidArgument, comity.LimitExceeded, comity.Corrupt), match=says):
        co.counter(**{"name": "hits", **options})
    assert co.counter("hits").value() == 0


def test_bad_arguments_are_named(co):
    hits = co.counter("hits")
    with pytest.raises(comity.InvalidArgument, match="mode"):
        hits.read("newest")
    with pytest.raises(comity.InvalidArgument, match="prune"):
        hits.audit(prune=-1)
    with pytest.raises(comity.Corrupt):
        hits.merge(b"")
    with pytest.raises(comity.Corrupt):
        hits.restore(b"")
    with pytest.raises(comity.Corrupt):
        hits.merge(hits.snapshot())
    with pytest.raises(comity.Corrupt):
        comity.PNCounter().merge(hits.snapshot())
    with pytest.raises(comity.InvalidArgument, match="16"):
        comity.PNCounter(replica=b"short")


def test_a_counter_is_open_once(co):
    hits = co.counter("hits", durability=comity.Batched(0.5))
    hits.add(2)
    assert co.counter("hits").value() == 2
    assert co.counter("hits", durability=comity.Batched(0.5)).value() == 2
    with pytest.raises(comity.InvalidState):
        co.counter("hits", durability="sync")
    with pytest.raises(comity.InvalidState):
        co.counter("hits", restore=hits.snapshot())
    hits.close()
    assert "closed" in repr(hits)
    for verb in (hits.add, hits.value, hits.flush, hits.read, hits.snapshot, hits.close):
        with pytest.raises(comity.Closed):
            verb()
    assert co.counter("hits", durability="sync").read().value == 2


def test_units_that_may_be_unacknowledged_are_bounded():
    store = MemoryStore()
    with comity.connect(store) as co:
        hits = co.counter("hits", durability=comity.Batched(3600, max_units=10))
        for _ in range(5):
            hits.add(2)
        with pytest.raises(comity.LimitExceeded, match="10"):
            hits.add()
        with pytest.raises(comity.LimitExceeded):
            hits.add_many([1, -1])
        assert hits.read("local").pending == 10
        assert hits.value() == 10
        # Half of it was enough to be flushed at once.
        store.advance(0.001)
        assert hits.read("local").pending == 0
        hits.add(10)
        with pytest.raises(comity.LimitExceeded):
            hits.add()
        with pytest.raises(comity.LimitExceeded):
            hits.add(-1)


def test_a_flush_comes_by_itself_and_not_sooner():
    store = MemoryStore()
    with comity.connect(store) as co, comity.connect(store) as other:
        hits, seen = co.counter("hits", durability=comity.Batched(0.5)), other.counter("hits")
        hits.add(3)
        store.advance(0.4)
        assert hits.read("local").pending == 3
        assert hits.read("local").oldest_pending == pytest.approx(0.4)
        assert seen.read().value == 0
        store.advance(0.11)
        told = seen.read()
        assert (told.value, told.pending, told.staleness) == (3, 0, 0.0)
        for _ in range(100):
            hits.add()
            store.advance(0.05)
        assert co.stats()["counter_flushes"] <= 12


def test_a_token_makes_another_at_least_as_recent():
    store = MemoryStore()
    with comity.connect(store) as co, comity.connect(store) as other:
        hits, seen = co.counter("hits", durability="sync"), other.counter("hits")
        assert seen.read().value == 0
        hits.add(4)
        hits.flush()
        token = hits.read("local").token
        assert seen.value() == 0
        assert seen.read(at_least=token).value == 4
        commands = other.stats()["commands"]
        assert seen.read(at_least=token).value == 4
        assert other.stats()["commands"] == commands


def test_a_reset_happens_once(co):
    hits = co.counter("hits")
    hits.add(9)
    hits.flush()
    assert hits.reset() == 1
    assert hits.value() == 0
    hits.add(2)
    assert hits.reset(epoch=1) == 2
    with pytest.raises(comity.InvalidState, match="epoch"):
        hits.reset(epoch=1)


def test_a_snapshot_counts_once_however_often_it_is_restored():
    store = MemoryStore()
    dead = comity.connect(store)
    hits = dead.counter("hits", durability=comity.Batched(3600))
    hits.add(5)
    hits.flush()
    hits.add(3)
    state = hits.snapshot()
    # It dies without a word: three are pending.
    dead._session.closed = True
    with comity.connect(store) as one, comity.connect(store) as two:
        assert one.counter("hits").read().value == 5
        first = two.counter("hits", restore=state)
        first.flush()
        assert first.read().value == 8
        with comity.connect(store) as three:
            again = three.counter("hits")
            again.restore(state)
            again.add(1)
            again.flush()
            assert again.read().value == 9
            with pytest.raises(comity.InvalidState, match="in use"):
                again.restore(state)
        with pytest.raises(comity.Corrupt, match="other"):
            one.counter("other").restore(state)
        assert one.counter("hits").read().value == 9


def test_the_state_of_a_peer_counter_counts_once(co):
    here, there = comity.PNCounter(), comity.PNCounter()
    here.add(5)
    there.add_many([-1, -1])
    here.merge(there.snapshot())
    hits = co.counter("hits")
    hits.add(10)
    for _ in range(3):
        hits.merge(here.snapshot())
        hits.flush()
    assert hits.read().value == 13


def test_peers_agree():
    one, two = comity.PNCounter(), comity.PNCounter(replica=b"0123456789abcdef")
    one.add(2**60)
    two.add(-7)
    one.merge(two.snapshot())
    two.merge(one.snapshot())
    two.merge(one.snapshot())
    assert one.value() == two.value() == 2**60 - 7
    assert one.snapshot() == two.snapshot()
    assert two.replica == b"0123456789abcdef"
    assert one.slots() == {one.replica: (2**60, 0), two.replica: (0, 7)}
    three = comity.PNCounter.restore(one.snapshot())
    three.add()
    assert three.value() == 2**60 - 6
    assert three.replica not in (one.replica, two.replica)
    one.add(TOP - 2**60)
    with pytest.raises(comity.CounterOverflow):
        one.add()
    for cut in range(len(two.snapshot())):
        with pytest.raises(comity.Corrupt):
            one.merge(two.snapshot()[:cut])
    assert one.value() == TOP - 7


def test_a_journal_is_written_before_the_flush_is_answered():
    store, journals = MemoryStore(), []
    dead = comity.connect(store)
    hits = dead.counter("hits", durability=comity.Journaled(journals.append, 3600))
    store.advance(0)  # it has a slot now: what is counted from here on is in the journal
    hits.add(7)
    with dead._session.mutex:  # nothing is sent any more
        dead._session.core.counter_flush(hits.id, dead._session.now())
        dead._session.drain()
        for box in dead._session.boxes:
            box.foreground.clear()
            box.background.clear()
    dead._reports.finish()
    assert journals
    dead._session.closed = True
    with comity.connect(store) as co, comity.connect(store) as heir:
        assert co.counter("hits").read().value == 0
        hits = heir.counter("hits", restore=journals[-1])
        hits.flush()
        assert co.counter("hits").read().value == 7


def test_a_journal_that_cannot_be_written_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr("comity.counter.PAUSE", 0.01)
    written = []

    def write(journal):
        written.append(journal)
        if len(written) < 3:
            raise OSError("the disk is full")

    with caplog.at_level(logging.CRITICAL, "comity"), comity.connect() as co:
        hits = co.counter("hits", durability=comity.Journaled(write, 0))
        hits.add()
        hits.flush()
        hits.add()
        until(lambda: len(written) >= 3)
    assert written[0] == written[1] == written[2]


def test_the_close_of_the_coordinator_flushes():
    store = MemoryStore()
    for durability in ("sync", comity.Batched(3600), comity.Journaled(lambda _: None, 3600)):
        with comity.connect(store) as co:
            co.counter("hits", durability=durability).add(3)
    with comity.connect(store) as co:
        assert co.counter("hits").read().value == 9


def test_a_counter_outlives_the_name_of_its_coordinator():
    store = MemoryStore()
    hits = comity.connect(store).counter("hits")
    gc.collect()
    hits.add(3)
    hits.flush()
    with comity.connect(store) as co:
        assert co.counter("hits").read().value == 3
    with warned("unclosed comity.Coordinator"):
        del hits


def test_counting_takes_no_lock(co):
    hits = co.counter("hits")
    done = threading.Event()

    def count():
        for _ in range(1000):
            hits.add()
        done.set()

    with co._session.mutex:  # as a flush would, for as long as it books what came of it
        threading.Thread(target=count, daemon=True).start()
        assert done.wait(30)
    hits.flush()
    assert hits.read().value == 1000


def test_many_threads_count_exactly(co):
    hits = co.counter("hits", durability=comity.Batched(0.001))

    def count():
        for n in range(20_000):
            hits.add(1 if n % 2 else -1)
            hits.add(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hits.value() == 160_000
    hits.flush()
    assert hits.read().value == 160_000
    assert hits.audit().corrected == 0


def test_what_befalls_a_counter_is_told():
    store = MemoryStore()
    with comity.connect(store) as co:
        events = co.events()
        hits = co.counter("hits", durability="sync")
        hits.add(5)
        hits.flush()
        store.execute("DEL", KEY)
        store.execute("SET", KEY, "mine")
        hits.add(1)
        with pytest.raises(comity.WrongType):
            hits.flush()
        store.execute("DEL", KEY)
        store.advance(5)
        hits.flush()
        assert hits.read().value == 6
        hits.close()
    kinds = [event.kind for event in events if event.counter == hits.id]
    assert "counter_refused" in kinds
    assert "counter_regressed" in kinds
    assert kinds[-1] == "counter_closed"


def test_many_counters_leave_together():
    store = MemoryStore()
    with comity.connect(store) as co:
        counters = [co.counter(f"hits {n}") for n in range(500)]
        for counter in counters:
            counter.add()
        store.advance(0.05)
        assert all(counter.read("local").pending == 0 for counter in counters)
        assert co.stats()["counter_flushes"] == 500


def test_on_a_loop():
    async def main():
        store = MemoryStore()
        journals = []

        async def write(journal):
            await asyncio.sleep(0)
            journals.append(journal)

        async with comity.aio.connect(store) as co, comity.aio.connect(store) as other:
            hits = co.counter("hits")
            hits.add(2)
            hits.add_many([1, 1])
            assert hits.value() == 4
            await hits.flush()
            token = (await hits.read("local")).token
            assert (await other.counter("hits").read(at_least=token)).value == 4
            assert await hits.reset() == 1
            assert (await hits.audit(prune=60)).compared
            written = co.counter("written", durability=comity.Journaled(write, 0))
            written.add(3)
            await written.flush()
            written.add(3)
            await written.flush()
            await written.close()
            assert journals
            with pytest.raises(comity.Closed):
                await written.flush()
            state = hits.snapshot()
            await hits.close()
            again = co.counter("hits", restore=state)
            again.merge(comity.PNCounter().snapshot())
            assert (await again.read()).value == 0

    asyncio.run(main())


def test_on_a_loop_a_counter_flushes_by_itself():
    async def main():
        store = comity.MemoryStore()
        async with comity.aio.connect(store) as co, comity.aio.connect(store) as other:
            hits = co.counter("hits")
            hits.add(2)
            thread = threading.Thread(target=hits.add, args=(3,))
            thread.start()
            thread.join()
            for _ in range(500):
                if (await other.counter("hits").read()).value == 5:
                    break
                await asyncio.sleep(0.005)
            else:
                raise AssertionError("not flushed")

    asyncio.run(main())


def test_what_was_counted_before_the_loop_is_flushed_by_it():
    store = comity.MemoryStore()
    co = comity.aio.connect(store)
    hits = co.counter("hits")
    hits.add(3)

    async def main():
        async with co:
            await asyncio.sleep(0.1)
            assert (await hits.read("local")).pending == 0

    asyncio.run(main())
