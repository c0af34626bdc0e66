"""Runs the applications as they are run: in processes of the real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comity

HERE = Path(__file__).parent


@contextmanager
def running(port: int, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server as a process, in a group of its own, which is ended as a whole."""
    environment = {**os.environ, "PORT": str(port), "PYTHONPATH": str(HERE), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=HERE, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def ask(url: str, patience: float = 60) -> int | None:
    """What it answers, once it does; None where it was ended in the middle."""
    end = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
                return int(answer.read())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                return None
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        except OSError:
            return None


def ask_often(url: str, times: int) -> list[int]:
    """As often, several at a time; what was answered: the number of the process."""
    ask(url)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(url), range(times - 1)))
    return [answer for answer in answers if answer is not None]


def counted(server: Any, name: str = "hits") -> int:
    with server.client() as client, comity.connect(client, timeout=20) as co:
        return co.counter(name).read().value


def free(server: Any) -> None:
    """Within a second of the end, measured by what is left of their 60 s, nobody holds a lock."""
    with server.client() as client, comity.connect(client, timeout=20) as co:
        for key in client.scan_iter(match="comity:*", count=1000):
            if client.type(key) == b"string":
                assert client.get(key)[:1] not in (b"F", b"Q"), f"{key!r} has a holder or a waiter"
        with co.lock("till", wait=0):
            pass


def there(server: Any) -> tuple[int, int]:
    """Once a job is in its middle: the number of its process, and the fence of its lock."""
    with server.client(socket_timeout=200) as client:
        said = client.blpop("there", timeout=120)
        assert said, "no job has come to its middle"
        pid, fence = said[1].split()
        return int(pid), int(fence)


def let_go(server: Any) -> None:
    """Lets the job go on that is in its middle."""
    with server.client() as client:
        client.rpush("go", 1)


def wait_for_end(pid: int, patience: float = 120) -> None:
    """See `ended`."""
    end = time.monotonic() + patience
    while not ended(pid):
        assert time.monotonic() < end, f"{pid} does not end"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    """Whether there is no process of this number any more, or only its zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except OSError:
        return False


def job(port: int) -> None:
    """A process that counts one and closes nothing. Here, where spawned processes find it."""
    import redis

    co = comity.connect(redis.Redis(host="127.0.0.1", port=port), timeout=20)
    co.counter("hits").add(1)
