"""Nodes of a real Redis Cluster, met without the check that refuses them: what they say for a slot
that is not theirs, that is being moved, and for keys of several slots ends a transaction at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from locks import connect_to, until

import comity

pytestmark = pytest.mark.usefixtures("flavour")

META = "comity:1:t:{t}"
TIMEOUT = 60.0
AT_ONCE = 30.0
"""Far less than the timeout, and far more than a busy machine takes."""


class Cluster:
    """Two nodes. The first has every slot, and gives that of `{t}` to the other step by step."""

    def __init__(self, start: Callable[..., Any]) -> None:
        arguments = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
        self.nodes = [start(*arguments) for _ in range(2)]
        self.admins = [one.client() for one in self.nodes]
        self.ids = [admin.execute_command("CLUSTER", "MYID") for admin in self.admins]
        self.slot = self.admins[0].execute_command("CLUSTER", "KEYSLOT", META)
        self.admins[0].execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        self.admins[0].execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[1].port)
        until(lambda: all(b"cluster_state:ok" in self.info(at) for at in range(2)))
        until(lambda: all(b"cluster_known_nodes:2" in self.info(at) for at in range(2)))

    def info(self, at: int) -> bytes:
        return bytes(self.admins[at].execute_command("CLUSTER", "INFO"))

    def set_slot(self, at: int, *words: object) -> None:
        self.admins[at].execute_command("CLUSTER", "SETSLOT", self.slot, *words)

    def open(self) -> None:
        """The slot is being moved, and nothing has been."""
        self.set_slot(1, "IMPORTING", self.ids[0])
        self.set_slot(0, "MIGRATING", self.ids[1])

    def move(self) -> None:
        """What is in it has been moved."""
        keys = self.admins[0].execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, 100)
        for key in keys:
            to = ("127.0.0.1", self.nodes[1].port)
            self.admins[0].execute_command("MIGRATE", *to, key, 0, 30_000)

    def close(self) -> None:
        """It is the other's."""
        for at in (1, 0):
            self.set_slot(at, "NODE", self.ids[1])


@pytest.fixture
def cluster(start: Callable[..., Any]) -> Cluster:
    return Cluster(start)


def refused(tx: Any, word: str) -> None:
    began = time.monotonic()
    with pytest.raises(comity.ServerRefused, match=rf"{word}.*cluster-enabled no") as told:
        tx.execute()
    assert time.monotonic() - began < AT_ONCE
    assert told.value.server is not None


def test_a_transaction_at_one_node(cluster: Cluster) -> None:
    first = cluster.nodes[0]
    with connect_to({"n": first.client()}, timeout=TIMEOUT, check=False) as co:
        co.transaction().set("{t}x", 1).execute()
        refused(co.transaction().set("{t}x", 2).set("y", 2), "CROSSSLOT")
        cluster.open()
        # Some keys are here, and some are not.
        refused(co.transaction().set("{t}x", 2).set("{t}y", 2), "TRYAGAIN")
        cluster.move()
        refused(co.transaction().set("{t}x", 2).set("{t}y", 2), "ASK")
        refused(co.transaction().incr("{t}x").incr("{t}x"), "ASK")
        cluster.close()
        refused(co.transaction().set("{t}x", 2), "MOVED")
        with pytest.raises(comity.ServerRefused, match="MOVED"):
            co.snapshot("{t}x")
    assert cluster.admins[1].execute_command("DBSIZE") == 2
    assert cluster.admins[1].get("{t}x") == b"1"


def test_a_transaction_over_a_node_and_another_server(
    cluster: Cluster, start: Callable[..., Any]
) -> None:
    plain = start()
    clients = {"a": plain.client(), "b": cluster.nodes[0].client()}
    with connect_to(clients, timeout=TIMEOUT, check=False) as co, plain.client() as admin:

        def on(node: str, what: str) -> str:
            return next(key for n in range(1000) if co.ring.node(key := f"{what}{n}") == node)

        here, there, more, crossing = (
            on("a", "x"), on("b", "{t}y"), on("b", "{t}z"), on("b", "z"),
        )  # fmt: skip
        co.transaction().incr(here).incr(there).execute()

        def nothing_is_done(word: str, *keys: str) -> None:
            tx = co.transaction().incr(here)
            for key in keys:
                tx.incr(key)
            refused(tx, word)
            assert admin.get(here) == b"1"
            # Its vote is withdrawn: no lock and no shadow is left.
            until(lambda: not any(name.startswith(b"k") for name in admin.hkeys(META)))
            until(lambda: sorted(admin.keys()) == sorted([META.encode(), here.encode()]))
            assert co.transaction().incrby(here, 0).execute() == [1]

        nothing_is_done("CROSSSLOT", there, crossing)
        cluster.open()
        nothing_is_done("TRYAGAIN", there, more)
        cluster.move()
        nothing_is_done("ASK", there)
        cluster.close()
        nothing_is_done("MOVED", there)
    assert cluster.admins[1].get(there) == b"1"
    assert sorted(cluster.admins[1].keys()) == sorted([META.encode(), there.encode()])
