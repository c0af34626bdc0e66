"""Finalizers and signal handlers call verbs inside of verbs: nothing hangs, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

redis = pytest.importorskip("redis")

from locks import line  # noqa: E402

import comity  # noqa: E402

STORM = Path(__file__).with_name("interrupted.py")
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer"),
]


def storm(*args: object, **env: str) -> None:
    command = [sys.executable, str(STORM), *map(str, args)]
    env = {**os.environ, **env}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
@pytest.mark.parametrize("where", ["memory", "one", "three"])
def test_every_verb_in_the_middle_of_every_verb(kind, where, server, shared_three):
    ports = {"memory": "memory", "one": server.port}
    three = ",".join(str(one.port) for one in shared_three)
    storm(kind, ports.get(where, three), 12)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before Python 3.12")
def test_tasks_that_begin_at_once_in_the_middle_of_everything(server):
    storm("asyncio", server.port, 12, "eager")


@pytest.mark.parametrize("where", ["one", "three"])
def test_handlers_in_the_middle_of_handlers(where, server, shared_three):
    three = ",".join(str(one.port) for one in shared_three)
    storm("threads", server.port if where == "one" else three, 8, "dense")


def test_a_connection_that_is_interrupted_in_the_middle_of_tls_is_made_anew(tls):
    port, certificate = tls
    storm("threads", port, 8, TLS=certificate)


def test_nobody_waits_for_a_reader_that_a_handler_keeps(server):
    def trial() -> bool:
        """Whether each answer was read: asked again it would be given as well."""
        answered = threading.Event()
        seen: list[object] = []

        def beside() -> None:
            time.sleep(0.1)  # the other one reads by now
            try:
                seen.append(co.inspect("b").holders)
            finally:
                answered.set()

        def keep(*_: object) -> None:
            seen.append(answered.wait(60))

        with server.client() as admin, comity.connect(server.client(), timeout=60) as co:
            co.inspect("a")
            thread = threading.Thread(target=beside)
            before = signal.signal(signal.SIGALRM, keep)
            admin.execute_command("CLIENT", "PAUSE", "600", "ALL")
            try:
                thread.start()
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                co.inspect("a")
            finally:
                thread.join()
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            return seen == [(), True] and co.stats()["outcome_unknown"] == 0

    # On a machine that is too busy to read in time, once more.
    assert any(trial() for _ in range(5))


CLOSING = """
import signal, sys, comity, redis
co = comity.connect(redis.Redis(host="127.0.0.1", port=int(sys.argv[1])))
hits = co.counter("hits", durability=comity.Batched(3600))

def stop(*_):
    with co.lock("bye"):
        hits.add(1)
    co.close()
    sys.exit(0)

signal.signal(signal.SIGALRM, stop)
print("ready", flush=True)
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))
while True:
    with co.lock("job"):
        pass
"""


def test_a_handler_takes_a_lock_counts_closes_and_exits(server, script):
    for trial in range(12):
        process = script(CLOSING, server.port, 0.02 + trial * 0.0007)
        assert line(process) == "ready"
        assert process.wait(60) == 0
    with comity.connect(server.client()) as co:
        assert co.counter("hits").read().value == 12
        with co.lock("job", wait=0), co.lock("bye", wait=0):
            pass
