"""The lock beside its peers, on a redis-server of its own: alone, handed over, contended for.

Everything is measured in this one run, in turns, so that whatever else the machine does meets all
sides; `--quick` leaves out all but the uncontended lock.

    python benches/lock.py [--quick] [--rounds 15] [--pairs 1000]
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
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, default=1000, help="per round and lock")
    arguments = parser.parse_args()
    with stage.server() as port:
        with stage.client(port) as client:
            version = client.info("server")["redis_version"]
        parser_name = "with" if HIREDIS_AVAILABLE else "without"
        print(f"redis-server {version}, redis-py {redis.__version__} {parser_name} hiredis")
        pairs.measure(port, arguments.rounds, arguments.pairs)
        if arguments.quick:
            return
        contended(port, "loopback")
        with stage.delayed(port) as slow:
            contended(slow, "1 ms added to every round trip")


def contended(port: int, where: str) -> None:
    """Everything that takes more than one."""
    print(f"hand-off between two processes, {where}:")
    handoff.measure(port)
    print(f"8 threads on one lock for 3 s, {where}:")
    contention.one_lock(port, 8, 3)
    print(f"32 threads on 32 locks for 3 s, {where}:")
    contention.many_locks(port, 32, 3)


if __name__ == "__main__":
    main()
