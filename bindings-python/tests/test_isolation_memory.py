"""The checker of histories finds what is wrong with each of these, and nothing with the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "stress"))

from isolation import anomalies


def history(text):
    """`1: x+1 y?1.2 ok` is process 1, which appends 1 to x and reads 1, 2 from y. Its lines follow
    each other; a line `1: ...` without an end leaves it under way until `1 ok`.
    """
    lines, begun = [], {}

    def note(kind, process, value):
        lines.append({"index": len(lines), "type": kind, "process": process, "value": value})

    for line in filter(None, map(str.strip, text.splitlines())):
        if ":" not in line:
            process, kind = line.split()
            note(kind, int(process), begun.pop(int(process)))
            continue
        name, words = line.split(":")
        process, (*micros, last) = int(name), words.split()
        ends = last in ("ok", "fail", "info")
        value = []
        for word in micros if ends else [*micros, last]:
            if "+" in word:
                key, number = word.split("+")
                value.append(["append", key, int(number)])
            else:
                key, seen = word.split("?")
                value.append(["r", key, [int(n) for n in seen.split(".") if n]])
        note("invoke", process, [[k, key, v if k == "append" else None] for k, key, v in value])
        if ends:
            note(last, process, value)
        else:
            begun[process] = value
    return lines


GOOD = {
    "one after the other": "1: x+1 ok \n 2: x?1 x+2 ok \n 1: x?1.2 ok",
    "a read of its own": "1: x+1 x?1 x+2 x?1.2 ok \n 2: x?1.2 ok",
    "at once, in either order": "1: x+1 y+1 \n 2: x+2 y+2 \n 1 ok \n 2 ok \n 3: x?2.1 y?2.1 ok",
    "in doubt and applied": "1: x+1 info \n 2: x? ok \n 3: x?1 ok",
    "in doubt and not applied": "1: x+1 info \n 2: x? ok",
    "not applied": "1: x+1 fail \n 2: x? ok",
    "a read that is under way": "1: x? \n 2: x+1 ok \n 1 ok \n 3: x?1 ok",
}

BAD = {
    "lost": ("1: x+1 ok \n 2: x? ok", "no order"),
    "an update lost": ("1: x? x+1 \n 2: x? x+2 \n 1 ok \n 2 ok \n 3: x?1.2 ok", "no order"),
    "twice": ("1: x+1 ok \n 2: x?1.1 ok", "twice"),
    "from nowhere": ("1: x?7 ok", "nobody"),
    "applied though it failed": ("1: x+1 fail \n 2: x?1 ok", "not applied"),
    "two orders of one list": ("1: x+1 ok \n 2: x+2 ok \n 3: x?1.2 ok \n 4: x?2 ok", "never was"),
    "half of a transaction": ("1: x+1 x+2 \n 2: x?1 ok \n 1 ok \n 3: x?1.2 ok", "middle"),
    "two writes in two orders": (
        "1: x+1 y+1 \n 2: x+2 y+2 \n 1 ok \n 2 ok \n 3: x?1.2 y?2.1 ok",
        "no order",
    ),
    "each has read the other": ("1: x+1 y?2 \n 2: y+2 x?1 \n 1 ok \n 2 ok", "no order"),
    "one server's part only": ("1: x+1 y+1 \n 2: x?1 y? ok \n 1 ok \n 3: y?1 ok", "no order"),
    "write skew": ("1: x? y+1 \n 2: y? x+2 \n 1 ok \n 2 ok \n 3: x?2 y?1 ok", "no order"),
    "a stale read": ("1: x+1 ok \n 2: x?1 ok \n 3: x? ok", "no order"),
    "an end that came too early": ("1: x+1 ok \n 2: y+2 ok \n 3: x? y?2 ok", "no order"),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_nothing_is_found_where_nothing_is_wrong(text):
    assert anomalies(history(text)) == []


@pytest.mark.parametrize(("text", "found"), BAD.values(), ids=BAD)
def test_mutants_of_a_history_are_found(text, found):
    assert any(found in line for line in anomalies(history(text)))
