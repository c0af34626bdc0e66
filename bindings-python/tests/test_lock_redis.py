"""The lock over a real redis-server: processes, kill -9, pushes, hung and lost servers."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

redis = pytest.importorskip("redis")

from locks import asks, line, until  # noqa: E402

import comity  # noqa: E402

TURNS = """
import sys, time, comity, redis
port, rounds = int(sys.argv[1]), int(sys.argv[2])
co = comity.connect(redis.Redis(host="127.0.0.1", port=port))
print("ready")
lock = co.lock("turns", ttl=5)
for _ in range(rounds):
    with lock as held:
        print(held.fence)
        time.sleep(0.005)
co.close()
"""

HOLD = """
import sys, time, comity, redis
port, ttl = int(sys.argv[1]), float(sys.argv[2])
co = comity.connect(redis.Redis(host="127.0.0.1", port=port))
with co.lock("held", ttl=ttl, label="holder") as held:
    print(held.fence)
    time.sleep(60)
"""

ONE_TURN = """
import sys, comity, redis
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
with co.lock("queue", ttl=5, label=sys.argv[2]) as held:
    print(held.fence, flush=True)
co.close()
"""


def connect(server, **kwargs):
    return comity.connect(server.client(), **kwargs)


def test_acquire_and_release(server, traces):
    with connect(server) as co:
        with co.lock("a", ttl=10) as held:
            assert held.held
            assert held.remaining > 9
            first = held.fence
            assert co.inspect("a").holders[0].fence == held.fence
            assert not co.lock("a").acquire(wait=0)
        with co.lock("a", wait=0) as again:
            assert again.fence > first
    with server.client() as admin:
        assert traces(admin) == []


def test_an_uncontended_lock_touches_one_key(server):
    with connect(server) as co, server.client() as admin:
        there = admin.dbsize()
        with co.lock("a"):
            assert admin.dbsize() == there + 1


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_every_kind_of_client(server, protocol, decode):
    client = server.client(protocol=protocol, decode_responses=decode)
    with comity.connect(client) as co, comity.connect(client) as other:
        lock = other.lock("a")
        with co.lock("a"):
            assert not lock.acquire(wait=0.1)
            waiter = threading.Thread(target=lock.acquire)
            waiter.start()
            until(lambda: co.inspect("a").waiters_total == 1)
        waiter.join(40)
        assert lock.held
        lock.release()


def test_processes_take_turns_with_rising_fences(server, script, traces):
    rounds = 20
    workers = [script(TURNS, server.port, rounds) for _ in range(3)]
    fences = [[] for _ in workers]
    for worker in workers:
        assert line(worker) == "ready"
    for worker, mine in zip(workers, fences, strict=True):
        mine += [int(line(worker)) for _ in range(rounds)]
        assert worker.wait(60) == 0
    assert all(mine == sorted(mine) for mine in fences)
    everyone = sorted(fence for mine in fences for fence in mine)
    assert len(set(everyone)) == 3 * rounds
    with server.client() as admin:
        assert traces(admin) == []


def test_processes_are_served_in_the_order_they_came(server, script):
    with connect(server) as co:
        workers = []
        with co.lock("queue"):
            for number in range(4):
                workers.append(script(ONE_TURN, server.port, f"worker {number}"))
                until(lambda n=number: co.inspect("queue").waiters_total == n + 1)
            labels = [waiter.label for waiter in co.inspect("queue").waiters]
            assert labels == [b"worker %d" % number for number in range(4)]
        fences = [int(line(worker)) for worker in workers]
        assert fences == sorted(fences)


def test_the_next_in_line_follows_a_killed_holder(server, script, traces):
    holder = script(HOLD, server.port, 2)
    line(holder)
    with connect(server) as co:
        lock = co.lock("held")
        got = threading.Event()

        def wait():
            lock.acquire()
            got.set()

        threading.Thread(target=wait, daemon=True).start()
        until(lambda: co.inspect("held").waiters_total == 1)
        os.kill(holder.pid, signal.SIGKILL)
        assert got.wait(30), "not granted"
        lock.release()
    with server.client() as admin:
        assert traces(admin) == []


def test_a_renewing_holder_keeps_its_lock_past_several_ttls(server, script):
    holder = script(HOLD, server.port, 2)
    fence = int(line(holder))
    with connect(server) as co:
        assert not co.lock("held").acquire(wait=5)
        assert co.inspect("held").holders[0].fence == fence
        until(lambda: co.inspect("held").waiters_total == 0)  # withdrawn in the background


def test_the_timeout_names_a_holder_elsewhere(server, script):
    holder = script(HOLD, server.port, 5)
    line(holder)
    with connect(server) as co, pytest.raises(comity.LockTimeout) as caught:
        with co.lock("held", wait=0.2):
            pass
    assert caught.value.holder == b"holder"
    assert isinstance(caught.value, redis.exceptions.LockError)


def test_a_grant_is_pushed(server, proxy):
    with connect(server) as co, comity.connect(redis.Redis(port=proxy.port)) as other:
        told = 0
        first = other.lock("a")
        for _ in range(5):
            holder = co.lock("a")
            holder.acquire()
            thread = threading.Thread(target=first.acquire)
            thread.start()
            until(lambda: co.inspect("a").waiters_total == 1)
            time.sleep(0.02)
            before = questions(proxy)
            holder.release()
            thread.join(40)
            told += questions(proxy) == before
            first.release()
        # But for a heartbeat that came in between.
        assert told >= 3


def questions(proxy):
    """How often the locks behind it were asked for."""
    return sum(map(asks(b"ACQ"), list(proxy.seen)))


def test_without_pushes_it_polls(server):
    with connect(server, push=False) as co, connect(server, push=False) as other:
        lock = other.lock("a")
        with co.lock("a"):
            thread = threading.Thread(target=lock.acquire)
            thread.start()
            until(lambda: co.inspect("a").waiters_total == 1)
        thread.join(40)
        assert lock.held
        lock.release()
        with server.client() as admin:
            assert admin.pubsub_channels() == []


def test_waiters_survive_the_loss_of_the_push_connection(server):
    with connect(server) as co, connect(server) as other, server.client() as admin:
        lock = other.lock("a")
        with co.lock("a"):
            thread = threading.Thread(target=lock.acquire)
            thread.start()
            until(lambda: co.inspect("a").waiters_total == 1)
            until(lambda: len(admin.pubsub_channels("comity:*")) >= 1)
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        thread.join(40)
        assert lock.held
        lock.release()


def test_eight_threads_on_one_coordinator(server):
    count = {"held": 0, "most": 0, "turns": 0}
    with connect(server) as co:

        def work():
            lock = co.lock("a")
            for _ in range(25):
                with lock:
                    count["held"] += 1
                    count["most"] = max(count["most"], count["held"])
                    count["turns"] += 1
                    count["held"] -= 1

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert count == {"held": 0, "most": 1, "turns": 200}


def test_many_locks_at_once_are_all_renewed(server):
    with connect(server) as co:
        locks = [co.lock(f"lock {n}", ttl=4) for n in range(200)]
        for lock in locks:
            lock.acquire()
        time.sleep(5)
        assert all(lock.held for lock in locks)
        for lock in locks:
            lock.release()


NAMES = ["{a}b", "{}", "}{", "a b", "nul\0byte", "größe", b"\xff\x00\xfe", "{{x}}", "y" * 512]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:12])
def test_names_of_any_bytes_keep_their_keys_in_one_slot(server, start, name):
    with connect(server) as co, server.client() as admin:
        lock = co.lock(name)
        with co.lock(name):
            thread = threading.Thread(target=lock.acquire)
            thread.start()
            until(lambda: co.inspect(name).waiters_total == 1)
            keys = list(admin.scan_iter(match="comity:1:lock*"))
            assert len(keys) >= 4
        thread.join(40)
        lock.release()
        with pytest.raises(redis.ResponseError, match="cluster support"):
            admin.execute_command("CLUSTER", "KEYSLOT", "x")
    slots = {slot(key) for key in keys}
    assert len(slots) == 1, keys


def slot(key: bytes) -> int:
    """The cluster specification's hash slot: CRC16 of the first non-empty hash tag."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc % 16384


def test_the_slot_function_of_this_test_is_the_servers(start):
    server = start("--cluster-enabled", "yes")
    with server.client() as admin:
        for key in (b"a", b"{a}b", b"{}x", b"x{y", b"comity:1:lock:{a b}q", b"\xff{\x00}"):
            assert admin.execute_command("CLUSTER", "KEYSLOT", key) == slot(key)


def test_ctrl_c_ends_a_wait_and_leaves_no_waiter(server, script):
    source = """
import signal, sys, comity, redis
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
print("ready")
try:
    co.lock("a").acquire()
except KeyboardInterrupt:
    print("interrupted")
co.close()
"""
    with connect(server) as co, co.lock("a"):
        process = script(source, server.port)
        assert line(process) == "ready"
        until(lambda: co.inspect("a").waiters_total == 1)
        process.send_signal(signal.SIGINT)
        assert line(process) == "interrupted"
        assert process.wait(60) == 0
        assert co.inspect("a").waiters_total == 0


def test_ctrl_c_at_any_moment_leaves_no_lock_behind(server, script, traces):
    source = """
import os, random, signal, sys, threading, time, comity, redis
armed = False
def interrupted(*_):  # only where this script is ready for it
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupted)
random.seed(int(sys.argv[2]))
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
lock = co.lock("a", ttl=30)
def interrupt():
    while True:
        time.sleep(random.random() * 0.01)
        os.kill(os.getpid(), signal.SIGINT)
interrupts, until = 0, time.monotonic() + 40
threading.Thread(target=interrupt, daemon=True).start()
while interrupts < 300 and time.monotonic() < until:
    try:
        armed = True
        while True:
            with lock:
                pass
    except KeyboardInterrupt:
        interrupts += 1
        if lock.held:  # Python itself may be interrupted on its way into __exit__
            lock.release()
signal.signal(signal.SIGINT, signal.SIG_IGN)
fresh = co.lock("a", wait=30)
print("free" if fresh.acquire() else "held", interrupts)
fresh.release()
co.close()
"""
    process = script(source, server.port, 1)
    said, interrupts = line(process).split()
    assert said == "free"
    assert int(interrupts) > 50
    assert process.wait(60) == 0
    with server.client() as admin:
        assert traces(admin) == []


def test_a_server_that_hangs_delays_no_other(start, fake):
    good, silent = start(), fake()
    # By the time that one hangs, the other belongs to their ring.
    with comity.connect({"good": good.client(), "silent": start().client()}):
        pass
    clients = {"good": good.client(), "silent": silent.client(protocol=2)}
    with comity.connect(clients, check=False, timeout=8) as co:
        names = [f"name {n}" for n in range(50)]
        bad = next(name for name in names if co.ring.node(name) == "silent")
        fine = next(name for name in names if co.ring.node(name) == "good")
        failed = []

        def stuck():
            try:
                co.lock(bad).acquire()
            except comity.Error as error:
                failed.append(error)

        with co.lock(fine) as held:
            thread = threading.Thread(target=stuck)
            thread.start()
            for _ in range(60):
                with co.lock(fine + " too" if co.ring.node(fine + " too") == "good" else "x"):
                    pass
                held.check()
            # All of them, before the one that waits for the silent server has given up.
            assert not failed
            thread.join(40)
        assert isinstance(failed[0], (comity.NoAnswer, comity.Unreachable))
        assert failed[0].server == "silent"


def test_a_lease_is_lost_when_the_server_is_gone(start):
    server = start()
    told = threading.Event()
    co = connect(server, timeout=0.5)
    with pytest.raises(comity.LockLost):
        with co.lock("a", ttl=0.6, on_lost=lambda lock: told.set()) as held:
            server.kill()
            assert told.wait(30)
            assert held.lost
    co.close()


def test_a_server_that_comes_back_is_used_again(start):
    server = start()
    with connect(server, timeout=0.5) as co:
        with co.lock("a"):
            pass
        server.kill()
        with pytest.raises((comity.Unreachable, comity.NoAnswer)):
            co.lock("a").acquire()
        server.start()
        with co.lock("a"):
            pass


def test_the_scripts_come_back_after_a_flush(server):
    with connect(server) as co, server.client() as admin:
        with co.lock("a"):
            pass
        admin.script_flush()
        with co.lock("a"):
            pass


def test_connections_stay_within_the_budget(server):
    with server.client() as admin:
        before = len(admin.client_list())
        with connect(server) as co, connect(server) as other:
            lock = co.lock("a")
            with other.lock("a"):
                thread = threading.Thread(target=lock.acquire)
                thread.start()
                time.sleep(0.5)
            thread.join(40)
            lock.release()
            assert len(admin.client_list()) - before <= 2 * 3
        until(lambda: len(admin.client_list()) == before)


def test_closing_ends_every_thread(server):
    before = threading.active_count()
    co = connect(server)
    with co.lock("a"), pytest.raises(comity.LockTimeout):
        with co.lock("a", wait=0.4):
            pass
    co.close()
    until(lambda: threading.active_count() == before)


def test_the_end_of_the_program_releases(server, script):
    source = """
import sys, comity, redis
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
held = co.lock("a", ttl=60)
held.acquire()
"""
    assert script(source, server.port).wait(60) == 0
    with connect(server) as co, co.lock("a", wait=0):
        pass


def test_tls(tls):
    port, certificate = tls
    client = redis.Redis(host="127.0.0.1", port=port, ssl=True, ssl_ca_certs=certificate)
    with comity.connect(client, timeout=15) as co:

        def work(number):
            for _ in range(25):
                with co.lock(f"lock {number % 2}"):
                    pass

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(40)
        stats = co.stats()
        assert stats["lock_releases"] == 150
        assert stats["outcome_unknown"] == 0


def test_sentinel(sentinel):
    from redis.sentinel import Sentinel

    found = Sentinel([("127.0.0.1", sentinel)], socket_timeout=1)
    with comity.connect(found.master_for("m")) as co, co.lock("a") as held:
        assert held.fence > 0
        assert repr(co) == "<comity.Coordinator open: m>"
