"""A history of transactions on a bad network, for a checker of isolation: Elle's list-append.

Clients append numbers to lists on three servers and read lists, several in one transaction, while
proxies in front of the servers lose, repeat, cut and delay. What each began and what it was told is
written down, one line of JSON each, as Elle's command line reads it (`--model list-append`):

    {"index": 7, "type": "ok", "f": "txn", "process": 3, "time": 123, "value": [["append", 1, 9]]}

`invoke` is what was asked, `ok` what came of it; `fail` was not applied, `info` may have been. The
last transaction, of process -1, reads all lists. `isolation.py` says at once whether the history is
strictly serializable; exit code 1 if it is not.

    python tests/stress/history.py --seconds 20 --out history.jsonl [--seed 1] [--clients 8]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faults
from conftest import Server
from isolation import anomalies
from transactions import Ring, step

import comity

ACTIONS = [
    faults.CUT_BEFORE,
    faults.CUT_AFTER,
    faults.REPEAT,
    faults.DELAY_BEFORE,
    faults.DELAY_AFTER,
    faults.SWALLOW,
]
Micro = list[Any]


class History:
    """What was asked and told, in the order in which it was."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._mutex = threading.Lock()

    def note(self, kind: str, process: int, value: list[Micro], error: str | None = None) -> None:
        with self._mutex:
            line = {
                "index": len(self.lines),
                "type": kind,
                "f": "txn",
                "process": process,
                "time": time.monotonic_ns(),
                "value": value,
            }
            if error is not None:
                line["error"] = error
            self.lines.append(line)


class Client(threading.Thread):
    """One who appends and reads until it is stopped."""

    def __init__(self, number: int, ring: Ring, history: History, options: Any) -> None:
        super().__init__()
        self.number = number
        self.process_id = number
        self.ring = ring
        self.history = history
        self.options = options
        self.dice = random.Random(options.seed * 1000 + number)
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.appended = number  # each client appends numbers of its own

    def run(self) -> None:
        try:
            with self.ring.connect(timeout=2) as co:
                while not self.stop.is_set():
                    self.transact(co)
        except BaseException as error:
            self.failure = error

    def plan(self) -> list[Micro]:
        """One to four appends and reads of lists that many want."""
        micros: list[Micro] = []
        for _ in range(self.dice.randint(1, 4)):
            key = self.dice.randrange(self.options.lists)
            if self.dice.random() < 0.5:
                self.appended += self.options.clients
                micros.append(["append", key, self.appended])
            else:
                micros.append(["r", key, None])
        return micros

    def transact(self, co: comity.Coordinator) -> None:
        micros = self.plan()
        self.history.note("invoke", self.process_id, micros)
        tx = co.transaction()
        for kind, key, value in micros:
            if kind == "append":
                tx.rpush(f"list:{key}", value)
            else:
                tx.lrange(f"list:{key}", 0, -1)
        try:
            replies = tx.execute()
        except (comity.OutcomeUnknown, comity.Closed) as error:
            self.history.note("info", self.process_id, micros, type(error).__name__)
            # A process whose operation may still happen begins no other.
            self.process_id += self.options.clients
            return
        except comity.Error as error:
            self.history.note("fail", self.process_id, micros, type(error).__name__)
            return
        told = [
            [kind, key, value if kind == "append" else list(map(int, reply))]
            for (kind, key, value), reply in zip(micros, replies, strict=True)
        ]
        self.history.note("ok", self.process_id, told)


def disturb(ring: Ring, seconds: float, dice: random.Random) -> int:
    """Faults at random places; how many rules were made."""
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        proxy = dice.choice(ring.proxies)
        wait = dice.choice((0.01, 0.05, 0.3))
        proxy.rule(dice.choice(ACTIONS), lambda words: step(words) is not None, seconds=wait)
        if dice.random() < 0.02:
            proxy.cut()
        count += 1
        time.sleep(dice.uniform(0.005, 0.1))
    for proxy in ring.proxies:
        proxy.calm()
    return count


def read_all(ring: Ring, history: History, options: Any) -> None:
    """Notes what all lists hold in the end, read as every transaction reads."""
    micros: list[Micro] = [["r", key, None] for key in range(options.lists)]
    # No client's, whose number may still have something under way.
    process = -1
    history.note("invoke", process, micros)
    with ring.connect(direct=True, timeout=10) as co:
        tx = co.transaction()
        for _, key, _ in micros:
            tx.lrange(f"list:{key}", 0, -1)
        replies = tx.execute()
    told = [
        [kind, key, list(map(int, r))] for (kind, key, _), r in zip(micros, replies, strict=True)
    ]
    history.note("ok", process, told)


def main() -> None:
    """Makes a history, looks at it, and writes it down."""
    parser = argparse.ArgumentParser(description="A list-append history on a bad network.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--lists", type=int, default=6)
    options = parser.parse_args()
    history = History()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        for number in range(3):
            servers.append(Server(folder / str(number)))
            stack.callback(servers[-1].kill)
        ring = Ring(servers)
        stack.callback(ring.close)
        clients = [Client(number, ring, history, options) for number in range(options.clients)]
        for client in clients:
            client.start()
        rules = disturb(ring, options.seconds, random.Random(options.seed))
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(30)
            if client.failure is not None:
                raise client.failure
        read_all(ring, history, options)
    wrong = anomalies(history.lines)
    options.out.write_text("".join(json.dumps(line) + "\n" for line in history.lines), "utf-8")
    kinds = [line["type"] for line in history.lines]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("ok", "fail", "info"))
    print(f"{counts}; {rules} faults ordered; seed {options.seed}; written to {options.out}")
    for text in wrong:
        print(text)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
