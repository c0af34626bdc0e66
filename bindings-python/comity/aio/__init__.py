"""comity for asyncio: the same verbs and promises, awaited.

    import comity.aio, redis.asyncio

    async with comity.aio.connect(redis.asyncio.Redis()) as co:
        async with co.lock("invoice:42", ttl=10) as held:
            print(held.fence)
        async with co.transaction() as tx:
            tx.incrby("alice", -30).incrby("bob", 30)

`connect()` without a client runs on a store in this process. Errors, the ring and the embedded
store are those of `comity`.
"""

from .coordinator import Coordinator, connect
from .counter import Counter
from .events import Events
from .lock import Lock
from .transaction import Transaction

__all__ = ["Coordinator", "Counter", "Events", "Lock", "Transaction", "connect"]
