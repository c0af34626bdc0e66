"""Read a counter, add to it, read it again.

The naive version is `GET`, an addition, `SET`: of two clients that do so at once, one's addition is
lost. `INCR` is better, and still wrong where it matters: when its reply is lost on the way, the
client cannot know whether it was counted. Repeated, as client libraries do by default, it counts
twice; not repeated, it may not count at all.

python counter.py                                  on the embedded store, no server
python counter.py --redis redis://localhost:6379   on a real Redis
"""

from __future__ import annotations

import argparse
import os
import threading

import comity

PREFIX = f"comity-article-{os.getpid()}:"


def play(co: comity.Coordinator) -> None:
    """The steps of the article."""
    visits = co.counter("visits")
    print("The counter stands at", visits.read().value)

    print("Adding 5.")
    visits.add(5)
    print("It stands at", visits.read().value)

    print("Four threads add 1000 each, in steps of one.")
    threads = [
        threading.Thread(target=lambda: [visits.add(1) for _ in range(1000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    visits.flush()
    print("It stands at", visits.read().value)

    print("Taking 5 back.")
    visits.add(-5)
    visits.flush()
    print("It stands at", visits.read().value, "on the server, whatever was lost on the way")


def main() -> None:
    """On the server that the command line names, which is left as it was; or on none."""
    parser = argparse.ArgumentParser(description="Read a counter, add to it, read it again.")
    parser.add_argument("--redis", metavar="URL")
    url = parser.parse_args().redis
    if url is None:
        with comity.connect() as co:
            play(co)
        return
    import redis

    with redis.Redis.from_url(url) as client:
        with comity.connect(client, prefix=PREFIX) as co:
            play(co)
        for key in client.scan_iter(match=f"{PREFIX}*"):
            client.delete(key)


if __name__ == "__main__":
    main()
