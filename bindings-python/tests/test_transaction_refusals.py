"""One thing in a transaction that cannot be, in every place it can stand in: nothing is applied on
any server, and the error names it.
"""

from __future__ import annotations

from typing import Any

import pytest
from stepping import NODES, Client, Servers, Work

import comity

FAILING: dict[str, tuple[list[bytes], str]] = {
    "wrong type": ([b"LPUSH", b"@", b"x"], "WRONGTYPE"),
    "overflow": ([b"INCRBY", b"@", b"9223372036854775807"], "overflow"),
    "no number": ([b"INCRBYFLOAT", b"@", b"x"], "not a valid float"),
    "syntax": ([b"SET", b"@", b"v", b"XX", b"NX"], "syntax"),
}
"""What fails on a number, and the server's words."""


@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_a_command_that_fails_in_any_place(steps: Servers, nodes: int, kind: str):
    work = Work(nodes)
    before, _ = work.plainly(steps)
    words, text = FAILING[kind]
    for node in range(nodes):
        failing = [work.numbers[node] if word == b"@" else word for word in words]
        for at in range(len(work.commands) + 1):
            work.fill(steps)
            client = Client(steps)
            client.execute([*work.commands[:at], failing, *work.commands[at:]])
            client.go_on()
            error = client.error()
            assert isinstance(error, comity.CommandFailed), error
            assert f"# {at + 1} ({words[0].decode()} " in str(error)
            assert text in str(error)
            assert steps.contents() == before
            assert steps.left() == []


CHECKS: dict[str, Any] = {
    "value": lambda number: ("value", number, b"11"),
    "absent": lambda number: ("absent", number),
    "exists": lambda number: ("exists", b"none:" + number),
    "unchanged": lambda number: ("unchanged", [b"STRLEN", number], 3),
}
"""Expectations that do not hold."""


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_a_check_that_fails_in_any_place(steps: Servers, nodes: int, kind: str):
    work = Work(nodes)
    before, after = work.plainly(steps)
    sound = [("value", work.numbers[node], b"10") for node in range(nodes)]
    for node in range(nodes):
        if kind == "exists":
            failing = ("exists", elsewhere(NODES[node]))
        else:
            failing = CHECKS[kind](work.numbers[node])
        for at in range(nodes + 1):
            work.fill(steps)
            client = Client(steps)
            client.execute(work.commands, expectations=[*sound[:at], failing, *sound[at:]])
            client.go_on()
            error = client.error()
            assert isinstance(error, comity.ConflictError), error
            key = failing[1][1] if kind == "unchanged" else failing[1]
            assert key.decode() in str(error)
            assert steps.contents() == before
            assert steps.left() == []
    work.fill(steps)
    Client(steps).committed(work.commands, expectations=sound)
    assert steps.contents() == after


def elsewhere(node: str) -> bytes:
    """A key of that server that is not there."""
    ring = comity.Ring(list(NODES))
    return next(key.encode() for key in (f"none:{n}" for n in range(99)) if ring.node(key) == node)


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 1)], ids=["fewer servers", "other weights"])
@pytest.mark.parametrize("reached", [1, 3])
def test_clients_with_different_rings(steps: Servers, weights: tuple[int, ...], reached: int):
    """Whoever comes second is refused wherever the first was, and does nothing anywhere."""
    work = Work(reached)
    _, after = work.plainly(steps)
    work.fill(steps)
    Client(steps).committed(work.commands)
    other = Client(steps, weights)
    ring = comity.Ring(zip(NODES, weights, strict=False))
    keys = [f"k{number}" for number in range(40)]
    alone = [[key] for key in keys if NODES.index(str(ring.node(key))) < reached]
    for group in [*alone, keys]:
        other.execute([[b"SET", key.encode(), b"v"] for key in group])
        other.go_on()
        assert isinstance(other.events[-1].error, comity.RingMismatch), group
        assert steps.contents() == after
        assert steps.left() == []
    assert {each.node for each in other.executed()} == set(range(len(weights)))
