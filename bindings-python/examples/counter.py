"""A counter that is exact: counted by two, after a crash, and where there is no server.

python counter.py                       on the embedded store, no server
python counter.py --redis HOST:PORT     on a real Redis

tests/examples/counter.txt has what it prints; so do the programs of the other languages.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import comity

PREFIX = f"comity-example-{os.getpid()}:"
SLOWLY = comity.Batched(max_delay=3600)
"""Nothing is sent before it is flushed."""


def store() -> Any:
    """The store the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", metavar="HOST:PORT")
    where = parser.parse_args().redis
    if where is None:
        return comity.MemoryStore()
    import redis

    host, _, port = where.rpartition(":")
    return redis.Redis(host=host or "localhost", port=int(port))


def together(server: Any) -> None:
    """Two count, each in a client of its own."""
    with comity.connect(server, prefix=PREFIX) as one, comity.connect(server, prefix=PREFIX) as two:
        mine, yours = (client.counter("hits", durability=SLOWLY) for client in (one, two))
        for _ in range(1000):
            mine.add(1)
            yours.add(2)
        yours.add(-500)
        print("before they are sent, each knows its own:", mine.value(), "and", yours.value())
        mine.flush()
        yours.flush()
        print("then both read:", mine.read().value, "and", yours.read().value)


def after_a_crash(server: Any) -> None:
    """Somebody counts 75, then 25 more, of which only a snapshot is left."""
    gone = comity.connect(server, prefix=PREFIX)
    hits = gone.counter("hits", durability=SLOWLY)
    hits.add(75)
    hits.flush()
    hits.add(25)
    snapshot = hits.snapshot()
    del hits, gone
    for _ in range(2):
        with comity.connect(server, prefix=PREFIX) as heir:
            hits = heir.counter("hits", restore=snapshot)
            hits.flush()
            print("after a crash, restored from a snapshot:", hits.read().value)


def anew(server: Any) -> None:
    """An audit, and a reset."""
    with comity.connect(server, prefix=PREFIX) as co:
        hits = co.counter("hits")
        print("an audit has to correct:", hits.audit().corrected)
        print("resets so far, with this one:", hits.reset())
        print("after it:", hits.read().value)


def without_a_server() -> None:
    """Replicas that exchange bytes."""
    tea, coffee = comity.PNCounter(), comity.PNCounter()
    tea.add(5)
    tea.add(-2)
    coffee.add(7)
    for _ in range(2):
        tea.merge(coffee.snapshot())
        coffee.merge(tea.snapshot())
        print("two that exchange what they know:", tea.value(), "and", coffee.value())


def main() -> None:
    """Plays it through."""
    server = store()
    together(server)
    after_a_crash(server)
    anew(server)
    without_a_server()
    if not isinstance(server, comity.MemoryStore):
        for key in server.scan_iter(match=f"{PREFIX}*"):  # a counter stays until it is deleted
            server.delete(key)


if __name__ == "__main__":
    main()
