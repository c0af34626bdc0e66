"""Clients that have the same ids, and do not mean the same servers by them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from locks import connect_to

import comity

redis = pytest.importorskip("redis")

pytestmark = pytest.mark.usefixtures("flavour")


def name_on(co: Any, node: str) -> str:
    return next(name for n in range(1000) if co.ring.node(name := f"name {n}") == node)


def test_swapped_servers_are_refused(start: Any) -> None:
    first, second = start(), start()
    with connect_to({"a": first.client(), "b": second.client()}) as co:
        held = co.lock(name := name_on(co, "a"))
        held.acquire()
        # The same ring, and each server by the other's id.
        swapped = lambda: {"b": first.client(), "a": second.client()}  # noqa: E731
        with pytest.raises(comity.RingMismatch, match=r"'.' is recorded as '.'") as told:
            connect_to(swapped(), timeout=30)
        assert told.value.server in ("a", "b")
        with connect_to(swapped(), timeout=30, check=False) as other:
            for verb in (
                lambda: other.lock(name).acquire(wait=0),
                lambda: other.inspect(name),
                lambda: other.fence_check(name, 1),
                lambda: other.counter(name).read(),
                lambda: other.transaction().set(name, 1).execute(),
                lambda: other.snapshot(name),
            ):
                with pytest.raises(comity.RingMismatch, match="'a' is recorded as 'b'") as told:
                    verb()
                assert told.value.server == "a"
                assert "delete the fields e and members" in str(told.value)
        held.release()
    for server in (first, second):
        with server.client() as client:
            assert client.exists(name) == 0


def test_one_server_under_two_ids_is_refused(start: Any) -> None:
    server = start()
    two = lambda: {"a": server.client(), "b": server.client()}  # noqa: E731
    named = lambda: {"a": server.client(), "b": by_name(server)}  # noqa: E731
    # By a server that has no stamp, and by the stamp that it has got from the first attempt.
    for clients in [two, two, named]:
        with pytest.raises(comity.RingMismatch, match="'a' and 'b' are one server"):
            connect_to(clients(), timeout=30)
    # Two databases of one server are two.
    with server.client() as client:
        client.flushall()
    with connect_to({"a": server.client(), "b": server.client(db=1)}, timeout=30) as co:
        co.transaction().set(name_on(co, "a"), 1).set(name_on(co, "b"), 2).execute()


def by_name(server: Any) -> Any:
    import redis

    return redis.Redis(host="localhost", port=server.port)


def test_a_server_without_a_stamp_that_refuses_is_named_at_once(start: Any) -> None:
    open_, closed = start(), start("--requirepass", "secret")
    servers = lambda: {"a": open_.client(), "b": redis.Redis(port=closed.port)}  # noqa: E731
    begun = time.monotonic()
    with pytest.raises(comity.ServerRefused, match=r"missing: 'b' \(NOAUTH") as told:
        connect_to(servers(), timeout=60)
    assert told.value.server == "b"
    with connect_to(servers(), timeout=60, check=False) as co:
        name = name_on(co, "a")
        for verb in (
            lambda: co.lock(name).acquire(wait=0),
            lambda: co.inspect(name),
            lambda: co.counter(name).read(),
            lambda: co.transaction().set(name, 1).execute(),
        ):
            with pytest.raises(comity.ServerRefused, match="NOAUTH") as told:
                verb()
            assert told.value.server == "b"
    assert time.monotonic() - begun < 50, "not one of them waits for its time"
