"""The transcripts that the core has written, replayed: see `tests/transcripts/README.md`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import comity
from comity import core

FOLDER = Path(__file__).parents[2] / "tests" / "transcripts"
LONG = 512


def octets(value: Any) -> Any:
    """Strings as bytes, a byte for each character."""
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, list):
        return [octets(one) for one in value]
    return value


def line(value: Any) -> Any:
    """A value as a line has it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, core.ErrorReply):
        return {"error": line(value.text)}
    if isinstance(value, comity.Error):
        return {"code": value.code, "words": str(value)}
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return [line(one) for one in value]
    if isinstance(value, dict):
        return {key: line(one) for key, one in value.items()}
    return value


def reply(value: Any) -> Any:
    """A reply out of a line."""
    if isinstance(value, dict):
        if "status" in value:
            return str(value["status"])
        return core.ErrorReply(octets(value["error"]))
    if isinstance(value, list):
        return [reply(one) for one in value]
    return octets(value)


def answered(value: Any) -> Any:
    """A reply as a line has it."""
    if isinstance(value, str):
        return {"status": value}
    if isinstance(value, list):
        return [answered(one) for one in value]
    return line(value)


def word(value: bytes) -> Any:
    """A word of a command as a line has it."""
    if len(value) <= LONG:
        return line(value)
    return {"length": len(value), "begins": line(value[:LONG])}


def command(found: core.Command) -> dict[str, Any]:
    """A command as a line."""
    return {
        "command": found.request,
        "node": found.node,
        "route": found.route,
        "origin": found.origin,
        "deadline": found.deadline,
        "words": [word(one) for one in found.argv],
    }


def shown(expected: Any, found: Any) -> Any:
    """What of `found` the transcript is about: here the values have more parts than it tells."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {key: shown(one, found.get(key)) for key, one in expected.items()}
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [shown(one, other) for one, other in zip(expected, found, strict=True)]
    return found


class Replay:
    """One transcript."""

    def __init__(self) -> None:
        self.core: core.Coordinator
        self.inputs: dict[str, Callable[[dict[str, Any]], None]] = {
            "begin": self.begin,
            "verb": self.verb,
            "reply": lambda it: self.core.handle_reply(it["reply"], reply(it["is"]), it["now"]),
            "failure": lambda it: self.core.handle_failure(it["failure"], it["is"], it["now"]),
            "node": lambda it: self.core.handle_node(it["node"], it["is"], it["now"]),
            "message": lambda it: self.core.handle_message(
                it["message"], octets(it["channel"]), octets(it["payload"]), it["now"]
            ),
            "time": lambda it: self.core.handle_timeout(it["time"]),
        }

    def begin(self, it: dict[str, Any]) -> None:
        given = it["begin"]
        self.core = core.Coordinator(
            [(octets(node), 1) for node in given["nodes"]],
            entropy=bytes.fromhex(given["entropy"]),
            now=it["now"],
            timeout_us=given["timeout_us"],
            push=given["push"],
        )

    def verb(self, it: dict[str, Any]) -> None:
        options = {
            name: octets(value) if name == "label" else value
            for name, value in it["options"].items()
        }
        call = getattr(self.core, it["verb"])
        if "refused" in it:
            with pytest.raises(comity.Error) as caught:
                call(*octets(it["args"]), it["now"], **options)
            assert line(caught.value) == it["refused"]
            return
        gives = call(*octets(it["args"]), it["now"], **options)
        assert gives == it.get("gives", gives)

    def output(self, it: dict[str, Any]) -> None:
        """Compares a line that comes out."""
        if "command" in it:
            found = self.core.poll_command()
            assert found is not None
            assert command(found) == it
        elif "event" in it:
            event = self.core.poll_event()
            assert event is not None
            fields = {name: getattr(event, name) for name in it if name != "event"}
            if "replies" in fields:
                fields["replies"] = answered(fields["replies"])
            assert shown(it, line({"event": event.kind, **fields})) == it
        else:
            assert self.core.poll_command() is None
            assert self.core.poll_event() is None
            assert self.core.next_deadline() == it["deadline"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_transcript(path: Path):
    replay = Replay()
    for number, text in enumerate(path.read_text("utf-8").rstrip("\n").split("\n"), 1):
        it = json.loads(text)
        try:
            for kind, take in replay.inputs.items():
                if kind in it and not ("command" in it or "event" in it):
                    take(it)
                    break
            else:
                replay.output(it)
        except AssertionError as error:
            raise AssertionError(f"{path.name}, line {number}: {error}") from error


def test_there_are_transcripts():
    assert len(list(FOLDER.glob("*.jsonl"))) >= 4
