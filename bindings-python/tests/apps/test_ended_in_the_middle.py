"""Processes of workers and servers that end in the middle of a job, which holds locks and has
counts pending. After a graceful end all is counted, and the locks are free; after a kill what was
flushed is counted, and nothing twice, and the locks are free when their leases end. The next job
goes on, with a higher fence.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import free_port

import comity

redis = pytest.importorskip("redis")
sys.path.insert(0, os.path.dirname(__file__))

from running import (  # noqa: E402
    HERE,
    ask,
    counted,
    ended,
    let_go,
    running,
    there,
    wait_for_end,
)

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

FLUSHED, PENDING = 2, 3


class App:
    """One kind of server or worker."""

    module: str
    words: tuple[str, ...]

    def __init__(self, server: Any) -> None:
        pytest.importorskip(self.module)
        self.server = server
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def run(self) -> Iterator[int]:
        words = [word.format(redis=self.server.port, port=self.port) for word in self.words]
        with running(self.server.port, *words, PRELOAD="1") as process:
            yield process.pid
            process.terminate()
            process.wait(120)

    def begin(self, ttl: float) -> None:
        """Has a job begin, and does not wait for it."""
        url = f"{self.url}/middle/{ttl}"
        threading.Thread(target=ask, args=(url,), daemon=True).start()


class Rq(App):
    module = "rq"
    words = ("rq.cli", "worker", "--url", "redis://127.0.0.1:{redis}", "--quiet")
    words += ("--worker-class", "preloaded.Worker")

    def begin(self, ttl: float) -> None:
        import rq

        with self.server.client() as connection:
            rq.Queue(connection=connection).enqueue("application.middle", ttl)


class Celery(App):
    module = "celery"
    words = ("celery", "-A", "tasks", "worker", "--concurrency", "2", "--loglevel", "ERROR")
    words += ("--without-gossip", "--without-mingle")

    def begin(self, ttl: float) -> None:
        environment = {**os.environ, "PORT": str(self.server.port), "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-c", f"import tasks; tasks.middle.delay({ttl})"]
        environment["PRELOAD"] = ""
        subprocess.run(command, check=True, env=environment, cwd=HERE, timeout=120)


class Gunicorn(App):
    module = "gunicorn"
    words = ("gunicorn", "application:wsgi", "--preload", "--workers", "2")
    words += ("--bind", "127.0.0.1:{port}", "-c", "gunicorn_conf.py", "--log-level", "critical")
    words += ("--graceful-timeout", "60", "-k")


class Sync(Gunicorn):
    words = (*Gunicorn.words, "sync")


class Gthread(Gunicorn):
    words = (*Gunicorn.words, "gthread")


class Uvicorn(App):
    module = "uvicorn"
    words = ("uvicorn", "service:app", "--workers", "3", "--port", "{port}")
    words += ("--log-level", "critical")


class Pool(App):
    module = "multiprocessing"
    words = ("pool",)

    def begin(self, ttl: float) -> None:
        with self.server.client() as client:
            client.rpush("jobs", ttl)


# What is done to the process of the server, `main`, and that of the job, `pid`.


def killed(main: int, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def terminated(main: int, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def server_terminated(main: int, pid: int) -> None:
    os.kill(main, signal.SIGTERM)


def server_quit(main: int, pid: int) -> None:
    os.kill(main, signal.SIGQUIT)


def server_terminated_twice(main: int, pid: int) -> None:
    while not ended(pid):
        os.kill(main, signal.SIGTERM)
        time.sleep(1.2)  # RQ takes a second one within a second for the same


Ends = list[tuple[type[App], Callable[[int, int], None]]]
SUDDEN: Ends = [
    (Rq, killed),
    (Rq, server_terminated_twice),  # which kills
    (Celery, killed),
    (Sync, killed),
    (Gthread, killed),
    (Uvicorn, killed),
    (Pool, killed),
]
COLD: Ends = [
    (Rq, terminated),
    (Celery, terminated),
    (Celery, server_quit),
    (Sync, server_quit),
    (Pool, terminated),
    (Pool, server_terminated),
]
WARM: Ends = [
    (Rq, server_terminated),
    (Celery, server_terminated),
    (Sync, server_terminated),
    (Sync, terminated),
    (Gthread, server_terminated),
    (Gthread, terminated),
    (Uvicorn, server_terminated),
    (Uvicorn, terminated),
]


def name(value: Any) -> str:
    return str(value.__name__).lower()


def goes_on(app: App, fence: int, ttl: float) -> None:
    """The next job is done, and by the same name nobody had a higher fence before."""
    app.begin(ttl)
    _, higher = there(app.server)
    assert higher > fence
    let_go(app.server)


def locks(server: Any) -> list[comity.Inspection]:
    with server.client() as client, comity.connect(client, timeout=20) as co:
        return [co.inspect("till"), co.inspect("held")]


@pytest.mark.parametrize(("kind", "end"), SUDDEN, ids=name)
def test_a_job_that_is_killed(kind, end, server):
    ttl = 4.0
    app = kind(server)
    with app.run() as main:
        app.begin(ttl)
        pid, fence = there(server)
        end(main, pid)
        wait_for_end(pid)
        for lock in locks(server):  # its leases run out
            assert all(holder.remaining <= ttl for holder in lock.holders)
        if end is killed:
            goes_on(app, fence, ttl)
    if end is not killed:
        with app.run():
            goes_on(app, fence, ttl)
    both = 2 * (FLUSHED + PENDING)
    assert both - PENDING <= counted(server) <= both
    assert not any(lock.holders or lock.waiters for lock in locks(server))


@pytest.mark.parametrize(("kind", "end"), [*COLD, *WARM], ids=name)
def test_a_job_that_is_ended_gracefully(kind, end, server):
    app = kind(server)
    with app.run() as main:
        app.begin(60)
        pid, fence = there(server)
        end(main, pid)
        if (kind, end) in WARM:
            let_go(server)
        wait_for_end(pid)
        assert not any(lock.holders or lock.waiters for lock in locks(server))
        assert counted(server) == FLUSHED + PENDING
        if end is terminated:
            goes_on(app, fence, 60)
    if end is not terminated:
        with app.run():
            goes_on(app, fence, 60)
    assert counted(server) == 2 * (FLUSHED + PENDING)
    assert not any(lock.holders or lock.waiters for lock in locks(server))
