"""The lock for asyncio on servers that hang and vanish, and what becomes of a body whose lease is
lost. What is done to both threads and loops is in the other tests of faults."""

from __future__ import annotations

import asyncio
import logging
import signal
import time

import pytest

redis = pytest.importorskip("redis")

from asynchronous import connected, run, until  # noqa: E402
from locks import idle  # noqa: E402

import comity  # noqa: E402
import comity.aio  # noqa: E402


def connect(port):
    # A command is given up after half of the timeout, so a lost reply costs 1 s here.
    return connected(port, timeout=2)


async def waiting(co, count=1):
    end = time.monotonic() + 30
    while (await co.inspect("a")).waiters_total != count:
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_the_push_connection_is_replaced_and_grants_come_by_it_again(server, caplog, traces):
    caplog.set_level(logging.DEBUG, logger="comity")

    async def main():
        async with connect(server.port) as co:
            events = co.events()
            async with co.lock("a"):
                lock = co.lock("a")
                task = asyncio.create_task(lock.acquire())
                await waiting(co)
                await until(lambda: any(e.kind == "push_ready" for e in events._buffer))
                with server.client() as admin:
                    assert admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
                    end = time.monotonic() + 30
                    while not admin.client_list(_type="pubsub"):
                        assert time.monotonic() < end
                        await asyncio.sleep(0.01)
                await until(lambda: sum(e.kind == "push_ready" for e in events._buffer) == 2)
            assert await task
            assert co.stats()["pushes"] == 1
            await lock.release()

    run(main())
    assert any("push connection" in record.message for record in caplog.records)
    idle(server, traces)


def test_a_server_that_hangs_delays_no_other(server, fake):
    silent = fake()
    # The server belongs to the ring already: a new one serves nothing before all have answered.
    stores = {"good": comity.MemoryStore(), "silent": comity.MemoryStore()}
    with comity.connect(stores) as co, server.client() as admin:
        co.snapshot("a")
        meta = "comity:1:t:{t}"
        fields = {name: stores["good"].execute("HGET", meta, name) for name in ("e", "members")}
        admin.flushall()
        admin.hset(meta, mapping=fields)

    async def main():
        clients = {
            "good": redis.asyncio.Redis(port=server.port),
            "silent": redis.asyncio.Redis(port=silent.port),
        }
        co = comity.aio.connect(clients, timeout=8, check=False)
        names = [f"name {number}" for number in range(50)]
        bad = [name for name in names if co.ring.node(name) == "silent"]
        good = [name for name in names if co.ring.node(name) == "good"]
        lost = [asyncio.create_task(co.lock(name).acquire()) for name in bad]
        await asyncio.sleep(0.01)
        held = co.lock(good[0])
        await held.acquire()
        for _ in range(20):
            async with co.lock(good[1]):
                pass
        assert not any(one.done() for one in lost)
        outcomes = await asyncio.gather(*lost, return_exceptions=True)
        for outcome in outcomes:
            assert isinstance(outcome, (comity.NoAnswer, comity.Unreachable))
            assert outcome.server == "silent"
        assert held.held
        await held.release()
        await co.close()

    run(main())


def test_a_server_that_is_gone_and_comes_back(start):
    server = start()

    # A command may be on its way to the server when that ends.
    away = (comity.Unreachable, comity.NoAnswer)

    async def main():
        async with connect(server.port) as co:
            async with co.lock("a"):
                pass
            server.kill()
            with pytest.raises(away, match=f"127.0.0.1:{server.port}") as caught:
                await co.lock("a").acquire()
            assert caught.value.server == f"127.0.0.1:{server.port}"
            server.start()
            async with co.lock("a"):
                pass
        server.kill()
        with pytest.raises(comity.Unreachable):
            async with connect(server.port):
                pytest.fail("there is no server")

    run(main())


# A lease that is lost


def lose(server):
    """Has every holder's lease end at the server, as if an operator had deleted it."""
    with server.client() as admin:
        admin.flushall()


def test_a_lost_lease_is_told_to_a_function_and_to_a_coroutine(server):
    async def main():
        told = []

        async def later(lock):
            await asyncio.sleep(0.01)
            told.append(("later", lock.lost))

        async with connect(server.port) as co:
            locks = [
                co.lock("a", ttl=0.3, on_lost=lambda lock: told.append(("now", lock.lost))),
                co.lock("b", ttl=0.3, on_lost=later),
            ]
            for lock in locks:
                await lock.acquire()
            lose(server)
            await until(lambda: len(told) == 2)
            assert sorted(told) == [("later", True), ("now", True)]
            for lock in locks:
                with pytest.raises(comity.LockLost):
                    lock.check()
                with pytest.raises(comity.LockLost):
                    await lock.release()

    run(main())


def test_a_lost_lease_cancels_the_body(server):
    async def main():
        async with connect(server.port) as co:
            before = time.monotonic()
            with pytest.raises(comity.LockLost, match="a") as caught:
                async with co.lock("a", ttl=0.3, on_lost="cancel"):
                    lose(server)
                    await asyncio.sleep(50)
            assert time.monotonic() - before < 30
            assert isinstance(caught.value.__context__, asyncio.CancelledError)
            if hasattr(asyncio.Task, "cancelling"):
                assert not asyncio.current_task().cancelling()
            await asyncio.sleep(0)  # the task itself is not cancelled
            async with co.lock("a", ttl=2, on_lost="cancel") as held:
                await asyncio.sleep(2.5)
                assert held.held
            with pytest.raises(comity.InvalidState, match="async with"):
                await co.lock("a", on_lost="cancel").acquire()
            for wrong in ("CANCEL", 1, b"cancel"):
                with pytest.raises(comity.InvalidArgument, match="on_lost"):
                    co.lock("a", on_lost=wrong)

    run(main())


def test_a_cancellation_of_somebody_elses_stays_one(server, traces):
    async def main():
        async with connect(server.port) as co:

            async def body(swallow):
                async with co.lock("a", ttl=2, on_lost="cancel"):
                    try:
                        await asyncio.sleep(25)
                    except asyncio.CancelledError:
                        if not swallow:
                            raise
                return "done"

            task = asyncio.create_task(body(swallow=False))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            # A body that goes on in spite of it is told at its end.
            task = asyncio.create_task(body(swallow=True))
            await asyncio.sleep(0.1)
            lose(server)
            with pytest.raises(comity.LockLost):
                await task

            # Both at once: whoever cancelled the task means the task.
            if hasattr(asyncio.Task, "cancelling"):
                task = asyncio.create_task(body(swallow=False))
                await asyncio.sleep(0.1)
                co._session.run_callback = lambda cancel: (cancel(), task.cancel())
                lose(server)
                with pytest.raises(asyncio.CancelledError):
                    await task

    run(main())
    idle(server, traces)


def test_a_loss_does_not_hide_the_error_of_the_body(server):
    async def main():
        async with connect(server.port) as co:
            with pytest.raises(ZeroDivisionError) as caught:
                async with co.lock("a", ttl=0.3) as held:
                    lose(server)
                    await until(lambda: held.lost)
                    _ = 1 / 0
            if hasattr(caught.value, "__notes__"):
                assert "LockLost" in caught.value.__notes__[0]

    run(main())


def test_a_client_stopped_past_its_lease_is_told_and_its_fence_refused(server, script, traces):
    source = """
import asyncio, sys, comity, comity.aio, redis.asyncio
async def main():
    async with comity.aio.connect(redis.asyncio.Redis(port=int(sys.argv[1]))) as co:
        try:
            async with co.lock("a", ttl=0.5, on_lost="cancel") as held:
                print("held", flush=True)
                await asyncio.sleep(20)
        except comity.LockLost:
            print("lost")
        print("accepted" if await co.fence_check("a", held_fence) else "refused")
    """
    source = source.replace(
        'print("held", flush=True)', 'held_fence = held.fence; print("held", flush=True)'
    )

    async def main():
        process = script(source + "\nasyncio.run(main())", server.port)
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        try:
            async with connect(server.port) as co, co.lock("a", wait=15) as held:
                assert await co.fence_check("a", held.fence)
        finally:
            process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "lost\nrefused\n"
        assert process.wait(60) == 0

    run(main())
    idle(server, traces)
