"""Pushes that are lost, and push connections: the waiter gets the lock all the same, in time."""

from __future__ import annotations

import threading
import time

import pytest

redis = pytest.importorskip("redis")

import faults  # noqa: E402
from locks import connect, connect_to, idle, until  # noqa: E402

pytestmark = pytest.mark.usefixtures("flavour")

HEARTBEAT = 1.65
"""The next in line asks this often, whatever it hears."""


class Waiter(threading.Thread):
    """Takes a lock and notes when it had it."""

    def __init__(self, lock):
        super().__init__()
        self.lock = lock
        self.at = 0.0
        self.start()

    def run(self):
        if self.lock.acquire(wait=40):
            self.at = time.monotonic()


@pytest.mark.parametrize("action", ["SWALLOW", "CUT_BEFORE", "REPEAT", "DELAY_AFTER"])
def test_whatever_becomes_of_the_push_the_next_is_granted_in_time(server, proxy, traces, action):
    with connect(server.port) as other, connect(proxy.port) as co, server.client() as admin:
        lock = co.lock("a")
        with other.lock("a", ttl=30):
            waiter = Waiter(lock)
            until(lambda: other.inspect("a").waiters_total == 1)
            until(lambda: admin.pubsub_channels("comity:*"))
            rule = proxy.rule(getattr(faults, action), faults.is_push, faults.ALWAYS)
            released = time.monotonic()
        waiter.join(40)
        # The heartbeat and two round trips, on a machine that has much else to do.
        assert waiter.at - released < HEARTBEAT + 15
        until(lambda: rule.met)  # a question that was under way may have had its answer first
        assert lock.held
        assert other.inspect("a").holders[0].fence == lock.fence
        lock.release()
    idle(server, traces)


def test_a_lost_push_delays_no_grant_beyond_its_claim(server, proxy, traces):
    with connect(server.port) as other, connect(proxy.port) as co:
        proxy.rule(faults.SWALLOW, faults.is_push, faults.ALWAYS)
        waiters = []
        with other.lock("a", ttl=30):
            for number in range(3):
                waiters.append(Waiter(co.lock("a")))
                until(lambda n=number: other.inspect("a").waiters_total == n + 1)
            released = time.monotonic()
        fences = []
        for waiter in waiters:
            until(lambda w=waiter: w.at)
            assert waiter.at - released < HEARTBEAT + 15
            fences.append(waiter.lock.fence)
            released = time.monotonic()
            waiter.lock.release()
            waiter.join()
        assert fences == sorted(set(fences))
    idle(server, traces)


def test_a_push_connection_that_comes_back_is_listened_to(server, proxy, traces):
    with connect(server.port) as other, connect(proxy.port) as co, server.client() as admin:
        held = other.lock("a", ttl=30)
        held.acquire()
        with co.events() as events:

            def ready():
                kinds = []
                while "push_ready" not in kinds:
                    event = events.get(30)
                    assert event is not None, kinds
                    kinds.append(event.kind)
                return kinds

            waiter = Waiter(co.lock("a"))
            ready()
            for _ in range(2):
                admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                assert "push_unavailable" in ready()
        released = time.monotonic()
        held.release()
        waiter.join(40)
        assert waiter.at - released < HEARTBEAT + 15
        waiter.lock.release()
    idle(server, traces)


def test_a_user_who_may_not_publish_hands_over_all_the_same(start, traces):
    server = start()
    with server.client() as admin:
        admin.execute_command(
            "ACL", "SETUSER", "app", "on", ">pw", "~comity:*", "+@all", "resetchannels"
        )
    import comity

    mute = connect_to(server.client(username="app", password="pw"), push=False)
    with mute, connect(server.port) as co, mute.events() as events:
        with mute.lock("a", ttl=30):
            waiter = Waiter(co.lock("a"))
            until(lambda: mute.inspect("a").waiters_total == 1)
            released = time.monotonic()
        waiter.join(40)
        assert waiter.at - released < HEARTBEAT + 15
        told = []
        while (event := events.get(0)) is not None:
            told.append(event)
        (unavailable,) = [event for event in told if event.kind == "push_unavailable"]
        assert isinstance(unavailable.error, comity.ServerRefused)
        waiter.lock.release()
    idle(server, traces)
