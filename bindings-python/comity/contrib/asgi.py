"""ASGI (FastAPI, Starlette, uvicorn): coordinators that live as long as the application.

from comity.contrib.asgi import lifespan

app = FastAPI(lifespan=lifespan(lambda: comity.aio.connect(redis.asyncio.Redis())))

@app.post("/pay")
async def pay(request: Request):
    async with request.app.state.comity.lock("till"):
        ...

Coordinators for threads, which a module makes, are closed by `lifespan()`. Inside a lifespan of the
application's own: `async with lifespan(connect)(app): yield`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..aio import Coordinator
from ..errors import InvalidArgument
from ..exits import close_all


def lifespan(
    connect: Callable[[], Coordinator] | None = None, *, name: str = "comity"
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """The lifespan of an application: connects before the first request, as `app.state.comity`, and
    closes after the last, coordinators for threads too. `connect`: a function that returns what
    `comity.aio.connect()` does, once for each start. `name`: that of the attribute.

    Raises `InvalidArgument` for a `connect` that is no function and, at the start, for one that
    returns anything else.
    """
    if connect is not None and not callable(connect):
        raise InvalidArgument(
            "connect must be a function, as in lifespan(lambda: comity.aio.connect(...)), not "
            f"{_kind(connect)}"
        )

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[None]:
        try:
            if connect is None:
                yield
            else:
                async with _checked(connect()) as coordinator:
                    setattr(app.state, name, coordinator)
                    yield
        finally:
            await asyncio.to_thread(close_all)

    return run


def _checked(coordinator: object) -> Coordinator:
    if not isinstance(coordinator, Coordinator):
        raise InvalidArgument(
            "connect must return what comity.aio.connect() does, not "
            f"{_kind(coordinator)}; a coordinator for threads needs no connect: lifespan()"
        )
    return coordinator


def _kind(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
