"""Programs in C and in Python meet on real servers, and the adapter in C meets faults.

Run by `cargo xtask test c`, which builds the library.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import locks
import pytest
import redis
import transactions
from actors import Actor, C, Lines, build, url
from faults import (
    ALWAYS,
    CUT_AFTER,
    CUT_BEFORE,
    DELAY_AFTER,
    DELAY_BEFORE,
    REPEAT,
    STALL,
    SWALLOW,
    Fault,
    Proxy,
    is_push,
)

import comity

HIREDIS = ("hiredis",)
ADAPTERS = {"hiredis": ((), HIREDIS), "socket": (("-DCOMITY_OVER_SOCKET",), ())}
"""What the actor is compiled with over each adapter."""


@pytest.fixture(scope="session", params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """What moves the bytes."""
    return str(request.param)


@pytest.fixture(scope="session")
def program(adapter: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The actor."""
    words, packages = ADAPTERS[adapter]
    program = tmp_path_factory.mktemp("c") / "actor"
    return build(C / "tests" / "redis" / "actor.c", program, *words, packages=packages)


@pytest.fixture(scope="session")
def leader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example."""
    program = tmp_path_factory.mktemp("c") / "leader"
    return build(C / "examples" / "leader.c", program, packages=HIREDIS)


@pytest.fixture
def actor(program: Path, adapter: str) -> Iterator[Callable[..., Actor]]:
    """Starts actors; one that is left over at the end is closed and must end well."""
    started: list[Actor] = []

    def start(*servers: str, **options: float) -> Actor:
        if adapter == "socket":
            servers = tuple(map(url, servers))
        started.append(Actor(program, *servers, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.close()


SETUP = os.environ.get("COMITY_C_SETUP")
"""A command for each connection of the actors."""
SILENT = ("NoAnswer", "Unreachable")
"""What becomes of a lock whose server takes connections and says nothing: one that answers not even
the set-up of a connection, which there always is by URL, was not reached.
"""


def at(port: int, node: str = "a") -> str:
    """A server as actors take it."""
    return f"{node}=127.0.0.1:{port}" + (f",{SETUP}" if SETUP else "")


def rising(fences: list[int]) -> bool:
    return fences == sorted(set(fences))


# Together on one server


def test_two_in_c_and_one_in_python_are_served_in_the_order_they_came(server, actor):
    first, second = actor(at(server.port)), actor(at(server.port))
    with locks.connect(server.port) as co:
        order, fences, asked = [], [], []

        def wait_in_python():
            with co.lock("job", ttl=2) as held:
                order.append("python")
                fences.append(held.fence)

        with co.lock("job", ttl=2) as held:
            fences.append(held.fence)
            for who in (first, second, None, second, first):
                if who is None:
                    threads = [threading.Thread(target=wait_in_python)]
                    threads[0].start()
                else:
                    asked.append((who, who.ask("job")))
                place = len(asked) + (1 if len(asked) > 2 or who is None else 0)
                locks.until(lambda n=place: co.inspect("job").waiters_total == n)
        for number, (who, lock) in enumerate(asked):
            granted = who.hear("LockGranted")
            assert granted["lock"] == lock
            fences.append(granted["fence"])
            order.append(number)
            who.release(lock)
        threads[0].join()
    assert order[:2] == [0, 1]
    assert order.index("python") == 2
    assert order[3:] == [2, 3]
    assert rising(fences)


def test_two_in_c_and_one_in_python_never_hold_together(server, actor):
    rounds = 40
    held: list[tuple[float, float, int]] = []

    def in_c(who):
        for _ in range(rounds):
            granted = who.acquire("job")
            time.sleep(0.002)
            held.append((granted["at"] / 1e6, who.release(granted["lock"]), granted["fence"]))

    def in_python():
        with locks.connect(server.port) as co:
            for _ in range(rounds):
                with co.lock("job", ttl=2) as lock:
                    begin = comity.clock()
                    time.sleep(0.002)
                    held.append((begin, comity.clock(), lock.fence))

    threads = [threading.Thread(target=in_c, args=(actor(at(server.port)),)) for _ in range(2)]
    threads.append(threading.Thread(target=in_python))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held.sort()
    assert len(held) == 3 * rounds
    assert all(a[1] <= b[0] for a, b in pairwise(held))
    assert rising([fence for *_, fence in held])


def test_a_client_in_c_killed_in_mid_transaction_is_resolved_by_python(three, actor):
    for _ in range(3):
        three.fill(100)
        rules = [
            proxy.rule(SWALLOW, transactions.asks("PREPARE"), ALWAYS) for proxy in three.proxies[:2]
        ]
        servers = [at(proxy.port, node) for node, proxy in zip("abc", three.proxies, strict=True)]
        dying = actor(*servers)
        dying.tell("transfer", three.keys[0], three.keys[1], 30)
        locks.until(lambda rules=rules: all(rule.met for rule in rules))
        dying.kill()
        for proxy in three.proxies:
            proxy.calm()
        with three.connect(direct=True) as co:
            found = list(co.snapshot(*three.keys).values())
            assert found in ([b"70", b"130", b"100"], [b"100", b"100", b"100"])
            assert three.values() == [int(value) for value in found]
        transactions.at_rest(*three.servers)


def test_a_counter_fed_from_c_and_python_is_exact_though_replies_are_lost(server, proxy, actor):
    in_c = actor(at(proxy.port), timeout=2)
    proxy.rule(SWALLOW, lambda words: b"hits" in b" ".join(words), 3)
    proxy.rule(CUT_AFTER, lambda words: b"hits" in b" ".join(words), 3)
    with locks.connect(server.port) as co:
        hits = co.counter("hits")
        for _ in range(200):
            hits.add(3)
            in_c.tell("add", "hits", 5)
            time.sleep(0.002)
        hits.flush()
        for _ in range(20):
            in_c.tell("flush", "hits")
            if in_c.hear("CounterFlushed", "CallFailed")["kind"] == "CounterFlushed":
                break
        assert hits.read().value == 200 * 8
    in_c.tell("read", "hits")
    assert in_c.hear("CounterRead")["value"] == 200 * 8


def test_a_transaction_waits_for_replicas_and_nothing_else_does(start, actor):
    master = start("--repl-diskless-sync-delay", "0")
    replica = start("--replicaof", f"127.0.0.1 {master.port}")
    with master.client() as client:
        locks.until(lambda: client.info("replication").get("slave0", {}).get("state") == "online")
    one = actor(at(master.port), timeout=2)
    one.tell("replicated", "alice", "bob", 30)
    told = one.hear("TransactionCommitted", "TransactionFailed", "TransactionNotDurable")
    assert (told["kind"], told["replicas"]) == ("TransactionCommitted", 1)
    replica.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        one.tell("replicated", "alice", "bob", 30)
        time.sleep(0.1)
        one.release(one.acquire("job")["lock"])
        with master.client() as client:
            commands = [each["cmd"] for each in client.client_list()]
        # The connection that waits is another one than that of the lock.
        assert len([name for name in commands if name in ("wait", "evalsha", "eval")]) == 2
        assert one.hear("TransactionNotDurable")["replicas"] == 0
        assert one.hear("TransactionCommitted")["replicas"] == 0
        assert time.monotonic() - began > 0.9
    finally:
        replica.process.send_signal(signal.SIGCONT)


# Faults


class Wind(Proxy):
    """Does something to every fourth command of the lock, and to every fourth push."""

    def __init__(self, back: int, seed: int) -> None:
        self._random = random.Random(seed)
        super().__init__(back)

    def fault(self, words: list[bytes]) -> Fault | None:
        if not (locks.is_queue(words) or is_push(words)) or self._random.random() > 0.25:
            return None
        kinds = [SWALLOW, CUT_BEFORE, CUT_AFTER, REPEAT, STALL, DELAY_BEFORE, DELAY_AFTER]
        return Fault(self._random.choice(kinds), self._random.uniform(0, 0.1))


def test_nobody_holds_together_in_a_storm(server, actor):
    seed = random.randrange(1 << 32)
    winds = [Wind(server.port, seed + number) for number in range(3)]
    held: list[tuple[float, float, int]] = []
    began = time.monotonic()

    def blows():
        return time.monotonic() < began + (5 if len(held) > 20 else 40)

    def blown_about(wind):
        who = actor(at(wind.port), timeout=0.4)
        while blows():
            lock = who.ask("job", ttl=1)
            granted = who.hear("LockGranted", "LockFailed")
            if granted["kind"] == "LockGranted":
                time.sleep(0.01)
                who.tell("release", lock)
                over = who.hear("Releasing", "LockLost")
                # When a lease ended that was lost is known to be no later than it was told.
                sure = over["kind"] == "Releasing" and over["error"] == "Ok"
                until = over["at"] if sure else granted["at"]
                held.append((granted["at"], until, granted["fence"]))
                if over["kind"] == "LockLost":
                    who.hear("Releasing")  # too late, and so of no effect
                elif over["error"] == "Ok":
                    who.hear("LockReleased", "LockFailed", "LockLost")

    def undisturbed():
        with locks.connect(server.port) as co:
            while blows():
                with co.lock("job", ttl=30) as lock:
                    begin = comity.clock()
                    time.sleep(0.01)
                    held.append((begin * 1e6, comity.clock() * 1e6, lock.fence))

    with ThreadPoolExecutor() as pool:
        ends = [pool.submit(blown_about, wind) for wind in winds]
        ends.append(pool.submit(undisturbed))
        for end in ends:
            end.result()
    for wind in winds:
        wind.close()
    held.sort()
    assert len(held) > 20, seed
    assert all(a[1] <= b[0] for a, b in pairwise(held)), seed
    assert rising([fence for *_, fence in held]), seed


@pytest.mark.parametrize("fault", [CUT_BEFORE, CUT_AFTER, SWALLOW])
def test_a_lost_command_or_reply_costs_no_lock(server, proxy, actor, traces, fault):
    one = actor(at(proxy.port), timeout=2)
    rule = proxy.rule(fault, locks.is_queue)
    granted = one.acquire("job")
    assert rule.met == 1
    rule = proxy.rule(fault, locks.is_queue)
    one.release(granted["lock"])
    assert rule.met == 1
    locks.idle(server, traces)


class Answering(Proxy):
    """Knows what the server has answered."""

    def __init__(self, back: int) -> None:
        self.answered: list[list[bytes]] = []
        super().__init__(back)

    def executed(self, words: list[bytes], reply: bytes) -> None:
        self.answered.append(words)


def test_a_push_that_is_lost_is_not_waited_for(server, actor):
    proxy = Answering(server.port)
    one = actor(at(proxy.port))
    proxy.rule(CUT_BEFORE, is_push)
    with locks.connect(server.port) as co:
        with co.lock("job", ttl=30):
            one.ask("job", ttl=30)
            one.hear("LockQueued")
            one.hear("PushReady")
            # It asks once more when it has a push connection.
            locks.until(lambda: sum(map(locks.asks(b"ACQ"), proxy.answered)) == 2)
        assert one.hear("PushUnavailable", "LockGranted")["kind"] == "PushUnavailable"
        one.hear("LockGranted")
    one.close()
    proxy.close()


def test_a_server_that_is_gone_was_not_sent_to(start, actor):
    server = start()
    one = actor(at(server.port), timeout=3)
    granted = one.acquire("job")
    one.release(granted["lock"])
    server.kill()
    time.sleep(0.5)
    one.ask("job")
    assert one.hear("LockFailed")["error"] == "Unreachable"
    server.start()
    granted = one.acquire("job")
    server.kill()
    # In the middle of all that it sends: no signal ends it.
    one.tell("release", granted["lock"])
    assert one.hear("LockFailed", "LockLost")["error"] in ("Unreachable", "NoAnswer", "LockLost")
    server.start()
    assert one.acquire("job")["kind"] == "LockGranted"


def test_a_silent_server_delays_no_other_and_is_forgiven(start, actor):
    silent, other = start(), start()
    one = actor(at(silent.port, "a"), at(other.port, "b"), timeout=5)
    ring = comity.Ring(["a", "b"])
    on_a, on_b = (
        next(name for name in map(str, range(100)) if ring.node(name) == node) for node in "ab"
    )
    one.release(one.acquire(on_a)["lock"])
    silent.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        one.ask(on_a)
        one.release(one.acquire(on_b)["lock"])
        # Heard before the other is given up, which takes the timeout.
        assert one.hear("LockFailed")["error"] in SILENT
        assert time.monotonic() - began > 4.5
    finally:
        silent.process.send_signal(signal.SIGCONT)
    one.release(one.acquire(on_a)["lock"])


def test_a_server_that_takes_nothing_is_given_up_by_the_deadline(proxy, actor):
    one = actor(at(proxy.port), timeout=2)
    proxy.rule(STALL, lambda words: True, ALWAYS)
    began = time.monotonic()
    one.ask("job")
    assert one.hear("LockFailed")["error"] in SILENT
    assert time.monotonic() - began > 1.5
    proxy.calm()
    assert one.acquire("job")["kind"] == "LockGranted"


def test_the_child_of_a_fork_sends_nothing_and_the_parent_goes_on(server, actor):
    one = actor(at(server.port))
    granted = one.acquire("job", ttl=2)
    one.tell("fork")
    assert one.hear("Forked")["error"] == "Ok"
    time.sleep(3)  # it is renewed all the while
    one.release(granted["lock"])


def test_a_lock_is_renewed_while_the_loop_runs_and_lost_with_its_server(start, actor):
    server = start()
    one = actor(at(server.port))
    granted = one.acquire("job", ttl=2)
    one.hear("LockRenewed")
    one.hear("LockRenewed")
    with server.client() as client:
        client.flushall()
    assert one.hear("LockLost")["lock"] == granted["lock"]


# Ways to a server


def test_a_password_is_given_by_a_connect_function_of_the_program_or_the_url(start, actor, adapter):
    server = start("--requirepass", "secret")
    where = f"a=127.0.0.1:{server.port}"
    one = actor(f"{where},AUTH secret")
    granted = one.acquire("job")
    one.release(granted["lock"])
    refused = actor(f"{where},AUTH wrong", timeout=2)
    refused.ask("job")
    # What the server said to its own function only the program knows.
    error = "Unreachable" if adapter == "hiredis" else "ServerRefused"
    assert refused.hear("LockFailed")["error"] == error
    without = actor(where, timeout=2)
    without.ask("job")
    assert without.hear("LockFailed")["error"] == "ServerRefused"


def test_a_socket_of_the_file_system(server, actor):
    one = actor(f"a={server.path}")
    one.release(one.acquire("job")["lock"])
    one.tell("check")
    assert one.hear("NodeChecked", "CallFailed")["kind"] == "NodeChecked"


def test_openssl_carries_the_bytes_of_a_connection(tls, tmp_path):
    port, certificate = tls
    example = build(C / "examples" / "tls.c", tmp_path / "tls", packages=("openssl",))

    def run(password: str, *authority: str) -> tuple[int, str]:
        words = [str(example), f"rediss://:{password}@127.0.0.1:{port}", *authority]
        told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return told.returncode, told.stdout + told.stderr

    with redis.Redis(port=port, ssl=True, ssl_cert_reqs="none") as admin:
        admin.config_set("requirepass", "secret")
        code, text = run("secret", certificate)
        assert (code, text.count("\n")) == (0, 2), text
        assert text.startswith("granted over TLSv1.")
        assert text.endswith("given back\n")
        code, text = run("wrong", certificate)
        assert code == 1
        assert "WRONGPASS" in text
        code, text = run("secret")
        assert code == 1
        assert "certificate" in text
        # One that is trusted and for another host.
        other = str(tmp_path / "other.pem")
        request = ["openssl", "req", "-x509", "-key", str(tmp_path / "key.pem"), "-days", "2"]
        request += ["-subj", "/CN=other", "-addext", "subjectAltName=IP:127.0.0.9", "-out", other]
        subprocess.run(request, check=True, capture_output=True)
        admin.config_set("tls-cert-file", other)
        code, text = run("secret", other)
        assert code == 1
        assert "mismatch" in text


def test_the_leader_that_is_killed_is_followed_by_another(server, leader):
    # The lease is 2 s; the dead leader's has to run out.
    first = Lines(leader, f"127.0.0.1:{server.port}", "first")
    assert first.line() == "first leads"
    second = Lines(leader, f"127.0.0.1:{server.port}", "second")
    try:
        assert second.line() == "second waits for first"
        assert first.line() == "first has counted to 10"
        first.kill()
        assert second.line() == "second leads"
        assert second.line().startswith("second has counted to ")
        third = Lines(leader, f"127.0.0.1:{server.port}", "third")
        assert third.line() == "third waits for second"
        assert second.end() == 0
        with locks.connect(server.port) as co:  # it has handed over before it ended
            assert [one.label for one in co.inspect("leader").holders] == [b"third"]
        assert third.line() == "third leads"
        assert third.end(signal.SIGINT) == 0
    finally:
        for one in (first, second):
            if one.process.poll() is None:
                os.kill(one.process.pid, signal.SIGKILL)
                one.end()


def test_who_waits_in_line_waits_on_where_a_server_has_too_many_clients(start, actor):
    server = start()
    holder, waiter = actor(at(server.port)), actor(at(server.port), timeout=1)
    holder.acquire("job", ttl=600)
    waiter.ask("job", ttl=60)
    waiter.hear("LockQueued")
    with server.client() as admin:
        admin.config_set("maxclients", 1)
        for kind in ("pubsub", "normal"):
            admin.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        waiter.hear("NodeDown")
        begun = admin.info("stats")["rejected_connections"]
        # Longer than its timeout, with a pause of half a second at most between two.
        locks.until(lambda: admin.info("stats")["rejected_connections"] >= begun + 20, 60)
        admin.config_set("maxclients", 1000)
        admin.delete(*admin.keys("comity:1:lock:*"))
    assert waiter.hear("NodeUp", "LockFailed")["kind"] == "NodeUp"
    waiter.hear("LockGranted")
