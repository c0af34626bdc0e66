"""What users and type checkers see: names, codes, types, stubs."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import comity
from comity import _core, core, errors

HERE = Path(__file__).parent


def test_the_error_table_is_the_cores():
    ours = {cls.__name__: code for code, cls in errors.CODES.items()}
    renamed = {
        "Aborted": "AbortedError",
        "Conflict": "ConflictError",
        "Internal": "InternalError",
        "Overflow": "CounterOverflow",
    }
    theirs = {renamed.get(name, name): code for name, code in core.ERROR_CODES.items()}
    assert ours == theirs
    for code, cls in errors.CODES.items():
        error = errors.from_code(code, "the words")
        assert type(error) is cls
        assert error.code == code
        assert str(error) == "the words"
        assert getattr(comity, cls.__name__) is cls


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (comity.InvalidArgument, ValueError),
        (comity.LimitExceeded, ValueError),
        (comity.InvalidState, RuntimeError),
        (comity.Unsupported, NotImplementedError),
        (comity.LockTimeout, TimeoutError),
        (comity.Unreachable, ConnectionError),
        (comity.NoAnswer, TimeoutError),
        (comity.WrongType, TypeError),
        (comity.CounterOverflow, OverflowError),
        (comity.Corrupt, ValueError),
    ],
)
def test_errors_are_what_python_calls_them(cls, base):
    assert issubclass(cls, base)
    assert issubclass(cls, comity.Error)


def test_every_public_name_is_exported_and_documented():
    for name in comity.__all__:
        value = getattr(comity, name)
        if not inspect.isclass(value) or value.__module__ == "comity._core":
            continue  # the extension's documentation is in its stub
        assert value.__doc__, name
        for member, thing in vars(value).items():
            if not member.startswith("_") and callable(thing):
                assert thing.__doc__, f"{name}.{member}"
    assert comity.__version__.count(".") == 2
    assert (Path(comity.__file__).parent / "py.typed").exists()


def documented() -> list[tuple[str, str]]:
    """Every class, method and function of the stub that says what it is, and its words."""
    stub = Path(comity.__file__).with_name("_core.pyi").read_text(encoding="utf-8")
    found = []
    for node in ast.parse(stub).body:
        members = node.body if isinstance(node, ast.ClassDef) else []
        for one in [node, *members]:
            if isinstance(one, (ast.ClassDef, ast.FunctionDef)) and (
                words := ast.get_docstring(one)
            ):
                name = one.name if one is node else f"{node.name}.{one.name}"
                found.append((name, words))
    # What a type's `__new__` takes is no text of its own at run time.
    return [one for one in found if not one[0].endswith(".__new__") and not one[0].startswith("_")]


@pytest.mark.parametrize(("name", "words"), documented(), ids=[name for name, _ in documented()])
def test_help_says_what_the_stub_says(name, words):
    owner, _, member = name.partition(".")
    thing = getattr(_core, owner)
    if member:
        thing = getattr(thing, member)
    assert inspect.cleandoc(thing.__doc__ or "") == words


def test_the_coordinator_of_the_core_is_there_as_it_is():
    coordinator = core.Coordinator([(b"a", 1)], entropy=bytes(32), now=1)
    lock = coordinator.lock_acquire(b"name", 1)
    command = coordinator.poll_command()
    assert command.origin == lock
    assert command.route == "node"
    assert command.packed.startswith(b"*%d\r\n" % len(command.argv))
    coordinator.handle_failure(command.request, "not_sent", 2)
    assert coordinator.next_deadline() > 2
    coordinator.handle_unreachable(0, "certificate \udcff", 3, lasting=True)
    call = coordinator.lock_inspect(b"name", 3)
    coordinator.handle_failure(coordinator.poll_command().request, "not_sent", 3)
    down, event = coordinator.poll_event(), coordinator.poll_event()
    assert (down.kind, down.node, down.waiting) == ("node_down", 0, 0)
    assert str(down.error).startswith("certificate ")
    assert (event.kind, event.call, event.node) == ("call_failed", call, 0)
    assert str(event.error).startswith("the server could not be reached: certificate ")
    coordinator.handle_refused(0, b"ERR max number of clients reached", 3)
    store = core.MemoryStore()
    assert isinstance(store.execute([b"NONSENSE"], 1), core.ErrorReply)


def check(*command):
    environment = dict(os.environ)
    if "site-packages" not in comity.__file__:  # in the source tree
        environment["MYPYPATH"] = environment["PYTHONPATH"] = str(Path(comity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_strictly_typed_program_type_checks(tmp_path):
    pytest.importorskip("mypy")
    file = str(HERE / "typing_consumer.py")
    check("mypy", "--strict", "--python-version=3.10", f"--cache-dir={tmp_path}", file)


@pytest.mark.timeout(180)
def test_the_stubs_are_what_is_there():
    pytest.importorskip("mypy")
    check("mypy.stubtest", "comity._core")
