"""A fair, fenced lock: three who want it, the guard, and what a timeout says.

python lock.py                       on the embedded store, no server
python lock.py --redis HOST:PORT     on a real Redis

tests/examples/lock.txt has what it prints; so do the programs of the other languages.
"""

from __future__ import annotations

import argparse
import os
import threading
import time

import comity


def connect() -> comity.Coordinator:
    """On the store the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", metavar="HOST:PORT")
    where = parser.parse_args().redis
    prefix = f"comity-example-{os.getpid()}:"
    if where is None:
        return comity.connect(prefix=prefix)
    import redis

    host, _, port = where.rpartition(":")
    return comity.connect(redis.Redis(host=host or "localhost", port=int(port)), prefix=prefix)


def tell(fact: str, holds: bool) -> None:
    """Prints whether something is as it should be."""
    print(f"{fact}:", "yes" if holds else "no")


def main() -> None:
    """Plays it through."""
    with connect() as co:
        order: list[str] = []
        fences: list[int] = []

        def work(name: str) -> None:
            with co.lock("invoice:42", ttl=5, label=name) as held:
                order.append(name)
                fences.append(held.fence)

        with co.lock("invoice:42", ttl=5, label="first") as held:
            fences.append(held.fence)
            tell("first holds the lock", held.held)

            before = time.monotonic()
            try:
                with co.lock("invoice:42", wait=0.2):
                    pass
            except comity.LockTimeout as error:
                waited = time.monotonic() - before
                tell("who waits 0.2 s gives up in time", 0.19 < waited < 10.0)
                print("and reads who holds it:", (error.holder or b"nobody").decode())

            # It leaves the line in the background.
            while co.inspect("invoice:42").waiters_total:
                time.sleep(0.001)
            threads = []
            for ahead, name in enumerate(["second", "third"]):
                threads.append(threading.Thread(target=work, args=(name,)))
                threads[-1].start()
                while co.inspect("invoice:42").waiters_total <= ahead:
                    time.sleep(0.001)
            line = [waiter.label.decode() for waiter in co.inspect("invoice:42").waiters]
            print("waiting in line:", ", ".join(line))
        for thread in threads:
            thread.join()

        print("served in the order they came:", ", ".join(order))
        tell("fences rise from grant to grant", fences == sorted(set(fences)))
        tell("the guard accepts the last fence", co.fence_check("ledger", fences[-1]))
        tell("and then refuses the first", not co.fence_check("ledger", fences[0]))


if __name__ == "__main__":
    main()
