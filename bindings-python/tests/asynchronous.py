"""What the tests of `comity.aio` have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import redis.asyncio

import comity.aio

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
    """Runs a test's coroutine in a loop of its own; one that hangs fails."""
    return asyncio.run(asyncio.wait_for(main, timeout))


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[comity.aio.Coordinator]:
    """A coordinator over the server at `port`."""
    async with (
        redis.asyncio.Redis(host="127.0.0.1", port=port) as client,
        comity.aio.connect(client, **options) as co,
    ):
        yield co


async def until(condition: Any, seconds: float = 30.0) -> None:
    """Waits for `condition()` to hold."""
    async with asyncio.timeout(seconds) if hasattr(asyncio, "timeout") else _Patient():
        while not condition():
            await asyncio.sleep(0.005)


class _Patient:
    """In place of `asyncio.timeout`, which came with Python 3.11; `run` has a limit as well."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *exception: object) -> None:
        pass
