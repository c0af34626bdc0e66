"""A short history of transactions on a bad network is strictly serializable, and of Elle's form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import comity

pytest.importorskip("redis")


@pytest.mark.usefixtures("server")  # which skips where there is none
def test_a_short_history(tmp_path):
    out = tmp_path / "history.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(Path(comity.__file__).parents[1])}
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).parent / "stress" / "history.py"),
            *("--seconds", "3", "--out", str(out), "--seed", "3"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert sum(line["type"] == "ok" for line in lines) > 50
    under_way: dict[int, list[object]] = {}
    for line in lines:
        if line["type"] == "invoke":
            assert line["process"] not in under_way
            under_way[line["process"]] = line["value"]
        else:
            asked = under_way.pop(line["process"])
            assert [each[:2] for each in line["value"]] == [each[:2] for each in asked]
