"""The short lease of a hand-over is renewed before the code that waited for it runs."""

from __future__ import annotations

import threading
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


def test_the_renewal_leaves_before_the_caller_runs(server, others, monkeypatch):
    send = comity.wire.Wire.send
    sent: list[bytes] = []

    def noting(self: Any, data: bytes, *rest: Any) -> None:
        sent.append(data)
        send(self, data, *rest)

    monkeypatch.setattr(comity.wire.Wire, "send", noting)
    with comity.connect(server.client()) as co, comity.connect(server.client()) as other:
        held, lock = other.lock("job", ttl=30), co.lock("job", ttl=30)

        def hand_over() -> None:
            until(lambda: other.inspect("job").waiters_total, 30)
            held.release()

        watched = False
        while not watched:
            # Watched is one that comes by push, once there is a connection of the background.
            ready = co.stats()["lock_renewals"] > 0
            held.acquire()
            handing = threading.Thread(target=hand_over)
            handing.start()
            sent.clear()
            if ready:
                others.clear()
            assert lock.acquire(wait=60)
            watched = ready and lock.remaining < 15  # the server has granted a short claim
            renewed = any(b"REN" in data for data in sent)
            others.set()
            assert renewed or not watched
            handing.join()
            lock.release()
