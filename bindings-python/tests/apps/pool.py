"""A program with a pool of processes, which begins a job for each ttl that it is sent."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time

import application

import comity

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    # The end of this block is `Pool.terminate()`.
    with context.Pool(3, initializer=comity.close_on_signal) as pool:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        while True:
            ttl = application.client.lpop("jobs")
            if ttl is None:
                time.sleep(0.02)
            else:
                pool.apply_async(application.middle, (float(ttl),))
