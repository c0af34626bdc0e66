"""Coordination over the Redis you have: fair, fenced locks, transactions across servers, exact
counters, and the ring that places keys.

    import comity, redis

    co = comity.connect(redis.Redis())
    with co.lock("invoice:42", ttl=10) as held:
        print(held.fence)
    with co.transaction() as tx:
        tx.incrby("alice", -30).incrby("bob", 30)

`connect()` without a client runs on a store in this process. `comity.core` is the same without
any I/O, for programs that bring their own.
"""

from ._core import Counter, ErrorReply, Event, PNCounter, Ring, __version__
from .builder import Savepoint, Wait
from .clock import clock
from .coordinator import Coordinator, connect
from .counter import Batched, CounterAudit, CounterValue, Journaled
from .errors import (
    AbortedError,
    Closed,
    CommandFailed,
    ConflictError,
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
    OutcomeUnknown,
    RingMismatch,
    ServerRefused,
    Unreachable,
    Unsupported,
    WrongType,
)
from .events import Events
from .exits import close_all, close_on_signal
from .inspection import Holder, Inspection, Waiter
from .lock import Lock
from .memory import MemoryStore
from .server import Server, tcp
from .transaction import Transaction

__all__ = [
    "AbortedError",
    "Batched",
    "Closed",
    "CommandFailed",
    "ConflictError",
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
    "OutcomeUnknown",
    "PNCounter",
    "Ring",
    "RingMismatch",
    "Savepoint",
    "Server",
    "ServerRefused",
    "Transaction",
    "Unreachable",
    "Unsupported",
    "Wait",
    "Waiter",
    "WrongType",
    "__version__",
    "clock",
    "close_all",
    "close_on_signal",
    "connect",
    "tcp",
]
