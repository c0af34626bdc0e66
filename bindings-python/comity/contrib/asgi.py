"""ASGI (FastAPI, Starlette, uvicorn): coordinators that live as long as the application.

from comity.contrib.asgi import lifespan

app = FastAPI(lifespan=lifespan(lambda: comity.aio.connect(redis.asyncio.Redis())))

@app.post("/pay")
async def pay(request: Request):
    async with request.app.state.comity.lock("till"):
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..aio import Coordinator
from ..exits import close_all


def lifespan(
    connect: Callable[[], Coordinator] | None = None, *, name: str = "comity"
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """The lifespan of an application: connects before the first request, as `app.state.comity`, and
    closes after the last, coordinators for threads too. `name`: that of the attribute.
    """

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[None]:
        try:
            if connect is None:
                yield
            else:
                async with connect() as coordinator:
                    setattr(app.state, name, coordinator)
                    yield
        finally:
            await asyncio.to_thread(close_all)

    return run
