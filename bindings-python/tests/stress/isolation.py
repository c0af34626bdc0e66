"""What is not strictly serializable in a history of transactions on lists.

They append to lists and read them, so a read shows which appends came before it, and in which
order. All stand in a graph, and where each can have happened at one moment between its beginning
and its end the graph has no cycle. The method is that of Kingsbury and Alvaro's Elle (VLDB 2020);
its own checker reads the same files.

    python tests/stress/isolation.py history.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass
class Transaction:
    """From its first line to its last, if it has one."""

    index: int
    value: list[list[Any]]
    kind: str = "info"
    before: set[int] = field(default_factory=set)
    """Those that had ended when it began, but for those that others of these stand for."""


def transactions(lines: list[Line]) -> list[Transaction]:
    """All of a history. `info` and one without an end may have happened, at any time later."""
    found: list[Transaction] = []
    under_way: dict[int, Transaction] = {}
    ended: set[int] = set()
    for line in lines:
        process, kind = line["process"], line["type"]
        if kind == "invoke":
            under_way[process] = Transaction(len(found), line["value"], before=set(ended))
            found.append(under_way[process])
            continue
        transaction = under_way.pop(process)
        transaction.kind, transaction.value = kind, line["value"]
        if kind == "ok":
            ended -= transaction.before
            ended.add(transaction.index)
    return found


class Graph:
    """Who came before whom, and why."""

    def __init__(self, all_of_them: list[Transaction]) -> None:
        self.wrong: list[str] = []
        self.why: dict[tuple[int, int], str] = {}
        self._all = [one for one in all_of_them if one.kind != "fail"]
        self._writers = {
            (key, value): one
            for one in all_of_them
            for kind, key, value in one.value
            if kind == "append"
        }
        self._orders: dict[Any, list[int]] = defaultdict(list)
        for _, key, value in self._reads():
            self._orders[key] = max(self._orders[key], value, key=len)
        self._unread: dict[Any, list[int]] = defaultdict(list)
        for (key, value), writer in self._writers.items():
            if writer.kind == "ok" and value not in self._orders[key]:
                self._unread[key].append(writer.index)
        self._appends()
        for one, key, value in self._reads():
            self._read(one, key, value)
        for one in self._all:
            for earlier in one.before:
                self._edge(earlier, one.index, "had ended before")

    def _reads(self) -> Iterator[tuple[Transaction, Any, list[int]]]:
        for one in self._all:
            for kind, key, value in one.value if one.kind == "ok" else ():
                if kind == "r":
                    yield one, key, value

    def _edge(self, earlier: int, later: int, why: str) -> None:
        if earlier != later:
            self.why.setdefault((earlier, later), why)

    def _appends(self) -> None:
        for key, order in self._orders.items():
            if len(set(order)) != len(order):
                self.wrong.append(f"list {key} has a number twice")
            writers = [self._writers.get((key, value)) for value in order]
            for value, writer in zip(order, writers, strict=True):
                if writer is None:
                    self.wrong.append(f"list {key} has {value}, which nobody has appended")
                elif writer.kind == "fail":
                    self.wrong.append(f"list {key} has {value}, reported not applied")
            known = [writer.index for writer in writers if writer is not None]
            for earlier, later in pairwise(known):
                self._edge(earlier, later, f"appended to list {key} before")

    def _read(self, one: Transaction, key: Any, seen: list[int]) -> None:
        order = self._orders[key]
        if order[: len(seen)] != seen:
            self.wrong.append(f"transaction {one.index} has read a list {key} that never was")
            return
        own = [v for kind, k, v in one.value if kind == "append" and k == key]
        others = [v for v in seen if v not in own]
        if others:
            writer = self._writers.get((key, others[-1]))
            if writer is not None:
                last = [v for kind, k, v in writer.value if kind == "append" and k == key][-1]
                if last != others[-1]:
                    text = f"transaction {one.index} has read list {key} in the middle of another"
                    self.wrong.append(text)
                self._edge(writer.index, one.index, f"was read, list {key}, by")
        later = next((v for v in order[len(seen) :] if v not in own), None)
        if later is not None and (next_one := self._writers.get((key, later))) is not None:
            self._edge(one.index, next_one.index, f"has not seen, in list {key},")
        if seen == order:
            # What nobody has ever read was appended after the last read, if it was at all.
            for writer in self._unread[key]:
                self._edge(one.index, writer, f"has not seen, in list {key},")

    def cycle(self) -> str | None:
        """Some of the transactions that cannot be in any order."""
        sorter: TopologicalSorter[int] = TopologicalSorter()
        for earlier, later in self.why:
            sorter.add(later, earlier)
        try:
            sorter.prepare()
        except CycleError as error:
            nodes = error.args[1]
            steps = [f"{a} {self.why[a, b]} {b}" for a, b in pairwise(nodes)]
            return "no order: " + "; ".join(steps)
        return None


def anomalies(lines: list[Line]) -> list[str]:
    """A line for each thing that is wrong; none where the history is strictly serializable."""
    graph = Graph(transactions(lines))
    cycle = graph.cycle()
    return graph.wrong if cycle is None else [*graph.wrong, cycle]


def main() -> None:
    """Looks at a history that was written down."""
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text("utf-8").splitlines()]
    found = anomalies(lines)
    for text in found:
        print(text)
    print(f"{len(lines)} lines, {len(found)} anomalies")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
