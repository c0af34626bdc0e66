"""The demo and the examples run, with a server and without, and say what they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import comity

FOLDER = Path(__file__).parents[1]


def lasting(client):
    """The keys that do not end by themselves, but for the one with the server's stamp."""
    keys = (key for key in client.scan_iter() if client.ttl(key) < 0)
    return [key for key in keys if not key.endswith(b":1:t:{t}")]


def run(script: str, *arguments: str) -> str:
    environment = dict(os.environ)
    if "site-packages" not in comity.__file__:  # in the source tree
        environment["PYTHONPATH"] = str(Path(comity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
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


EXPECTED = Path(__file__).parents[2] / "tests" / "examples"
"""What the examples of every language print."""


@pytest.mark.parametrize("example", ["ring", "lock", "transaction", "counter"])
def test_an_example_prints_what_it_prints_in_every_language(server, example):
    expected = (EXPECTED / f"{example}.txt").read_text(encoding="utf-8")
    script = f"examples/{example}.py"
    assert run(script) == expected
    assert run(script, "--redis", f"localhost:{server.port}") == expected
    with server.client() as client:
        assert lasting(client) == []


ARTICLE = {
    "lock": [
        "Taking the lock 'report'.",
        "  held: True, for another 10 seconds unless it is renewed",
        "  somebody else tries: has to wait",
        "  the resource accepts the fence: True",
        "Released.",
        "Releasing it once more.",
        "  refused: lock 'report' is not held by this handle",
        "The same as a block, which releases also when the work fails.",
        "  the work failed; the lock is free again: True",
    ],
    "transaction": [
        "Begin; set key1 and key2; commit.",
        "  now: one, two",
        "Begin; set both again; roll back.",
        "  now: one, two",
        "Begin; set key1; the program fails before the end of the block.",
        "  rolled back: out of ideas",
        "  now: one, two",
        "Begin; set key1; add 1 to key2, which is no number.",
        "  rolled back: ERR value is not an integer or out of range",
        "  now: one, two",
    ],
    "counter": [
        "The counter stands at 0",
        "Adding 5.",
        "It stands at 5",
        "Four threads add 1000 each, in steps of one.",
        "It stands at 4005",
        "Taking 5 back.",
        "It stands at 4000 on the server, whatever was lost on the way",
    ],
}


@pytest.mark.parametrize("program", ARTICLE)
def test_the_programs_of_the_article(server, program):
    script = f"examples/article/{program}.py"
    assert run(script).splitlines() == ARTICLE[program]
    url = f"redis://127.0.0.1:{server.port}"
    assert run(script, "--redis", url).splitlines() == ARTICLE[program]
    with server.client() as client:
        # A lock's keys end by themselves.
        assert lasting(client) == []


def test_the_transaction_of_the_article_on_three_servers(three):
    urls = [f"redis://127.0.0.1:{server.port}" for server in three.servers]
    script = "examples/article/transaction.py"
    assert run(script, "--redis", *urls).splitlines() == ARTICLE["transaction"]


def test_one_lost_reply(server):
    output = run("examples/lost_reply.py", "--redis", f"redis://127.0.0.1:{server.port}")
    assert output == "redis-py incr: 2 for 1\ncomity:        1 for 1\n"
    with server.client() as client:
        assert client.keys() == []


def test_the_benchmark_runs_on_redis(server):
    output = run("benches/lock.py", "--rounds", "2", "--pairs", "50", "--share", "0.02")
    assert output.count("target") == 14
