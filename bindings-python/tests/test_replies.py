"""Replies from bytes to the core: any there are, in any pieces, and what is none."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from replies import Reader

hiredis = pytest.importorskip("hiredis")
redis = pytest.importorskip("redis")

import comity  # noqa: E402
import comity.aio  # noqa: E402
from comity._core import Command, Connection, ErrorReply  # noqa: E402

STREAMS = 1500
WORDS = [b"", b"a", b"\r\n", b"$1\r\na\r\n", b"*1\r\n", b"\0\xff", b"x" * 300]


def bulk(word: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word), word)


def reply(depth: int = 0) -> bytes:
    """Some reply of a kind that hiredis reads as well."""
    rng = random
    kinds: list[Any] = [
        lambda: b"+OK\r\n",
        lambda: b"-ERR no\r\n",
        lambda: b":%d\r\n" % rng.choice([0, -1, 7, 2**63 - 1, -(2**63)]),
        lambda: bulk(rng.choice(WORDS)),
        lambda: rng.choice([b"$-1\r\n", b"*-1\r\n", b"_\r\n"]),
        lambda: rng.choice([b"#t\r\n", b"#f\r\n", b",1.5\r\n", b",-inf\r\n", b",nan\r\n"]),
        lambda: b"(%d\r\n" % rng.choice([10**30, -(10**30)]),
        lambda: b"=7\r\ntxt:abc\r\n",
    ]
    if depth < 4:
        kinds += [lambda: several(b"*", depth), lambda: several(b"~", depth), lambda: pairs(depth)]
    return rng.choice(kinds)()


def several(kind: bytes, depth: int) -> bytes:
    count = random.randrange(4)
    return kind + b"%d\r\n" % count + b"".join(reply(depth + 1) for _ in range(count))


def pairs(depth: int) -> bytes:
    keys = random.sample(WORDS, random.randrange(3))
    return b"%%%d\r\n" % len(keys) + b"".join(bulk(key) + reply(depth + 1) for key in keys)


def stream() -> tuple[bytes, int]:
    """Replies, with pushes between them that answer nothing, and how many the former are."""
    count = random.randrange(1, 6)
    push = b">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n"
    parts = [random.choice([b"", b"", push]) + reply() for _ in range(count)]
    return b"".join(parts), count


def ours(value: Any) -> Any:
    """What comity reads, as hiredis has it."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, ErrorReply):
        return ("error", value.text)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return [ours(each) for each in value]
    if isinstance(value, dict):
        return {ours(key): ours(each) for key, each in value.items()}
    return number(value)


def number(value: Any) -> Any:
    """Numbers as text, as hiredis has large ones."""
    return b"%d" % value if type(value) is int else value


class Failure(Exception):
    """What hiredis makes of an error reply."""


def theirs(value: Any) -> Any:
    if isinstance(value, Failure):
        return ("error", value.args[0].encode())
    if isinstance(value, list):
        return [theirs(each) for each in value]
    if isinstance(value, dict):
        return {theirs(key): theirs(each) for key, each in value.items()}
    return repr(value) if isinstance(value, float) else number(value)


def expected(data: bytes) -> list[Any]:
    """What hiredis reads. Raises its `ProtocolError`."""
    nothing = object()
    reader = hiredis.Reader(replyError=Failure, notEnoughData=nothing)
    reader.feed(data)
    found = []
    while (value := reader.gets()) is not nothing:
        if not isinstance(value, hiredis.PushNotification):
            found.append(theirs(value))
    return found


def read(data: bytes, pieces: list[int], asked: int) -> list[Any]:
    """What comity reads, in pieces that end there. Raises `ValueError`."""
    reader = Reader(asked)
    found = []
    for begin, end in zip([0, *pieces], [*pieces, len(data)], strict=True):
        found += [ours(value) for value in reader.feed(data[begin:end])]
    return found


def test_any_replies_in_any_pieces_are_what_hiredis_reads():
    random.seed(11)
    for _ in range(STREAMS):
        data, count = stream()
        found = expected(data)
        assert len(found) == count
        assert read(data, [], count) == found
        assert read(data, list(range(1, len(data))), count) == found
        cuts = sorted(random.choices(range(len(data)), k=3))
        assert read(data, cuts, count) == found


def test_a_stream_that_ends_early_answers_what_is_whole():
    random.seed(12)
    for _ in range(STREAMS):
        data, count = stream()
        data = data[: random.randrange(len(data))]
        reader = Reader(count)
        found = reader.feed(data)
        assert [ours(value) for value in found] == expected(data)
        # As many are asked again as were answered.
        assert reader.end() == ["outcome_unknown"] * count
        assert reader.connection.over
        assert reader.end() == ["outcome_unknown"] * count, "each is told once"


def test_a_byte_that_is_another_is_read_alike_or_ends_the_connection():
    random.seed(13)
    ended = 0
    for _ in range(2 * STREAMS):
        data, _ = stream()
        at = random.randrange(len(data))
        data = data[:at] + bytes((random.randrange(128),)) + data[at + 1 :]
        reader = Reader(len(data))
        try:
            found = [ours(value) for value in reader.feed(data)]
        except (ValueError, TypeError) as error:
            # The latter: a key of a map that none of a dict can be, which no coordinator sees.
            ended += isinstance(error, ValueError)
            continue
        try:
            assert found == expected(data)
        except (hiredis.ProtocolError, TypeError):
            pass  # comity minds no zero before a number, nor a line end's half in a line
    assert ended > STREAMS // 4


def test_kinds_that_hiredis_does_not_know():
    data = b"!6\r\nERR no\r\n|1\r\n+ttl\r\n:3\r\n:7\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n"
    for pieces in ([], list(range(1, len(data)))):
        assert read(data, pieces, 3) == [("error", b"ERR no"), b"7", [b"1", b"2"]]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 400\r\n", "begins with 'H'"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "begins with"),
        (b"$x\r\n", "a number"),
        (b"$-5\r\n", "a number"),
        (b"$3\r\nabcde", "does not end"),
        (b"*99999999999\r\n", "99999999999 items"),
        (b"$536870913\r\n", "536870913 bytes"),
        (b"*1\r\n" * 40, "deep"),
        (b"+" + b"a" * 100_000, "line"),
        (b":" + b"1" * 100_000, "line"),
    ],
)
def test_what_is_no_reply_ends_the_connection(data, why):
    reader = Reader(3)
    assert reader.feed(b":1\r\n") == [1]
    with pytest.raises(ValueError, match=why):
        reader.feed(b":2\r\n" + data)
    assert reader.replies == [2], "what was whole before"
    with pytest.raises(ValueError, match=why):
        reader.feed(b":3\r\n")
    assert reader.replies == [2]
    assert reader.end() == ["outcome_unknown"] * 2


def test_a_line_without_an_end_is_kept_no_longer_than_a_line():
    reader = Reader()
    pieces = 0
    with pytest.raises(ValueError, match="line"):
        while True:
            pieces += 1
            assert reader.feed(b"+" * 1024) == []
    assert pieces == 65


def test_only_what_was_written_is_unknown():
    reader = Reader(2)
    late, unwritten = Command(1, [b"GET", b"a"], 0), Command(2, [b"GET", b"a"], 1)
    outbox = [late, unwritten]
    assert reader.connection.take(outbox, reader, 0) == 1
    assert outbox == []
    assert reader.failures == ["not_sent"]
    assert reader.end()[1:] == ["outcome_unknown", "outcome_unknown", "not_sent"]
    outbox = [unwritten]
    assert reader.connection.take(outbox, reader, 0) == 0
    assert outbox == [unwritten], "it is for the next connection"
    assert reader.connection.transmit() == b""


def test_a_list_of_anything_else_stays_as_it_is():
    connection = Connection(0)
    outbox: list[Any] = [Command(1, [b"GET", b"a"], 1), "GET"]
    with pytest.raises(TypeError):
        connection.take(outbox, Reader(), 0)
    assert len(outbox) == 2
    assert connection.outstanding == 0


def test_a_server_that_refuses_in_place_of_an_answer_is_heard():
    class Core(Reader):
        refused: Any = None

        def handle_refused(self, node, text, now):
            self.refused = (node, text)

    core = Core(0)
    with pytest.raises(ValueError, match="max number of clients"):
        core.connection.receive(b"-ERR max number of clients reached\r\n", core, 4, 0)
    assert core.refused == (4, b"ERR max number of clients reached")
    other = Core(0)
    with pytest.raises(ValueError, match="a reply to nothing"):
        other.connection.receive(b"+OK\r\n", other, 0, 0)


def test_a_connection_for_messages():
    class Core(Reader):
        def handle_message(self, node, channel, payload, now):
            self.replies.append((node, channel, payload))

    core = Core(0)
    core.connection = connection = Connection(0, messages=True)
    core.ask(1)
    assert not connection.subscribed
    confirmed = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"
    assert connection.receive(confirmed + message, core, 2, 5) == 2
    assert connection.subscribed
    assert core.replies == [[b"subscribe", b"c", 1], (2, b"c", b"hi")]
    assert connection.deadline == 10_000_005
    connection.check(10_000_004)
    assert not connection.unsent
    connection.check(10_000_005)
    assert connection.transmit() == b"*1\r\n$4\r\nPING\r\n"
    assert connection.receive(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", core, 2, 11_000_000) == 0
    connection.check(connection.deadline)
    with pytest.raises(ValueError, match="silent"):
        connection.check(connection.deadline)


# Over sockets

BROKEN = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*3\r\n$7\r\nGRANTED\r\n$x\r\n",
    b"$3\r\nabcde\r\n",
    b"*1\r\n" * 100,
    b"+" + b"a" * 200_000,
    b"*2000000\r\n",
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_a_server_that_sends_what_is_no_reply(fake, kind, broken):
    peers: set[Any] = set()

    def talk(peer: Any, data: bytes) -> None:
        # The first connection that asks for anything gets it, and every other goes unanswered.
        if b"EVAL" not in data:
            peer.sendall(b"+OK\r\n" * data.count(b"*"))
        elif not peers or peer in peers:
            peers.add(peer)
            peer.sendall(broken)

    server = fake(talk)
    if kind == "threads":
        with server.client(protocol=2) as client:
            co = comity.connect(client, timeout=1, check=False, push=False)
            with pytest.raises(comity.Error):
                co.lock("a").acquire(wait=0)
            stats = co.stats()
            co.close()
    else:

        async def main() -> dict[str, int]:
            client = redis.asyncio.Redis(port=server.port, protocol=2)
            co = comity.aio.connect(client, timeout=1, check=False, push=False)
            with pytest.raises(comity.Error):
                await co.lock("a").acquire(wait=0)
            stats = co.stats()
            await co.close()
            return stats

        stats = asyncio.run(main())
    assert stats["outcome_unknown"] > 0
    assert server.accepted > 1, "another connection was made"


LARGE = bytes(range(256)) * 40_000


def test_a_large_reply_comes_whole_over_threads(server):
    with server.client() as client, comity.connect(client, timeout=60) as co:
        client.set("large", LARGE)
        seen: list[Any] = []
        others = [
            threading.Thread(target=lambda: seen.append(co.snapshot("large")["large"]))
            for _ in range(3)
        ]
        for one in others:
            one.start()
        for _ in range(5):
            with co.lock("a"):
                pass
        for one in others:
            one.join(60)
        assert seen == [LARGE] * 3


def test_a_large_reply_comes_whole_on_a_loop(server):
    async def main() -> None:
        with server.client() as client:
            client.set("large", LARGE)
        client = redis.asyncio.Redis(port=server.port)
        async with comity.aio.connect(client, timeout=60) as co:
            found = await asyncio.gather(*[co.snapshot("large") for _ in range(3)])
            assert found == [{"large": LARGE}] * 3

    asyncio.run(main())


def test_a_large_reply_comes_whole_over_tls(tls):
    port, certificate = tls
    with redis.Redis(port=port, ssl=True, ssl_ca_certs=certificate) as client:
        client.set("large", LARGE)
        with comity.connect(client, timeout=60) as co:
            assert co.snapshot("large") == {"large": LARGE}
        client.delete("large")
