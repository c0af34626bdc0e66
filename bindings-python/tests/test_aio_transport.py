"""How `comity.aio` gets its connections from redis-py's clients, and keeps its deadlines."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from locks import keep

redis = pytest.importorskip("redis")

from asynchronous import connected, run  # noqa: E402

import comity  # noqa: E402
import comity.aio  # noqa: E402


async def works(client):
    async with comity.aio.connect(client, timeout=2) as co, co.lock("a", wait=2) as held:
        waiting = asyncio.create_task(keep(co.lock("a")).acquire())
        await asyncio.sleep(0.02)
        assert held.fence
        await held.release()
        assert await waiting
    await client.aclose()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_every_kind_of_client(server, protocol, decode):
    async def main():
        client = redis.asyncio.Redis(
            port=server.port, protocol=protocol, decode_responses=decode, db=3, client_name="me"
        )
        async with comity.aio.connect(client) as co:
            async with co.lock("a"):
                with server.client(decode_responses=True) as admin:
                    mine = [one for one in admin.client_list() if one["name"] == "me"]
                    assert [one["db"] for one in mine] == ["3"]
        await works(client)

    run(main())


def test_unix_sockets_pools_and_urls(server):
    pool = redis.asyncio.BlockingConnectionPool(port=server.port, max_connections=2)

    async def main():
        for client in [
            redis.asyncio.Redis(unix_socket_path=server.path),
            redis.asyncio.from_url(f"redis://127.0.0.1:{server.port}/0"),
            redis.asyncio.Redis(connection_pool=pool),
            redis.asyncio.Redis(port=server.port, single_connection_client=True),
            redis.asyncio.Redis(port=server.port, health_check_interval=1, socket_timeout=0.001),
        ]:
            await works(client)

    run(main())


def test_a_pool_comity_does_not_know_lends_a_connection(server):
    class Pool(redis.asyncio.ConnectionPool):
        lent = 0

        async def get_connection(self, *args, **kwargs):
            Pool.lent += 1
            return await super().get_connection(*args, **kwargs)

    async def main():
        pool = Pool(port=server.port)
        client = redis.asyncio.Redis(connection_pool=pool)
        await works(client)
        await asyncio.sleep(0.01)
        assert Pool.lent == 2
        assert not pool._in_use_connections

    run(main())


def test_passwords(start):
    server = start("--requirepass", "secret")

    async def main():
        for protocol in (2, 3):
            await works(redis.asyncio.Redis(port=server.port, password="secret", protocol=protocol))
            for wrong, word in (("wrong", "WRONGPASS"), (None, "NOAUTH")):
                client = redis.asyncio.Redis(port=server.port, password=wrong, protocol=protocol)
                with pytest.raises(comity.ServerRefused, match=word):
                    async with comity.aio.connect(client):
                        pytest.fail("let in")

    run(main())


def test_tls(tls):
    port, certificate = tls

    async def main():
        client = redis.asyncio.Redis(port=port, ssl=True, ssl_ca_certs=certificate)
        async with comity.aio.connect(client, timeout=15) as co:

            async def work(number):
                for _ in range(25):
                    async with co.lock(f"lock {number % 2}"):
                        pass

            await asyncio.gather(*[work(number) for number in range(6)])
            stats = co.stats()
            assert stats["lock_releases"] == 150
            assert stats["outcome_unknown"] == 0

    run(main())


def test_sentinel(sentinel):
    from redis.asyncio.sentinel import Sentinel

    async def main():
        found = Sentinel([("127.0.0.1", sentinel)], socket_timeout=1)
        async with comity.aio.connect(found.master_for("m")) as co, co.lock("a") as held:
            assert held.fence > 0
            assert co._session.core.node_id(0) == b"m"
        for one in found.sentinels:
            await one.aclose()

    run(main())


def test_the_users_retries_and_timeouts_are_not_ours(fake):
    from redis.asyncio.retry import Retry
    from redis.backoff import ConstantBackoff

    silent = fake()

    async def main():
        for port in (1, silent.port):
            client = redis.asyncio.Redis(
                port=port, retry=Retry(ConstantBackoff(5), 10), socket_timeout=60
            )
            before = time.monotonic()
            with pytest.raises((comity.Unreachable, comity.NoAnswer)):
                await comity.aio.connect(client, timeout=0.5)
            assert time.monotonic() - before < 15

    run(main())


@pytest.mark.parametrize("text", [b"*3\r\n$7\r\nGRANTED\r\n", b"+PONG\r\n+PONG\r\n" * 3, b"\0"])
def test_answers_nobody_can_use_do_not_hang(fake, text):
    """Half a reply, answers to nothing, and what is no reply at all."""
    broken = fake(lambda peer, _: peer.sendall(text))

    async def main():
        client = redis.asyncio.Redis(port=broken.port, protocol=2)
        co = comity.aio.connect(client, timeout=0.4, check=False)
        before = time.monotonic()
        with pytest.raises(comity.Error):
            await co.lock("a").acquire()
        assert time.monotonic() - before < 15
        await co.close()

    run(main())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        # The command may leave before the end is seen.
        (b"+PONG\r\n", "closed by the server|did not answer"),
        (b"+PONG\r\n+PONG\r\n", "a reply to nothing"),
    ],
)
def test_a_server_that_hangs_up_on_whom_it_let_in_is_not_called_without_a_pause(fake, text, why):
    def talk(peer, _):
        peer.sendall(text)
        peer.shutdown(socket.SHUT_RDWR)

    broken = fake(talk)

    async def main():
        url = f"redis://127.0.0.1:{broken.port}"
        co = comity.aio.connect(url, timeout=2, check=False)
        with pytest.raises((comity.Unreachable, comity.NoAnswer), match=why):
            await co.lock("a").acquire()
        await co.close()

    run(main())
    assert broken.accepted < 100


def test_a_connection_that_died_while_idle_is_replaced(server):
    async def main():
        async with connected(server.port) as co:
            async with co.lock("a"):
                pass
            with server.client() as admin:
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.02)
            async with co.lock("a"):
                pass
            assert co.stats()["outcome_unknown"] == 0

    run(main())


def test_who_is_interrupted_in_the_middle_of_a_write_mixes_up_no_answers(server):
    class Interrupt(Exception):
        """What a signal's handler raises."""

    class Interrupted:
        def __init__(self, transport):
            self._transport = transport

        def __getattr__(self, name):
            return getattr(self._transport, name)

        def write(self, data):
            assert data
            raise Interrupt

    async def main():
        async with connected(server.port) as co:
            assert await keep(co.lock("a")).acquire()
            wire = co._driver._lanes[0]._wire
            wire._transport = Interrupted(wire._transport)
            with pytest.raises(Interrupt):
                await co.fence_check("guarded", 7)
            assert wire.connection.over
            assert not await co.lock("a").acquire(wait=0)
            assert await co.fence_check("guarded", 8)
            assert co.stats()["outcome_unknown"] > 0

    run(main())


def test_a_loop_that_was_held_up_reads_before_it_gives_up(server):
    async def main():
        async with connected(server.port, timeout=2) as co:
            handle = co.lock("a")
            task = asyncio.create_task(handle.acquire())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(2.5)
            assert await task
            assert co.stats()["outcome_unknown"] == 0
            await handle.release()

    run(main())


def test_a_server_that_evicts_is_warned_about(start):
    server = start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")

    async def main():
        co = comity.aio.connect(redis.asyncio.Redis(port=server.port))
        with pytest.warns(RuntimeWarning, match="allkeys-lru"):
            assert await keep(co.lock("a")).acquire()
        await co.close()

    run(main())


def test_clients_that_cannot_be_served():
    import redis.asyncio.cluster
    import redis.asyncio.sentinel

    sentinel = redis.asyncio.sentinel.Sentinel([("127.0.0.1", 1)])
    prefixed = redis.asyncio.Redis()
    prefixed.key_prefix = "app:"
    for client, reason in [
        (redis.Redis(), "block the event loop"),
        ({"a": redis.Redis()}, "block the event loop"),
        ([redis.Redis()], "block the event loop"),
        (object.__new__(redis.asyncio.cluster.RedisCluster), "Cluster"),
        (sentinel, "master_for"),
        (sentinel.slave_for("m"), "replica"),
        (redis.asyncio.Redis().pipeline(), "pipeline"),
        (prefixed, "prefix"),
        (b"redis://localhost", r"not a redis\.asyncio\.Redis"),
    ]:
        with pytest.raises(comity.Unsupported, match=reason):
            comity.aio.connect(client)
    small = redis.asyncio.Redis(connection_pool=redis.asyncio.ConnectionPool(max_connections=1))
    with pytest.raises(comity.LimitExceeded, match=r"allows 1 .* needs 2"):
        comity.aio.connect(small)
    with pytest.raises(comity.Unsupported, match=r"comity\.aio"):
        comity.connect(redis.asyncio.Redis())
    for wrong in (0, 61, "1", True):
        with pytest.raises(comity.InvalidArgument, match="timeout"):
            comity.aio.connect(timeout=wrong)
