"""`Unreachable` says which server and why, in the client's words, and at once where waiting cannot
help; what was sent is `NoAnswer`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import free_port
from faults import ALWAYS, CUT_AFTER, CUT_BEFORE, Proxy
from locks import asks, connect, connect_to, keep, line

import comity
import comity.aio

redis = pytest.importorskip("redis")

LONG = 60.0
"""A `timeout` that nobody waits out here."""
SHORT = 1.0


def by_threads(arguments: dict[str, Any], timeout: float) -> None:
    comity.connect(redis.Redis(**arguments), timeout=timeout).close()


def by_a_loop(arguments: dict[str, Any], timeout: float) -> None:
    async def main() -> None:
        async with comity.aio.connect(redis.asyncio.Redis(**arguments), timeout=timeout):
            pass

    asyncio.run(main())


@pytest.fixture(params=[by_threads, by_a_loop])
def reach(request: pytest.FixtureRequest) -> Callable[..., comity.Error]:
    """What connecting raises."""

    def trying(timeout: float, **arguments: Any) -> comity.Error:
        with pytest.raises(comity.Unreachable) as caught:
            request.param(arguments, timeout)
        error = caught.value
        assert error.__cause__ is not None
        assert str(error).startswith(f"{error.server}: the server could not be reached: ")
        return error

    return trying


def at_once(reach: Callable[..., comity.Error], **arguments: Any) -> comity.Error:
    began = time.monotonic()
    error = reach(LONG, **arguments)
    assert time.monotonic() - began < LONG / 2
    return error


# What passes by itself is waited for


def test_a_closed_port(reach):
    port = free_port()
    error = reach(SHORT, host="127.0.0.1", port=port)
    assert f"connecting to 127.0.0.1:{port}" in str(error)
    assert error.server == f"127.0.0.1:{port}"
    assert isinstance(error.__cause__, redis.ConnectionError)


def test_a_socket_that_is_not_there(reach, tmp_path):
    error = reach(SHORT, unix_socket_path=str(tmp_path / "none.sock"))
    assert "No such file or directory" in str(error)
    assert str(tmp_path) in str(error.server)


def test_tls_to_a_server_without(reach, fake):
    error = reach(SHORT, host="127.0.0.1", port=fake().port, ssl=True)
    assert "does not speak TLS" in str(error)


def test_a_server_that_only_speaks_tls(reach, tls):
    error = reach(SHORT, host="127.0.0.1", port=tls[0])
    assert "wants TLS" in str(error) or "closed by server" in str(error)


USE_UP = """
import asyncio, os, resource, sys
import redis, redis.asyncio, comity, comity.aio

def use_up():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            os.dup(0)
    except OSError:
        pass

async def loop(client):
    co = comity.aio.connect(client, timeout=1, check=False)
    use_up()
    try:
        await co.inspect("a")
    finally:
        os.closerange(10, 64)

kind, port, left = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
url = f"redis://127.0.0.1:{port}"
try:
    if kind == "threads":
        co = comity.connect(redis.Redis(port=port), timeout=1, check=False)
        use_up()
        co.inspect("a")
    elif kind == "url":
        use_up()
        os.closerange(64 - left, 64)
        comity.connect(url, timeout=1)
    else:
        asyncio.run(loop(redis.asyncio.Redis(port=port) if kind == "asyncio" else url))
except comity.Unreachable as error:
    assert error.__cause__ is not None
    print(error, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("kind", "left"),
    [("threads", 0), ("asyncio", 0), ("asyncio by url", 0), *(("url", left) for left in range(5))],
)
def test_too_many_files(kind, left, server, script):
    """`left`: so many can still be opened."""
    assert "Too many open files" in line(script(USE_UP, kind, server.port, left))


# What does not, is said at once


def test_a_name_that_is_not_known(reach):
    error = at_once(reach, host="no-such-host.invalid")
    assert "no-such-host.invalid" in str(error)


def test_a_certificate_that_is_not_trusted(reach, tls):
    error = at_once(reach, host="127.0.0.1", port=tls[0], ssl=True)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


def test_a_file_of_certificates_that_is_not_there(reach, tls, tmp_path):
    file = str(tmp_path / "none.pem")
    error = at_once(reach, host="127.0.0.1", port=tls[0], ssl=True, ssl_ca_certs=file)
    assert file in str(error)


def test_credentials_that_cannot_be_had(reach, server):
    class Vault(redis.CredentialProvider):
        def get_credentials(self) -> Any:
            raise RuntimeError("the vault is sealed")

        async def get_credentials_async(self) -> Any:
            return self.get_credentials()

    error = at_once(reach, host="127.0.0.1", port=server.port, credential_provider=Vault())
    assert "the vault is sealed" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


def test_what_is_no_redis(reach, fake):
    ssh = fake(lambda front, _: front.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))
    error = at_once(reach, host="127.0.0.1", port=ssh.port)
    assert "Protocol" in str(error)


def test_the_cause_keeps_nothing_alive(reach):
    error = reach(SHORT, host="127.0.0.1", port=free_port())
    one: BaseException | None = error.__cause__
    while one is not None:
        assert one.__traceback__ is None
        one = one.__cause__ or one.__context__


# Sentinels


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_sentinels_that_are_away(kind, silent, fake):
    import redis.asyncio.sentinel as on_a_loop
    import redis.sentinel as on_threads

    ports = [fake().port if silent else free_port() for _ in range(2)]
    hosts = [("127.0.0.1", port) for port in ports]
    began = time.monotonic()
    with pytest.raises(comity.Unreachable) as caught:
        if kind == "threads":
            client = on_threads.Sentinel(hosts).master_for("mymaster")
            comity.connect(client, timeout=SHORT)
        else:

            async def main() -> None:
                client = on_a_loop.Sentinel(hosts).master_for("mymaster")
                await comity.aio.connect(client, timeout=SHORT)

            asyncio.run(main())
    # redis-py's own sentinels try again for minutes.
    assert time.monotonic() - began < 30
    assert caught.value.server == "mymaster"
    assert all(f"127.0.0.1:{port}" in str(caught.value) for port in ports)


# Every error names its server


@pytest.fixture
def two(shared_three: list[Any]) -> Iterator[tuple[dict[str, Any], Proxy]]:
    """Clients of two servers, the second behind a proxy."""
    for one in shared_three[:2]:
        with one.client() as admin:
            admin.flushall()  # they may have belonged to a ring of three
    proxy = Proxy(shared_three[1].port)
    yield (
        {"a": shared_three[0].client(), "b": redis.Redis(host="127.0.0.1", port=proxy.port)},
        proxy,
    )
    proxy.close()


def on(co: Any, node: str) -> str:
    return next(name for n in range(1000) if co.ring.node(name := f"key{n}") == node)


@pytest.mark.usefixtures("flavour")
def test_a_transaction_names_the_server_that_is_away(two):
    clients, proxy = two
    with connect_to(clients, timeout=SHORT) as co:
        names = on(co, "a"), on(co, "b")
        proxy.close()
        for verb in (
            lambda: co.transaction().incr(names[0]).incr(names[1]).execute(),
            lambda: co.snapshot(*names),
            lambda: co.lock(names[1]).acquire(),
            lambda: co.inspect(names[1]),
            lambda: co.fence_check(names[1], 1),
            lambda: co.counter(names[1]).read(),
        ):
            with pytest.raises(
                (comity.Unreachable, comity.NoAnswer, comity.AbortedError)
            ) as caught:
                verb()
            assert caught.value.server == "b", repr(caught.value)
            if isinstance(caught.value, comity.Unreachable):
                assert isinstance(caught.value.__cause__, Exception)


@pytest.mark.usefixtures("flavour")
def test_a_lock_that_is_not_granted_names_its_server(two):
    clients, _ = two
    with connect_to(clients) as co:
        name = on(co, "b")
        with co.lock(name), pytest.raises(comity.LockTimeout) as caught, co.lock(name, wait=0):
            pass
        assert caught.value.server == "b"


# What was sent is NoAnswer


@pytest.mark.usefixtures("flavour")
def test_what_was_sent_is_no_answer(server, proxy):
    with connect(proxy.port) as co, connect(server.port) as other:
        keep(other.lock("of a server that has the script")).acquire()
        sent = proxy.rule(CUT_AFTER, asks(b"ACQ"))
        proxy.rule(CUT_BEFORE, lambda _: sent.met > 0, times=ALWAYS)
        with pytest.raises(comity.NoAnswer, match="not answered"):
            co.lock("guarded", ttl=30).acquire()
        assert other.inspect("guarded").holders
