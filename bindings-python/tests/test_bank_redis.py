"""Money moves between three real servers while processes are killed and the network fails: it is
never more or less than it was, in any snapshot and in the end.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

redis = pytest.importorskip("redis")

import faults  # noqa: E402
from faults import Proxy  # noqa: E402
from locks import line, until  # noqa: E402

import comity  # noqa: E402

ACCOUNTS = [f"account:{n}" for n in range(12)]
SUM = 1000 * len(ACCOUNTS)
SECONDS = float(os.environ.get("COMITY_BANK_SECONDS", "20"))
PROCESSES = 8
ACTIONS = ["SWALLOW", "CUT_BEFORE", "CUT_AFTER", "REPEAT", "DELAY_BEFORE", "DELAY_AFTER"]

TELLER = """
import random, sys, comity, redis
seed, ports = int(sys.argv[1]), sys.argv[2:]
rng = random.Random(seed)
accounts = [f"account:{n}" for n in range(12)]
nodes = {f"bank-{n}": redis.Redis(port=int(port)) for n, port in enumerate(ports)}
co = comity.connect(nodes, timeout=1, check=False)
print("open")
while True:
    try:
        if rng.random() < 0.2:
            seen = co.snapshot(*accounts)
            print("sum", sum(int(value) for value in seen.values()))
        elif rng.random() < 0.2:
            def move(tx):
                left = int(tx.get(accounts[0]))
                tx.multi()
                tx.set(accounts[0], left - 5).incrby(accounts[7], 5)
            co.run_transaction(move, accounts[0])
            print("moved 0")
        else:
            first, second, third = rng.sample(accounts, 3)
            amount = rng.randrange(1, 50)
            with co.transaction() as tx:
                tx.decrby(first, 2 * amount).incrby(second, amount).incrby(third, amount)
            print("moved 0")
    except comity.OutcomeUnknown as error:
        print("doubt", 0)
    except (comity.ConflictError, comity.AbortedError, comity.Unreachable, comity.NoAnswer,
            comity.ServerRefused) as error:
        print("not", type(error).__name__)
"""


def left_over(servers):
    """Locks and shadows."""
    found = []
    for server in servers:
        with server.client() as client:
            for key in client.scan_iter(match="comity:1:t:*", count=1000):
                if client.type(key) == b"hash":
                    found += [field for field in client.hkeys(key) if field.startswith(b"k")]
                else:
                    found.append(key)
    return found


class Bank:
    """Three servers behind proxies, and processes that move money between them."""

    def __init__(self, start, script, seed):
        self.rng = random.Random(seed)
        self.servers = [start() for _ in range(3)]
        self.proxies = [Proxy(server.port) for server in self.servers]
        self.nodes = {f"bank-{n}": server.client() for n, server in enumerate(self.servers)}
        self._script = script
        self._seeds = iter(range(seed, seed + 10_000))
        self.tellers = []
        self.gone = []

    def hire(self):
        ports = [proxy.port for proxy in self.proxies]
        self.tellers.append(self._script(TELLER, next(self._seeds), *ports))

    def kill(self):
        teller = self.tellers.pop(self.rng.randrange(len(self.tellers)))
        os.kill(teller.pid, signal.SIGKILL)
        self.gone.append(teller)

    def trouble(self):
        """One fault of the network, and now and then a dead teller."""
        action = getattr(faults, self.rng.choice(ACTIONS))
        self.rng.choice(self.proxies).rule(action, lambda w: w[0] == b"EVALSHA", seconds=0.3)
        if self.rng.random() < 0.1 or not self.gone:
            self.kill()
            self.hire()

    def close(self):
        """Nobody works any more; what they said, word and number."""
        dead = len(self.gone)
        while self.tellers:
            self.kill()
        for proxy in self.proxies:
            proxy.close()
        lines = [text for one in self.gone for text in one.stdout.read().split("\n")]
        said = [text.split() for text in lines if len(text.split()) == 2]
        sums = [int(value) for word, value in said if word == "sum"]
        return sums, sum(word == "moved" for word, _ in said), dead


@pytest.mark.timeout(100 + 2 * SECONDS)
def test_money_is_neither_made_nor_lost(start, script):
    seed = int(os.environ.get("COMITY_BANK_SEED", str(random.randrange(1 << 32))))
    print(f"COMITY_BANK_SEED={seed}")
    bank = Bank(start, script, seed)
    with comity.connect(bank.nodes) as co:
        with co.transaction() as tx:
            for account in ACCOUNTS:
                tx.set(account, 1000)
        assert {co.ring.node(account) for account in ACCOUNTS} == set(bank.nodes)
        for _ in range(PROCESSES):
            bank.hire()
        for process in bank.tellers:
            assert line(process) == "open"
        seen = []
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(bank.rng.uniform(0.02, 0.1))
            bank.trouble()
            if bank.rng.random() < 0.3:
                seen.append(sum(map(int, co.snapshot(*ACCOUNTS).values())))
        sums, moved, killed = bank.close()
        print(f"{moved} moves, {len(sums) + len(seen)} snapshots, {killed} killed")
        assert set(sums) == set(seen) == {SUM}
        assert moved > 50
        assert killed > 0

        def swept():
            co.sweep()
            time.sleep(0.2)
            return not left_over(bank.servers)

        until(swept, 20)
        assert sum(map(int, co.snapshot(*ACCOUNTS).values())) == SUM
        direct = [bank.nodes[co.ring.node(account)].get(account) for account in ACCOUNTS]
        assert sum(map(int, direct)) == SUM
        assert co.stats()["transaction_damages"] == 0
    for client in bank.nodes.values():
        client.close()
