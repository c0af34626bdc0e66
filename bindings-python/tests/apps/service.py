"""A service of FastAPI's: counts inside of a lock, and holds another until its end."""

from __future__ import annotations

import asyncio
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


client = redis.asyncio.Redis(host="127.0.0.1", port=PORT)


@app.post("/middle/{ttl}")
async def middle(ttl: float, request: Request) -> int:
    """See `application.middle`."""
    co = request.app.state.comity
    hits = co.counter("hits", durability=comity.Batched(3600))
    held = co.lock("held", ttl=ttl, wait=60)
    async with co.lock("till", ttl=ttl, wait=60) as till:
        await held.acquire()
        hits.add(2)
        await hits.flush()
        hits.add(3)
        await client.rpush("there", f"{os.getpid()} {till.fence}")
        while not await client.lpop("go"):
            await asyncio.sleep(0.02)
    await held.release()
    return os.getpid()
