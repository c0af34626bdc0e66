"""Take a named lock, do the work under it, release it; then release what is not held.

The naive version is `SET name 1 NX EX 30` and, at the end, `DEL name`. Its lock has no owner: a
client whose thirty seconds ran out deletes the lock of the next one, and then a third comes in. It
has no lease that lasts as long as the work does: nothing renews it. It has no fence: a client that
was paused past its lease writes after its successor, and nothing can tell. And its release says
nothing: `DEL` of a lock that was never held is answered with a 0 that nobody reads.

python lock.py                                  on the embedded store, no server
python lock.py --redis redis://localhost:6379   on a real Redis
"""

from __future__ import annotations

import argparse
import os

import comity


def connect() -> comity.Coordinator:
    """To the server that the command line names, or to none."""
    parser = argparse.ArgumentParser(description="Take a lock, work under it, release it.")
    parser.add_argument("--redis", metavar="URL")
    url = parser.parse_args().redis
    prefix = f"comity-article-{os.getpid()}:"
    if url is None:
        return comity.connect(prefix=prefix)
    import redis

    return comity.connect(redis.Redis.from_url(url), prefix=prefix)


def business_logic(co: comity.Coordinator, held: comity.Lock) -> None:
    """What must not run twice at the same time."""
    print(f"  held: {held.held}, for another {round(held.remaining)} seconds unless it is renewed")
    print(
        "  somebody else tries:", "gets it" if co.lock("report").acquire(wait=0) else "has to wait"
    )
    print("  the resource accepts the fence:", co.fence_check("report.pdf", held.fence))


def main() -> None:
    """Plays it through."""
    with connect() as co:
        lock = co.lock("report", ttl=10, label="the article")

        print("Taking the lock 'report'.")
        lock.acquire()
        business_logic(co, lock)
        lock.release()
        print("Released.")

        print("Releasing it once more.")
        try:
            lock.release()
        except comity.NotHeld as error:
            print(f"  refused: {error}")

        print("The same as a block, which releases also when the work fails.")
        try:
            with co.lock("report", ttl=10):
                raise RuntimeError("the work failed")
        except RuntimeError as error:
            print(f"  {error}; the lock is free again: {not co.inspect('report').holders}")


if __name__ == "__main__":
    main()
