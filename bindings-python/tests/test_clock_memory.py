"""A machine that slept, where the clock does not count it: nothing is held until it is proven."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

import comity
import comity.aio


@pytest.fixture
def sleeper(monkeypatch):
    """Makes the machine sleep for a number of seconds, on a system without such a clock."""
    clock = sys.modules["comity.clock"]  # the package has a function of this name
    monkeypatch.setattr(clock, "COUNTS_SUSPEND", False)
    for module in ("comity.workers", "comity.aio.wakeup"):
        monkeypatch.setattr(f"{module}.NAP", 0.05)
    offset = clock._offset

    def sleep(seconds):
        monkeypatch.setattr(clock, "_offset", lambda: offset() + int(seconds * 1e6))

    return sleep


def test_a_lease_is_proven_again_after_a_sleep(sleeper):
    with comity.connect() as co, co.lock("a", ttl=30) as held:
        time.sleep(0.2)
        assert co.stats()["lock_renewals"] == 0
        sleeper(60)
        until = time.monotonic() + 30
        while not co.stats()["lock_renewals"]:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert held.held
        time.sleep(0.2)
        assert co.stats()["lock_renewals"] == 1


def test_so_it_is_on_a_loop(sleeper):
    async def main():
        async with comity.aio.connect() as co, co.lock("a", ttl=30) as held:
            await asyncio.sleep(0.2)
            assert co.stats()["lock_renewals"] == 0
            sleeper(60)
            while not co.stats()["lock_renewals"]:
                await asyncio.sleep(0.01)
            assert held.held

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_wall_clock_that_is_set_a_little_is_no_sleep(sleeper):
    with comity.connect() as co, co.lock("a", ttl=30):
        sleeper(0.5)
        time.sleep(0.2)
        assert co.stats()["lock_renewals"] == 0
