"""RQ: `rq worker --worker-class comity.contrib.rq.Worker`.

RQ runs each job in a process of its own, which ends by `os._exit`. It gives back what it holds at
its end, also where SIGTERM ends it in the middle of the job, as systemd sends it to all processes
of a service. What RQ kills, at a cold shutdown or when a job is stopped, gives back nothing.
A module-level coordinator may be made before the fork. For another class of workers:
`class Mine(ClosesAfterJob, rq.Worker)`.
"""

from __future__ import annotations

from typing import Any

import rq  # type: ignore[import-not-found,unused-ignore]

from ..exits import close_all, close_on_signal


class ClosesAfterJob:
    """Put in front of a class of workers: a process that was forked for a job gives back what it
    holds when the job has ended, or SIGTERM ends it.
    """

    def setup_work_horse_signals(self) -> None:
        """As RQ does it."""
        super().setup_work_horse_signals()  # type: ignore[misc]
        close_on_signal()

    def perform_job(self, *args: Any, **kwargs: Any) -> Any:
        """As RQ does it."""
        try:
            return super().perform_job(*args, **kwargs)  # type: ignore[misc]
        finally:
            if getattr(self, "_is_horse", False):
                close_all()


class Worker(ClosesAfterJob, rq.Worker):  # type: ignore[misc,unused-ignore]
    """RQ's own worker that does so."""
