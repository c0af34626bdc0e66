"""What importing comity loads, and that its errors are redis-py's in every order of imports.

Each program runs in a process of its own: here everything is loaded already.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("redis", "asyncio", "ssl", "multiprocessing")

LOADED = f"""
import sys
print(*[name for name in {HEAVY} if name in sys.modules])
"""

LOCAL = """
import comity
co = comity.connect()
with co.lock("a") as held:
    held.check()
co.counter("c").add()
with co.transaction() as tx:
    tx.incrby("k", 1)
co.close()
"""

BY_URL = """
import socket
import comity
with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))  # and nobody listens
    url = f"redis://127.0.0.1:{taken.getsockname()[1]}"
    co = comity.connect(url, check=False)
    try:
        co.lock("a").acquire(wait=0)
    except comity.Unreachable:
        pass
    try:
        co.lock("a").release()
    except comity.NotHeld:
        pass
    co.close()
"""

OURS = """
assert issubclass(comity.LockTimeout, redis.exceptions.LockError)
assert issubclass(comity.LockLost, redis.exceptions.LockError)
assert issubclass(comity.NotHeld, redis.exceptions.LockError)
assert issubclass(comity.ConflictError, redis.WatchError)
assert issubclass(comity.CommandFailed, redis.ResponseError)
"""

CAUGHT = """
import pickle
co = comity.connect()
try:
    co.lock("a").release()
except redis.exceptions.LockError as error:
    assert type(error) is comity.NotHeld
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.args) == (comity.NotHeld, str(error), error.args)
try:
    with co.lock("a"), co.lock("a", wait=0):
        pass
except redis.exceptions.LockError as error:
    assert type(error) is comity.LockTimeout
    assert isinstance(error, TimeoutError)
try:
    co.transaction().set("k", "text").incr("k").execute()
except redis.ResponseError as error:
    assert type(error) is comity.CommandFailed
try:
    with co.transaction() as tx:
        tx.watch("k")
        co.transaction().set("k", "other").execute()
        tx.multi()
        tx.set("k", "mine")
except redis.WatchError as error:
    assert type(error) is comity.ConflictError
co.close()
"""


def run(program: str, *first: object) -> str:
    """What a program prints. `first`: where it looks for modules at first."""
    path = os.pathsep.join([*map(str, first), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("program", ["import comity", LOCAL, BY_URL], ids=["bare", "local", "url"])
def test_nothing_is_loaded_that_is_not_used(program):
    assert run(program + LOADED) == ""


def test_an_event_loop_needs_no_redis_py():
    assert "redis" not in run("import comity.aio" + LOADED)


@pytest.mark.parametrize(
    "imports",
    [
        "import redis, comity",
        "import comity, redis",
        "import comity; co = comity.connect(); co.close(); import redis",
        "import comity; early = comity.LockTimeout('early'); import redis",
    ],
)
def test_redis_pys_names_catch_in_every_order_of_imports(imports):
    pytest.importorskip("redis")
    run(f"{imports}\n{CAUGHT}{OURS}")


@pytest.mark.parametrize("name", ["redis", "redis.asyncio"])
def test_whoever_connects_by_a_client_has_errors_that_are_redis_pys(name):
    pytest.importorskip("redis")
    module = "comity.aio" if name == "redis.asyncio" else "comity"
    make = f"import comity, {module}, {name}\nco = {module}.connect({name}.Redis(), check=False)\n"
    run(make + OURS)


def test_an_error_that_is_caught_late_is_as_it_was():
    pytest.importorskip("redis")
    run(
        "import comity; early = comity.LockTimeout('early'); import redis; comity.LockLost()\n"
        "try:\n    raise early\n"
        "except redis.exceptions.LockError as error:\n"
        "    assert (str(error), error.args, error.lock_name) == ('early', ('early',), None)\n"
        + OURS
    )


def test_it_works_without_redis_py(tmp_path):
    (tmp_path / "redis.py").write_text("raise ImportError('not installed')\n")
    assert run(LOCAL + BY_URL + LOADED, tmp_path) == ""


def test_a_redis_py_that_is_half_imported_is_taken_by_and_by():
    run(
        "import sys, types, comity\n"
        "half = sys.modules['redis.exceptions'] = types.ModuleType('redis.exceptions')\n"
        "class WatchError(Exception): pass\n"
        "class LockError(Exception): pass\n"
        "half.WatchError = WatchError; comity.NotHeld()\n"
        "assert issubclass(comity.ConflictError, WatchError)\n"
        "half.LockError = LockError; comity.NotHeld()\n"
        "assert issubclass(comity.NotHeld, LockError)\n"
    )


FULL = """
co = comity.connect()
held = co.lock("a")
assert held.acquire()
for verb, error in [
    (lambda: co.lock("b").acquire(wait=-1), comity.InvalidArgument),
    (lambda: co.lock("b").release(), comity.NotHeld),
    (lambda: co.lock("a", wait=0).__enter__(), comity.LockTimeout),
]:
    for _ in range(2):
        try:
            verb()
        except error as caught:
            assert str(caught)
        else:
            raise AssertionError(error)
co.close()
"""


@pytest.mark.parametrize(
    "program",
    [
        "class Busy(ValueError, comity.LockTimeout): pass\nimport redis",
        "import redis\nclass Busy(redis.exceptions.LockError, comity.LockTimeout): pass",
    ],
    ids=["earlier", "later"],
)
def test_a_class_of_the_programs_that_leaves_no_room_for_redis_pys_takes_no_error_away(program):
    pytest.importorskip("redis")
    run(
        f"import comity\n{program}\n{FULL}"
        "assert issubclass(comity.ConflictError, redis.WatchError)\n"
        "assert issubclass(comity.CommandFailed, redis.ResponseError)\n"
    )


@pytest.mark.parametrize(
    "stub",
    [
        "mock.MagicMock()",
        "mock.MagicMock(LockError=mock.MagicMock(spec=type))",
        "types.SimpleNamespace(LockError=Exception, WatchError=BaseException, ResponseError=int)",
        "types.SimpleNamespace(LockError=KeyError, WatchError=OSError, ResponseError='text')",
    ],
)
@pytest.mark.parametrize("earlier", [False, True], ids=["later", "earlier"])
def test_a_stub_in_the_place_of_redis_py_takes_no_error_away(stub, earlier):
    put = f"sys.modules['redis'] = sys.modules['redis.exceptions'] = {stub}"
    first, then = (put, "import comity") if earlier else ("import comity", put)
    run(f"import sys, types\nfrom unittest import mock\n{first}\n{then}\n{FULL}")


def test_an_error_is_pickled_without_redis_py():
    pytest.importorskip("redis")
    made = run(
        "import pickle, comity, redis\n"
        "for kind in comity.errors.CODES.values():\n"
        "    error = kind('why'); error.lock_name = 'a'\n"
        "    print(pickle.dumps(error))\n"
    )
    run(
        f"import pickle, sys\nsys.modules['redis'] = None\nfor one in {made.splitlines()}:\n"
        "    error = pickle.loads(eval(one))\n"
        "    assert (str(error), error.args, error.lock_name) == ('why', ('why',), 'a'), error\n"
    )
