"""Loops of other kinds: tasks that begin at once, and those of trio."""

from __future__ import annotations

import asyncio
import sys

import pytest

import comity.aio

redis = pytest.importorskip("redis.asyncio")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before Python 3.12")
def test_a_connection_that_fails_at_once_is_tried_again(start, tmp_path):
    path = str(tmp_path / "0" / "s.sock")  # of the server that is started later

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        client = redis.Redis(unix_socket_path=path)
        async with comity.aio.connect(client, timeout=1, check=False) as co:
            with pytest.raises(comity.Unreachable):
                await co.lock("a").acquire(wait=0)
            await asyncio.to_thread(start)
            async with co.lock("b", wait=20):
                pass
        await client.aclose()

    asyncio.run(main())


def test_trio_is_told_what_to_do():
    trio = pytest.importorskip("trio")

    async def main():
        with pytest.raises(comity.InvalidState, match="trio"):
            await comity.aio.connect()

    trio.run(main)


def test_without_a_loop_it_says_so():
    co = comity.aio.connect()
    with pytest.raises(comity.InvalidState, match="running event loop"):
        co.__await__().send(None)
