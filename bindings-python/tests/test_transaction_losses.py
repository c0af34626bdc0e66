"""Servers that lose what they were told: they restart empty, or lack what was prepared. What was
said stays said, and what is lost is reported. And servers that restart with everything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from conftest import Server, need_redis
from stepping import NODES, PATIENCE, Client, Servers, Work, every_cut

import comity

META = b"comity:1:t:{t}"
PREPARED = ("PREPARE a", "PREPARE b", "PREPARE c")


def begin(steps: Servers, work: Work, *names: str) -> Client:
    """A client that has had so much executed."""
    work.fill(steps)
    client = Client(steps)
    client.execute(work.commands)
    for name in names:
        client.pass_on(client.next(name))
    return client


@pytest.mark.parametrize("empty", [0, 1, 2], ids=NODES)
def test_a_server_that_restarts_empty_under_a_client_that_lives(steps: Servers, empty: int):
    work = Work(3)
    _, after = work.plainly(steps)
    cuts = 0
    for client, path in every_cut(steps, lambda: begin(steps, work)):
        cuts += 1
        told = client.outcome()
        steps[empty].call("FLUSHALL")
        client.go_on()
        voted, ended = f"PREPARE {NODES[empty]}" in path, f"COMMIT {NODES[empty]}" in path
        others = [at for at in range(3) if at != empty]
        contents = steps.contents()
        assert client.outcome() == "committed", path
        assert told in (None, "committed")
        assert [contents[at] for at in others] == [after[at] for at in others], path
        # Before its vote it has lost what was not comity's business; a vote that counted is missed,
        # and nothing is left to tell by what is lost after the end.
        assert client.damaged() == ([NODES[empty]] if voted and not ended else []), path
        assert contents[empty] == ({} if voted else counted(work, empty)), path
        client.sweep()
        assert steps.left() == []
        # Nobody is told anything else, though the primary may not know any more.
        lost = empty == 0 and voted
        assert client.status(client.txid()) == ("unheard" if lost else "committed"), path
        assert client.outcome() == "committed"
    assert cuts == 15


def counted(work: Work, node: int) -> dict[bytes, tuple[bytes, ...]]:
    """What the transaction makes of nothing."""
    number, hash_, new = (work.commands[4 * node + at][1] for at in (0, 1, 3))
    return {
        number: (b"string", b"5", b"stays"),
        hash_: (b"hash", b"f=3", b"stays"),
        new: (b"string", b"v", b"ends"),
    }


@pytest.mark.parametrize("comes", ["who wants the keys", "resolve"])
@pytest.mark.parametrize("empty", [0, 1, 2], ids=NODES)
def test_a_server_that_restarts_empty_after_its_client_died(steps: Servers, empty: int, comes: str):
    work = Work(3)
    before, after = work.plainly(steps)
    for dead, path in every_cut(steps, lambda: begin(steps, work)):
        told = dead.outcome()
        steps[empty].call("FLUSHALL")
        time.sleep(PATIENCE / 1e6)
        client = Client(steps)
        if comes == "resolve":
            client.core.transaction_resolve(dead.txid(), client.now())
        client.committed([[b"GET", number] for number in work.numbers])
        if steps.left():
            client.sweep()
        assert steps.left() == []
        contents = steps.contents()
        voted = {at for at in range(3) if f"PREPARE {NODES[at]}" in path}
        ended = {at for at in range(3) if f"COMMIT {NODES[at]}" in path} - {empty}
        others = {0, 1, 2} - {empty}
        # Who has applied it proves that it was decided. The primary that has forgotten it says no.
        applied = others if ended and empty != 0 else ended
        for at in others:
            assert contents[at] == (after if at in applied else before)[at], (path, at)
        assert contents[empty] == {}
        # Nobody looks again at what the primary has committed.
        lost = applied and empty != 0 and 0 not in ended
        assert client.damaged() == ([NODES[empty]] if lost else []), path
        assert dead.outcome() == told
        assert told in (None, "committed")
        assert told is None or voted == {0, 1, 2}


# Shadows that somebody deletes


@pytest.mark.parametrize("gone", [0, 1, 2], ids=NODES)
@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_shadows_that_are_deleted_by_hand(steps: Servers, gone: int, dies: bool):
    work = Work(3)
    before, after = work.plainly(steps)
    for number in range(4):
        client = begin(steps, work, *PREPARED)
        shadows = steps[gone].call("KEYS", f"comity:*:*:*:*:{number}")
        assert len(shadows) == (number != 2), "of a deletion there is none"
        for shadow in shadows:
            steps[gone].call("DEL", shadow)
        if dies:
            time.sleep(PATIENCE / 1e6)
            dead, client = client, Client(steps)
            assert client.resolve(dead.txid()) == "committed"
        else:
            client.go_on()
            assert client.outcome() == "committed"
        assert client.damaged() == [NODES[gone]] * len(shadows)
        # The key is as it was, and no key of a user's is deleted in its place.
        key = work.commands[4 * gone + number][1]
        expected = dict(after[gone])
        if shadows:
            expected.pop(key, None)
            expected |= {name: value for name, value in before[gone].items() if name == key}
        assert steps.contents() == [*after[:gone], expected, *after[gone + 1 :]]
        assert steps.left() == []


def test_locks_that_are_deleted_by_hand(steps: Servers):
    """Whoever came in between is not written over."""
    work = Work(2)
    _, after = work.plainly(steps)
    for gone in (0, 1):
        client = begin(steps, work, *PREPARED[:2])
        key = work.numbers[gone]
        assert steps[gone].call("HDEL", META, b"k" + key) == 1
        steps[gone].call("SET", key, "77")
        client.go_on()
        assert client.outcome() == "committed"
        assert client.damaged() == [NODES[gone]]
        contents = steps.contents()
        assert contents[gone] == after[gone] | {key: (b"string", b"77", b"stays")}
        assert contents[1 - gone] == after[1 - gone]
        assert steps.left() == []


# Memory that is full


@contextmanager
def full(steps: Servers, *nodes: int) -> Iterator[None]:
    """No memory is to be had on these servers."""
    try:
        for node in nodes:
            steps[node].call("CONFIG", "SET", "maxmemory", "1")
        yield
    finally:
        for node in nodes:
            steps[node].call("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_memory_that_is_full_when_it_votes(steps: Servers, nodes: int):
    work = Work(nodes)
    before, after = work.plainly(steps)
    for node in range(nodes):
        work.fill(steps)
        client = Client(steps)
        with full(steps, node):
            client.execute(work.commands)
            client.go_on()
            assert client.outcome() == "aborted"
            assert isinstance(client.error(), comity.CommandFailed)
            assert re.search(rf"# {4 * node + 1} .*OOM", str(client.error()))
            assert steps.contents() == before
            assert steps.left() == []
        client.committed(work.commands)
        assert steps.contents() == after


@pytest.mark.parametrize("nodes", [2, 3])
def test_memory_that_is_full_after_the_votes(steps: Servers, nodes: int):
    work = Work(nodes)
    before, after = work.plainly(steps)
    for node, ends in product(range(nodes), ("commit", "abort", "commit by others")):
        # One that is given up has not been told of all votes yet.
        votes = nodes - 1 if ends == "abort" else nodes
        dead = client = begin(steps, work, *PREPARED[:votes])
        with full(steps, node):
            if ends == "commit by others":
                time.sleep(PATIENCE / 1e6)
                client = Client(steps)
                assert client.resolve(dead.txid()) == "committed"
            elif ends == "abort":
                client.core.transaction_cancel(1, client.now())
            client.go_on()
            assert client.damaged() == []
            assert steps.contents() == (before if ends == "abort" else after)
            assert steps.left() == []


# Servers that are killed and have everything in their append-only file


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Three servers that write down what they have done before they say so."""
    need_redis()
    options = ("--appendonly", "yes", "--appendfsync", "always")
    started = [Server(tmp_path_factory.mktemp("durable"), *options) for _ in NODES]
    servers = Servers(started)
    yield servers
    servers.close()
    for one in started:
        one.kill()


def restart(servers: Servers, node: int) -> None:
    server = servers[node].server
    server.kill()
    server.start()
    servers[node].close()


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_server_that_is_killed_under_a_client_that_lives(durable: Servers, nodes: int):
    work = Work(nodes)
    _, after = work.plainly(durable)
    for node in range(nodes):
        for client, path in every_cut(durable, lambda: begin(durable, work)):
            # What was on its way is lost with the connection.
            for command in [each for each in client.ready() if each.node == node]:
                client.lose(command)
            restart(durable, node)
            client.go_on()
            assert client.outcome() == "committed", path
            assert client.damaged() == [], path
            assert durable.contents() == after, path
            assert durable.left() == [], path


def test_a_server_that_is_killed_after_its_client_died(durable: Servers):
    work = Work(2)
    before, after = work.plainly(durable)
    for node in (0, 1):
        for dead, path in every_cut(durable, lambda: begin(durable, work)):
            restart(durable, node)
            client = Client(durable)
            if path:
                # It is killed once more when the recovery is half done.
                time.sleep(PATIENCE / 1e6)
                call = client.core.transaction_resolve(dead.txid(), client.now())
                client.go_on(lambda client=client: len(client.executed()) == 2)
                restart(durable, node)
                client.called(call)
            client.committed([[b"GET", number] for number in work.numbers])
            if durable.left():
                client.sweep()
            assert durable.left() == [], path
            contents = durable.contents()
            assert contents == (after if set(PREPARED[:2]) <= set(path) else before), path
            assert client.damaged() == [], path
            for each in dead.stragglers() if path else []:
                durable[each.node].ask(each.packed)
            assert durable.contents() == contents, path
