"""The lock through a network that loses, repeats and cuts: every fault, then a lock in order."""

from __future__ import annotations

import signal
import threading
import time

import pytest

redis = pytest.importorskip("redis")

import faults  # noqa: E402
from locks import asks, connect, connect_patiently, idle  # noqa: E402

import comity  # noqa: E402

pytestmark = pytest.mark.usefixtures("flavour")

OPS = {"acquire": b"ACQ", "renew": b"REN", "release": b"REL", "cancel": b"CAN"}
ACTIONS = ["SWALLOW", "CUT_BEFORE", "CUT_AFTER", "REPEAT", "STALL", "DELAY_BEFORE", "DELAY_AFTER"]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("op", OPS)
def test_one_fault_at_any_step(server, proxy, traces, op, action):
    with connect_patiently(server.port) as other, connect_patiently(proxy.port) as co:
        # A delay is longer than a command may take: it is executed, or answered, too late.
        rule = proxy.rule(getattr(faults, action), asks(OPS[op]), seconds=faults.GIVEN_UP)
        lock = co.lock("a", ttl=6)
        if op == "cancel":
            with other.lock("a"):
                assert not lock.acquire(wait=0.1)
        else:
            assert lock.acquire()
            fence = lock.fence
            # Past the ttl: renewals go on, whatever became of the first.
            time.sleep(6.5 if op == "renew" else 0)
            assert lock.held
            assert lock.fence == fence
            assert not other.lock("a").acquire(wait=0)
            lock.release()
        until = time.monotonic() + 30
        while not rule.met:
            assert time.monotonic() < until, "the fault was never met"
            time.sleep(0.01)
        with other.lock("a", wait=30) as held:
            assert held.held
    idle(server, traces)


def test_a_heartbeat_that_gets_no_answer_keeps_the_place(server, proxy, traces):
    with connect(server.port) as other, connect(proxy.port) as co:
        held = other.lock("a", ttl=5)
        held.acquire()
        lock = co.lock("a")
        thread = threading.Thread(target=lock.acquire)
        thread.start()
        while other.inspect("a").waiters_total != 1:
            time.sleep(0.01)
        rule = proxy.rule(faults.SWALLOW, asks(b"ACQ"))
        until = time.monotonic() + 30
        while not rule.met:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert other.inspect("a").waiters_total == 1
        held.release()
        thread.join(40)
        assert lock.held
        lock.release()
    idle(server, traces)


def test_an_acquisition_repeated_after_the_release_is_granted_nothing(server, proxy, traces):
    with connect(proxy.port) as co:
        with co.lock("a"):
            (acquisition,) = [words for words in proxy.seen if asks(b"ACQ")(words)]
        proxy.again(acquisition)
        assert co.inspect("a").holders_total == 0
        # Where no answer came, the id stays dead however many have had the lock since.
        for _ in range(8):
            with co.lock("a"):
                pass
    idle(server, traces)


def test_a_straggler_of_an_unanswered_acquisition_is_granted_nothing(server, proxy, traces):
    with connect(proxy.port) as co:
        proxy.rule(faults.STALL, asks(b"ACQ"))
        with co.lock("a"):
            first = next(words for words in proxy.seen if asks(b"ACQ")(words))
        for _ in range(8):
            with co.lock("a"):
                pass
        proxy.again(first)
        assert co.inspect("a").holders_total == 0
    idle(server, traces)


def test_every_connection_cut_while_the_lock_is_held_and_waited_for(server, proxy, traces):
    with connect(server.port) as other, connect(proxy.port) as co:
        held = co.lock("a", ttl=4)
        held.acquire()
        waiter = co.lock("a", wait=40)
        thread = threading.Thread(target=waiter.acquire)
        thread.start()
        while other.inspect("a").waiters_total != 1:
            time.sleep(0.01)
        fence = held.fence
        for _ in range(4):
            proxy.cut()
            time.sleep(1.2)
        assert held.held
        assert held.fence == fence
        held.release()
        thread.join(40)
        assert waiter.held
        assert waiter.fence > fence
        waiter.release()
    idle(server, traces)


def test_a_server_that_restarts_empty_has_lost_the_lease(start, traces):
    server = start()
    with connect(server.port) as co:
        lock = co.lock("a", ttl=30, renew=False)
        lock.acquire()
        server.kill()
        server.start()
        # A release that found the old connection dead might have been executed before the restart,
        # and would be taken for done; one that is answered at once tells.
        assert co.inspect("a").holders_total == 0
        with pytest.raises(comity.LockLost):
            lock.release()
        with co.lock("a"):
            pass
    idle(server, traces)


def test_a_client_stopped_past_its_lease_is_told_and_its_fence_refused(server, script, traces):
    source = """
import sys, time, comity, redis
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
lock = co.lock("a", ttl=0.5)
lock.acquire()
print("held", flush=True)
until = time.monotonic() + 20
while not lock.lost and time.monotonic() < until:
    time.sleep(0.01)
print("accepted" if co.fence_check("a", lock.fence) else "refused")
try:
    lock.release()
except comity.LockLost:
    print("lost")
co.close()
"""
    with connect(server.port) as co:
        process = script(source, server.port)
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        try:
            with co.lock("a", wait=30) as held:
                assert co.fence_check("a", held.fence)
        finally:
            process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "refused\nlost\n"
        assert process.wait(60) == 0
    idle(server, traces)
