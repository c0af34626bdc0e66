"""A service of FastAPI's: counts inside of a lock, and holds another until its end."""

from __future__ import annotations

import os

import redis.asyncio
from fastapi import FastAPI, Request

import comity.aio
from comity.contrib.asgi import lifespan

PORT = int(os.environ["PORT"])


def connect():
    return comity.aio.connect(redis.asyncio.Redis(host="127.0.0.1", port=PORT), timeout=20)


app = FastAPI(lifespan=lifespan(connect))


@app.post("/hit")
async def hit(request: Request) -> int:
    co = request.app.state.comity
    if not hasattr(request.app.state, "held"):
        request.app.state.held = co.lock(f"held {os.getpid()}", ttl=60)
        await request.app.state.held.acquire()
    async with co.lock("till", ttl=60, wait=60):
        co.counter("hits", durability=comity.Batched(3600)).add(1)
    return os.getpid()


@app.post("/sure")
async def sure(request: Request) -> int:
    hits = request.app.state.comity.counter("sure")
    hits.add(1)
    await hits.flush()
    return os.getpid()
