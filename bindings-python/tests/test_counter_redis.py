"""The counter on a real server, through a network that loses, repeats and cuts: each unit once."""

from __future__ import annotations

import os
import signal
import time
from itertools import count

import pytest

redis = pytest.importorskip("redis")

import faults  # noqa: E402
from counters import asks, key  # noqa: E402
from locks import connect, connect_patiently, line, until  # noqa: E402

import comity  # noqa: E402

pytestmark = pytest.mark.usefixtures("flavour")

ACTIONS = ["SWALLOW", "CUT_BEFORE", "CUT_AFTER", "REPEAT", "STALL", "DELAY_BEFORE", "DELAY_AFTER"]
OPS = {"join": b"JOIN", "flush": b"ADD", "read": b"GET", "reset": b"RESET", "fold": b"FOLD"}


def total(server, name="hits"):
    """What the server's keys say."""
    with server.client(decode_responses=True) as client:
        tp, tn, zp, zn = client.hmget(key(name), "tp", "tn", "zp", "zn")
    return int(tp or 0) - int(tn or 0) - int(zp or 0) + int(zn or 0)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("op", OPS)
def test_one_fault_at_any_step(server, proxy, op, action):
    with connect_patiently(server.port) as other, connect_patiently(proxy.port) as co:
        rule = proxy.rule(getattr(faults, action), asks(OPS[op]), seconds=faults.GIVEN_UP)
        # A flush that falls due by itself would answer a read as well.
        durability = comity.Batched(3600) if op == "read" else None
        hits = co.counter("hits", durability=durability)
        hits.add(3)
        if op == "reset":
            assert hits.reset() == 1
            left = 0
        elif op == "read":
            assert hits.read().value == 3
            left = 3
        else:
            hits.flush()
            left = 3
        hits.add(-1)
        hits.close()
        assert rule.met
        assert other.counter("hits").read().value in (left - 1, 2)
        assert total(server) == other.counter("hits").value()
        if op != "reset":
            assert total(server) == 2
        # A straggler of the network changes nothing.
        until(lambda: not proxy.held)
        for words in [words for words in proxy.seen if asks(OPS[op])(words)]:
            proxy.again(words)
        assert other.counter("hits").read().value == total(server) == other.counter("hits").value()
        if op != "reset":
            assert total(server) == 2
        assert other.counter("hits").audit().corrected == 0


def test_short_lives_leave_no_slot(server):
    with connect_patiently(server.port) as other, server.client() as client:
        for number in range(1, 20):
            with connect_patiently(server.port) as co:
                co.counter("hits").add()
            assert total(server) == number
        slots = [field for field in client.hkeys(key("hits")) if len(field) == 38]
        assert slots == []
        assert other.counter("hits").read().value == 19
        assert other.counter("hits").audit(prune=0).corrected == 0


def test_every_other_reply_lost(server, proxy):
    asked = count()

    def every_other(words):
        return asks(b"ADD")(words) and next(asked) % 2 == 0

    with connect(proxy.port) as co:
        hits = co.counter("hits")
        rule = proxy.rule(faults.CUT_AFTER, every_other, times=20)
        counted = 0
        while rule.met < 20:
            hits.add()
            counted += 1
            time.sleep(0.001)
        until(lambda: hits.read("local").pending == 0)
        assert total(server) == counted


def test_a_server_that_lost_all_is_told_again(start):
    server = start()
    with connect(server.port) as co:
        events = co.events()
        hits, misses = co.counter("hits"), co.counter("misses")
        hits.add(5)
        misses.add(2)
        hits.flush()
        misses.flush()
        with server.client() as admin:
            admin.delete(key("hits"))
        hits.add(1)
        hits.flush()
        assert hits.read().value == 6
        assert total(server) == 6
        server.kill()
        server.start()
        assert total(server) == 0
        hits.add(1)
        until(lambda: total(server) == 7)
        # One that does nothing is healed as well, once it knows of the reconnection.
        until(lambda: total(server, "misses") == 2)
        kinds = []
        while (event := events.get(timeout=0)) is not None:
            kinds.append(event.kind)
        assert "counter_regressed" in kinds


def test_a_key_of_another_type(server):
    with server.client() as admin, connect(server.port) as co:
        admin.set(key("hits"), "mine")
        hits = co.counter("hits")
        hits.add(4)
        for verb in (hits.flush, hits.read, hits.reset, hits.audit):
            with pytest.raises(comity.WrongType):
                verb()
        assert hits.value() == 4
        assert admin.get(key("hits")) == b"mine"
        admin.delete(key("hits"))
        until(lambda: total(server) == 4)


def test_a_server_that_is_away(start):
    server = start()
    with connect(server.port) as co:
        hits = co.counter("hits", durability=comity.Batched(0.01, max_units=100))
        hits.add(1)
        hits.flush()
        server.kill()
        hits.add(99)
        for verb in (hits.flush, hits.read):
            with pytest.raises((comity.Unreachable, comity.NoAnswer)):
                verb()
        with pytest.raises(comity.LimitExceeded):
            hits.add(2)
        hits.add(1)
        assert hits.value() == 101
        server.start()
        until(lambda: total(server) == 101)
        hits.flush()
        server.kill()
        hits.add(7)
        with pytest.raises(comity.NoAnswer, match="7 units"):
            hits.close()


CRASH = """
import sys, time, comity, redis
port, mode, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def write(journal):
    with open(path + ".new", "wb") as file:
        file.write(journal)
    import os
    os.replace(path + ".new", path)

durability = {
    "sync": "sync",
    "batched": comity.Batched(0.005, max_units=50),
    "journaled": comity.Journaled(write, 0.005),
}[mode]
co = comity.connect(redis.Redis(port=port), timeout=1)
hits = co.counter("hits", durability=durability)
hits.add()
hits.flush()
counted = 1
print("safe", counted, "of", counted)
while True:
    try:
        hits.add()
    except comity.LimitExceeded:
        time.sleep(0.001)
        continue
    counted += 1
    if counted % 100 == 0:
        time.sleep(0.0005)
        if counted % 1000 == 0:
            hits.flush()
        print("safe", counted if counted % 1000 == 0 else 0, "of", counted)
"""


@pytest.mark.parametrize("mode", ["sync", "batched", "journaled"])
def test_what_a_killed_process_has_counted(server, script, tmp_path, mode):
    journal = tmp_path / "journal"
    process = script(CRASH, server.port, mode, journal)
    safe = counted = 0
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline or (mode == "journaled" and not journal.exists()):
        _, flushed, _, now = line(process).split()
        safe, counted = max(safe, int(flushed)), int(now)
    os.kill(process.pid, signal.SIGKILL)
    for rest in process.stdout.read().splitlines():
        words = rest.split()
        if len(words) == 4:
            safe, counted = max(safe, int(words[1])), int(words[3])
    process.wait()
    assert safe > 0
    with connect(server.port) as one, connect(server.port) as two:
        hits = one.counter("hits")
        if mode == "journaled":
            # Restored twice, by two processes: the second changes nothing.
            hits.close()
            hits = one.counter("hits", restore=journal.read_bytes())
            hits.flush()
            first = hits.read().value
            again = two.counter("hits", restore=journal.read_bytes())
            again.flush()
            assert again.read().value == first
        value = hits.read().value
        # It may have counted on before the signal came, by less than it prints in between.
        assert safe <= value <= counted + 100
        if mode == "batched":
            assert value >= counted - 50
        assert hits.audit().corrected == 0


def test_two_processes_from_one_snapshot(server, script):
    source = """
import sys, comity, redis
co = comity.connect(redis.Redis(port=int(sys.argv[1])))
hits = co.counter("hits", restore=bytes.fromhex(sys.argv[2]))
hits.add(int(sys.argv[3]))
hits.flush()
print(hits.read().value)
co.close()
"""
    with connect(server.port) as co:
        hits = co.counter("hits", durability=comity.Batched(3600))
        hits.add(5)
        hits.flush()
        hits.add(10)
        state = hits.snapshot().hex()
        processes = [script(source, server.port, state, n) for n in (100, 1000)]
        values = sorted(int(line(process)) for process in processes)
        assert values[-1] == 1115
        # The one it was taken of counts on as well.
        hits.add(1)
        hits.flush()
        assert hits.read().value == 1116
        assert total(server) == 1116


def test_an_address_space_of_its_own_in_each_process(server, script):
    source = """
import sys, comity, redis
co = comity.connect(redis.Redis(port=int(sys.argv[1])))
hits = co.counter("hits", durability=comity.Batched(0.001))
for _ in range(50_000):
    hits.add(2)
    hits.add(-1)
print("counted")
# No close: the end of the process is one.
"""
    processes = [script(source, server.port) for _ in range(4)]
    for process in processes:
        assert line(process) == "counted"
        assert process.wait(60) == 0
    assert total(server) == 200_000
