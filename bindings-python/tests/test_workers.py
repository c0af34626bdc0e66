"""The daemon threads of a coordinator end when they are told to, whatever they are doing."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from comity import push, workers
from comity._core import Coordinator
from comity.bell import Bell
from comity.clock import now_us
from comity.push import PushReader
from comity.session import Session
from comity.workers import Background


@pytest.mark.parametrize("kind", [Background, PushReader])
def test_a_stop_that_comes_before_the_bell_is_cleared_is_heard(kind, monkeypatch):
    first: list[Callable[[], None]] = []

    class Late(Bell):
        """Its thread is held up on the way to clearing it."""

        __slots__ = ()

        def clear(self) -> None:
            if first:
                first.pop()()
            super().clear()

    monkeypatch.setattr(workers, "Bell", Late)
    monkeypatch.setattr(push, "Bell", Late)
    core = Coordinator([(b"a", 1)], entropy=os.urandom(32), now=now_us())
    session = Session(core, 1)
    worker = kind(session, 0, [], connector=None)
    first.append(worker.stop)
    with session.mutex:
        worker.ring()
    worker.join(40)
    assert not first
    assert not worker._runner.is_alive()
