"""Leader and followers on the push connection: whoever listens may leave, and nobody misses a
grant for it."""

from __future__ import annotations

import threading
import time
from typing import Any

import comity
from comity.operation import Operation
from comity.push import PushReader


def connect(server: Any) -> comity.Coordinator:
    return comity.connect(server.client())


def waiting(co: comity.Coordinator, name: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while co.inspect(name).waiters_total != count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Waiter(threading.Thread):
    """A thread that takes a lock and gives it back."""

    def __init__(self, lock: comity.Lock) -> None:
        super().__init__()
        self.lock = lock
        self.granted = False
        self.start()

    def run(self) -> None:
        self.granted = self.lock.acquire()
        if self.granted:
            self.lock.release()


def test_followers_are_served_when_the_leader_leaves(server):
    with connect(server) as holder, connect(server) as co:
        held = holder.lock("a", ttl=30)
        held.acquire()
        leader = Waiter(co.lock("a", wait=0.5))
        waiting(co, "a", 1)
        followers = []
        for number in range(3):
            followers.append(Waiter(co.lock("a", wait=40)))
            waiting(co, "a", number + 2)
        leader.join(40)
        assert not leader.granted
        held.release()
        for follower in followers:
            follower.join(40)
        assert all(follower.granted for follower in followers)
        # Pushed, not polled for.
        assert co.stats()["pushes"] >= len(followers)


def test_one_listens_for_waiters_of_many_locks(server):
    names = [f"lock {number}" for number in range(12)]
    with connect(server) as holder, connect(server) as co, server.client() as admin:
        held = [holder.lock(name, ttl=30) for name in names]
        for lock in held:
            lock.acquire()
        waiters = [Waiter(co.lock(name, wait=40)) for name in names]
        for name in names:
            waiting(co, name, 1)
        assert len(admin.pubsub_channels("comity:*")) == 1
        for lock in reversed(held):
            lock.release()
        for waiter in waiters:
            waiter.join(40)
        assert all(waiter.granted for waiter in waiters)
        assert co.stats()["pushes"] >= len(waiters)


def test_a_dead_push_connection_is_replaced_under_its_leader(server):
    with connect(server) as holder, connect(server) as co, server.client() as admin:
        held = holder.lock("a", ttl=30)
        held.acquire()
        waiters = []
        for number in range(2):
            waiters.append(Waiter(co.lock("a", wait=40)))
            waiting(co, "a", number + 1)
        for _ in range(3):
            deadline = time.monotonic() + 30
            while not admin.pubsub_channels("comity:*"):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        held.release()
        for waiter in waiters:
            waiter.join(40)
        assert all(waiter.granted for waiter in waiters)
        # The thread listens again: the next waiter is served like the first.
        held.acquire()
        late = Waiter(co.lock("a", wait=40))
        waiting(co, "a", 1)
        held.release()
        late.join(40)
        assert late.granted


class Deaf:
    """A push connection on which nobody may wait."""

    outstanding = 0

    def hear(self, core: Any, node: int) -> bool:
        raise AssertionError("listened to")


def test_a_leader_that_its_lane_needs_does_not_listen(server):
    # One signal asked it to listen and, before its thread ran, to read an answer: its own perhaps.
    with connect(server) as co:
        reader = PushReader(co._session, 0, [], None)
        waiter = Operation()
        reader._watchers.append(waiter)
        reader._wire, reader._leader = Deaf(), waiter
        reader.serve(waiter, lambda: True)
        assert reader._leader is None
        assert waiter.gate is None
        reader._wire = None
        reader.free()


def test_a_lock_that_is_held_stands_in_no_line(server):
    with connect(server) as holder, connect(server) as co:
        held = holder.lock("a", ttl=30)
        held.acquire()
        lock = co.lock("a", wait=40)
        waiter = threading.Thread(target=lock.acquire)
        waiter.start()
        waiting(co, "a", 1)
        held.release()
        waiter.join(40)
        (operation,) = co._session.operations.values()
        assert operation.fence
        assert operation.rank is None
        lock.release()
