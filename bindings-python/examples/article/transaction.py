"""Begin a transaction, set two keys, commit; begin another and roll it back.

The naive version is `MULTI ... EXEC`, or a pipeline. It works on one server only: spread over two,
each gets its own part, and when the second cannot be reached, or refuses, the first has applied its
half already and nobody takes it back. Some clients split a pipeline in this way without a word. And
even on one server it does not roll back: when the second command of an `EXEC` fails, the first
stays.

python transaction.py                                  on the embedded store, no server
python transaction.py --redis redis://localhost:6379   on a real Redis, or several: --redis URL URL
"""

from __future__ import annotations

import argparse
import os

import comity

PREFIX = f"comity-article-{os.getpid()}:"
KEY1, KEY2 = (f"article-{os.getpid()}:key{number}" for number in (1, 2))


def play(co: comity.Coordinator) -> None:
    """The steps of the article."""
    print("Begin; set key1 and key2; commit.")
    with co.transaction() as tx:
        tx.set(KEY1, "one")
        tx.set(KEY2, "two")
    show(co)

    print("Begin; set both again; roll back.")
    tx = co.transaction()
    tx.set(KEY1, "changed")
    tx.set(KEY2, "changed too")
    tx.rollback()
    show(co)

    print("Begin; set key1; the program fails before the end of the block.")
    try:
        with co.transaction() as tx:
            tx.set(KEY1, "half of it")
            raise RuntimeError("out of ideas")
    except RuntimeError as error:
        print(f"  rolled back: {error}")
    show(co)

    print("Begin; set key1; add 1 to key2, which is no number.")
    try:
        with co.transaction() as tx:
            tx.set(KEY1, "half of it")
            tx.incr(KEY2)
    except comity.CommandFailed as error:
        print(f"  rolled back: {str(error).rpartition(': ')[2]}")
    show(co)


def show(co: comity.Coordinator) -> None:
    """What both keys hold at one instant."""
    values = co.snapshot(KEY1, KEY2).values()
    print("  now:", ", ".join("nothing" if v is None else v.decode() for v in values))


def main() -> None:
    """On the servers that the command line names, which are left as they were; or on none."""
    parser = argparse.ArgumentParser(description="Commit a transaction, roll another one back.")
    parser.add_argument("--redis", metavar="URL", nargs="+")
    urls = parser.parse_args().redis
    if urls is None:
        with comity.connect() as co:
            play(co)
        return
    import redis

    clients = {f"server {n}": redis.Redis.from_url(url) for n, url in enumerate(urls, 1)}
    with comity.connect(clients, prefix=PREFIX) as co:
        play(co)
    for client in clients.values():
        client.delete(KEY1, KEY2, *client.scan_iter(match=f"{PREFIX}*"))
        client.close()


if __name__ == "__main__":
    main()
