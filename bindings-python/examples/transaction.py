"""Transfers between accounts: all or nothing, on a condition, and many at once.

python transaction.py                       on the embedded store, no server
python transaction.py --redis HOST:PORT     on a real Redis

tests/examples/transaction.txt has what it prints; so do the programs of the other languages.
"""

from __future__ import annotations

import argparse
import os
import threading
from typing import Any

import comity

PREFIX = f"comity-example-{os.getpid()}:"
ALICE, BOB, CAROL = (f"example-{os.getpid()}:{name}" for name in ("alice", "bob", "carol"))


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


def show(co: comity.Coordinator, what: str) -> None:
    """What all three hold at one instant."""
    values = ((v or b"nothing").decode() for v in co.snapshot(ALICE, BOB, CAROL).values())
    print("{}: alice {}, bob {}, carol {}".format(what, *values))


def main() -> None:
    """Plays it through."""
    server = store()
    with comity.connect(server, prefix=PREFIX) as co:
        with co.transaction() as tx:
            tx.set(ALICE, 100).set(BOB, 50)
        show(co, "opened")

        tx = co.transaction()
        tx.decrby(ALICE, 30).incrby(BOB, 30)
        print("a transfer of 30 replies:", ", ".join(map(str, tx.execute())))
        show(co, "transferred")

        try:
            with co.transaction() as tx:
                tx.check(ALICE, value=100)
                tx.decrby(ALICE, 30).incrby(BOB, 30)
        except comity.ConflictError:
            show(co, "not applied, alice has no 100 any more")

        try:
            with co.transaction() as tx:
                tx.incrby(ALICE, 5).rpush(BOB, "a note")
        except comity.CommandFailed:
            show(co, "not applied, a command failed")

        def move(giver: str, taker: str) -> None:
            co.run_transaction(lambda tx: tx.decrby(giver, 1).incrby(taker, 1))

        pairs = [(ALICE, CAROL), (BOB, CAROL)] * 5
        threads = [threading.Thread(target=move, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        show(co, "ten transfers at once")

        with co.transaction() as tx:
            tx.delete(ALICE, BOB, CAROL)
        show(co, "closed")
    if not isinstance(server, comity.MemoryStore):
        for key in server.scan_iter(match=f"{PREFIX}*"):  # what a ring was noted for stays
            server.delete(key)


if __name__ == "__main__":
    main()
