"""The counter beside redis-py's `incr`, and beside methods that do nothing at all.

Everything is measured in this one run, in turns. `cargo xtask bench count` builds the extension
with the methods `empty` and `nothing`, which no wheel has, and runs this.

    python benches/counter.py [--rounds 15] [--seconds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import repeat

import redis
import stage

import comity

LOOP = 200_000
INCR = 2_000


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    with stage.server() as port, stage.client(port) as client:
        version = client.info("server")["redis_version"]
        print(f"redis-server {version}, redis-py {redis.__version__}")
        with comity.connect(stage.client(port)) as co:
            calls(co, client, arguments.rounds)
        flushes(port, client, arguments.seconds)


def calls(co: comity.Coordinator, client: redis.Redis, rounds: int) -> None:
    """What one call costs: nanoseconds, medians over the rounds."""
    hits = co.counter("hits")
    if not hasattr(hits, "empty"):
        raise SystemExit("this extension has no empty methods: run `cargo xtask bench count`")
    pipe = client.pipeline(transaction=False)

    def pipelined() -> None:
        for _ in range(INCR):
            pipe.incr("incr")
        pipe.execute()

    sides: dict[str, Callable[[], float]] = {
        "empty(1)": lambda: timed(hits.empty, LOOP, 1),
        "add(1)": lambda: timed(hits.add, LOOP, 1),
        "nothing()": lambda: timed(hits.nothing, LOOP),
        "add()": lambda: timed(hits.add, LOOP),
        "value()": lambda: timed(hits.value, LOOP // 10),
        "incr": lambda: timed(client.incr, INCR, "incr"),
        "incr, pipelined": lambda: per(pipelined, INCR),
    }
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            figures[name].append(side())
    took = {name: statistics.median(rounds) for name, rounds in figures.items()}
    for name, seconds in took.items():
        print(f"  {name:16} {seconds * 1e9:10.1f} ns a call")

    def ratio(one: str, other: str) -> float:
        """The median of the rounds' own ratios: both sides of a round met the same machine."""
        pairs = zip(figures[one], figures[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    print(f"  add(1) / empty(1)      {ratio('add(1)', 'empty(1)'):8.2f}x   target at most 1.2x")
    print(f"  add() / nothing()      {ratio('add()', 'nothing()'):8.2f}x   target at most 2x")
    print(f"  incr / add(1)          {ratio('incr', 'add(1)'):8.0f}x   target at least 500x")
    print(f"  incr, pipelined / add  {ratio('incr, pipelined', 'add(1)'):8.0f}x")


def timed(call: Callable[..., object], times: int, *args: object) -> float:
    """Seconds a call, the loop that calls included, which is the same for all."""
    if args:
        (argument,) = args
        began = time.perf_counter()
        for _ in repeat(None, times):
            call(argument)
    else:
        began = time.perf_counter()
        for _ in repeat(None, times):
            call()
    return (time.perf_counter() - began) / times


def per(work: Callable[[], object], times: int) -> float:
    """Seconds for one of `times`."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / times


def flushes(port: int, client: redis.Redis, seconds: float) -> None:
    """One process counts as fast as it can at a delay of 10 ms."""
    with comity.connect(stage.client(port)) as co:
        hits = co.counter("as fast as it can", durability=comity.Batched(0.01))
        client.config_resetstat()
        until = time.monotonic() + seconds
        counted = 0
        while time.monotonic() < until:
            for _ in repeat(None, 1000):
                hits.add(1)
            counted += 1000
        calls = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        hits.flush()
        exact = hits.read().value == counted
    print(
        f"  {counted / seconds / 1e6:.1f} million a second for {seconds:g} s at 10 ms delay: "
        f"{calls / seconds:.0f} flushes a second (target at most 110), "
        f"{'exact' if exact else 'NOT EXACT'}"
    )


if __name__ == "__main__":
    main()
