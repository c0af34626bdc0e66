from comity.contrib.gunicorn import worker_exit  # noqa: F401
