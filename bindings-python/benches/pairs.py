"""Uncontended acquire + release, comity beside redis-py's Lock, in turns in one process."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import redis
import stage

import comity


def measure(port: int, rounds: int, count: int) -> None:
    """Pairs per second, and what the server spends on one: `INFO commandstats`."""
    with stage.client(port) as client, comity.connect(client) as co:
        ours = co.lock("bench:comity", ttl=30)
        theirs = client.lock("bench:redis-py", timeout=30)

        def comity_pair() -> None:
            ours.acquire()
            ours.release()

        def redis_pair() -> None:
            theirs.acquire()
            theirs.release()

        stage.rate(comity_pair, count)
        stage.rate(redis_pair, count)
        speeds = [
            (stage.rate(comity_pair, count), stage.rate(redis_pair, count)) for _ in range(rounds)
        ]
        mine, other = (statistics.median(column) for column in zip(*speeds, strict=True))
        ratio = statistics.median(a / b for a, b in speeds)
        print(f"pairs per second: comity {mine:.0f}, redis-py {other:.0f}")
        print(f"  ratio {ratio:.2f} (median of {rounds} rounds; target >= 1.0)")

        costs = [
            (server_time(client, comity_pair, count), server_time(client, redis_pair, count))
            for _ in range(rounds)
        ]
        mine, other = (statistics.median(column) for column in zip(*costs, strict=True))
        ratio = statistics.median(a / b for a, b in costs)
        print(f"server time per pair: comity {mine:.1f} us, redis-py {other:.1f} us")
        print(f"  ratio {ratio:.2f} (median of {rounds} rounds; target <= 5)")


def server_time(client: redis.Redis, pair: Callable[[], None], count: int) -> float:
    """Microseconds the server spends on a pair, commands inside scripts counted once."""
    client.config_resetstat()
    stage.rate(pair, count)
    stats: Any = client.info("commandstats")
    total = stats["cmdstat_evalsha"]["usec"]
    if stats["cmdstat_evalsha"]["calls"] < 2 * count:  # redis-py acquires with a plain SET
        total += stats["cmdstat_set"]["usec"]
    return float(total) / count
