"""After a fork the child has none of its parent's locks and says nothing on its connections."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest

redis = pytest.importorskip("redis")

from locks import connect, connect_patiently, in_child, line  # noqa: E402

import comity  # noqa: E402
from comity import builder  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def refused(*verbs, error=comity.InvalidState):
    """How many of the verbs a child is refused."""
    count = 0
    for verb in verbs:
        try:
            verb()
        except error:
            count += 1
    return count


def test_a_forked_child_has_none_of_its_parents_locks(server):
    with connect(server.port) as co, co.lock("a", ttl=5) as held:

        def child():
            assert not held.held
            assert refused(held.check, held.extend, held.release) == 3
            with co.lock("b", wait=60):  # over a connection of the child's own
                return not co.lock("a").acquire(wait=0)

        assert in_child(child)
        held.check()
        held.extend()


def test_what_was_begun_before_a_fork_is_the_parents(server):
    with connect(server.port) as co, co.events() as events:
        buffered, watching = co.transaction(), co.transaction()
        buffered.set("k", 1)
        loose = co.lock("loose", wait=60)
        with co.lock("a", ttl=60) as held:

            def child():
                verbs = (buffered.execute, lambda: watching.watch("k"), lambda: events.get(0))
                assert refused(*verbs, held.acquire) == 4
                events.close()
                with loose:  # a handle that held nothing is the child's as well as the parent's
                    label = co.inspect("loose").holders[0].label
                    assert str(os.getpid()).encode() in label
                assert refused(held.release) == 1
                return not held.acquire(wait=0)

            assert in_child(child)
            held.check()
        watching.watch("k")
        assert buffered.execute() == [True]


def test_a_child_that_uses_nothing_opens_nothing(server):
    with connect(server.port) as co:
        co.counter("hits").add(1)

        def child():
            before = len(os.listdir("/proc/self/fd"))
            comity.close_all()
            return len(os.listdir("/proc/self/fd")) == before and "_session" not in vars(co)

        if os.path.isdir("/proc/self/fd"):
            assert in_child(child)


def test_a_child_of_a_child_has_a_session_of_its_own(server):
    with connect(server.port) as co:
        hits = co.counter("hits")
        hits.add(1)
        hits.flush()

        def grandchild():
            hits.add(100)
            with co.lock("b", wait=60):
                pass
            co.close()
            return True

        def child():
            hits.add(10)
            hits.flush()
            with co.lock("a", ttl=60) as held:
                assert in_child(grandchild)
                held.check()
            co.close()
            return True

        assert in_child(child)
        assert hits.read().value == 111


def test_a_child_sends_nothing_through_what_its_parent_made(server, proxy):
    with connect_patiently(proxy.port) as co, server.client() as admin:
        # Renewals and heartbeats would be heard as well: there are none within this time.
        with co.lock("a", ttl=60) as held:
            sent = len(proxy.seen)
            connected = len(admin.client_list())

            def child():
                try:
                    with held:
                        return False
                except comity.InvalidState:
                    pass
                verbs = (held.release, held.extend, held.check)
                refusals = refused(*verbs, error=comity.Error)
                co.close()
                return refusals == 3 and not held.held

            assert in_child(child)
            assert len(proxy.seen) == sent
            assert len(admin.client_list()) == connected
            held.extend()
            assert held.held
            assert co.inspect("a").holders[0].fence == held.fence


def test_a_block_that_a_child_leaves_gives_nothing_back(server, proxy):
    with connect_patiently(proxy.port) as co:
        sent = []

        def child():
            try:
                # What a child does that falls out of the parent's `with`.
                lock.__exit__(None, None, None)
            except comity.Error:
                pass
            return True

        with co.lock("a", ttl=60) as lock:
            sent.append(len(proxy.seen))
            assert in_child(child)
            assert len(proxy.seen) == sent[0]
            lock.check()
            assert co.inspect("a").holders[0].fence == lock.fence


def test_a_child_waits_for_no_thread_of_its_parents(server, monkeypatch):
    # It is copied while one works out an attribute that is worked out once.
    inside, go_on, fields = threading.Event(), threading.Event(), builder.fields

    def slow(options):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            go_on.wait(60)
        return fields(options)

    monkeypatch.setattr(builder, "fields", slow)
    with comity.connect(server.client(), timeout=30) as co:
        thread = threading.Thread(target=co.snapshot, args=("k",), kwargs={"timeout": 50})
        thread.start()
        assert inside.wait(60)

        def child():
            signal.alarm(60)  # is the end of one that would wait for ever
            return co.snapshot("k", timeout=50) == {"k": None}

        try:
            assert in_child(child)
        finally:
            go_on.set()
            thread.join(60)


def turns(port, rounds, fences):
    with connect(port) as co:
        for _ in range(rounds):
            with co.lock("turns", ttl=5) as held:
                fences.put(held.fence)


def test_multiprocessing_workers_that_are_forked_inside_a_block(server):
    context = multiprocessing.get_context("fork")
    with connect(server.port) as co:
        fences = context.Queue()
        with co.lock("a", ttl=1) as held:
            workers = [
                context.Process(target=turns, args=(server.port, 5, fences)) for _ in range(3)
            ]
            for worker in workers:
                worker.start()
            seen = [fences.get(timeout=30) for _ in range(15)]
            for worker in workers:
                worker.join(40)
            assert [worker.exitcode for worker in workers] == [0, 0, 0]
            held.check()
        assert len(set(seen)) == 15
        with co.lock("turns", wait=0) as last:
            assert last.fence > max(seen)
        fences.close()
        fences.join_thread()


def test_an_application_that_is_loaded_before_its_workers_are_forked(server, script, traces):
    source = """
import os, sys, comity, redis
client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))
co = comity.connect(client)                # as a preloaded application does
master = co.lock("master", ttl=1)
master.acquire()
workers = []
for number in range(3):
    child = os.fork()
    if child == 0:
        try:
            master.check()
            os._exit(1)
        except comity.InvalidState as error:
            if "fork" not in str(error):
                os._exit(2)
        for _ in range(10):
            with co.lock("work", ttl=5):
                pass
        if co.lock("master").acquire(wait=0):
            os._exit(3)
        co.close()
        sys.exit(0)                        # runs what is registered for the end
    workers.append(child)
codes = [os.waitpid(child, 0)[1] for child in workers]
print(codes, master.held)
master.release()
co.close()
"""
    process = script(source, server.port)
    assert line(process) == "[0, 0, 0] True"
    assert process.wait(60) == 0
    with server.client() as admin:
        assert traces(admin) == []
