"""A loop that was blocked: what has arrived by then is read before anything is said to be late."""

from __future__ import annotations

import asyncio
import select
import sys
import threading
from typing import Any

import pytest
from locks import until

import comity
import comity.aio

redis = pytest.importorskip("redis")

STALL = 9.0


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Blocks the loop until a reply has arrived on the lane, and lets 9 s pass on the clock."""
    ahead = [0]
    clock = sys.modules["comity.clock"]
    read = clock._read_ns
    monkeypatch.setattr(clock, "_read_ns", lambda: read() + ahead[0])

    def blocking(co: Any) -> None:
        wire = co._driver._lanes[0]._wire
        assert wire.outstanding, "the renewal leaves before the caller's code runs"
        sock = wire._transport.get_extra_info("socket")
        assert select.select([sock], [], [], 30)[0]
        ahead[0] += round(STALL * 1e9)

    return blocking


async def handed_over(server: Any, co: Any, **options: Any) -> Any:
    """A lock that was waited for, the moment it is held: its first renewal is on its way."""
    for _ in range(20):
        with comity.connect(server.client()) as other:
            held = other.lock("job")
            held.acquire()
            lock = co.lock("job", **options)
            handing = threading.Thread(
                target=lambda held=held, other=other: (
                    until(lambda: other.inspect("job").waiters_total, 30),
                    held.release(),
                )
            )
            handing.start()
            assert await lock.acquire(wait=60)
            # On a busy machine it may have asked once more, and been granted it so.
            if co._driver._lanes[0]._wire.outstanding:
                return lock
            handing.join()
        await lock.release()
    raise AssertionError("never handed over")


def connected(server: Any) -> Any:
    return comity.aio.connect(redis.asyncio.Redis(port=server.port))


def test_a_lock_that_was_handed_over_survives_a_stall(server, stall):
    async def main() -> None:
        async with connected(server) as co:
            lock = await handed_over(server, co, ttl=30)
            stall(co)
            await asyncio.sleep(0.05)
            assert lock.held
            lock.check()
            await lock.release()

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["release", "extend"])
def test_a_verb_that_is_the_first_after_the_stall(server, stall, verb):
    async def main() -> None:
        async with connected(server) as co:
            lock = await handed_over(server, co, ttl=30)
            stall(co)
            await getattr(lock, verb)()
            if verb == "extend":
                assert lock.held
                await lock.release()

    asyncio.run(main())


async def another(co: Any) -> None:
    async with co.lock("another", wait=30):
        pass


@pytest.mark.parametrize(
    "verb",
    [
        lambda co: co.inspect("job"),
        lambda co: co.fence_check("a", 1),
        lambda co: co.transaction().incr("n").execute(),
        another,
        lambda co: co.counter("hits").read(),
    ],
)
def test_another_verb_loses_no_lock(server, stall, verb):
    async def main() -> None:
        async with connected(server) as co:
            lock = await handed_over(server, co, ttl=30, on_lost=pytest.fail)
            stall(co)
            co.counter("hits").add(1)
            await verb(co)
            assert lock.held
            await lock.release()

    asyncio.run(main())
