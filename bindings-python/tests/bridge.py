"""`comity.aio` as if it were `comity`: what a test does to threads is done to a loop as well.

Each coordinator has an event loop of its own, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from typing import Any

import redis.asyncio

import comity.aio

_PASSED_ON = ("host", "port", "username", "password", "db", "protocol", "decode_responses")


def connect(clients: Any, **options: Any) -> Coordinator:
    """`comity.aio.connect` with the counterparts of these `redis.Redis` clients, or with stores."""
    if isinstance(clients, Mapping):
        return Coordinator({key: _counterpart(each) for key, each in clients.items()}, **options)
    return Coordinator(_counterpart(clients), **options)


def _counterpart(client: Any) -> Any:
    if not isinstance(client, redis.Redis):
        return client
    kwargs = client.connection_pool.connection_kwargs
    client.close()
    return redis.asyncio.Redis(**{key: kwargs[key] for key in _PASSED_ON if key in kwargs})


class _Waits:
    """Something whose coroutines run on the loop."""

    def __init__(self, one: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._one = one
        self._loop = loop

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._one, name)

    def __enter__(self) -> Any:
        self._do(self._one.__aenter__())
        return self

    def __exit__(self, *exception: Any) -> None:
        self._do(self._one.__aexit__(*exception))


class Lock(_Waits):
    def acquire(self, **options: Any) -> Any:
        return self._do(self._one.acquire(**options))

    def release(self) -> None:
        self._do(self._one.release())

    def extend(self, *span: float) -> None:
        self._do(self._one.extend(*span))


class Counter(_Waits):
    def read(self, *args: Any, **options: Any) -> Any:
        return self._do(self._one.read(*args, **options))

    def flush(self) -> None:
        self._do(self._one.flush())

    def reset(self, **options: Any) -> Any:
        return self._do(self._one.reset(**options))

    def audit(self, **options: Any) -> Any:
        return self._do(self._one.audit(**options))

    def close(self) -> None:
        self._do(self._one.close())


class Transaction(_Waits):
    """Chaining returns this; what is awaited there returns its value here."""

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._one, name)
        if not callable(thing):
            return thing

        def call(*args: Any, **options: Any) -> Any:
            result = thing(*args, **options)
            if result is self._one:
                return self
            return self._do(result) if asyncio.iscoroutine(result) else result

        return call

    def __len__(self) -> int:
        return len(self._one)


class Events(_Waits):
    def get(self, timeout: float | None = None) -> Any:
        return self._do(self._one.get(timeout))


class Coordinator(_Waits):
    def __init__(self, clients: Any, **options: Any) -> None:
        loop = asyncio.new_event_loop()
        super().__init__(comity.aio.connect(clients, **options), loop)
        self._thread = threading.Thread(target=loop.run_forever, daemon=True)
        self._thread.start()
        if options.get("check", True):
            try:
                self._do(self._one.__aenter__())
            except BaseException:
                self._end()
                raise

    def lock(self, name: Any, **options: Any) -> Lock:
        return Lock(self._one.lock(name, **options), self._loop)

    def counter(self, name: Any, **options: Any) -> Counter:
        async def opened() -> Any:
            return self._one.counter(name, **options)

        return Counter(self._do(opened()), self._loop)

    def transaction(self, **options: Any) -> Transaction:
        return Transaction(self._one.transaction(**options), self._loop)

    def run_transaction(self, func: Any, *keys: Any, **options: Any) -> Any:
        async def in_a_thread(tx: Any) -> Any:
            return await asyncio.to_thread(func, Transaction(tx, self._loop))

        return self._do(self._one.run_transaction(in_a_thread, *keys, **options))

    def snapshot(self, *keys: Any, **options: Any) -> Any:
        return self._do(self._one.snapshot(*keys, **options))

    def transaction_status(self, txid: Any) -> Any:
        return self._do(self._one.transaction_status(txid))

    def resolve(self, txid: Any) -> Any:
        return self._do(self._one.resolve(txid))

    def sweep(self, **options: Any) -> Any:
        return self._do(self._one.sweep(**options))

    def inspect(self, name: Any) -> Any:
        return self._do(self._one.inspect(name))

    def fence_check(self, resource: Any, fence: int) -> Any:
        return self._do(self._one.fence_check(resource, fence))

    def events(self, **options: Any) -> Events:
        return Events(self._one.events(**options), self._loop)

    def close(self) -> None:
        if self._thread.is_alive():
            self._do(self._one.close())
            self._end()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()
