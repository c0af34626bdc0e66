"""The ring and the replica as values: made of ids, copied, pickled."""

from __future__ import annotations

import copy
import pickle

import pytest

import comity

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("ids", ["abc", b"abc", "", b""])
def test_a_lone_id_is_no_list_of_ids(ids):
    with pytest.raises(comity.InvalidArgument, match="is one id, not several"):
        comity.Ring(ids)


def test_ids_come_back_as_they_were_given():
    ring = comity.Ring([b"a", "b", (b"\xff", 2)])
    assert ring.nodes() == [(b"a", 1), ("b", 1), (b"\xff", 2)]
    assert {type(ring.node(f"{n}")) for n in range(50)} == {str, bytes}
    assert set(ring.replicas("key", 3)) == {b"a", "b", b"\xff"}
    assert ring.with_node(b"c").nodes()[2] == (b"c", 1)
    assert ring.with_weight("a", 5).nodes()[0] == (b"a", 5)
    assert ring.without_node("a").nodes() == [("b", 1), (b"\xff", 2)]
    # The same placement, whatever the ids were given as.
    assert ring == comity.Ring(["a", b"b", (b"\xff", 2)])


def test_the_ring_of_a_coordinator_has_ids_of_text():
    stores = {b"a": comity.MemoryStore(), b"\xff": comity.MemoryStore()}
    with comity.connect(stores) as co:
        assert [node for node, _ in co.ring.nodes()] == ["a", "\udcff"]


def test_weights_are_checked_wherever_they_are_given():
    ring = comity.Ring(["a"])
    for weight in (-1, 1.5, "2", 2**32):
        for make in (ring.with_node, ring.with_weight):
            with pytest.raises(comity.InvalidArgument, match="weight"):
                make("a" if make == ring.with_weight else "b", weight)
    with pytest.raises(comity.InvalidArgument, match="twice"):
        ring.with_node("a", 2)
    with pytest.raises(comity.InvalidArgument, match="no node"):
        ring.with_weight("b", 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_ring_can_be_pickled(protocol):
    ring = comity.Ring(["a", ("b", 3), b"c", b"\xff"], seed=7, points_per_weight=64)
    again = pickle.loads(pickle.dumps(ring, protocol))
    assert again == ring
    assert again.nodes() == ring.nodes()
    assert again.fingerprint == ring.fingerprint
    assert again.with_node("d") == ring.with_node("d")  # the seed and the points are kept


def test_a_copy_of_a_ring_is_the_ring():
    ring = comity.Ring(["a", "b"])
    assert copy.copy(ring) is ring
    assert copy.deepcopy({"ring": ring})["ring"] is ring


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickled_replica_is_another_that_knows_the_same(protocol):
    first = comity.PNCounter()
    first.add(5)
    again = pickle.loads(pickle.dumps(first, protocol))
    assert again.replica != first.replica
    assert again.slots() == first.slots()
    again.add(2)
    first.add(1)
    first.merge(again.snapshot())
    assert first.value() == 8


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copied_replica_is_another_too(duplicate):
    first = comity.PNCounter()
    first.add(-3)
    again = duplicate(first)
    again.add(1)
    assert (first.value(), again.value()) == (-3, -2)
    assert again.replica != first.replica
