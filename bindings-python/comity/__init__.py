"""Coordination over the Redis you have: fair, fenced locks, and the ring that places keys.

    import comity, redis

    co = comity.connect(redis.Redis())
    with co.lock("invoice:42", ttl=10) as held:
        print(held.fence)

`connect()` without a client runs on a store in this process. `comity.core` is the same without
any I/O, for programs that bring their own.
"""

from ._core import Counter, ErrorReply, Event, PNCounter, Ring, __version__
from .clock import clock
from .coordinator import Coordinator, connect
from .counter import Batched, CounterAudit, CounterValue, Journaled
from .errors import (
    Closed,
    Corrupt,
    CounterOverflow,
    Error,
    InternalError,
    InvalidArgument,
    InvalidState,
    LimitExceeded,
    LockLost,
    LockTimeout,
    NoAnswer,
    NotHeld,
    ServerRefused,
    Unreachable,
    Unsupported,
    WrongType,
)
from .events import Events
from .inspection import Holder, Inspection, Waiter
from .lock import Lock
from .memory import MemoryStore

__all__ = [
    "Batched",
    "Closed",
    "Coordinator",
    "Corrupt",
    "Counter",
    "CounterAudit",
    "CounterOverflow",
    "CounterValue",
    "Error",
    "ErrorReply",
    "Event",
    "Events",
    "Holder",
    "Inspection",
    "InternalError",
    "InvalidArgument",
    "InvalidState",
    "Journaled",
    "LimitExceeded",
    "Lock",
    "LockLost",
    "LockTimeout",
    "MemoryStore",
    "NoAnswer",
    "NotHeld",
    "PNCounter",
    "Ring",
    "ServerRefused",
    "Unreachable",
    "Unsupported",
    "Waiter",
    "WrongType",
    "__version__",
    "clock",
    "connect",
]
