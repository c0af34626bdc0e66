"""What docs/transaction.md says of commands is what the core does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import comity
from comity.builder import READS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "transaction.md").read_text(encoding="utf-8")
SECTION = PAGE.split("\n## Commands\n")[1].split("\n## ")[0]
TAKEN, REFUSED = SECTION.split("Refused, with the reason")


def names(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z]+)`", text))


@pytest.fixture
def co():
    with comity.connect() as one:
        yield one


def refusal(co, name: str) -> str:
    """Why the core does not take a command; nothing where it does, or misses arguments."""
    try:
        co.transaction().command(name, "key").execute()
    except comity.Unsupported as error:
        return str(error)
    except (comity.InvalidArgument, comity.CommandFailed):
        pass
    return ""


def test_the_page_lists_what_is_taken(co):
    taken = names(TAKEN)
    assert len(taken) == 101
    for name in taken:
        assert not refusal(co, name), name


def test_the_page_lists_what_is_refused_and_why(co):
    rows = re.findall(r"^\| (.+) \| (`.+) \|$", REFUSED, re.MULTILINE)
    assert len(rows) == 5
    for why, row in rows:
        for name in names(row):
            assert why in refusal(co, name), name
    for name in ("EVAL", "BITFIELD", "PUBLISH", "FLUSHALL"):
        assert "docs/transaction.md" in refusal(co, name)


def test_the_reads_of_the_page_are_those_that_run_at_once():
    (row,) = re.findall(r"^\| reads \| (.+) \|$", TAKEN, re.MULTILINE)
    assert {name.encode() for name in names(row) | {"MGET", "EXISTS"}} == READS


def test_every_read_can_be_validated_and_no_write_can(co):
    core = co._session.core
    for name in names(TAKEN):
        words = [name.encode(), b"key", b"1", b"2"]
        for count in (2, 3, 4):
            try:
                core.transaction_execute([], 1, expectations=[("unchanged", words[:count], None)])
            except comity.InvalidArgument as error:
                taken = "writes" not in str(error)
                if "number of arguments" in str(error):
                    continue
            except comity.Unsupported:
                continue
            else:
                taken = True
            assert taken == (name.encode() in READS), name
