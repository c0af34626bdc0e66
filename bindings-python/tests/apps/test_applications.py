"""comity in applications, run by the real servers, ended and killed: counts are exact, and locks
are free at once where the end is a graceful one.
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
from conftest import free_port

import comity

redis = pytest.importorskip("redis")
sys.path.insert(0, os.path.dirname(__file__))

from running import HERE, ask_often, counted, free, job, running  # noqa: E402

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def test_fastapi_with_three_workers_of_uvicorn(server):
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    port = free_port()
    words = ("uvicorn", "service:app", "--workers", "3", "--port", str(port))
    words += ("--log-level", "warning")
    total = 0
    for _ in range(2):  # ended, and started again
        with running(server.port, *words) as process:
            total += 1 + len(ask_often(f"http://127.0.0.1:{port}/hit", 60))
            process.send_signal(signal.SIGTERM)
            process.wait(120)
        free(server)
        assert counted(server) == total
    with running(server.port, *words) as process:
        answers = 1 + len(ask_often(f"http://127.0.0.1:{port}/sure", 40))
        os.killpg(process.pid, signal.SIGKILL)
    assert counted(server, "sure") == answers


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_gunicorn_with_preload(kind, server):
    pytest.importorskip("gunicorn")
    port = free_port()
    words = ("gunicorn", "application:wsgi", "--preload", "--workers", "2", "-k", kind)
    words += ("--bind", f"127.0.0.1:{port}", "-c", "gunicorn_conf.py", "--log-level", "warning")
    total = 0
    for _ in range(2):
        with running(server.port, *words, PRELOAD="1") as process:
            total += 1 + len(ask_often(f"http://127.0.0.1:{port}/", 40))
            process.send_signal(signal.SIGTERM)
            process.wait(120)
        free(server)
        assert counted(server) == total
    with running(server.port, *words, PRELOAD="1"):
        answers = ask_often(f"http://127.0.0.1:{port}/sure", 20)
        os.kill(answers[0], signal.SIGKILL)  # another worker takes its place
        answers += ask_often(f"http://127.0.0.1:{port}/sure", 20)
    assert counted(server, "sure") == len(answers) + 2


def test_a_worker_of_rq(server):
    rq = pytest.importorskip("rq")
    sys.path.insert(0, str(HERE))
    connection = server.client()
    queue = rq.Queue(connection=connection)
    url = f"redis://127.0.0.1:{server.port}"
    words = ("rq.cli", "worker", "--burst", "--url", url, "--quiet")
    words += ("--worker-class", "comity.contrib.rq.Worker")
    for total in (5, 10):
        for number in range(5):
            queue.enqueue("application.work", number)
        with running(server.port, *words, PRELOAD="1") as process:
            process.wait(120)
        assert queue.count == 0
        free(server)
        assert counted(server) == total
    connection.close()


SENT = """
import tasks

results = [tasks.work.delay(number) for number in range(8)]
assert len([result.get(timeout=100) for result in results]) == 8
"""


def test_a_worker_of_celery(server):
    pytest.importorskip("celery")
    environment = {**os.environ, "PORT": str(server.port), "PYTHONPATH": str(HERE)}
    words = ("celery", "-A", "tasks", "worker", "--concurrency", "2", "--loglevel", "ERROR")
    words += ("--without-gossip", "--without-mingle")
    for total in (8, 16):
        with running(server.port, *words, PRELOAD="1") as process:
            command = [sys.executable, "-c", SENT]
            subprocess.run(command, check=True, env=environment, cwd=HERE, timeout=120)
            process.send_signal(signal.SIGTERM)
            process.wait(120)
        free(server)
        assert counted(server) == total


POOL = """
import multiprocessing
import application

pool = multiprocessing.get_context("fork").Pool(3)
assert len(pool.map(application.work, range(30), chunksize=1)) == 30
pool.close()
pool.join()
"""


def test_a_pool_of_processes(server):
    environment = {**os.environ, "PORT": str(server.port), "PYTHONPATH": str(HERE), "PRELOAD": "1"}
    command = [sys.executable, "-c", POOL]
    subprocess.run(command, check=True, env=environment, cwd=HERE, timeout=120)
    free(server)
    assert counted(server) == 30


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_short_processes_that_close_nothing(how, server):
    context = multiprocessing.get_context(how)
    processes = [context.Process(target=job, args=(server.port,)) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * 5
    assert counted(server) == 5


SIGNALLED = """
import signal, sys, time
import application, comity
signal.signal(signal.SIGTERM, lambda *_: (print("before", flush=True), sys.exit(7)))
comity.close_on_signal()
application.work(1)
print("ready", flush=True)
time.sleep(100)
"""


def test_a_signal_closes_and_then_does_what_it_did(server):
    environment = {**os.environ, "PORT": str(server.port), "PYTHONPATH": str(HERE), "PRELOAD": "1"}
    for source, code, said in [
        (SIGNALLED, 7, b"before\n"),
        (SIGNALLED.replace("signal.signal(signal.SIGTERM", "(lambda *_: 0)(0"), -15, b""),
    ]:
        process = subprocess.Popen(
            [sys.executable, "-c", source], env=environment, cwd=HERE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(60) == code
        assert process.stdout.read() == said
        process.stdout.close()
        free(server)
    assert counted(server) == 2


def test_whoever_closes_what_is_being_closed_waits_for_it(server):
    """As a signal does that comes while `atexit` closes; the process may end after it."""
    co = comity.connect(server.client(), timeout=20)
    hits = co.counter("hits", durability=comity.Batched(3600))
    hits.add(1)
    hits.flush()
    hits.add(2)
    with server.client() as client:
        client.client_pause(1000)
    first = threading.Thread(target=co.close)
    first.start()
    while not co._session.closed:
        time.sleep(0.001)
    co.close()
    assert co._session.drained.done
    assert counted(server) == 3
    first.join()
