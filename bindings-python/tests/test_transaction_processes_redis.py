"""Processes that are killed or stopped in the middle of a transaction, and servers that are killed
under load. Where exactly they are is decided by what of theirs has been executed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Server
from faults import Proxy
from locks import until
from transactions import Ring, Transfers, at_rest, settled, step

pytest.importorskip("redis")

SOURCE = """
import json, os, signal, sys, comity, redis

def execute(co, keys):
    tx = co.transaction(patience=0.01)
    for key in keys:
        tx.incrby(key, 1)
    tx.execute()
    return "committed"

def recover(co, keys, txid):
    seen = co.snapshot(*keys)
    return co.resolve(txid) + " " + " ".join(str(int(value or 0)) for value in seen.values())

def say(text):
    os.write(1, (text + "\\n").encode())  # in one piece: all write to one pipe

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    name, ports, timeout, *args = json.loads(line)
    child = os.fork()
    if child:
        say(f"pid {child}")
        continue
    clients = {n: redis.Redis(host="127.0.0.1", port=port) for n, port in zip("abc", ports)}
    try:
        with comity.connect(clients, timeout=timeout, check=False) as co:
            said = {"execute": execute, "recover": recover}[name](co, *args)
    except comity.OutcomeUnknown as error:
        said = "unknown " + error.transaction_id.decode()
    except comity.Error as error:
        said = "aborted " + type(error).__name__
    except BaseException as error:
        said = "failed " + repr(error)
    say(said)
    os._exit(0)
"""


class Nursery:
    """Clients in processes of their own that begin at once: one that waits forks them."""

    def __init__(self, file: Path) -> None:
        file.write_text(SOURCE)
        self._parent = subprocess.Popen(
            [sys.executable, "-u", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children: list[int] = []
        self._said: deque[str] = deque()

    def begin(self, name: str, ports: list[int], timeout: float, *args: Any) -> int:
        """A client's process id."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([name, ports, timeout, *args]) + "\n")
        self._parent.stdin.flush()
        while not (line := self._line()).startswith("pid "):
            self._said.append(line)
        pid = int(line.split()[1])
        self._children.append(pid)
        return pid

    def said(self) -> str:
        """What the next client says, at its end."""
        return self._said.popleft() if self._said else self._line()

    def _line(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline().strip()
        assert line, "it has died"
        return line

    def close(self) -> None:
        for pid in self._children:
            signal_to(pid, signal.SIGKILL)
        self._parent.kill()
        self._parent.communicate()


def signal_to(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Gate:
    """Lets so many steps of transactions be executed. The rest waits before the servers, until it
    is late or is dropped.
    """

    def __init__(self, count: int) -> None:
        self._left = count
        self._verdict: str | None = None
        self._changed = threading.Condition()
        self.waiting = 0
        self.passed = 0
        self.ids: set[bytes] = set()

    def enter(self, words: list[bytes]) -> None:
        if (which := step(words)) is None:
            return
        with self._changed:
            if which in ("PREPARE", "ONE_PHASE"):
                txid, _, columns = words[(first := 3 + int(words[2])) : first + 3]
                # As in its text: the id, and until when something of it may come.
                self.ids.add(txid + b"." + columns[16:])
            if self._left:
                self._left -= 1
                return
            self.waiting += 1
            self._changed.wait_for(lambda: self._verdict is not None, 30)
        if self._verdict != "late":
            raise OSError("dropped")

    def leave(self, words: list[bytes]) -> None:
        if step(words) is not None:
            with self._changed:
                self.passed += 1

    def end(self, verdict: str) -> None:
        """Lets what waits be executed, if it is `late`, or be lost."""
        with self._changed:
            self._verdict = verdict
            self._changed.notify_all()


class Gated(Proxy):
    """A proxy with a gate before it."""

    gate = Gate(0)

    def executing(self, words: list[bytes]) -> None:
        self.gate.enter(words)

    def executed(self, words: list[bytes], reply: bytes) -> None:
        self.gate.leave(words)


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    one = Nursery(tmp_path / "nursery.py")
    yield one
    one.close()


@pytest.fixture
def gated(shared_three: list[Server]) -> Iterator[Ring]:
    for one in shared_three:
        with one.client() as client:
            client.flushall()
    ring = Ring(shared_three, proxy=Gated)
    # From here on the servers have the scripts: what is sent again with its text counts as two.
    with ring.connect(direct=True) as co:
        for keys in (ring.keys[:1], ring.keys):
            tx = co.transaction()
            for key in keys:
                tx.incrby(key, 1)
            tx.execute()
    yield ring
    ring.close()


def gates(ring: Ring, count: int) -> Gate:
    """Empties the servers, and puts a new gate before all of them."""
    gate = Gate(count)
    for server, proxy in zip(ring.servers, ring.proxies, strict=True):
        proxy.gate = gate
        with server.client() as client:
            client.flushall()
    ring.connect(direct=True).close()  # as servers of this ring, without which they do nothing
    return gate


# A client over so many servers sends one command, or two to each. So many of them are executed, and
# so many wait.
CUTS = [(1, 0, 1)]
CUTS += [(nodes, count, nodes - count % nodes) for nodes in (2, 3) for count in range(2 * nodes)]


def whole(values: list[int], nodes: int) -> bool:
    return values in ([0, 0, 0], [1] * nodes + [0] * (3 - nodes))


def snapshot(co: Any, ring: Ring) -> list[int]:
    return [int(value or 0) for value in co.snapshot(*ring.keys).values()]


@pytest.mark.parametrize("then", ["dropped", "late"])
def test_a_client_that_is_killed_after_any_command(gated: Ring, nursery: Nursery, then: str):
    ports = [proxy.port for proxy in gated.proxies]
    for nodes, count, waiting in CUTS:
        gate = gates(gated, count)
        pid = nursery.begin("execute", ports, 5, gated.keys[:nodes])
        until(lambda gate=gate, waiting=waiting: gate.waiting == waiting)
        os.kill(pid, signal.SIGKILL)
        with gated.connect(direct=True) as other:
            seen = snapshot(other, gated)
            assert seen == [int(count >= nodes)] * nodes + [0] * (3 - nodes), (nodes, count)
            gate.end(then)
            if then == "late":
                until(lambda gate=gate, count=count + waiting: gate.passed == count)
            # What no server had heard of may happen late, and then it happens whole.
            again = snapshot(other, gated)
            assert again == seen or (count == 0 and whole(again, nodes)), (nodes, count)
            other.sweep()
        at_rest(*gated.servers)
        assert gated.values() == again


def test_a_client_that_is_stopped_past_its_deadline(gated: Ring, nursery: Nursery):
    """Others end its transaction meanwhile, what it had sent comes late, and then it goes on."""
    ports = [proxy.port for proxy in gated.proxies]
    for nodes, count, waiting in CUTS:
        # On a busy machine its time may be over before it has come so far.
        for timeout in (0.4, 2, 10):
            gate = gates(gated, count)
            pid = nursery.begin("execute", ports, timeout, gated.keys[:nodes])
            until(lambda: gate.waiting >= waiting or not lives(pid))  # noqa: B023
            signal_to(pid, signal.SIGSTOP)
            if lives(pid):
                break
            gate.end("dropped")
            nursery.said()
        with gated.connect(direct=True) as other:
            seen = snapshot(other, gated)
            assert seen == [int(count >= nodes)] * nodes + [0] * (3 - nodes), (nodes, count)
            time.sleep(timeout + 0.05)
            gate.end("late")
            os.kill(pid, signal.SIGCONT)
            said, *more = nursery.said().split()
            if said == "unknown":
                said = other.resolve(more[0])
            values = snapshot(other, gated)
            assert values == [int(said == "committed")] * nodes + [0] * (3 - nodes), (nodes, count)
            assert values == seen or count == 0
            other.sweep()
        at_rest(*gated.servers)
        assert gated.values() == values


def test_many_processes_recover_one_transaction(gated: Ring, nursery: Nursery):
    ports = [proxy.port for proxy in gated.proxies]
    direct = [server.port for server in gated.servers]
    for nodes, count, waiting in CUTS:
        if count == 0:
            continue
        gate = gates(gated, count)
        pid = nursery.begin("execute", ports, 5, gated.keys[:nodes])
        until(lambda gate=gate, waiting=waiting: gate.waiting == waiting)
        os.kill(pid, signal.SIGKILL)
        (txid,) = gate.ids
        for _ in range(4):
            nursery.begin("recover", direct, 5, gated.keys, txid.decode() + "@a")
        said = {nursery.said() for _ in range(4)}
        gate.end("late")
        until(lambda gate=gate, count=count + waiting: gate.passed == count)
        outcome = "committed" if count >= nodes else "aborted"
        values = [int(count >= nodes)] * nodes + [0] * (3 - nodes)
        assert said == {" ".join([outcome, *map(str, values)])}, (nodes, count)
        assert gated.values() == values


def test_servers_that_are_killed_under_load(start: Any):
    """With their append-only files they come back with all they have said."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    three = Ring([start(*options) for _ in range(3)])
    dice = random.Random(11)
    try:
        three.fill(1000)
        clients = [Transfers(three, seed, direct=True, timeout=5) for seed in range(4)]
        for _ in range(12):
            time.sleep(dice.uniform(0.05, 0.3))
            server = dice.choice(three.servers)
            server.kill()
            server.start()
        for client in clients:
            client.end()
        assert sum(len(client.told) for client in clients) > 20
        settled(three, clients)
        at_rest(*three.servers)
    finally:
        three.close()
