"""A handle that nobody has any more gives its lock back."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from locks import line, until, warned, warned_of

import comity
import comity.aio
import comity.testing


def dropped(act, match="nobody has the handle"):
    """Calls `act`, and expects the warning of what it drops."""

    def collected():
        act()
        gc.collect()

    with warned(match):
        collected()


@pytest.mark.parametrize("options", [{}, {"on_lost": print}])
def test_a_dropped_handle_gives_its_lock_back(options):
    with comity.connect() as co:
        dropped(lambda: careless(co, options))
        until(lambda: not co.inspect("leak").holders)
        with co.lock("leak", wait=0):
            pass


def careless(co, options):
    try:
        lock = co.lock("leak", ttl=60, **options)
        lock.acquire()
        raise ValueError
    except ValueError:
        pass


def test_one_on_a_clock_that_stands_still_does_too():
    with comity.connect(comity.testing.MemoryStore()) as co:
        dropped(lambda: careless(co, {}))
        until(lambda: not co.inspect("leak").holders)


def test_one_in_a_cycle_does_when_the_collector_finds_it():
    class Job:
        def __init__(self, co):
            self.me = self
            self.lock = co.lock("leak", ttl=60)
            self.lock.acquire()

    with comity.connect() as co:
        dropped(lambda: Job(co))
        until(lambda: not co.inspect("leak").holders)


def test_what_a_verb_raised_is_not_kept():
    with comity.connect() as co, co.lock("taken") as _:

        def fail():
            with pytest.raises(comity.LockTimeout):
                with co.lock("taken", wait=0):
                    pass

        def alive():
            gc.collect()
            return sum(isinstance(one, comity.LockTimeout) for one in gc.get_objects())

        fail()
        before = alive()
        for _ in range(20):
            fail()
        assert alive() <= before + 1


def test_the_end_of_a_thread_gives_back_nothing():
    kept = []
    with comity.connect() as co:

        def work():
            kept.append(co.lock("kept", ttl=60))
            kept[0].acquire()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        gc.collect()
        kept[0].check()
        kept[0].release()


def test_one_that_was_released_or_never_held_says_nothing(recwarn):
    with comity.connect() as co:
        lock = co.lock("a")
        lock.acquire()
        lock.release()
        del lock
        co.lock("b")
        assert not [one for one in recwarn if one.category is ResourceWarning]


def test_on_lost_is_called_while_somebody_has_the_handle():
    told = []
    with comity.connect() as co:
        lock = co.lock("a", ttl=0.05, renew=False, on_lost=told.append)
        lock.acquire()
        until(lambda: told == [lock], 20)


@pytest.mark.parametrize("store", [comity.MemoryStore, comity.testing.MemoryStore])
def test_on_a_loop_too(store):
    async def main():
        async with comity.aio.connect(store()) as co:

            async def careless():
                lock = co.lock("leak", ttl=60, on_lost=print)
                await lock.acquire()

            async with warned_of("nobody has the handle"):
                await careless()
            async with co.lock("leak", wait=20):
                pass

    asyncio.run(main())


def test_a_dropped_coordinator_is_closed():
    store = comity.MemoryStore()

    def careless():
        co = comity.connect(store)
        co.counter("hits", durability=comity.Batched(3600)).add(5)

    dropped(careless, "unclosed")
    with comity.connect(store) as co:
        hits = co.counter("hits")
        until(lambda: hits.read().value == 5)


SWALLOWED = """
import gc, signal, sys, time, warnings
import comity

warnings.simplefilter("ignore")
kind, trials = sys.argv[1], int(sys.argv[2])
armed, missed = False, 0

class Stop(Exception):
    pass

def stop(*_):
    global armed
    if armed:
        armed = False
        raise Stop

signal.signal(signal.SIGALRM, stop)
co, number = comity.connect(), 0

def drop():
    global number
    if kind == "coordinator":
        comity.connect()
    else:
        number += 1
        co.lock(f"l{number}").acquire()
        if kind == "cycle":
            gc.collect(0)

def go():
    while armed:
        drop()

for trial in range(trials):
    armed = True
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.0000071 * (trial % 97))
        go()
        for _ in range(10):
            time.sleep(0)
        missed += 1
    except Stop:
        pass
until = time.monotonic() + 60
while any(co.inspect(f"l{at}").holders for at in range(max(1, number - 500), number + 1)):
    assert time.monotonic() < until, "something dropped is still held"
print(missed)
"""


@pytest.mark.parametrize(
    ("kind", "trials"), [("lock", 3000), ("cycle", 1000), ("coordinator", 300)]
)
def test_what_a_handler_raises_is_raised_where_something_is_dropped(script, kind, trials):
    process = script(SWALLOWED, kind, trials)
    assert line(process) == "0"
    assert process.wait(60) == 0
