"""What the README and docs/operations.md say is true, from a wheel in a place of its own."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import threading
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has the wheel from `dist/` and nothing else."""
    # `cargo xtask dist wheels` leaves those of other machines there.
    musl = platform.libc_ver()[0] != "glibc" and sys.platform == "linux"
    fits = [
        path
        for path in (ROOT / "dist").glob("comity-*.whl")
        if platform.machine().lower() in path.name and ("musllinux" in path.name) == musl
    ]
    wheels = sorted(fits, key=lambda path: path.stat().st_mtime)
    assert wheels, "there is no wheel in dist/: run `cargo xtask demo` or `cargo xtask test python`"
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", wheels[-1]],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return python


def run(python: Path, source: str, tmp_path: Path, **environment: str) -> str:
    file = tmp_path / "example.py"
    file.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [python, file],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_runs_with_nothing(elsewhere: Path, tmp_path: Path) -> None:
    (source,) = blocks("python")
    (printed,) = blocks("text")
    assert run(elsewhere, source, tmp_path) == printed


@pytest.mark.parametrize(
    "page",
    [
        page.name
        for page in sorted((ROOT / "docs").glob("*.md"))
        if page.name != "testing-your-program.md"  # which needs pytest: see test_testing_page.py
    ],
)
def test_the_examples_of_the_docs_run(elsewhere: Path, tmp_path: Path, page: str) -> None:
    for source in blocks("python", f"docs/{page}"):
        run(elsewhere, source, tmp_path)


def test_the_example_of_the_package_runs(elsewhere: Path, tmp_path: Path) -> None:
    (source,) = blocks("python", "bindings-python/README.md")
    (printed,) = blocks("text", "bindings-python/README.md")
    assert run(elsewhere, source, tmp_path) == printed


def test_the_package_describes_itself(elsewhere: Path, tmp_path: Path) -> None:
    source = """
from importlib.metadata import metadata
told = metadata("comity")
print(told["Summary"])
print(told["Description-Content-Type"])
print(told.get_payload())
print(*told.get_all("Classifier"), sep="\\n")
"""
    told = run(elsewhere, source, tmp_path)
    assert (ROOT / "bindings-python" / "README.md").read_text(encoding="utf-8").strip() in told
    assert "text/markdown" in told
    assert "Programming Language :: Python :: 3.10" in told
    assert "Framework :: AsyncIO" in told


def test_the_lines_that_install_can_be_typed(elsewhere: Path, tmp_path: Path) -> None:
    (lines,) = [each for each in blocks("sh") if each.startswith("pip install")]
    ours, theirs = lines.splitlines()
    # Another version, and another system's wheel, as they come to lie there.
    (tmp_path / "dist").mkdir()
    for wheel in (ROOT / "dist").glob("comity-*.whl"):
        (tmp_path / "dist" / wheel.name).symlink_to(wheel)
    for name in ("comity-0.0.1-py3-none-any.whl", "comity-9.0.0-cp310-abi3-win_arm64.whl"):
        (tmp_path / "dist" / name).touch()
    # The registry is not asked: redis-py is in this environment.
    for python, line in ((elsewhere, f"{ours} --force-reinstall"), (sys.executable, theirs)):
        dry = line.replace("pip install", f"'{python}' -m pip install --dry-run --no-index")
        done = subprocess.run(
            dry, shell=True, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=50
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_runs_with_redis(elsewhere: Path, server: Any, tmp_path: Path) -> None:
    import redis

    (source,) = blocks("python")
    (printed,) = blocks("text")
    client = f"comity.connect(redis.Redis(port={server.port}))"
    source = "import redis\n" + source.replace("comity.connect()", client)
    # redis-py comes from this environment: the registry is not asked again.
    packages = str(Path(redis.__file__).resolve().parents[1])
    linked = tmp_path / "packages"
    linked.mkdir()
    for name in ("redis", "async_timeout"):
        if (Path(packages) / name).exists():
            (linked / name).symlink_to(Path(packages) / name)
    assert run(elsewhere, source, tmp_path, PYTHONPATH=str(linked)) == printed


def test_the_access_control_of_the_docs_suffices(start: Callable[..., Any], traces: Any) -> None:
    import comity

    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ACL SETUSER .*$", text, re.MULTILINE)
    server = start()
    admin = server.client()
    admin.execute_command(*line.replace("PASSWORD", "secret").split())
    with comity.connect(server.client(username="comity", password="secret")) as co:
        first = co.lock("of few rights")
        assert first.acquire()
        # The queue's keys and the hand-over need rights of their own.
        threading.Timer(0.2, first.release).start()
        with co.lock("of few rights", wait=30) as second:
            assert co.fence_check("of few rights", second.fence)
            assert len(co.inspect("of few rights").holders) == 1
        assert co.stats()["lock_queued"] == 1
    assert traces(admin) == []
