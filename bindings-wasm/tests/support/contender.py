"""The other side of a test: does in Python what the test does in JavaScript at the same time.

python contender.py ROUNDS ID=PORT...

Says "ready" when it is connected, begins when it is told to by a line, and ends after ROUNDS of each:
a lock around reading and writing a tally by two commands, the fence written down inside; a transfer
from alice to bob in a transaction; one more on a counter.
"""

from __future__ import annotations

import sys

import redis

import comity


def main() -> None:
    """Plays its part."""
    rounds = int(sys.argv[1])
    places = dict(word.split("=") for word in sys.argv[2:])
    clients = {name: redis.Redis(port=int(port)) for name, port in places.items()}
    plain = next(iter(clients.values()))
    with comity.connect(clients if len(clients) > 1 else plain) as co:
        hits = co.counter("hits")
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(rounds):
            with co.lock("fight", ttl=5) as held:
                tally = int(plain.get("tally") or 0)
                plain.rpush("fences", held.fence)
                plain.set("tally", tally + 1)
            with co.transaction() as tx:
                tx.decrby("alice", 1).incrby("bob", 1)
            hits.add(1)
        hits.flush()
        print("done", flush=True)


main()
