"""Has the handlers of signals begin, in the processes of `multiprocessing`.

A handler written in Python runs in the main thread, once the system call is over in which that one
waits. The workers of a pool wait for the lock of its queue. `Pool.terminate()` takes that lock, for
good, and terminates them; a worker that was just woken for it, when the signal came, waits on in
the same call, and its handler never begins, whatever it does. Here a thread hears of the signal, by
`signal.set_wakeup_fd`, and interrupts the call with SIGURG, whose handler does nothing.

A signal that reaches the child of a fork before Python has taken note of the fork is forgotten by
Python. So it is blocked meanwhile.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

_ATTEMPTS = 14
"""How often it tries, after 10 ms first and twice as long each time: 160 s in all."""

_begun = 0
"""How many handlers have begun in this process."""
_ours: list[int] = []
"""Both ends of the pipe at which the thread listens; empty where there is none."""


_blocked: set[int] = set()
"""Signals that forks do not lose."""
_masks: dict[int, set[Any]] = {}
"""What threads that fork had blocked before."""


def keep_through_forks(number: int) -> None:
    """Has no fork lose this signal from now on."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    if not _blocked:
        os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_unblock)
    _blocked.add(number)


def _block() -> None:
    _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _blocked)


def _unblock() -> None:
    if (mask := _masks.pop(threading.get_ident(), None)) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def begin() -> None:
    """To be called by a handler, first."""
    global _begun  # noqa: PLW0603 - one process, one main thread
    _begun += 1


def arm() -> None:
    """Sees to it that handlers begin in this process, unless another does. In the main thread."""
    if _ours or not hasattr(signal, "pthread_kill"):
        return
    if signal.getsignal(signal.SIGURG) not in {signal.SIG_DFL, _nothing}:
        return
    try:
        hears, told = os.pipe()
    except OSError:
        return  # no descriptor to be had
    os.set_blocking(told, False)
    other = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    if other != -1:
        signal.set_wakeup_fd(other)
        os.close(hears)
        os.close(told)
        return
    signal.signal(signal.SIGURG, _nothing)
    _ours.extend((hears, told))
    watch = threading.Thread(
        target=_watch, args=(hears, _begun), name="comity-signals", daemon=True
    )
    try:
        watch.start()
    except RuntimeError:
        in_child()  # no thread can be started


def in_child() -> None:
    """In the child of a fork: what there is of this is the parent's."""
    if _ours:
        if (other := signal.set_wakeup_fd(-1)) not in {-1, _ours[1]}:
            signal.set_wakeup_fd(other)
        for each in _ours:
            os.close(each)
        _ours.clear()


def _nothing(*_: Any) -> None:
    """The handler of SIGURG."""


def _watch(hears: int, before: int) -> None:
    main = threading.main_thread().ident or 0
    while True:
        numbers = os.read(hears, 64)
        if all(number == signal.SIGURG for number in numbers):
            continue
        for attempt in range(_ATTEMPTS):
            if _begun != before:
                break
            time.sleep(0.01 * 2**attempt)
            signal.pthread_kill(main, signal.SIGURG)
        before = _begun
