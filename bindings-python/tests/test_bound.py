"""Coordinators, locks and transactions belong to their process: nobody pickles or copies them."""

from __future__ import annotations

import copy
import pickle

import pytest

import comity
import comity.aio

KINDS = {
    "Coordinator": lambda co: co,
    "Lock": lambda co: co.lock("a"),
    "Transaction": lambda co: co.transaction(),
}


@pytest.mark.parametrize("verb", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_to_do_instead(kind, verb):
    with comity.connect() as co:
        with pytest.raises(TypeError, match=rf"a comity\.{kind} belongs.*have a module connect"):
            verb(KINDS[kind](co))
    with pytest.raises(TypeError, match=rf"a comity\.aio\.{kind} belongs"):
        verb(KINDS[kind](comity.aio.connect()))


def test_a_lock_outlives_who_tries_to_copy_it():
    """A copy that was dropped gave back what the other holds."""
    with comity.connect() as co, co.lock("a") as held:
        with pytest.raises(TypeError):
            copy.copy(held)
        assert held.held
        assert not co.lock("a").acquire(wait=0)
