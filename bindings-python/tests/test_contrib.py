"""What the hooks of `comity.contrib` say where they are used otherwise than meant. What they do is
tried with the real servers and workers in `apps/`.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

import comity
import comity.aio
from comity.contrib.asgi import lifespan


def run(hook):
    app = SimpleNamespace(state=SimpleNamespace())

    async def started() -> object:
        async with hook(app):
            return getattr(app.state, "comity", None)

    return asyncio.run(started())


def test_a_lifespan_connects_where_it_is_told_how():
    assert isinstance(run(lifespan(comity.aio.connect)), comity.aio.Coordinator)
    assert run(lifespan()) is None


def test_a_lifespan_wants_a_function():
    with comity.connect() as co:
        with pytest.raises(comity.InvalidArgument, match=r"must be a function.*Coordinator"):
            lifespan(co)


def test_a_lifespan_wants_a_function_that_connects():
    with comity.connect() as co:
        with pytest.raises(comity.InvalidArgument, match=r"not comity.*; .*lifespan\(\)"):
            run(lifespan(lambda: co))
    with pytest.raises(comity.InvalidArgument, match=r"not builtins\.str"):
        run(lifespan(lambda: "redis://"))


def test_the_fence_is_read_while_the_lock_is_held():
    with comity.connect() as co:
        with co.lock("a") as held:
            assert held.fence
        with pytest.raises(comity.NotHeld, match="its fence can be read while it is"):
            _ = held.fence
