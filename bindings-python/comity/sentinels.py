"""What sentinels say of a master, whoever asks them: threads or a loop.

redis-py asks them with clients that try again for many seconds. comity asks each once, within its
share of the time that is left for the connection.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from .causes import words
from .clock import now_us

Address: TypeAlias = tuple[str, int]
Asking: TypeAlias = Generator[tuple[Any, int], Any, Address]
"""Yields a sentinel's client and until when to ask it; is sent its masters by name, or what it
raised.
"""


def manager_of(pool: Any) -> Any | None:
    """The `Sentinel` that a pool finds its servers by; None for a pool of another kind."""
    return getattr(pool, "sentinel_manager", None)


def master_of(pool: Any, deadline: int) -> Asking:
    """The address of a pool's master. Raises redis-py's `MasterNotFoundError`, which names all the
    sentinels and why none of them could say.
    """
    from redis.sentinel import MasterNotFoundError

    manager: Any = manager_of(pool)
    service = pool.service_name
    clients = list(getattr(manager, "sentinels", ()))
    said: list[str] = []
    last: BaseException | None = None
    for place, client in enumerate(clients):
        now = now_us()
        # One share is the master's own.
        masters = yield client, now + max(0, deadline - now) // (len(clients) - place + 1)
        if isinstance(masters, BaseException):
            last = masters
            said.append(f"{_where(client)} ({words(masters)})")
            continue
        state = masters.get(service)
        if state and manager.check_master_state(state, service):
            forced = getattr(manager, "_force_master_ip", None)
            return (state["ip"] if forced is None else forced), state["port"]
        said.append(f"{_where(client)} ({'it is down' if state else 'it does not know it'})")
    raise MasterNotFoundError(f"no sentinel has a master {service!r}: {', '.join(said)}") from last


def _where(client: Any) -> str:
    kwargs = client.connection_pool.connection_kwargs
    return str(kwargs.get("path") or f"{kwargs.get('host')}:{kwargs.get('port')}")
