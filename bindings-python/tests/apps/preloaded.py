"""A worker of RQ's that has its application loaded before it forks for a job, as RQ advises."""

import application  # noqa: F401

from comity.contrib.rq import Worker  # noqa: F401
