"""A core whose commands go out one by one, each when and as a test says, to real servers.

Nothing here runs by itself: a `Client` that is not asked to go on is as good as dead, and what it
has ready is what was lost, or is late. Its clock is ahead of the real one by the time that it would
only have waited.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from replies import Reader
from transactions import step

import comity
from comity._core import Command, Coordinator, ErrorReply, Event
from comity.clock import now_us

NODES = ("a", "b", "c")
PATIENCE = 10_000
"""Microseconds until others may end a transaction: the least there is."""
_LOOK = """
local keys, left, registers = {}, {}, {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  if string.sub(key, 1, 7) ~= 'comity:' then
    local value
    if kind == 'string' then value = redis.call('GET', key)
    elseif kind == 'hash' then
      local pairs = redis.call('HGETALL', key)
      value = {}
      for i = 1, #pairs, 2 do value[#value + 1] = pairs[i] .. '=' .. pairs[i + 1] end
      table.sort(value)
      value = table.concat(value, ' ')
    elseif kind == 'list' then value = table.concat(redis.call('LRANGE', key, 0, -1), ' ')
    else value = kind end
    local ends = redis.call('PTTL', key) > 0 and 'ends' or 'stays'
    for _, each in ipairs({key, kind, value, ends}) do keys[#keys + 1] = each end
  elseif kind == 'hash' and not string.match(key, '%x%.%d%d:%d+$') then
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if string.sub(name, 1, 1) == 'k' then left[#left + 1] = 'lock ' .. name end
      if string.sub(name, 1, 1) == 'r' then registers[#registers + 1] = name end
    end
  else left[#left + 1] = 'shadow ' .. key end
end
return {keys, left, registers}
"""

Contents = dict[bytes, tuple[bytes, ...]]
"""What users see of a server: for each key its type, value and whether it has a time to live."""


class Connection:
    """One connection to one server, made when it is needed."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._sock: socket.socket | None = None
        self._reader = Reader()

    def ask(self, packed: bytes) -> Any:
        """The reply to a packed command. Raises `OSError` if there is none."""
        try:
            if self._sock is None:
                self._sock = socket.create_connection(("127.0.0.1", self.server.port), 5)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._reader = Reader()
            self._sock.sendall(packed)
            while data := self._sock.recv(65536):
                if replies := self._reader.feed(data):
                    return replies[0]
            raise ConnectionResetError("the server is gone")
        except OSError:
            self.close()
            raise

    def call(self, *words: object) -> Any:
        """The reply to a command that must not fail."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        packed = b"*%d\r\n" % len(parts)
        packed += b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        reply = self.ask(packed)
        assert not isinstance(reply, ErrorReply), reply
        return reply

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


class Servers:
    """The servers of a test, each with a connection, and what lies on them."""

    def __init__(self, servers: list[Any]) -> None:
        self.connections = [Connection(server) for server in servers]

    def __getitem__(self, node: int) -> Connection:
        return self.connections[node]

    def __len__(self) -> int:
        return len(self.connections)

    def empty(self) -> None:
        """Leaves only to which ring they belong."""
        for one in self.connections:
            one.call("FLUSHALL")
        client = Client(self)
        client.core.check_nodes(client.now())
        while (command := client.core.poll_command()) is not None:
            client.pass_on(command)

    def contents(self) -> list[Contents]:
        """What a user would find, without comity's own."""
        return [self._look(node)[0] for node in range(len(self))]

    def left(self) -> list[bytes]:
        """Locks and shadows."""
        return [each for node in range(len(self)) for each in self._look(node)[1]]

    def registers(self) -> int:
        return sum(len(self._look(node)[2]) for node in range(len(self)))

    def _look(self, node: int) -> tuple[Contents, list[bytes], list[bytes]]:
        keys, left, registers = self[node].call("EVAL", _LOOK, 0)
        rows = [tuple(keys[at : at + 4]) for at in range(0, len(keys), 4)]
        return {row[0]: row[1:] for row in rows}, left, registers

    def close(self) -> None:
        for one in self.connections:
            one.close()


@dataclass
class Sent:
    """A command that a client had to send, and that can be sent again."""

    node: int
    argv: list[bytes]
    packed: bytes
    name: str = field(init=False)

    def __post_init__(self) -> None:
        what = step(self.argv)
        if what == "FINISH":
            what = {b"C": "COMMIT", b"A": "ABORT", b"Q": "RELEASE"}[self.arguments()[2]]
        if what == "QUERY" and self.arguments()[2] == b"1":
            what = "FORCE"
        self.name = f"{what or self.argv[0].decode().upper()} {NODES[self.node]}"

    def arguments(self) -> list[bytes]:
        return self.argv[3 + int(self.argv[2]) :]


class Client:
    """One coordinator over the servers, led by hand."""

    def __init__(self, servers: Servers, weights: tuple[int, ...] = (1, 1, 1)) -> None:
        self.servers = servers
        self.ahead = 0
        self.waiting: list[Command] = []
        self.sent: list[Sent] = []  # executed or not, in the order in which it was dealt with
        self.events: list[Event] = []
        self.core = Coordinator(
            [(name.encode(), weight) for name, weight in zip(NODES, weights, strict=False)],
            entropy=os.urandom(32),
            now=self.now(),
            push=False,
        )

    def now(self) -> int:
        return now_us() + self.ahead

    def execute(self, commands: list[list[bytes]], **options: Any) -> int:
        options = {"patience_us": PATIENCE, **options}
        return self.core.transaction_execute(commands, self.now(), **options)

    def ready(self) -> list[Command]:
        """What is to be sent now. What is no step of a transaction is answered meanwhile."""
        while True:
            while (event := self.core.poll_event()) is not None:
                self.events.append(event)
            command = self.core.poll_command()
            if command is None:
                return self.waiting
            if step(command.argv) is None:
                self.pass_on(command)
            else:
                self.waiting.append(command)

    def next(self, name: str) -> Command:
        """The first of this name that is to be sent now."""
        return next(each for each in self.ready() if name_of(each) == name)

    # What may become of a command

    def pass_on(self, command: Command) -> None:
        """It is executed, and answered."""
        self._answer(command, self._dealt_with(command))

    def repeat(self, command: Command) -> None:
        """It is executed twice."""
        packed = self._dealt_with(command)
        self._answer(command, packed)
        self._ask(command.node, packed)

    def lose(self, command: Command) -> None:
        """It is not executed, and its client cannot know that."""
        self._dealt_with(command)
        self.core.handle_failure(command.request, "outcome_unknown", self.now())

    def lose_reply(self, command: Command) -> None:
        """It is executed, and its client cannot know that."""
        self._ask(command.node, self._dealt_with(command))
        self.core.handle_failure(command.request, "outcome_unknown", self.now())

    def fail(self, command: Command) -> None:
        """It was not sent."""
        self._dealt_with(command)
        self.core.handle_failure(command.request, "not_sent", self.now())

    def _dealt_with(self, command: Command) -> bytes:
        self.waiting = [each for each in self.waiting if each is not command]
        self.sent.append(Sent(command.node, command.argv, command.packed))
        return command.packed

    def _answer(self, command: Command, packed: bytes) -> None:
        try:
            reply = self._ask(command.node, packed)
        except OSError:
            self.core.handle_failure(command.request, "outcome_unknown", self.now())
            return
        self.core.handle_reply(command.request, reply, self.now())
        if isinstance(reply, ErrorReply) and reply.text.startswith(b"NOSCRIPT"):
            # It was not executed. The same comes again with its text.
            name = self.sent.pop().name
            for again in [each for each in self.ready() if name_of(each) == name][:1]:
                self.pass_on(again)

    def _ask(self, node: int, packed: bytes) -> Any:
        return self.servers[node].ask(packed)

    # Going on

    def go_on(
        self,
        until: Callable[[], object] = lambda: False,
        deal: Callable[[Command], None] | None = None,
    ) -> None:
        """Deals with one command after the other until `until`, or until nothing is left to do."""
        deal = deal or self.pass_on
        while not until():
            if ready := self.ready():
                deal(ready[0])
            elif not self.pass_time():
                return

    def pass_time(self) -> bool:
        """Lets the next deadline come. False if there is none."""
        deadline = self.core.next_deadline()
        if deadline is None:
            return False
        left = deadline - self.now()
        if 0 < left <= 2 * PATIENCE:
            time.sleep(left / 1e6)  # as long as it takes servers to lose their patience
        self.ahead += max(0, deadline - self.now())
        self.core.handle_timeout(self.now())
        return True

    # What it was told

    def txid(self) -> bytes:
        """The id of the client's only transaction."""
        packed = [Sent(each.node, each.argv, each.packed) for each in self.waiting]
        # A command has it behind the id, and one that brings work behind its digest.
        behind = {"FINISH": (1, 0), "QUERY": (1, 0)}
        ids = set()
        for each in self.sent + packed:
            if name := step(each.argv):
                place, digits = behind.get(name, (2, 16))
                words = each.arguments()
                ids.add(words[0] + b"." + words[place][digits:])
        (txid,) = ids
        return txid + b"@a"

    def executed(self) -> list[Sent]:
        """What servers have heard of its transactions."""
        return [each for each in self.sent if step(each.argv)]

    def stragglers(self) -> list[Sent]:
        """All that it had to send, executed or not."""
        late = [Sent(each.node, each.argv, each.packed) for each in self.ready()]
        return self.executed() + late

    def told(self, *kinds: str) -> list[Event]:
        return [event for event in self.events if event.kind in kinds]

    def outcome(self) -> str | None:
        """What the user was told of the client's only transaction."""
        self.ready()
        names = {
            "transaction_committed": "committed",
            "transaction_failed": "aborted",
            "transaction_unknown": "unknown",
        }
        found = [names[event.kind] for event in self.told(*names)]
        found += [f"{event.outcome}" for event in self.told("transaction_ended")]
        assert len([each for each in found if each != "unknown"]) <= 1, found
        return found[-1] if found else None

    def error(self) -> Exception:
        (event,) = self.told("transaction_failed")
        assert event.error is not None
        return event.error

    def damaged(self) -> list[str]:
        nodes = [event.node for event in self.told("transaction_damaged")]
        return sorted(NODES[node] for node in nodes if node is not None)

    def committed(self, commands: list[list[bytes]], **options: Any) -> list[Any]:
        """Executes something that must succeed, to the end; its replies."""
        number = self.execute(commands, **options)
        done = ("transaction_committed", "transaction_failed", "transaction_unknown")
        self.go_on(lambda: [e for e in self.told(*done) if e.transaction == number])
        (event,) = [event for event in self.told(*done) if event.transaction == number]
        assert event.kind == "transaction_committed", event.error
        self.go_on()
        assert event.replies is not None
        return event.replies

    def called(self, call: int) -> Event:
        """Goes on until a call is answered."""
        self.go_on(lambda: [event for event in self.events if event.call == call])
        (event,) = [event for event in self.events if event.call == call]
        return event

    def resolve(self, txid: bytes) -> str | None:
        event = self.called(self.core.transaction_resolve(txid, self.now()))
        assert event.kind == "transaction_resolved", event.error
        self.go_on()
        return event.outcome

    def status(self, txid: bytes) -> str | None:
        event = self.called(self.core.transaction_status(txid, self.now()))
        assert event.kind == "transaction_status", event.error
        return event.outcome

    def sweep(self) -> int | None:
        """Ends and removes what is left over, once all patience is over."""
        time.sleep(PATIENCE * 1.2 / 1e6)
        event = self.called(self.core.transaction_sweep(self.now()))
        assert event.kind == "transaction_swept", event.error
        self.go_on()
        return event.count


class Work:
    """What the transactions of a test do: on each of the first `nodes` servers one key is counted
    up, one is deleted, one is new, and a hash is changed. It fails at server `failing`.
    """

    def __init__(self, nodes: int, failing: int | None = None) -> None:
        self.nodes = nodes
        ring = comity.Ring(list(NODES))
        self.commands: list[list[bytes]] = []
        self.fillings: list[list[list[bytes]]] = [[] for _ in NODES]
        self.numbers: list[bytes] = []
        for node, name in enumerate(NODES):
            number, hash_, gone, new = (
                next(f"{kind}:{n}".encode() for n in range(99) if ring.node(f"{kind}:{n}") == name)
                for kind in ("number", "hash", "gone", "new")
            )
            self.numbers.append(number)
            self.fillings[node] += [
                [b"SET", number, b"10", b"EX", b"1000"],
                [b"HSET", hash_, b"f", b"1", b"g", b"2"],
                [b"RPUSH", gone, b"x", b"y"],
            ]
            if node < nodes:
                self.commands += [
                    [b"INCRBY", number, b"5"],
                    [b"HSET", hash_, b"f", b"3"],
                    [b"DEL", gone],
                    [b"SET", new, b"v", b"EX", b"1000"],
                ]
            if node == failing:
                self.commands.append([b"LPUSH", number, b"no list"])

    def fill(self, servers: Servers) -> None:
        servers.empty()
        for connection, filling in zip(servers.connections, self.fillings, strict=True):
            for words in filling:
                connection.call(*words)

    def plainly(self, servers: Servers) -> tuple[list[Contents], list[Contents]]:
        """The contents before and after, had it been done without comity."""
        self.fill(servers)
        before = servers.contents()
        ring = comity.Ring(list(NODES))
        for words in self.commands:
            node = NODES.index(str(ring.node(words[1])))
            if words[0] != b"LPUSH":
                servers[node].call(*words)
        return before, servers.contents()


def every_cut(
    servers: Servers, begin: Callable[[], Client], cancels: Callable[[Client], None] | None = None
) -> Iterator[tuple[Client, tuple[str, ...]]]:
    """Brings a client into every state in which it can die: for each set of commands that it may
    have had executed, by whatever order, one client that has done so, and their names. With
    `cancels` its user may give up at any moment, too. `begin` makes the servers and the client
    anew; the caller may do to them what it likes.
    """
    seen = {frozenset[str]()}
    paths: list[tuple[str, ...]] = [()]
    for path in paths:
        client = begin()
        for name in path:
            if name == "cancel" and cancels is not None:
                cancels(client)
                continue
            if not client.ready():
                client.pass_time()
            client.pass_on(client.next(name))
        if not client.ready():
            client.pass_time()
        following = {name_of(command) for command in client.ready()}
        if cancels is not None and "cancel" not in path and client.outcome() is None:
            following.add("cancel")
        for name in sorted(following):
            made = frozenset((*path, name))
            if made not in seen:
                seen.add(made)
                paths.append((*path, name))
        yield client, path


def name_of(command: Command) -> str:
    """The step, and where."""
    return Sent(command.node, command.argv, command.packed).name
