"""Which server each key belongs to, the same in every process and every language. No server.

tests/examples/ring.txt has what it prints; so do the programs of the other languages.
"""

from __future__ import annotations

import argparse

import comity


def main() -> None:
    """Places keys, adds a node, doubles a weight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", metavar="HOST:PORT", help="taken and not needed: no I/O here")
    parser.parse_args()

    ring = comity.Ring(["a", "b", "c"])
    for key in ("user:1", "user:2", "user:3", "invoice:42", "größe"):
        owner, *others = map(str, ring.replicas(key, 3))
        print(f"{key} lies on {owner}, then on {', '.join(others)}")

    bigger = ring.with_node("d")
    print(f"a fourth node takes {100 * ring.moved_share(bigger):.1f} % of the keys")
    same = bigger.without_node("d") == ring
    print("taking it away again gives the same ring:", "yes" if same else "no")

    keys = [f"key:{n}" for n in range(30_000)]
    heavy = comity.Ring([("a", 2), ("b", 1), ("c", 1)])
    share = sum(heavy.node(key) == "a" for key in keys) / len(keys)
    print(f"with twice the weight, a has {100 * share:.0f} % of the keys")


if __name__ == "__main__":
    main()
