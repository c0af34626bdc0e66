"""An application of Celery's: what it works on is loaded before its pool is forked."""

from __future__ import annotations

import application
from celery import Celery

from comity.contrib.celery import close_with_worker

URL = f"redis://127.0.0.1:{application.PORT}/1"
app = Celery("tasks", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True
close_with_worker()


@app.task
def work(number: int) -> int:
    return application.work(number)


@app.task
def middle(ttl: float) -> int:
    return application.middle(ttl)
