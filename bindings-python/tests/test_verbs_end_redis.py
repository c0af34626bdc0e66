"""Every verb ends within the timeout, and says what it was, whatever a server answers: with damaged
bytes, with something that is none of comity's answers, with an error, with nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faults import ALWAYS, ANSWER, CUT_AFTER, SWALLOW
from locks import asks, connect, keep

import comity

pytestmark = pytest.mark.usefixtures("flavour")

DAMAGED = b"!nothing that Redis says\r\n"
FOREIGN = b"$4\r\nwhat\r\n"
REFUSED = b"-NOPERM this user has no permissions\r\n"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"

ANSWERS: dict[str, tuple[str, bytes, type[comity.Error]]] = {
    "damaged bytes": (ANSWER, DAMAGED, comity.NoAnswer),
    "none of ours": (ANSWER, FOREIGN, comity.Unsupported),
    "a refusal": (ANSWER, REFUSED, comity.ServerRefused),
    "a refusal that passes": (ANSWER, LOADING, comity.ServerRefused),
    "nothing": (SWALLOW, b"", comity.NoAnswer),
    "an end": (CUT_AFTER, b"", comity.NoAnswer),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_renewal_that_fails_ends_in_time_and_leaves_the_lease(proxy, answer):
    action, replied, error = ANSWERS[answer]
    with connect(proxy.port) as co:
        lock = keep(co.lock("x", ttl=600))
        assert lock.acquire()
        until = lock.valid_until
        proxy.rule(action, asks(b"REN"), ALWAYS, answer=replied)
        with pytest.raises(comity.Error) as caught:
            lock.extend(60)
        assert type(caught.value) is error
        assert caught.value.lock_name == "x"
        assert caught.value.server in str(caught.value)
        if replied.startswith(b"-"):
            assert replied[1:-2].decode() in str(caught.value)
        assert lock.held
        assert lock.valid_until == until
        proxy.calm()
        lock.extend(1200)
        assert lock.remaining > 1000
        lock.release()


def test_a_renewal_that_is_never_sent_is_unreachable(proxy):
    with connect(proxy.port) as co:
        lock = keep(co.lock("x", ttl=600, renew=False))
        assert lock.acquire()
        proxy.close()
        with pytest.raises(comity.Error):
            co.inspect("x")  # which finds that the connection is gone
        with pytest.raises(comity.Unreachable) as caught:
            lock.extend()
        assert caught.value.__cause__ is not None
        assert lock.held


def transact(co: Any) -> None:
    with co.transaction() as tx:
        tx.incrby("x", 1)


def count(co: Any) -> None:
    counter = co.counter("hits")
    counter.add(1)
    counter.flush()


VERBS: dict[str, Callable[[Any], object]] = {
    "acquire": lambda co: keep(co.lock("x")).acquire(),
    "inspect": lambda co: co.inspect("x"),
    "fence_check": lambda co: co.fence_check("x", 7),
    "read": lambda co: co.counter("hits").read(),
    "flush": count,
    "reset": lambda co: co.counter("hits").reset(),
    "audit": lambda co: co.counter("hits").audit(),
    "transaction": transact,
    "status": lambda co: co.transaction_status("0123456789abcdef.00.0000000000000001@0"),
    "resolve": lambda co: co.resolve("0123456789abcdef.00.0000000000000001@0"),
    "sweep": lambda co: co.sweep(),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_ends(proxy, verb, answer):
    action, replied, error = ANSWERS[answer]
    with connect(proxy.port) as co:
        proxy.rule(action, lambda words: words[0] != b"CLIENT", ALWAYS, answer=replied)
        with pytest.raises(comity.Error) as caught:
            VERBS[verb](co)
        # Where all is silent, no connection can be made either.
        assert isinstance(caught.value, (error, comity.Unreachable, comity.OutcomeUnknown))
        proxy.calm()
