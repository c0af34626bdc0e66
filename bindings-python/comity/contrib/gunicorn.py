"""gunicorn: in its configuration file, `from comity.contrib.gunicorn import worker_exit`.

For workers with threads (`gthread`): where one has to end while a request runs, as at SIGQUIT and
SIGINT, `atexit` waits for the request, and gunicorn kills what waits. With this hook the worker
gives back what it holds before that; the request finds its coordinator `Closed`.

Workers of the class `sync`, and others between requests, do not need it: they run `atexit` at each
end that gunicorn has for them (`max_requests`, SIGTERM, SIGQUIT, SIGABRT at the `timeout`). It does
not help where gunicorn kills: a request that outlasts `graceful_timeout`, or a second after the
`timeout`. Applications of ASGI have `comity.contrib.asgi`.

A module-level coordinator may be made before the workers are forked (`preload_app`).
"""

from __future__ import annotations

from typing import Any

from ..exits import close_all


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn's signature
    """See `close_all`."""
    close_all()
