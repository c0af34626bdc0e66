"""The core as it is: pure state machines, no I/O.

Times and spans are integer microseconds. `now` is the host's monotonic clock, one that counts
through suspend where there is one (`comity.clock`). Verbs return an id, or raise a misuse error
of `comity.errors` with the state unchanged; inputs are never refused.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, final

__all__ = [
    "ERROR_CODES",
    "Command",
    "Coordinator",
    "ErrorReply",
    "Event",
    "MemoryStore",
    "Ring",
    "__version__",
]

__version__: Final[str]

ERROR_CODES: Final[dict[str, int]]
"""The core's own error table: name to code."""

@final
class Command:
    """One Redis command, rendered. Send it once, before `deadline`, and report what came of it."""

    @property
    def request(self) -> int:
        """What to pass to `handle_reply` or `handle_failure`."""

    @property
    def node(self) -> int:
        """The number of the node it goes to."""

    @property
    def route(self) -> Literal["node", "subscribe"]:
        """`subscribe`: open the push connection and send it there."""

    @property
    def origin(self) -> int | None:
        """The lock or call it serves; None is background work of the core."""

    @property
    def deadline(self) -> int:
        """When to give up."""

    @property
    def argv(self) -> list[bytes]:
        """The command and its arguments."""

    @property
    def packed(self) -> bytes:
        """The same as RESP bytes, ready for the socket."""

@final
class Event:
    """Something happened. Attributes that do not apply to the kind are None.

    `lock_queued`: lock, rank, holder. `lock_granted`: lock, fence, valid_until. `lock_renewed`:
    lock, valid_until. `lock_lost` (terminal): lock, error. `lock_released` (terminal): lock.
    `lock_failed` (terminal): lock, error, holder. `lock_inspected` (terminal): call, inspection.
    `fence_checked` (terminal): call, accepted, fence (the highest seen). `node_checked`
    (terminal): call, node, server_version, eviction_policy. `call_failed` (terminal): call, node,
    error. `push_unavailable`: node, error; waiters fall back to polling. `push_ready`: node.
    `closed`: everything that `close` began is done.
    """

    @property
    def kind(
        self,
    ) -> Literal[
        "lock_queued",
        "lock_granted",
        "lock_renewed",
        "lock_lost",
        "lock_released",
        "lock_failed",
        "lock_inspected",
        "fence_checked",
        "node_checked",
        "call_failed",
        "push_unavailable",
        "push_ready",
        "closed",
    ]:
        """What happened."""

    @property
    def lock(self) -> int | None:
        """The lock it is about."""

    @property
    def call(self) -> int | None:
        """The call it answers."""

    @property
    def node(self) -> int | None:
        """The number of the node it is about."""

    @property
    def rank(self) -> int | None:
        """How many wait ahead."""

    @property
    def fence(self) -> int | None:
        """A fencing token."""

    @property
    def valid_until(self) -> int | None:
        """When the lease ends."""

    @property
    def accepted(self) -> bool | None:
        """Whether a fence was accepted."""

    @property
    def holder(self) -> bytes | None:
        """The label of who holds the lock."""

    @property
    def server_version(self) -> str | None:
        """The version of a server."""

    @property
    def eviction_policy(self) -> str | None:
        """The eviction policy of a server."""

    @property
    def inspection(self) -> dict[str, Any] | None:
        """A lock as its server sees it: `now` (us), `capacity`, `holders` (`id`, `label`,
        `fence`, `remaining` us), `waiters` (`id`, `label`), `holders_total`, `waiters_total`.
        """

    @property
    def error(self) -> Exception | None:
        """Why it failed, as the exception of `comity.errors` for its code."""

@final
class Coordinator:
    """The facade of the core. Thread-safe; every call is legal at any time; no call blocks."""

    def __new__(
        cls,
        nodes: Iterable[tuple[bytes, int]],
        *,
        entropy: bytes,
        now: int,
        prefix: bytes = ...,
        timeout_us: int = 5_000_000,
        push: bool = True,
    ) -> Coordinator:
        """`nodes`: stable id and weight. `entropy`: exactly 32 bytes from `os.urandom`.
        `timeout_us`: how long a verb tries to reach a server before it fails. `push`: False never
        subscribes, waiters poll.
        """

    def lock_acquire(
        self,
        name: bytes,
        now: int,
        *,
        ttl_us: int = 30_000_000,
        wait_us: int | None = None,
        renew: bool = True,
        max_hold_us: int | None = None,
        label: bytes = ...,
    ) -> int:
        """Queues for a lock. `wait_us`: None for as long as it takes, 0 to try once."""

    def lock_release(self, lock: int, now: int) -> None:
        """Gives a lock back. Raises `NotHeld`."""

    def lock_cancel(self, lock: int, now: int) -> None:
        """Ends a lock in any state, released if held; no event follows for it."""

    def lock_renew(self, lock: int, now: int, *, ttl_us: int | None = None) -> None:
        """Renews a lease; answered by `lock_renewed`. Raises `NotHeld`."""

    def lock_inspect(self, name: bytes, now: int) -> int:
        """Asks who holds a lock and who waits."""

    def fence_check(self, resource: bytes, fence: int, now: int) -> int:
        """Shows a fence to the guard of a resource."""

    def check_nodes(self, now: int) -> list[int]:
        """Asks every node whether it can serve: one call per node."""

    def lock_is_held(self, lock: int, now: int) -> bool:
        """Whether the lease is certain to be valid at `now`."""

    def lock_valid_until(self, lock: int) -> int | None:
        """When the lease ends unless it is renewed."""

    def handle_reply(self, request: int, reply: Any, now: int) -> None:
        """None, bytes, str (simple string), int, bool, float, list, dict or set; an error reply
        is `ErrorReply` with the server's whole text.
        """

    def handle_failure(
        self, request: int, failure: Literal["not_sent", "outcome_unknown"], now: int
    ) -> None:
        """No answer: not a byte was written, or some may have been."""

    def handle_node(
        self, node: int, change: Literal["connected", "lost", "push_ready", "push_lost"], now: int
    ) -> None:
        """A connection came or went."""

    def handle_message(self, node: int, channel: bytes, payload: bytes, now: int) -> None:
        """A push arrived."""

    def handle_clock_gap(self, now: int) -> None:
        """The host slept or its clock jumped."""

    def handle_timeout(self, now: int) -> None:
        """The time. Early, late or twice is harmless."""

    def poll_command(self) -> Command | None:
        """The next command to send."""

    def poll_command_for(self, node: int) -> Command | None:
        """The next command to send to one node."""

    def poll_event(self) -> Event | None:
        """The next event."""

    def next_deadline(self) -> int | None:
        """When to call `handle_timeout`."""

    def stats(self) -> dict[str, int]:
        """Counters since the start."""

    def close(self, now: int) -> None:
        """Begins the end, answered by `closed`; every later verb raises `Closed`."""

    @property
    def ring(self) -> Ring:
        """The ring of the nodes."""

    def node_id(self, node: int) -> bytes:
        """The stable id of a node number."""

    def inbox(self) -> bytes:
        """The one channel this coordinator subscribes to."""

@final
class ErrorReply:
    """An error as a server sent it, code word and all."""

    def __new__(cls, text: bytes) -> ErrorReply: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def text(self) -> bytes:
        """The server's words."""

@final
class Ring:
    """Which node each key belongs to. An immutable value.

    Keys and ids are bytes, or str as UTF-8; ids come back as str where they are UTF-8. The same
    nodes give the same placement in every process and every language.
    """

    def __new__(
        cls,
        nodes: Iterable[str | bytes | tuple[str | bytes, int]] | None = None,
        *,
        seed: int = 0,
        points_per_weight: int = 512,
    ) -> Ring:
        """`nodes`: ids, or ids with a weight; None is an empty ring."""

    def node(self, key: str | bytes) -> str | bytes | None:
        """The node a key belongs to; None on an empty ring."""

    def replicas(self, key: str | bytes, n: int) -> list[str | bytes]:
        """The first `n` different nodes for a key, the owner first."""

    def nodes(self) -> list[tuple[str | bytes, int]]:
        """Ids and weights, sorted by id."""

    def with_node(self, id: str | bytes, weight: int = 1) -> Ring:
        """A ring with one node more, or with another weight for one it has."""

    def without_node(self, id: str | bytes) -> Ring:
        """A ring with one node less."""

    def moved_share(self, other: Ring) -> float:
        """The share of all keys that `other` places elsewhere, 0.0..1.0."""

    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def fingerprint(self) -> int:
        """Equal for rings that place every key alike."""

@final
class MemoryStore:
    """The embedded store: a small Redis in this process."""

    def __new__(cls) -> MemoryStore: ...
    def execute(self, argv: Sequence[bytes], now: int) -> Any:
        """Runs one command of the core's, or one that `docs/embedded-store.md` lists. The reply is
        what `handle_reply` takes; after an `ErrorReply` nothing has changed.
        """

    def poll_message(self) -> tuple[bytes, bytes] | None:
        """Channel and payload of a PUBLISH that is not yet delivered."""
