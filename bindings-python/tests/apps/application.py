"""One application as each server runs it: a lock and a counter. `PORT` is that of its Redis."""

from __future__ import annotations

import os
import time

import redis

import comity

PORT = int(os.environ["PORT"])
client = redis.Redis(host="127.0.0.1", port=PORT)


def connect():
    return comity.connect(client, timeout=20)


if os.environ.get("PRELOAD"):
    # As a module does that is loaded before its workers are forked.
    co = connect()
    hits = co.counter("hits", durability=comity.Batched(3600))
    master = co.lock("master", ttl=60)
    master.acquire()

kept = []


def work(number: int) -> int:
    """A job: it counts inside of a lock, and holds another when it ends."""
    with co.lock("till", ttl=60, wait=60):
        hits.add(1)
    held = co.lock(f"held {number} {os.getpid()}", ttl=60)
    held.acquire()
    kept.append(held)
    return os.getpid()


def middle(ttl: float) -> int:
    """A job that may be ended in its middle: it says when it is there, and waits to be let go.
    It holds two locks then, one of them outside of a block, and 3 of the 5 it counts are pending.
    """
    held = co.lock("held", ttl=ttl, wait=60)
    with co.lock("till", ttl=ttl, wait=60) as till:
        held.acquire()
        hits.add(2)
        hits.flush()
        hits.add(3)
        client.rpush("there", f"{os.getpid()} {till.fence}")
        while not client.lpop("go"):
            time.sleep(0.02)
    held.release()
    return os.getpid()


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/sure":
        answer = str(sure()).encode()
    elif environ["PATH_INFO"].startswith("/middle/"):
        answer = str(middle(float(environ["PATH_INFO"][8:]))).encode()
    else:
        answer = str(work(0) if not kept else count()).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def sure() -> int:
    counter = co.counter("sure")
    counter.add(1)
    counter.flush()
    return os.getpid()


def count() -> int:
    with co.lock("till", ttl=60, wait=60):
        hits.add(1)
    return os.getpid()
