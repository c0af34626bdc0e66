"""The demo and the examples run, with a server and without, and say what they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import comity

FOLDER = Path(__file__).parents[1]


def run(script: str, *arguments: str) -> str:
    environment = dict(os.environ)
    if "site-packages" not in comity.__file__:  # in the source tree
        environment["PYTHONPATH"] = str(Path(comity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def the_demo_is_as_promised(output: str) -> None:
    assert "All as promised" in output
    assert "comity counts 2,000; INCR" in output
    names = [line.split()[0] for line in output.splitlines() if "fence #" in line]
    assert names[:6] == ["Ada", "Ben", "Cleo"] * 2
    assert len(output.splitlines()) < 25
    assert max(map(len, output.splitlines())) <= 100


def test_the_demo_on_the_embedded_store():
    the_demo_is_as_promised(run("examples/demo.py"))


def test_the_demo_on_one_redis(server):
    the_demo_is_as_promised(run("examples/demo.py", "--redis", f"redis://127.0.0.1:{server.port}"))


def test_the_demo_on_three(start):
    ports = [str(start().port) for _ in range(3)]
    the_demo_is_as_promised(run("examples/demo.py", "--redis", *ports))


def test_the_demo_fails_where_there_is_no_server():
    with pytest.raises(AssertionError, match="could not be reached"):
        run("examples/demo.py", "--redis", "1")


def test_the_lock_example_says_the_same_with_and_without_a_server(server):
    assert run("examples/lock.py") == run("examples/lock.py", "--redis", f"localhost:{server.port}")


def test_the_ring_example():
    assert "gives the same ring: True" in run("examples/ring.py")


def test_one_lost_reply(server):
    output = run("examples/lost_reply.py", "--redis", f"redis://127.0.0.1:{server.port}")
    assert output == "redis-py incr: 2 for 1\ncomity:        1 for 1\n"
    with server.client() as client:
        assert client.keys() == []


def test_the_benchmark_runs_on_redis(server):
    output = run("benches/lock.py", "--rounds", "2", "--pairs", "50", "--share", "0.02")
    assert output.count("target") == 14
