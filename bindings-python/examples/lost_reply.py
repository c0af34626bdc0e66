"""One reply is lost: what `INCR` leaves, and what comity leaves.

python lost_reply.py --redis redis://host:6379
"""

from __future__ import annotations

import argparse
import os

from lossy import Lossy, client_of

import comity


def main() -> None:
    """Counts one unit each way, and prints what the server then holds."""
    parser = argparse.ArgumentParser(description="One reply is lost: INCR leaves 2, comity 1.")
    parser.add_argument("--redis", default="redis://localhost:6379", metavar="URL")
    url = parser.parse_args().redis
    prefix = f"comity-lost-reply-{os.getpid()}:"

    # redis-py's client as it is made by default: it repeats what was not answered.
    with Lossy(url, every=1, most=1) as network, client_of(network.through()) as client:
        client.incr(f"{prefix}hits")

    with Lossy(url, every=1, most=1) as network, client_of(network.through()) as client:
        co = comity.connect(client, prefix=prefix)
        co.counter("hits").add(1)
        co.close()

    client = client_of(url)
    with comity.connect(client, prefix=prefix) as co:
        print(f"redis-py incr: {int(client.get(f'{prefix}hits'))} for 1")
        print(f"comity:        {co.counter('hits').read().value} for 1")
    for key in client.scan_iter(match=f"{prefix}*"):
        client.delete(key)


if __name__ == "__main__":
    main()
