"""`Pool.terminate()` of multiprocessing, where the workers close at SIGTERM: it always comes back.

See `comity/rouse.py` for what it waited for.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import comity
import comity.rouse

pytest.importorskip("redis")
sys.path.insert(0, os.path.dirname(__file__))

from running import HERE, counted

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

POOLS = """
import multiprocessing, sys, time
import application, comity

def job(number):
    application.hits.add(1)
    application.hits.flush()

where = sys.argv[1]
if where == "parent":
    comity.close_on_signal()
context = multiprocessing.get_context("fork")
for number in range(60):
    with context.Pool(3, comity.close_on_signal if where == "worker" else None) as pool:
        done = pool.map_async(job, range(3 * (number % 3)), chunksize=1)
        if number % 2:
            done.get(100)
        # The end of this block is `Pool.terminate()`.
print("came back")
"""


@pytest.mark.parametrize("where", ["worker", "parent"])
def test_pools_are_terminated_as_soon_as_they_are_there(where, server):
    environment = {**os.environ, "PORT": str(server.port), "PYTHONPATH": str(HERE), "PRELOAD": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", POOLS, where],
        env=environment,
        cwd=HERE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.communicate(timeout=200)[0] == b"came back\n"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    # Those that were waited for, and at most all that were begun.
    assert 90 <= counted(server) <= 180


def wait_for(lock, inherited: bool) -> None:
    """A worker whose main thread does not notice that the signal is there."""
    if not inherited:
        comity.close_on_signal()

    def signalled() -> None:
        time.sleep(0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        time.sleep(100)

    threading.Thread(target=signalled, daemon=True).start()
    lock.acquire()


@pytest.mark.parametrize("inherited", [False, True])
def test_a_worker_ends_that_does_not_notice_the_signal(inherited, monkeypatch):
    monkeypatch.setattr(comity.rouse, "_begun", 1)  # as where the parent has handled some before
    before = signal.getsignal(signal.SIGTERM)
    if inherited:
        comity.close_on_signal()
    try:
        context = multiprocessing.get_context("fork")
        lock = context.Lock()
        lock.acquire()
        process = context.Process(target=wait_for, args=(lock, inherited))
        process.start()
    finally:
        signal.signal(signal.SIGTERM, before)
    try:
        process.join(60)
        assert process.exitcode == -signal.SIGTERM
    finally:
        process.kill()
        process.join()


def test_nobody_elses_wake_ups_are_taken():
    """A process that has them already keeps them; one that is no worker is left alone."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        comity.close_on_signal()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL
    process = multiprocessing.get_context("fork").Process(target=_with_wake_ups)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def _with_wake_ups() -> None:
    _reads, writes = os.pipe()
    os.set_blocking(writes, False)
    comity.close_on_signal()  # in a child that was forked after its parent had said so, too
    ours = signal.set_wakeup_fd(writes)
    assert ours != -1
    assert signal.getsignal(signal.SIGURG) is not signal.SIG_DFL
    child = os.fork()
    if child == 0:
        # From Python 3.12 on asyncio takes them away from children itself.
        os._exit(signal.set_wakeup_fd(-1) not in {writes, -1})
    assert os.waitpid(child, 0)[1] == 0
    signal.signal(signal.SIGTERM, lambda *_: None)
    comity.close_on_signal()
    assert signal.set_wakeup_fd(-1) == writes
