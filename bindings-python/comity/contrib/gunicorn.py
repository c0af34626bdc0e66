"""gunicorn: in its configuration file, `from comity.contrib.gunicorn import worker_exit`.

A worker then gives back what it holds when it ends, whatever its class. A module-level coordinator
may be made before the workers are forked (`preload_app`).
"""

from __future__ import annotations

from typing import Any

from ..exits import close_all


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn's signature
    """See `close_all`."""
    close_all()
