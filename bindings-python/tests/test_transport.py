"""Connections and lanes alone: deadlines, broken peers, error words, every kind of connection."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field

import pytest
from locks import until

redis = pytest.importorskip("redis")

from comity import transport  # noqa: E402
from comity._core import Connection  # noqa: E402
from comity.clock import now_us  # noqa: E402
from comity.core import Command  # noqa: E402
from comity.lane import Lane  # noqa: E402
from comity.operation import Operation  # noqa: E402
from comity.session import Session  # noqa: E402
from comity.wire import NotConnected, Refused, Wire  # noqa: E402


@dataclass
class Core:
    """Takes notes; has nothing to send."""

    replies: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    changes: list = field(default_factory=list)
    reasons: list = field(default_factory=list)
    done: Operation | None = None

    def handle_reply(self, request, reply, now):
        self.replies.append((request, reply))
        self._settle()

    def handle_failure(self, request, failure, now):
        self.failures.append((request, failure))
        self._settle()

    def handle_node(self, node, change, now):
        self.changes.append(change)

    def handle_unreachable(self, node, reason, now, *, lasting=False):
        self.reasons.append((reason, lasting))

    def handle_refused(self, node, text, now):
        self.reasons.append(text)

    def handle_timeout(self, now):
        pass

    def node_id(self, node):
        return b"a"

    def poll(self, ready):
        pass

    def _settle(self):
        if self.done is not None:
            self.done.done = True


def connector(client):
    return transport.RedisConnector(client)


def soon(seconds=2.0):
    return now_us() + int(seconds * 1e6)


def lane_to(client):
    core = Core()
    session = Session(core, 1)
    return Lane(session, 0, session.boxes[0].foreground, connector(client)), session, core


def ask(client, *words, seconds=2.0):
    """One command over a lane of its own; what the core is told."""
    lane, session, core = lane_to(client)
    core.done = operation = Operation()
    session.boxes[0].foreground.append(Command(1, list(words), soon(seconds)))
    try:
        lane.drive(operation)
    finally:
        lane.stop()
    return core


# Connections


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_every_kind_of_client(server, protocol, decode):
    with server.client(
        protocol=protocol, decode_responses=decode, db=3, client_name="me"
    ) as client:
        core = ask(client, b"SET", b"k", b"\xff\r\n")
        assert core.replies == [(1, "OK")]
        assert ask(client, b"GET", b"k").replies == [(1, b"\xff\r\n")]
        assert core.changes == ["connected"]
        assert ask(client, b"CLIENT", b"GETNAME").replies == [(1, b"me")]
    with server.client(db=3) as client:
        assert client.get("k") == b"\xff\r\n"


def test_unix_sockets_pools_and_urls(server):
    clients = [
        redis.Redis(unix_socket_path=server.path),
        redis.from_url(f"redis://127.0.0.1:{server.port}/0"),
        redis.Redis(
            connection_pool=redis.BlockingConnectionPool(port=server.port, max_connections=3)
        ),
        redis.Redis(port=server.port, single_connection_client=True),
        redis.Redis(port=server.port, health_check_interval=1, socket_timeout=0.001),
    ]
    for client in clients:
        transport.vet(client, asyncio=False)
        with client:
            assert ask(client, b"ECHO", b"hello").replies == [(1, b"hello")]
    assert transport.address(clients[0]) == server.path
    assert transport.address(clients[1]) == f"127.0.0.1:{server.port}"


def test_a_pool_comity_does_not_know_lends_a_connection(server):
    class Pool(redis.ConnectionPool):
        lent = 0

        def get_connection(self, *args, **kwargs):
            Pool.lent += 1
            return super().get_connection(*args, **kwargs)

    with redis.Redis(connection_pool=Pool(port=server.port)) as client:
        assert ask(client, b"ECHO", b"hello").replies == [(1, b"hello")]
        assert Pool.lent == 1
        assert client.connection_pool._in_use_connections == set()


def test_the_users_retries_and_timeouts_are_not_ours():
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry

    with redis.Redis(port=1, retry=Retry(ConstantBackoff(5), 10), socket_timeout=60) as client:
        before = time.monotonic()
        core = ask(client, b"PING")
        assert time.monotonic() - before < 30
        assert core.failures == [(1, "not_sent")]


def test_passwords(start):
    server = start("--requirepass", "secret")
    for protocol in (2, 3):
        with server.client(password="secret", protocol=protocol) as client:
            assert ask(client, b"ECHO", b"hello").replies == [(1, b"hello")]
        with server.client(password="wrong", protocol=protocol) as client:
            core = ask(client, b"PING")
            assert core.reasons[0].startswith(b"WRONGPASS ")
            assert core.failures == [(1, "not_sent")]
        with server.client(protocol=protocol) as client:
            # With RESP2 there is nothing to set up, and the command is what is refused.
            core = ask(client, b"PING")
            (text,) = core.reasons or [reply.text for _, reply in core.replies]
            assert text.startswith(b"NOAUTH ")


# Who waits, and who connects


class Held:
    """A connector that takes as long as it is told to."""

    def __init__(self, client):
        self._connector = connector(client)
        self.begun, self.go = threading.Event(), threading.Event()
        self.made = 0

    def connect(self, deadline):
        self.begun.set()
        assert self.go.wait(60)
        self.made += 1
        return self._connector.connect(soon(30))


def test_who_waits_leaves_a_connection_that_is_being_made(server):
    core = Core()
    session = Session(core, 1)
    outbox = session.boxes[0].foreground
    with server.client() as client:
        held = Held(client)
        lane = Lane(session, 0, outbox, held)
        first, second = Operation(), Operation()
        threads = [threading.Thread(target=lane.drive, args=(one,)) for one in (first, second)]
        outbox.append(Command(1, [b"ECHO", b"1"], soon(60)))
        threads[0].start()
        assert held.begun.wait(30)
        threads[1].start()
        with session.mutex:
            first.done = True  # its time is over
            first.signal()
        threads[0].join(30)
        assert not threads[0].is_alive()
        core.done = second
        held.go.set()
        threads[1].join(30)
        assert not threads[1].is_alive()
        assert core.replies == [(1, b"1")]
        assert held.made == 1
        lane.stop()


def test_nobody_need_wait_for_a_connection_to_be_made(server):
    core = Core()
    session = Session(core, 1)
    outbox = session.boxes[0].foreground
    with server.client() as client:
        held = Held(client)
        lane = Lane(session, 0, outbox, held)
        operation = Operation()
        outbox.append(Command(1, [b"ECHO", b"1"], soon(60)))
        operation.done = True
        lane.drive(operation)
        assert held.begun.wait(30)
        held.go.set()
        until(lambda: core.replies == [(1, b"1")])
        lane.stop()


def test_who_waits_leaves_what_a_socket_does_not_take():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    core = Core()
    session = Session(core, 1)
    outbox = session.boxes[0].foreground
    lane = Lane(session, 0, outbox, None)
    lane.wire = Wire(ours, ours.close, Connection(now_us()))
    outbox.append(Command(1, [b"SET", b"a", b"x" * 10_000_000], soon(60)))
    session.deadline = 0  # it is read before each wait, and ends it
    operation = Operation()
    thread = threading.Thread(target=lane.drive, args=(operation,))
    thread.start()
    until(lambda: not outbox)
    operation.done = True  # as the core's timer has it
    thread.join(30)
    assert not thread.is_alive()
    left = 10_000_000
    while left > 0:
        left -= len(theirs.recv(1 << 20))  # the rest leaves without it
    theirs.sendall(b"+OK\r\n")
    until(lambda: lane.look() or core.replies == [(1, "OK")])
    lane.stop()
    theirs.close()


def test_without_another_thread_the_caller_connects(server, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("comity.sending.start", refuse)
    with server.client() as client:
        assert ask(client, b"ECHO", b"1").replies == [(1, b"1")]


# Deadlines


def test_a_refused_connection_is_not_sent():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with redis.Redis(port=bound.getsockname()[1], host="127.0.0.1") as client:
            core = ask(client, b"PING")
    assert core.failures == [(1, "not_sent")]


def test_a_silent_server_is_given_up_at_the_deadline(fake):
    silent = fake()
    for protocol in (2, 3):
        with silent.client(protocol=protocol, socket_timeout=60) as client:
            before = time.monotonic()
            core = ask(client, b"PING", seconds=0.4)
            assert 0.3 < time.monotonic() - before < 20
            # With RESP3 the connection's own set-up is what nobody answered.
            assert [failure for _, failure in core.failures] in (["not_sent"], ["outcome_unknown"])


def test_half_a_reply_does_not_hang(fake):
    def talk(peer, data):
        if b"PING" in data:
            peer.sendall(b"*2\r\n$1\r\na\r\n$10\r\nhal")
        else:
            peer.sendall(b"+OK\r\n" * data.count(b"*"))

    with fake(talk).client(protocol=2) as client:
        before = time.monotonic()
        core = ask(client, b"PING", seconds=0.4)
        assert 0.3 < time.monotonic() - before < 20
        assert core.failures == [(1, "outcome_unknown")]
        assert core.changes == ["connected", "lost"]


def test_a_dripping_reply_does_not_hang_either(fake):
    def talk(peer, data):
        if b"PING" not in data:
            peer.sendall(b"+OK\r\n" * data.count(b"*"))
            return
        for byte in b"$1000\r\n" + b"x" * 1000:
            peer.sendall(bytes((byte,)))
            time.sleep(0.05)

    with fake(talk).client(protocol=2) as client:
        before = time.monotonic()
        core = ask(client, b"PING", seconds=0.5)
        assert 0.4 < time.monotonic() - before < 20
        assert core.failures == [(1, "outcome_unknown")]


def test_a_dripping_set_up_does_not_hang_either(fake):
    def talk(peer, data):
        time.sleep(0.3)
        peer.sendall(b"+OK\r\n" * data.count(b"*"))

    with fake(talk).client(protocol=2, db=1, client_name="x", password="p") as client:
        before = time.monotonic()
        core = ask(client, b"PING", seconds=0.5)
        assert time.monotonic() - before < 20
        assert core.failures == [(1, "not_sent")]


def test_a_command_that_is_late_already_is_not_sent(fake):
    quiet = fake()
    with quiet.client() as client:
        assert ask(client, b"PING", seconds=-1).failures == [(1, "not_sent")]
    assert quiet.accepted == 0


def test_a_peer_that_takes_nothing_in_is_given_up(server):
    with server.client() as admin, server.client() as client:
        lane, session, core = lane_to(client)
        core.done = Operation()
        session.boxes[0].foreground.append(Command(1, [b"PING"], soon()))
        lane.drive(core.done)
        admin.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        core.done = Operation()
        big = Command(2, [b"SET", b"big", b"x" * 32_000_000], soon(1))
        session.boxes[0].foreground.append(big)
        before = time.monotonic()
        lane.drive(core.done)
        assert time.monotonic() - before < 30  # much of it is copying
        assert core.failures == [(2, "outcome_unknown")]
        lane.stop()
        time.sleep(2)
        assert admin.exists("big") == 0


def test_only_what_was_written_is_unknown():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    core = Core()
    session = Session(core, 1)
    lane = Lane(session, 0, session.boxes[0].foreground, None)
    lane.wire = Wire(ours, ours.close, Connection(now_us()))
    large = b"x" * 10_000_000
    commands = [Command(1, [b"PING"], soon())]
    commands += [Command(n, [b"SET", b"a", large], soon(0.2)) for n in (2, 3)]
    session.boxes[0].foreground += commands
    lane.flush(Operation())
    unknown, never = (1, "outcome_unknown"), (3, "not_sent")
    assert sorted(core.failures) == [unknown, (2, "outcome_unknown"), never]
    assert lane.wire is None
    theirs.close()


def test_the_next_command_gets_a_new_connection(start):
    server = start()
    with server.client() as client:
        lane, session, core = lane_to(client)

        def ping(number):
            core.done = Operation()
            session.boxes[0].foreground.append(Command(number, [b"PING"], soon()))
            lane.drive(core.done)

        ping(1)
        server.kill()
        ping(2)
        ping(3)
        server.start()
        ping(4)
        assert core.replies == [(1, "PONG"), (4, "PONG")]
        assert core.failures == [(2, "outcome_unknown"), (3, "not_sent")]
        assert core.changes == ["connected", "lost", "connected"]
        lane.stop()


def test_a_connection_that_died_while_idle_is_noticed_before_it_is_used(start):
    server = start()
    with server.client() as client:
        lane, session, core = lane_to(client)
        for number in (1, 2):
            core.done = Operation()
            session.boxes[0].foreground.append(Command(number, [b"PING"], soon()))
            lane.drive(core.done)
            if number == 1:
                server.kill()
                server.start()
                lane.wire.last -= 10_000_000
        assert core.replies == [(1, "PONG"), (2, "PONG")]
        assert core.failures == []
        lane.stop()


def test_a_master_that_is_one_no_more_is_looked_up_again(fake):
    def talk(peer, data):
        if b"SET" not in data or b"SETINFO" in data:
            peer.sendall(b"+OK\r\n" * data.count(b"*"))
        elif demoted.accepted == 1:
            peer.sendall(b"-READONLY You can't write against a read only replica.\r\n")
        else:
            peer.sendall(b"+OK\r\n")

    demoted = fake(talk)
    with demoted.client(protocol=2) as client:
        lane, session, core = lane_to(client)
        for number in (1, 2):
            core.done = Operation()
            session.boxes[0].foreground.append(Command(number, [b"SET", b"a", b"b"], soon()))
            lane.drive(core.done)
        assert core.replies[0][1].text.startswith(b"READONLY")
        assert core.replies[1] == (2, "OK")
        assert demoted.accepted == 2
        lane.stop()


# Many at once


def test_many_threads_share_round_trips(server):
    with server.client() as client:
        lane, session, core = lane_to(client)
        operations = {number: Operation() for number in range(1, 401)}

        class Sorting(Core):
            def handle_reply(self, request, reply, now):
                self.replies.append((request, reply))
                operations[request].done = True
                operations[request].signal()

        session.core = core = Sorting()

        def work(numbers):
            for number in numbers:
                with session.mutex:
                    session.boxes[0].foreground.append(
                        Command(number, [b"ECHO", b"%d" % number], soon(10), origin=number)
                    )
                lane.drive(operations[number])

        threads = [threading.Thread(target=work, args=(range(n, 401, 8),)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(40)
        assert sorted(core.replies) == [(n, b"%d" % n) for n in range(1, 401)]
        assert core.failures == []
        lane.stop()


def test_commands_that_are_ready_together_leave_together(fake):
    seen = []

    def talk(peer, data):
        seen.append(data)
        peer.sendall(b"+OK\r\n" * data.count(b"*"))

    with fake(talk).client(protocol=2) as client:
        lane, session, core = lane_to(client)
        session.boxes[0].foreground += [Command(n, [b"PING"], soon()) for n in range(10)]
        lane.run_dry()
        assert len(core.replies) == 10
        assert seen[-1].count(b"PING") == 10
        lane.stop()


def test_what_an_interrupted_reader_has_sent_is_answered_all_the_same(server, monkeypatch):
    with server.client(protocol=2) as client:
        lane, session, core = lane_to(client)
        # There is one: another thread that made it might come to read before this one.
        lane.wire = connector(client).connect(soon(30))
        session.boxes[0].foreground.append(Command(1, [b"PING"], soon(30)))
        me, hear = threading.get_ident(), Wire.hear

        def interrupted(self, core, node):
            if threading.get_ident() == me:
                raise KeyboardInterrupt
            return hear(self, core, node)

        monkeypatch.setattr(Wire, "hear", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lane.drive(Operation())
        until(lambda: core.replies or core.failures, 30)
        assert (core.replies, core.failures) == ([(1, "PONG")], [])
        lane.stop()


# Error words

WORDS = {
    b"NOSCRIPT": b"No matching script. Please use EVAL.",
    b"READONLY": b"You can't write against a read only replica.",
    b"LOADING": b"Redis is loading the dataset in memory",
    b"BUSY": b"Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    b"OOM": b"command not allowed when used memory > 'maxmemory'.",
    b"MISCONF": b"Redis is configured to save RDB snapshots, but it's currently unable to persist",
    b"NOREPLICAS": b"Not enough good replicas to write.",
    b"CLUSTERDOWN": b"The cluster is down",
    b"MASTERDOWN": b"Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"TRYAGAIN": b"Multiple keys request during rehashing of slot",
    b"MOVED": b"3999 127.0.0.1:6381",
    b"ASK": b"3999 127.0.0.1:6381",
    b"NOAUTH": b"Authentication required.",
    b"WRONGPASS": b"invalid username-password pair or user is disabled.",
    b"NOPERM": b"this user has no permissions to run the 'eval' command",
    b"WRONGTYPE": b"Operation against a key holding the wrong kind of value",
    b"ERR": b"max number of clients reached",
}


@pytest.mark.parametrize("word", sorted(WORDS))
def test_the_servers_words_reach_the_core_whole(fake, word):
    text = word + b" " + WORDS[word]

    def talk(peer, data):
        if b"EVALSHA" in data:
            peer.sendall(b"-" + text + b"\r\n")
        else:
            peer.sendall(b"+OK\r\n" * data.count(b"*"))

    with fake(talk).client(protocol=2) as client:
        ((_, reply),) = ask(client, b"EVALSHA", b"x", b"0").replies
        assert reply.text == text


@pytest.mark.parametrize("word", sorted(WORDS))
def test_so_do_those_said_while_connecting(fake, word):
    text = word + b" " + WORDS[word]

    def talk(peer, data):
        for line in data.split(b"\r\n"):
            if line in (b"SELECT", b"AUTH", b"HELLO"):
                peer.sendall(b"-" + text + b"\r\n")
            elif line == b"CLIENT":
                peer.sendall(b"+OK\r\n")

    with fake(talk).client(protocol=2, db=1) as client:
        core = ask(client, b"PING")
        assert core.reasons == [text]
        assert core.failures == [(1, "not_sent")]


def test_a_server_that_hangs_up_at_once_is_not_sent(fake):
    with fake(lambda peer, data: peer.close()).client(protocol=3) as client:
        assert ask(client, b"PING").failures == [(1, "not_sent")]


def test_what_a_connector_raises(fake):
    with redis.Redis(port=1) as client, pytest.raises(NotConnected):
        connector(client).connect(soon(1))

    def talk(peer, data):
        peer.sendall(b"-NOAUTH Authentication required.\r\n" * data.count(b"*"))

    with fake(talk).client(protocol=2, db=1) as client, pytest.raises(Refused) as refused:
        connector(client).connect(soon(1))
    assert refused.value.text == b"NOAUTH Authentication required."


# Whom comity does not serve


def test_clients_that_cannot_be_served():
    import redis.asyncio
    import redis.cluster
    import redis.sentinel

    from comity import LimitExceeded, Unsupported

    sentinel = redis.sentinel.Sentinel([("127.0.0.1", 1)])
    cluster = object.__new__(redis.cluster.RedisCluster)
    prefixed = redis.Redis()
    prefixed.key_prefix = "app:"
    for client, reason in [
        (redis.asyncio.Redis(), "asyncio"),
        (cluster, "Cluster"),
        (sentinel, "master_for"),
        (sentinel.slave_for("m"), "replica"),
        (redis.Redis().pipeline(), "pipeline"),
        (prefixed, "prefix"),
        (object(), "not a redis.Redis"),
        ("localhost:6379", "not a redis.Redis"),
    ]:
        with pytest.raises(Unsupported, match=reason):
            transport.vet(client, asyncio=False)
    transport.vet(sentinel.master_for("m"), asyncio=False)
    assert transport.address(sentinel.master_for("m")) == "m"
    small = redis.Redis(connection_pool=redis.ConnectionPool(max_connections=2))
    with pytest.raises(LimitExceeded, match=r"allows 2 .* needs 3"):
        transport.vet(small, asyncio=False)


@pytest.mark.parametrize(
    ("where", "local"),
    [
        ("localhost:6379", True),
        ("127.0.0.1:6379", True),
        ("[::1]:6379", True),
        ("/run/redis.sock", True),
        ("redis.example.org:6379", False),
        ("10.0.0.7:6379", False),
    ],
)
def test_addresses_that_mean_something_else_elsewhere(where, local):
    assert transport.is_local(where) is local


@pytest.mark.parametrize("before", [True, False], ids=["before it runs", "once it runs"])
def test_an_interrupt_while_a_thread_starts_leaves_a_worker_that_works(monkeypatch, before):
    from comity.workers import Worker

    class Counting(Worker):
        turns = 0
        heard = threading.Event()

        def wake(self):
            self.heard.set()

        def turn(self):
            self.heard.wait()
            self.heard.clear()
            self.turns += 1

    start = threading.Thread.start

    def interrupted(thread):
        monkeypatch.undo()
        if not before:
            start(thread)
        raise KeyboardInterrupt

    worker = Counting(Session(Core(), 1), "worker")
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.ring()
    worker.ring()
    until = time.monotonic() + 30
    while not worker.turns:
        assert time.monotonic() < until
    worker.stop()
    worker.join(40)
    assert not [one for one in threading.enumerate() if one.name == "worker"]
