"""RQ: `rq worker --worker-class comity.contrib.rq.Worker`.

RQ runs each job in a process of its own, which ends by `os._exit`. For another class of workers:
`class Mine(ClosesAfterJob, rq.Worker)`.
"""

from __future__ import annotations

from typing import Any

import rq  # type: ignore[import-not-found,unused-ignore]

from ..exits import close_all


class ClosesAfterJob:
    """Put in front of a class of workers: a process that was forked for a job gives back, when the
    job has ended, what it holds.
    """

    def perform_job(self, *args: Any, **kwargs: Any) -> Any:
        """As RQ does it."""
        try:
            return super().perform_job(*args, **kwargs)  # type: ignore[misc]
        finally:
            if getattr(self, "_is_horse", False):
                close_all()


class Worker(ClosesAfterJob, rq.Worker):  # type: ignore[misc,unused-ignore]
    """RQ's own worker that does so."""
