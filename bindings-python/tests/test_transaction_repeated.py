"""Commands that are lost, whose replies are lost, that come twice, late, or to a server that has
forgotten its scripts: each of them, one by one, on real servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import combinations, product

import pytest
from stepping import PATIENCE, Client, Contents, Sent, Servers, Work

from comity._core import Command

FAULTS: dict[str, Callable[[Client, Command], None]] = {
    "lost": Client.lose,
    "not sent": Client.fail,
    "its reply lost": Client.lose_reply,
    "twice": Client.repeat,
}
ENDS = [(nodes, failing) for nodes in (1, 2, 3) for failing in (None, *range(nodes))]
"""A commit on so many servers, or the refusal of one of them."""


class Run:
    """One transaction from its beginning to its end, with something done to some commands."""

    def __init__(self, servers: Servers, nodes: int, failing: int | None = None) -> None:
        self.servers = servers
        self.work = Work(nodes, failing)
        self.before, after = self.work.plainly(servers)
        self.after = self.before if failing is not None else after
        self.outcome = "committed" if failing is None else "aborted"

    def go(self, faults: dict[int, Callable[[Client, Command], None]]) -> Client:
        self.work.fill(self.servers)
        client = Client(self.servers)
        client.execute(self.work.commands)

        def deal(command: Command) -> None:
            count = len(client.executed())
            faults.get(count, Client.pass_on)(client, command)

        client.go_on(deal=deal)
        return client

    def assert_as_it_should(self, client: Client) -> None:
        assert client.outcome() == self.outcome
        assert self.servers.contents() == self.after
        assert self.servers.left() == []
        assert client.damaged() == []


@pytest.mark.parametrize(("nodes", "failing"), ENDS)
def test_anything_done_to_any_command(steps: Servers, nodes: int, failing: int | None):
    run = Run(steps, nodes, failing)
    count = len(run.go({}).executed())
    assert count == {1: 1, 2: 4, 3: 6}[nodes] or failing is not None
    # A fault makes for more commands, which may have one as well.
    for at, fault in product(range(2 * count), FAULTS):
        run.assert_as_it_should(run.go({at: FAULTS[fault]}))


@pytest.mark.parametrize("second", FAULTS)
@pytest.mark.parametrize("first", FAULTS)
def test_any_two_things_done_to_any_two_commands(steps: Servers, first: str, second: str):
    run = Run(steps, 2)
    for at, after in combinations(range(6), 2):
        run.assert_as_it_should(run.go({at: FAULTS[first], after: FAULTS[second]}))


@pytest.mark.parametrize(("nodes", "failing"), ENDS)
def test_scripts_are_forgotten_before_any_command(steps: Servers, nodes: int, failing: int | None):

    def forgotten(client: Client, command: Command) -> None:
        for node in range(3):
            steps[node].call("SCRIPT", "FLUSH")
        client.pass_on(command)

    run = Run(steps, nodes, failing)
    count = len(run.go({}).executed())
    for at in range(count):
        run.assert_as_it_should(run.go({at: forgotten}))
    run.assert_as_it_should(run.go(dict.fromkeys(range(50), forgotten)))


def test_scripts_are_forgotten_before_any_command_of_a_recovery(steps: Servers):
    work = Work(3)
    _, after = work.plainly(steps)
    for at in range(9):
        work.fill(steps)
        dead = Client(steps)
        dead.execute(work.commands)
        for name in ("PREPARE a", "PREPARE b", "PREPARE c"):
            dead.pass_on(dead.next(name))
        time.sleep(PATIENCE / 1e6)
        client = Client(steps)
        call = client.core.transaction_resolve(dead.txid(), client.now())

        def deal(command: Command, client: Client = client, at: int = at) -> None:
            if at in (8, len(client.executed())):
                for node in range(3):
                    steps[node].call("SCRIPT", "FLUSH")
            client.pass_on(command)

        client.go_on(deal=deal)
        assert client.called(call).outcome == "committed"
        assert steps.contents() == after
        assert steps.left() == []


# Late


def replay(servers: Servers, commands: list[Sent]) -> None:
    """The same once more, in this order and in the other."""
    for each in [*commands, *reversed(commands)]:
        servers[each.node].ask(each.packed)


@pytest.mark.parametrize("ends", ["commit", "refusal", "cancel"])
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_what_comes_again_after_the_end(steps: Servers, nodes: int, ends: str):
    work = Work(nodes, failing=nodes - 1 if ends == "refusal" else None)
    before, after = work.plainly(steps)
    work.fill(steps)
    client = Client(steps)
    number = client.execute(work.commands)
    if ends == "cancel":
        client.ready()
        client.core.transaction_cancel(number, client.now())
        # The abort is the faster one.
        client.pass_on(client.next("ABORT a"))
    client.go_on()
    contents = after if ends == "commit" else before
    assert client.outcome() == ("committed" if ends == "commit" else "aborted")
    assert steps.contents() == contents
    first = client.executed()
    replay(steps, first)
    assert steps.contents() == contents
    assert steps.left() == []

    # The slot is used again, for other keys and for the same ones, and again while it is.
    for commands in ([[b"SET", b"x%d" % at, b"1"] for at in range(20)], Work(nodes).commands):
        sent = len(client.executed())
        client.execute(commands)
        while client.ready():
            replay(steps, first)
            client.pass_on(client.ready()[0])
        client.go_on()
        second = client.executed()[sent:]
        assert slots(second) == slots(first), "the same slot"
        assert not ids(second) & ids(first)
        assert client.events[-1].kind == "transaction_committed"
        contents = steps.contents()
        replay(steps, first)
        replay(steps, second)
        assert steps.contents() == contents
        assert steps.left() == []
    assert steps.registers() == max(nodes, 3)


def ids(commands: list[Sent]) -> set[bytes]:
    return {each.arguments()[0] for each in commands}


def slots(commands: list[Sent]) -> set[bytes]:
    """Session and slot of each."""
    return {each[:19] for each in ids(commands)}


@pytest.mark.parametrize("verdict", ["commit", "abort"])
@pytest.mark.parametrize("nodes", [2, 3])
def test_what_was_on_its_way_when_others_ended_it(steps: Servers, nodes: int, verdict: str):
    work = Work(nodes)
    before, after = work.plainly(steps)
    work.fill(steps)
    dead = Client(steps)
    dead.execute(work.commands)
    names = [f"PREPARE {node}" for node in "abc"[: nodes if verdict == "commit" else nodes - 1]]
    for name in names:
        dead.pass_on(dead.next(name))
    contents: list[Contents] = after if verdict == "commit" else before
    time.sleep(PATIENCE / 1e6)
    client = Client(steps)
    outcome = client.resolve(dead.txid())
    assert outcome == ("committed" if verdict == "commit" else "aborted")
    late = dead.stragglers()
    assert len(late) == (2 * nodes if verdict == "commit" else nodes)
    replay(steps, late)
    assert steps.contents() == contents
    client.sweep()
    assert steps.left() == []
    # It is told what others have decided.
    dead.go_on()
    assert dead.outcome() == outcome
    assert steps.contents() == contents
    assert steps.left() == []
