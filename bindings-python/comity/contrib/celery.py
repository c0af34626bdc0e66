"""Celery: call `close_with_worker()` in the module of the application.

A module-level coordinator may be made there, before the pool's processes are forked. The pools
`solo` and `threads` need nothing: their process runs `atexit`.
"""

from __future__ import annotations

from typing import Any

from celery import signals  # type: ignore[import-not-found,import-untyped,unused-ignore]

from ..exits import close_all


def close_with_worker() -> None:
    """Has each process of a worker's pool give back what it holds when it ends."""
    signals.worker_process_shutdown.connect(_close, dispatch_uid="comity")


def _close(**_: Any) -> None:
    """See `close_all`."""
    close_all()
