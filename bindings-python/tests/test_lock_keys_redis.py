"""A value of another type on each of a lock's keys: an error that says so, and the value stays."""

from __future__ import annotations

import threading

import pytest

redis = pytest.importorskip("redis")

from locks import connect, until  # noqa: E402

import comity  # noqa: E402

pytestmark = pytest.mark.usefixtures("flavour")

STATE = "comity:1:lock:{a}"


def foreign(admin, key):
    """Puts a value there that no key of a lock can have."""
    with admin.pipeline(transaction=True) as both:  # a heartbeat in between would put it back
        both.delete(key)
        both.execute_command("XADD", key, "1-1", "not", "ours")
        both.execute()


@pytest.mark.parametrize("suffix", ["", "h", "q", "r", "t"], ids=lambda suffix: suffix or "state")
def test_a_value_of_another_type_is_named_and_kept(server, suffix):
    with connect(server.port) as co, server.client() as admin:
        foreign(admin, STATE + suffix)
        before = admin.dump(STATE + suffix)
        held = co.lock("a", ttl=30)
        with pytest.raises(comity.WrongType):
            # The keys behind the first are looked at where somebody waits, or after a fault.
            held.acquire()
            co.lock("a").acquire(wait=0.3)
            admin.delete(STATE)
            co.lock("a").acquire(wait=0.3)
        assert admin.dump(STATE + suffix) == before


@pytest.mark.parametrize("suffix", ["", "h", "q", "r"], ids=lambda suffix: suffix or "state")
def test_a_key_overwritten_while_held_and_waited_for(server, suffix):
    with connect(server.port) as co, server.client() as admin:
        held = co.lock("a", ttl=30)
        held.acquire()
        raised = []

        def wait():
            try:
                co.lock("a").acquire(wait=10)
            except comity.Error as error:
                raised.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        until(lambda: co.inspect("a").waiters_total == 1)
        foreign(admin, STATE + suffix)
        before = admin.dump(STATE + suffix)
        with pytest.raises((comity.LockLost, comity.WrongType)):
            held.extend()
        waiter.join(40)
        assert [type(error) for error in raised] == [comity.WrongType]
        assert admin.dump(STATE + suffix) == before


def test_the_guards_key(server):
    with connect(server.port) as co, server.client() as admin:
        foreign(admin, "comity:1:fence:{a}")
        with pytest.raises(comity.WrongType):
            co.fence_check("a", 1)
        assert admin.xlen("comity:1:fence:{a}") == 1
