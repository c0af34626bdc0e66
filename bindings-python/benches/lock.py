"""Uncontended acquire + release, comity beside redis-py's own Lock, on a redis-server of its own.

Both run in this process in turns, so that whatever else the machine does meets both. Server time
is what `INFO commandstats` says of the scripts and of SET.

    python benches/lock.py [--rounds 15] [--pairs 1000]
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import redis
from redis.utils import HIREDIS_AVAILABLE

import comity


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, default=1000, help="per round and lock")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", folder]
        server = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(host="127.0.0.1", port=port) as client:
                wait_for(client)
                measure(client, arguments.rounds, arguments.pairs)
        finally:
            server.terminate()
            server.wait()


def measure(client: redis.Redis, rounds: int, pairs: int) -> None:
    """The two locks in turns."""
    version = client.info("server")["redis_version"]
    parser = "with" if HIREDIS_AVAILABLE else "without"
    print(f"redis-server {version}, redis-py {redis.__version__} {parser} hiredis")
    with comity.connect(client) as co:
        ours = co.lock("bench:comity", ttl=30)
        theirs = client.lock("bench:redis-py", timeout=30)

        def comity_pair() -> None:
            ours.acquire()
            ours.release()

        def redis_pair() -> None:
            theirs.acquire()
            theirs.release()

        run(comity_pair, pairs)
        run(redis_pair, pairs)
        speeds = [(run(comity_pair, pairs), run(redis_pair, pairs)) for _ in range(rounds)]
        mine = statistics.median(speed for speed, _ in speeds)
        other = statistics.median(speed for _, speed in speeds)
        ratio = statistics.median(a / b for a, b in speeds)
        print(f"pairs per second: comity {mine:.0f}, redis-py {other:.0f}")
        print(f"ratio: {ratio:.2f} (median of {rounds} rounds; target >= 1.0)")

        cost = server_time(client, comity_pair, pairs)
        base = server_time(client, redis_pair, pairs)
        print(f"server time per pair: comity {cost:.1f} us, redis-py {base:.1f} us")
        print(f"ratio: {cost / base:.2f} (target <= 4)")


def run(pair: Callable[[], None], pairs: int) -> float:
    """Pairs per second."""
    began = time.perf_counter()
    for _ in range(pairs):
        pair()
    return pairs / (time.perf_counter() - began)


def server_time(client: redis.Redis, pair: Callable[[], None], pairs: int) -> float:
    """Microseconds the server spends on a pair, commands inside scripts counted once."""
    client.config_resetstat()
    run(pair, pairs)
    stats: Any = client.info("commandstats")
    total = stats["cmdstat_evalsha"]["usec"]
    if stats["cmdstat_evalsha"]["calls"] < 2 * pairs:  # redis-py acquires with a plain SET
        total += stats["cmdstat_set"]["usec"]
    return float(total) / pairs


def wait_for(client: redis.Redis) -> None:
    """Until the server answers."""
    for _ in range(200):
        try:
            client.ping()
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


if __name__ == "__main__":
    main()
