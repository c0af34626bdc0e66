"""A client that dies after any of its commands, on real servers: whoever comes next ends its
transaction, all of it or nothing, and what is late or comes again changes nothing.
"""

from __future__ import annotations

import random
import time

import pytest
from stepping import NODES, PATIENCE, Client, Contents, Servers, Work, every_cut


def cancel(client: Client) -> None:
    client.core.transaction_cancel(1, client.now())


class Case:
    """The work of one transaction, and what a server holds before and after it."""

    def __init__(self, servers: Servers, nodes: int, failing: int | None = None) -> None:
        self.servers = servers
        self.work = Work(nodes, failing)
        self.before, self.after = self.work.plainly(servers)

    def begin(self) -> Client:
        self.work.fill(self.servers)
        client = Client(self.servers)
        client.execute(self.work.commands)
        client.ready()
        return client

    def tidy(self) -> None:
        """Ends what is left over, if something is."""
        if self.servers.left():
            Client(self.servers).sweep()

    def assert_whole(self, client: Client) -> list[Contents]:
        """All of it is there or nothing, as the client was told if it was; and nothing is left."""
        contents = self.servers.contents()
        assert contents in (self.before, self.after)
        told = client.outcome()
        if told not in (None, "unknown"):
            assert (told == "committed") == (contents == self.after)
        assert self.servers.left() == []
        return contents


def want(case: Case, client: Client, dead: Client, node: int) -> None:
    """Reads a key of that server in a transaction."""
    number = case.work.numbers[node]
    (reply,) = client.committed([[b"GET", number]])
    assert reply in (b"10", b"15")
    assert reply == case.servers[node].call("GET", number), "what was read under a lock holds"


def snapshot(case: Case, client: Client, dead: Client) -> None:
    """Reads of all servers at one instant."""
    replies = client.committed([[b"GET", number] for number in case.work.numbers])
    changed = case.work.nodes
    assert replies in ([b"10"] * 3, [b"15"] * changed + [b"10"] * (3 - changed))


def resolve(case: Case, client: Client, dead: Client) -> None:
    """As an operator does who has found the id in a log."""
    txid = dead.txid()
    heard = any(each.node == 0 for each in dead.executed())
    assert heard or client.status(txid) == "unheard"
    outcome = client.resolve(txid)
    assert outcome in (("committed", "aborted") if heard else ("aborted",))
    assert client.status(txid) == outcome


def sweep(case: Case, client: Client, dead: Client) -> None:
    """As a process does that looks after what nobody asks for."""
    client.sweep()


NEXT = {
    **{f"who wants {n}": lambda c, m, d, at=at: want(c, m, d, at) for at, n in enumerate(NODES)},
    "snapshot": snapshot,
    "resolve": resolve,
    "sweep": sweep,
}


@pytest.mark.parametrize("comes", NEXT)
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_whoever_comes_next_ends_it(steps: Servers, nodes: int, comes: str):
    case = Case(steps, nodes)
    outcomes = {"committed": 0, "aborted": 0}
    cuts = 0
    for dead, path in every_cut(steps, case.begin, cancel):
        cuts += 1
        try:
            NEXT[comes](case, Client(steps), dead)
            case.tidy()
            contents = case.assert_whole(dead)
            # Of which no server has heard and nobody has asked may still happen.
            unheard = not dead.executed()
            for each in dead.stragglers():
                steps[each.node].ask(each.packed)
                assert unheard or steps.contents() == contents
            case.tidy()
            assert case.assert_whole(dead) == contents or unheard
        except AssertionError:
            print("died after:", ", ".join(path))
            raise
        outcomes["committed" if contents == case.after else "aborted"] += 1
    assert cuts == {1: 6, 2: 22, 3: 62}[nodes]
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("nodes", [2, 3])
def test_a_recoverer_dies_too(steps: Servers, nodes: int):
    case = Case(steps, nodes)
    deaths = 0
    for _, path in every_cut(steps, case.begin, cancel):
        if len(path) < nodes:
            continue
        # The first client once more, up to the same point, before each run of the second.
        made: list[Client] = []

        def recover(path=path, made=made) -> Client:
            dead = case.begin()
            for name in path:
                cancel(dead) if name == "cancel" else dead.pass_on(dead.next(name))
            made.append(dead)
            time.sleep(PATIENCE / 1e6)
            client = Client(steps)
            client.core.transaction_resolve(dead.txid(), client.now())
            return client

        for second, then in every_cut(steps, recover):
            deaths += 1
            dead = made[-1]
            try:
                snapshot(case, Client(steps), dead)
                contents = steps.contents()
                for each in [*second.stragglers(), *dead.stragglers()]:
                    steps[each.node].ask(each.packed)
                    assert steps.contents() == contents
                case.tidy()
                assert case.assert_whole(dead) == contents
                if (found := second.told("transaction_resolved")) and found[
                    0
                ].outcome != "forgotten":
                    assert (found[0].outcome == "committed") == (contents == case.after)
            except AssertionError:
                print("died after:", ", ".join(path), "and after:", ", ".join(then))
                raise
    print(f"{deaths} deaths")
    assert deaths > 40


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_several_recover_at_once_while_the_client_goes_on(steps: Servers, nodes: int):
    """It was only stopped for longer than its patience. Chance says whose command comes next."""
    case = Case(steps, nodes)
    dice = random.Random(nodes)
    outcomes = {"committed": 0, "aborted": 0}
    for _, path in every_cut(steps, case.begin, cancel):
        stopped = case.begin()
        for name in path:
            cancel(stopped) if name == "cancel" else stopped.pass_on(stopped.next(name))
        txid = stopped.txid()
        time.sleep(PATIENCE / 1e6)
        others = [Client(steps) for _ in range(3)]
        others[0].core.transaction_resolve(txid, others[0].now())
        others[1].core.transaction_resolve(txid, others[1].now())
        reads = [[b"GET", number] for number in case.work.numbers]
        # Nobody takes it for dead, however slow the machine: it waits for the others or ends them.
        others[2].execute(reads, timeout_us=60_000_000, patience_us=60_000_000)
        everybody = [stopped, *others]
        for _ in range(500):
            who = dice.choice([each for each in everybody if each.ready()] or everybody)
            if waiting := who.ready():
                dealt = dice.choices(
                    [who.pass_on, who.repeat, who.lose_reply, who.lose], [6, 1, 1, 1]
                )
                dealt[0](dice.choice(waiting))
            else:
                who.pass_time()
            if not any(each.ready() or each.core.next_deadline() for each in everybody):
                break
        for each in reversed(everybody):
            each.go_on()
        (reader,) = others[2].told("transaction_committed")
        found = {event.outcome for one in others for event in one.told("transaction_resolved")}
        case.tidy()
        contents = case.assert_whole(stopped)
        outcome = "committed" if contents == case.after else "aborted"
        outcomes[outcome] += 1
        assert stopped.outcome() == outcome
        # Where it met a reader's lock it was given another id, and the first one is aborted.
        (end,) = stopped.told("transaction_committed", "transaction_failed")
        assert found <= {outcome if end.id == txid else "aborted", "forgotten"}, found
        assert not any(each.damaged() for each in everybody)
        # One instant: all of what was there then, or nothing.
        assert set(reader.replies[:nodes]) in ({b"10"}, {b"15"})
    print(outcomes)
    assert min(outcomes.values()) > 0
