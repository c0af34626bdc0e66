"""What every measurement here needs: a server, a delay in front of it, turns, and figures."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis


def client(port: int) -> redis.Redis:
    """redis-py's client as its users make it, but for a pool that 32 threads fit in."""
    return redis.Redis(host="127.0.0.1", port=port, max_connections=64)


def now() -> float:
    """Seconds on a clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@contextmanager
def server() -> Iterator[int]:
    """The port of a redis-server of our own."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", folder]
        process = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


@contextmanager
def delayed(port: int) -> Iterator[int]:
    """The port of a process that passes everything on to `port`, requests a millisecond later."""
    front = free_port()
    process = subprocess.Popen([sys.executable, __file__, str(front), str(port)])
    try:
        wait_for(front)
        yield front
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    """Until a server answers there."""
    for _ in range(200):
        try:
            with client(port) as probe:
                probe.ping()
        except redis.RedisError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("redis-server did not start")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rate(action: Callable[[], object], count: int) -> float:
    """How often `action` is done per second."""
    began = time.perf_counter()
    for _ in range(count):
        action()
    return count / (time.perf_counter() - began)


def spread(seconds: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    high = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {statistics.median(ordered) * 1e3:7.3f} ms, p99 {high * 1e3:7.3f} ms"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Passes bytes on in order, each `delay` after it came."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        if delay:
            loop.call_later(delay, writer.write, data)
        else:
            writer.write(data)
    writer.close()


async def _proxy(front: int, back: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, below = await asyncio.open_connection("127.0.0.1", back)
        for one in (writer, below):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(_pump(reader, below, 0.001), _pump(above, writer, 0))

    listener = await asyncio.start_server(serve, "127.0.0.1", front)
    async with listener:
        while os.getppid() != 1:  # whoever wanted the delay has gone
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(_proxy(int(sys.argv[1]), int(sys.argv[2])))
