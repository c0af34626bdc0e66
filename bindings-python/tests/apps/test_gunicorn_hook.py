"""Where gunicorn's workers give back what they hold without `comity.contrib.gunicorn`, and where
not: what its docstring and docs/python.md say.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import free_port

import comity

pytest.importorskip("redis")
pytest.importorskip("gunicorn")
sys.path.insert(0, os.path.dirname(__file__))

from running import ask, counted, let_go, running, there, wait_for_end

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


@contextmanager
def gunicorn(server: Any, kind: str, *more: str) -> Iterator[tuple[int, str]]:
    """Its process, and where it serves."""
    port = free_port()
    words = ("gunicorn", "application:wsgi", "--preload", "--bind", f"127.0.0.1:{port}", "-k", kind)
    with running(server.port, *words, "--log-level", "critical", *more, PRELOAD="1") as process:
        yield process.pid, f"http://127.0.0.1:{port}"


def held(server: Any) -> int:
    """How many locks have a holder, that of the main process aside."""
    with server.client() as client, comity.connect(client, timeout=20) as co:
        names = {key.partition(b"{")[2].partition(b"}")[0] for key in client.keys("*:lock:{*")}
        return sum(len(co.inspect(name).holders) for name in names - {b"master"})


def begin(server: Any, url: str) -> int:
    """Has a request come to its middle; the process that is at it."""
    threading.Thread(target=ask, args=(f"{url}/middle/60",), daemon=True).start()
    return there(server)[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT, None])
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_no_class_needs_it_between_requests(kind, number, server):
    more = ("--max-requests", "1") if number is None else ()
    with gunicorn(server, kind, *more) as (_, url):
        pid = ask(f"{url}/")
        assert pid is not None
        if number is not None:
            os.kill(pid, number)
        wait_for_end(pid)
        assert held(server) == 0
        assert counted(server) == 1


@pytest.mark.parametrize("end", ["SIGABRT", "SIGQUIT", "server's SIGQUIT"])
def test_the_class_sync_does_not_need_it_in_a_request(end, server):
    """SIGABRT is what gunicorn sends at the timeout of a worker."""
    with gunicorn(server, "sync") as (main, url):
        pid = begin(server, url)
        os.kill(main if end.startswith("server") else pid, getattr(signal, end[-7:]))
        wait_for_end(pid)
        assert held(server) == 0
        assert counted(server) == 5


def test_the_class_gthread_needs_it_for_a_quick_end_in_a_request(server):
    """`atexit` waits for the threads of requests, and gunicorn kills what waits."""
    with gunicorn(server, "gthread", "--graceful-timeout", "3") as (main, url):
        pid = begin(server, url)
        os.kill(main, signal.SIGQUIT)
        wait_for_end(pid)
        assert held(server) == 2
        assert counted(server) == 2
    with server.client() as client:
        client.flushall()
    hook = ("-c", "gunicorn_conf.py", "--graceful-timeout", "60")
    with gunicorn(server, "gthread", *hook) as (main, url):
        pid = begin(server, url)
        os.kill(main, signal.SIGQUIT)
        patience = time.monotonic() + 50
        while held(server):  # the request is still in its middle
            assert time.monotonic() < patience
            time.sleep(0.05)
        assert counted(server) == 5
        let_go(server)
        wait_for_end(pid)


def test_it_does_not_help_where_a_request_outlasts_the_grace(server):
    """Then gunicorn kills the worker."""
    hook = ("-c", "gunicorn_conf.py", "--graceful-timeout", "2")
    with gunicorn(server, "sync", *hook) as (main, url):
        pid = begin(server, url)
        os.kill(main, signal.SIGTERM)
        wait_for_end(pid)
        assert held(server) == 2
        assert counted(server) == 2
