"""After a fork the parent's counts stay its own, and a peer in the child is another replica."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest

redis = pytest.importorskip("redis")

from locks import connect, in_child  # noqa: E402

import comity  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


@pytest.mark.parametrize("durability", ["sync", comity.Batched(3600), comity.Batched(0.001)])
def test_pending_units_stay_the_parents(server, proxy, durability):
    with connect(server.port) as other, connect(proxy.port) as co:
        hits = co.counter("hits", durability=durability)
        hits.add(5)
        hits.flush()
        hits.add(10)
        flushed = {5} if durability == comity.Batched(3600) else {5, 15}

        def child():
            # The same handle, opened anew: nothing is pending, and what it counts is the child's.
            assert hits.value() in {0, *flushed}
            hits.add(100)
            hits.flush()
            assert hits.read().value - 100 in flushed
            hits.snapshot()
            co.close()
            return True

        assert in_child(child)
        hits.add(1)
        hits.flush()
        assert hits.read().value == other.counter("hits").read().value == 116


def test_a_journal_stays_the_parents(server):
    written = []
    with connect(server.port) as co:
        hits = co.counter("hits", durability=comity.Journaled(write=written.append))

        def child():
            with pytest.raises(comity.InvalidState, match="journal"):
                hits.add(100)
            return not written

        assert in_child(child)
        hits.add(1)
        hits.flush()
        assert hits.read().value == 1


def test_an_exit_of_the_child_flushes_nothing_of_the_parents(server, proxy):
    with connect(proxy.port) as co:
        hits = co.counter("hits", durability=comity.Batched(3600))
        hits.add(5)
        hits.flush()
        hits.add(10)
        sent = len(proxy.seen)
        process = multiprocessing.get_context("fork").Process(target=hits.value)
        process.start()
        process.join(40)
        assert len(proxy.seen) == sent
        hits.flush()
        assert hits.read().value == 15


LATE = """
import sys
import comity

with comity.connect(sys.argv[1]) as co:
    hits = co.counter("hits", durability=comity.Batched(3600))
    assert "multiprocessing.util" not in sys.modules

    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=hits.add, args=(5,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert hits.read().value == 5
"""


def test_what_a_child_counts_is_flushed_if_multiprocessing_comes_after_the_connection(server):
    url = f"redis://127.0.0.1:{server.port}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", LATE, url], check=True, env=environment, timeout=120)


def test_a_forked_peer_is_a_replica_of_its_own():
    peer = comity.PNCounter()
    peer.add(5)
    read, write = os.pipe()

    def child():
        peer.add(2)
        os.write(write, peer.snapshot())
        return True

    assert in_child(child)
    peer.add(1)
    peer.merge(os.read(read, 65536))
    os.close(read)
    os.close(write)
    assert peer.value() == 8
    assert len(peer.slots()) == 2
