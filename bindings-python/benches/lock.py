"""The lock beside its peers, on a redis-server of its own: alone, handed over, contended for.

Everything is measured in this one run, in turns, so that whatever else the machine does meets all
sides. `--share 0.1` does a tenth of everything: for a look, not for figures.

    python benches/lock.py [--rounds 15] [--pairs 1000] [--share 1]
"""

from __future__ import annotations

import argparse

import contention
import handoff
import pairs
import redis
import stage
from redis.utils import HIREDIS_AVAILABLE


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, default=1000, help="per round and lock")
    parser.add_argument("--share", type=float, default=1.0, help="of what takes more than one")
    arguments = parser.parse_args()
    with stage.server() as port:
        with stage.client(port) as client:
            version = client.info("server")["redis_version"]
        parser_name = "with" if HIREDIS_AVAILABLE else "without"
        print(f"redis-server {version}, redis-py {redis.__version__} {parser_name} hiredis")
        pairs.measure(port, arguments.rounds, arguments.pairs)
        contended(port, "loopback", arguments.share)
        with stage.delayed(port) as slow:
            contended(slow, "1 ms added to every round trip", arguments.share)


def contended(port: int, where: str, share: float) -> None:
    """Everything that takes more than one."""
    print(f"hand-off between two processes, {where}:")
    handoff.measure(port, share)
    for work in (0, 0.002):
        print(
            f"8 threads on one lock for {3 * share:g} s, {work * 1e3:g} ms of work under it and "
            f"elsewhere, {where}:"
        )
        contention.one_lock(port, 8, 3 * share, work)
    print(f"32 threads on 32 locks for {3 * share:g} s, {where}:")
    contention.many_locks(port, 32, 3 * share)
    print(f"32 tasks on 32 locks for {3 * share:g} s, {where}:")
    contention.many_locks_of_tasks(port, 32, 3 * share)


if __name__ == "__main__":
    main()
