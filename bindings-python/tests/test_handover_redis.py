"""The short lease of a hand-over is renewed before the code that waited for it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from locks import until

import comity
import comity.lane
import comity.wire


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whether the threads of the background get to run."""
    allowed = threading.Event()
    allowed.set()
    run_dry = comity.lane.Lane.run_dry

    def waiting(self: Any) -> None:
        allowed.wait(30)
        run_dry(self)

    monkeypatch.setattr(comity.lane.Lane, "run_dry", waiting)
    yield allowed
    allowed.set()


def take_over(co: Any, other: Any, soon: Callable[[], object]) -> Any:
    """Takes a lock that comes by push, once there is a connection of the background; `soon` is
    called while it is waited for. Returns the handle, with the short lease of a hand-over.
    """
    held, lock = other.lock("job", ttl=30), co.lock("job", ttl=30)

    def hand_over() -> None:
        until(lambda: other.inspect("job").waiters_total)
        held.release()

    while True:
        ready = co.stats()["lock_renewals"] > 0
        held.acquire()
        handing = threading.Thread(target=hand_over)
        handing.start()
        if ready:
            soon()
        assert lock.acquire(wait=60)
        handing.join()
        if ready and lock.remaining < 15:
            return lock
        lock.release()


def test_the_renewal_leaves_before_the_caller_runs(server, others, monkeypatch):
    take = comity.wire.Wire.take
    sent: list[bytes] = []

    def noting(self: Any, outbox: Any, core: Any) -> bool:
        sent.extend(command.packed for command in outbox)
        return take(self, outbox, core)

    def soon() -> None:
        sent.clear()
        others.clear()

    monkeypatch.setattr(comity.wire.Wire, "take", noting)
    with comity.connect(server.client()) as co, comity.connect(server.client()) as other:
        lock = take_over(co, other, soon)
        renewed = any(b"REN" in data for data in sent)
        others.set()
        assert renewed
        lock.release()


def test_the_answer_to_that_renewal_is_read(server, others, monkeypatch):
    take = comity.wire.Wire.take

    def taking(self: Any, outbox: Any, core: Any) -> bool:
        late = take(self, outbox, core)
        if not others.is_set():
            # In the middle of this the thread that reads here looks whether there is anything.
            others.set()
            time.sleep(0.05)
        return late

    monkeypatch.setattr(comity.wire.Wire, "take", taking)
    with comity.connect(server.client()) as co, comity.connect(server.client()) as other:
        lock = take_over(co, other, others.clear)
        until(lambda: lock.remaining > 15)
        lock.release()
