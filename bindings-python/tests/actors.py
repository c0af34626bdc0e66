"""Programs in C as the tests see them: see `bindings-c/tests/redis/actor.c`."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

C = Path(__file__).parents[2] / "bindings-c"
STRICT = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def build(source: Path, program: Path, *more: str, packages: tuple[str, ...] = ()) -> Path:
    """Compiles a program against the unpacked library that `COMITY_C_PREFIX` names, as
    `cargo xtask test c` has it, and what pkg-config finds of `packages`, hiredis also in the folder
    `COMITY_C_HIREDIS`; `more` and `COMITY_C_FLAGS` are more words for the compiler.
    """
    prefix = os.environ["COMITY_C_PREFIX"]
    path = {
        **os.environ,
        "PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig:{os.environ.get('COMITY_C_HIREDIS', '')}",
    }
    told = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "comity", *packages],
        env=path,
        capture_output=True,
        text=True,
        check=True,
    )
    words = ["cc", *STRICT, *os.environ.get("COMITY_C_FLAGS", "").split(), *more, str(source)]
    words += [*told.stdout.split(), f"-Wl,-rpath,{prefix}/lib", "-o", str(program)]
    subprocess.run(words, check=True)
    return program


def url(server: str) -> str:
    """A server as actors take it over sockets: its setup is a part of the URL."""
    node, _, place = server.partition("=")
    address, _, setup = place.partition(",")
    if address.startswith("/"):
        return f"{node}=unix://{address}"
    word, _, argument = setup.partition(" ")
    password = f":{argument}@" if word == "AUTH" else ""
    protocol = f"?protocol={argument}" if word == "HELLO" else ""
    return f"{node}=redis://{password}{address}{protocol}"


class Lines:
    """A process and the lines that it prints."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, seconds: float = 40.0) -> str:
        """The next line."""
        line = self._lines.get(timeout=seconds)
        assert line is not None, f"ended with {self.process.wait()}"
        return line

    def kill(self) -> None:
        """Ends it without a chance to say anything."""
        self.process.kill()
        self._end()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Asks it to end, and waits for it."""
        self.process.send_signal(number)
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(60)
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return code


class Actor(Lines):
    """A client in C that does what it is told, over these servers: `id=host:port`, or its `url`."""

    def __init__(self, program: Path, *servers: str, timeout: float = 10.0) -> None:
        super().__init__(program, int(timeout * 1e6), *servers)

    def tell(self, *words: object) -> None:
        """Has it do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def hear(self, *kinds: str, seconds: float = 40.0) -> dict[str, Any]:
        """The next event of one of these kinds; others are let go."""
        while True:
            kind, *fields = self.line(seconds).partition(" why=")[0].split()
            if kind in kinds:
                found: dict[str, Any] = {"kind": kind}
                for field in fields:
                    name, _, value = field.partition("=")
                    found[name] = int(value) if value.lstrip("-").isdigit() else value
                return found

    def ask(self, name: str, ttl: float = 2.0, wait: float | None = None) -> int:
        """Asks for a lock; the number of the request."""
        self.tell("lock", name, int(ttl * 1e6), -1 if wait is None else int(wait * 1e6))
        return int(self.hear("Asked")["lock"])

    def acquire(self, name: str, ttl: float = 2.0) -> dict[str, Any]:
        """Waits for a lock; what its grant says."""
        self.ask(name, ttl)
        return self.hear("LockGranted")

    def release(self, lock: int) -> float:
        """Gives a lock back; when that began, on the clock of `comity.clock()`."""
        self.tell("release", lock)
        began = self.hear("Releasing")["at"]
        self.hear("LockReleased")
        return float(began) / 1e6

    def close(self) -> None:
        """Ends it in order, which is an error where it has lost memory or used freed one."""
        self.tell("close")
        self.hear("Closed")
        assert self._end() == 0
