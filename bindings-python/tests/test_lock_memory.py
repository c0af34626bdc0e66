"""The lock on the embedded store: no server, same verbs, same promises."""

from __future__ import annotations

import threading
import time

import pytest
from locks import keep, warned

import comity
from comity.operation import Operation
from comity.testing import MemoryStore


def test_a_lock_is_held_in_its_block_and_free_after():
    with comity.connect() as co:
        with co.lock("a", ttl=10) as held:
            assert held.held
            assert not held.lost
            assert 9 < held.remaining <= 10
            assert held.valid_until == pytest.approx(comity.clock() + held.remaining, abs=0.1)
            held.check()
            assert co.inspect("a").holders[0].fence == held.fence
        assert not held.held
        assert held.remaining == 0.0
        assert co.inspect("a").holders == ()


def test_fences_rise_from_grant_to_grant():
    with comity.connect() as co:
        lock = co.lock("a")
        fences = []
        for _ in range(5):
            with lock as held:
                fences.append(held.fence)
        assert fences == sorted(set(fences))


def test_try_once_and_wait_a_while():
    with comity.connect() as co, co.lock("a"):
        other = co.lock("a", wait=0)
        assert not other.acquire()
        before = time.monotonic()
        assert not other.acquire(wait=0.2)
        assert 0.19 < time.monotonic() - before < 30
        with pytest.raises(comity.LockTimeout) as caught, co.lock("a", wait=0.05):
            pass
        assert caught.value.lock_name == "a"
        assert isinstance(caught.value, TimeoutError)


def test_the_timeout_names_the_lock_and_its_holder():
    with comity.connect() as co, co.lock("invoice:42", label="billing"):
        with pytest.raises(comity.LockTimeout) as caught, co.lock("invoice:42", wait=0.1):
            pass
        assert caught.value.holder == b"billing"
        assert "invoice:42" in str(caught.value)
        assert "billing" in str(caught.value)


def test_two_coordinators_on_one_store_exclude_each_other():
    store = comity.MemoryStore()
    with comity.connect(store) as one, comity.connect(store) as two:
        with one.lock("a"):
            assert not two.lock("a").acquire(wait=0)
        with two.lock("a", wait=0):
            pass


def test_two_stores_know_nothing_of_each_other():
    with comity.connect() as one, comity.connect() as two, one.lock("a"), two.lock("a", wait=0):
        pass


def test_threads_take_turns_in_the_order_they_came():
    store = comity.MemoryStore()
    order: list[int] = []
    with comity.connect(store) as first:
        holder = first.lock("a")
        holder.acquire()
        threads = []
        with comity.connect(store) as co:

            def work(number: int) -> None:
                with co.lock("a"):
                    order.append(number)

            for number in range(8):
                threads.append(threading.Thread(target=work, args=(number,)))
                threads[-1].start()
                until(lambda n=number: first.inspect("a").waiters_total == n + 1)
            holder.release()
            for thread in threads:
                thread.join(40)
        assert order == list(range(8))


def test_a_renewing_holder_keeps_its_lock_past_several_ttls():
    store = MemoryStore()
    with comity.connect(store) as co, co.lock("a", ttl=10) as held:
        store.advance(50)
        held.check()
        assert not co.lock("a").acquire(wait=0)


def test_without_renewal_the_lease_ends_and_the_block_says_so():
    told = threading.Event()
    store = MemoryStore()
    with comity.connect(store) as co:
        with (
            pytest.raises(comity.LockLost),
            co.lock("a", ttl=10, renew=False, on_lost=lambda lock: told.set()) as held,
        ):
            store.advance(11)
            assert held.lost
            assert not held.held
            with pytest.raises(comity.LockLost):
                held.check()
        assert told.wait(30)
        with co.lock("a", wait=0):
            pass


def test_max_hold_ends_the_renewal():
    store = MemoryStore()
    with comity.connect(store) as co, pytest.raises(comity.LockLost):
        with co.lock("a", ttl=10, max_hold=20) as held:
            store.advance(15)
            assert held.held
            store.advance(20)
            assert held.lost


def test_a_loss_does_not_hide_the_error_of_the_body():
    store = MemoryStore()
    with comity.connect(store) as co, pytest.raises(ZeroDivisionError) as caught:
        with co.lock("a", ttl=10, renew=False):
            store.advance(11)
            raise ZeroDivisionError
    if hasattr(caught.value, "__notes__"):
        assert "LockLost" in caught.value.__notes__[0]


def test_extend_gives_a_full_lease():
    store = MemoryStore()
    with comity.connect(store) as co, co.lock("a", ttl=10, renew=False) as held:
        store.advance(3)
        held.extend()
        assert held.remaining > 9
        held.extend(50)
        assert held.remaining > 48


def test_verbs_without_a_grant():
    with comity.connect() as co:
        lock = co.lock("a")
        for verb in (lock.release, lock.check, lock.extend):
            with pytest.raises(comity.NotHeld):
                verb()
        with pytest.raises(comity.NotHeld):
            _ = lock.fence
        assert lock.remaining == 0.0
        assert not lock.held
        assert not lock.lost
        lock.acquire()
        lock.release()
        with pytest.raises(comity.NotHeld):
            lock.release()


def test_a_handle_is_not_reentrant():
    with comity.connect() as co, co.lock("a") as held:
        with pytest.raises(comity.InvalidState):
            held.acquire(wait=0)
        held.check()


def test_a_release_inside_the_block_is_fine():
    with comity.connect() as co:
        with co.lock("a") as held:
            held.release()
        with co.lock("a", wait=0):
            pass


def test_closing_tells_waiters_and_ends_everything():
    co = comity.connect()
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            co.lock("a").acquire()
        except comity.Closed as error:
            seen.append(error)

    keep(co.lock("a")).acquire()
    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: co.inspect("a").waiters_total == 1)
    co.close()
    waiter.join(40)
    assert len(seen) == 1
    co.close()
    for verb in (
        lambda: co.lock("a").acquire(),
        lambda: co.inspect("a"),
        lambda: co.fence_check("a", 1),
        co.events,
        co.__enter__,
        co.transaction().__enter__,
        co.lock("a").__enter__,
    ):
        with pytest.raises(comity.Closed):
            verb()


def test_what_was_told_of_a_call_is_not_kept_back_for_one_that_it_has_interrupted():
    with comity.connect() as co:
        session, call = co._session, Operation()
        with session.mutex, session.asking(object()):  # as one that is interrupted here
            call.id = session.core.lock_inspect(b"a", session.now())
            session.drain()
            co._driver.pump()
            session.operations[call.id] = call  # it was interrupted as well, just before this
            session.drain()
            assert call.done


def test_closing_releases_what_is_held():
    store = comity.MemoryStore()
    one = comity.connect(store)
    keep(one.lock("a")).acquire()
    one.close()
    with comity.connect(store) as two, two.lock("a", wait=0):
        pass


def test_what_is_dropped_with_its_coordinator_is_free_when_its_lease_has_run_out():
    store = comity.MemoryStore()
    one = comity.connect(store)
    lock = one.lock("a", ttl=0.3)
    lock.acquire()
    with warned("unclosed comity.Coordinator"):
        del lock, one
    with comity.connect(store) as two:
        with two.lock("a", wait=20):
            pass


def test_a_stale_fence_is_refused_by_the_guard():
    with comity.connect() as co:
        lock = co.lock("a")
        with lock:
            first = lock.fence
        with lock:
            assert co.fence_check("file", lock.fence)
        assert not co.fence_check("file", first)
        assert co.fence_check("other file", first)


def test_events_are_seen_and_the_oldest_dropped():
    with comity.connect() as co:
        events = co.events()
        few = co.events(2)
        with co.lock("a"):
            pass
        kinds = [events.get(30).kind, events.get(30).kind]
        assert kinds == ["lock_granted", "lock_released"]
        assert events.get(0) is None
        assert events.get(0.05) is None
        with co.lock("a"):
            pass
        assert few.dropped == 2
        assert [few.get(0).kind, few.get(0).kind] == ["lock_granted", "lock_released"]
        few.close()
        assert list(few) == []
    assert [event.kind for event in events][-1] in ("lock_released", "closed")


def test_stats_count():
    with comity.connect() as co:
        with co.lock("a"):
            pass
        assert co.stats()["lock_grants"] == 1
        assert co.stats()["lock_releases"] == 1


def test_names_of_any_bytes():
    with comity.connect() as co:
        names = ["{a}", "{", "}", "a b", "nul\0", "grün", b"\xff\xfe", "x" * 512]
        held = [co.lock(name, wait=0) for name in names]
        assert all(lock.acquire() for lock in held)
        assert all(lock.held for lock in held)
        for lock in held:
            lock.release()


def test_an_interrupted_wait_leaves_no_waiter(monkeypatch):
    co = comity.connect()
    with co.lock("a"):
        lock = co.lock("a")
        real = co._driver.wait

        def interrupted(operation):
            raise KeyboardInterrupt

        monkeypatch.setattr(co._driver, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
        monkeypatch.setattr(co._driver, "wait", real)
        until(lambda: co.inspect("a").waiters_total == 0)
    with co.lock("a", wait=30):
        pass
    co.close()


def until(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)
