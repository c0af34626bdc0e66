"""The core as it is: pure state machines, no I/O.

Times and spans are integer microseconds. `now` is the host's monotonic clock, one that counts
through suspend where there is one (`comity.clock`). Verbs return an id, or raise a misuse error
of `comity.errors` with the state unchanged; inputs are never refused.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import GenericAlias
from typing import Any, Final, Generic, Literal, Protocol, final

from typing_extensions import TypeVar

from .counter import CounterAudit, CounterValue, Desk

__all__ = [
    "ERROR_CODES",
    "Baton",
    "Command",
    "Connection",
    "Coordinator",
    "Counter",
    "ErrorReply",
    "Event",
    "Exchange",
    "MemoryStore",
    "PNCounter",
    "Ring",
    "__version__",
    "forked",
    "forward",
    "hand_over",
    "leave",
    "refuse",
    "refuse_late",
]

__version__: Final[str]

ERROR_CODES: Final[dict[str, int]]
"""The core's own error table: name to code."""

_bytes = bytes
_Id = TypeVar("_Id", bound=str | bytes, default=str)

class _Ready(Protocol):
    """What `Coordinator.poll` puts there."""

    deadline: int

    @property
    def commands(self) -> deque[tuple[Command, int, int | None, bool]]: ...
    @property
    def events(self) -> deque[Event]: ...

@final
class Baton:
    """What one thread has at a time. Each call is one step for everybody: neither another thread
    nor a finalizer nor the handler of a signal gets in between.
    """

    def __new__(cls) -> Baton: ...
    @property
    def holder(self) -> int:
        """Who has it; 0 for nobody."""

    def take(self, holder: int) -> bool:
        """Whether `holder`, above 0, has it from now on: only if nobody had."""

    def leave(self, holder: int) -> bool:
        """Whether `holder` had it; nobody has it then."""

@final
class Command:
    """One Redis command, rendered. Send it once, before `deadline`, and report what came of it."""

    def __new__(
        cls,
        request: int,
        argv: Sequence[_bytes],
        deadline: int,
        *,
        node: int = 0,
        origin: int | None = None,
        route: Literal["node", "subscribe", "blocking"] = "node",
    ) -> Command:
        """One that no core has made, to try a driver with."""

    @property
    def request(self) -> int:
        """What to pass to `handle_reply` or `handle_failure`."""

    @property
    def node(self) -> int:
        """The number of the node it goes to."""

    @property
    def route(self) -> Literal["node", "subscribe", "blocking"]:
        """`subscribe`: open the push connection and send it there. `blocking`: over a connection
        that serves this route alone. All of them that are ready for a node leave in one write;
        what cannot is not sent, and never sent on another connection.
        """

    @property
    def origin(self) -> int | None:
        """The lock, counter, call or transaction it serves, or the end of which it follows; None is
        background work of the core.
        """

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
    """Something happened. Attributes that do not apply to the kind are None; whatever has `lock` or
    `counter` has its `name`.

    `lock_queued`: lock, rank, holder. `lock_granted`: lock, fence, valid_until. `lock_renewed`:
    lock, valid_until, accepted (whether it is what the last `lock_renew` asked for);
    `lock_not_renewed`: lock, error (`lock_renew` has failed). `lock_lost` (terminal): lock, error.
    `lock_released` (terminal): lock.
    `lock_failed` (terminal): lock, error, holder. `lock_inspected` (terminal): call, inspection.
    `fence_checked` (terminal): call, accepted, fence (the highest seen). `node_checked`
    (terminal): call, node, server_version, eviction_policy. `counter_flushed` (terminal): call,
    counter. `counter_read` (terminal): call, counter, value. `counter_reset` (terminal): call,
    counter, epoch. `counter_audited` (terminal): call, counter, audit. `counter_journal`: counter,
    bytes; say `counter_journaled` when they are written down. `counter_lost`: counter, units,
    error. `counter_regressed`: counter, node. `counter_refused`: counter, error. `counter_closed`
    (terminal): counter, node, units (that are not acknowledged). `transaction_committed`
    (terminal): transaction, id, replies (None where they are gone), applied, replicas; ahead of it
    one `transaction_not_durable` for each node of which too few replicas are known to have it:
    transaction, id, node, replicas, error. `transaction_failed` (terminal):
    transaction, id, error. `transaction_unknown` (terminal): transaction, id, error; later
    `transaction_ended`: id, outcome. `transaction_damaged`: id, node. `transaction_status`,
    `transaction_resolved` (terminal): call, id, outcome. `transaction_swept` (terminal): call,
    units, unreadable. `call_failed` (terminal): call, node,
    error. `node_down`: node, error, waiting; `node_up`: node, outage.
    `push_unavailable`: node, error; waiters fall back to polling. `push_ready`: node.
    `closed`: everything that `close` began is done.
    """

    @property
    def kind(
        self,
    ) -> Literal[
        "lock_queued",
        "lock_granted",
        "lock_renewed",
        "lock_not_renewed",
        "lock_lost",
        "lock_released",
        "lock_failed",
        "lock_inspected",
        "fence_checked",
        "node_checked",
        "counter_flushed",
        "counter_read",
        "counter_reset",
        "counter_audited",
        "counter_journal",
        "counter_lost",
        "counter_regressed",
        "counter_refused",
        "counter_closed",
        "transaction_committed",
        "transaction_not_durable",
        "transaction_failed",
        "transaction_unknown",
        "transaction_ended",
        "transaction_damaged",
        "transaction_status",
        "transaction_resolved",
        "transaction_swept",
        "call_failed",
        "node_down",
        "node_up",
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
    def counter(self) -> int | None:
        """The counter it is about."""

    @property
    def transaction(self) -> int | None:
        """The transaction it is about."""

    @property
    def subject(self) -> int | None:
        """The first of lock, call, counter and transaction that is not None."""

    @property
    def node(self) -> int | None:
        """The number of the node it is about."""

    @property
    def name(self) -> _bytes | None:
        """The name of the lock or counter it is about."""

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
        """Whether a fence was accepted; whether a renewal is the one that was asked for."""

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
    def value(self) -> dict[str, Any] | None:
        """A counter's value: `value`, `staleness` (us or None), `token`, `epoch`, `pending`,
        `oldest_pending` (us or None).
        """

    @property
    def audit(self) -> dict[str, Any] | None:
        """What an audit found: `live`, `retired`, `pruned`, `compared`, `corrected`."""

    @property
    def epoch(self) -> int | None:
        """How many resets there were."""

    @property
    def units(self) -> int | None:
        """So many, of a counter."""

    @property
    def bytes(self) -> _bytes | None:
        """A journal."""

    @property
    def id(self) -> _bytes | None:
        """The id of a transaction, for `transaction_status` and `transaction_resolve`."""

    @property
    def replies(self) -> list[Any] | None:
        """One for each command of a transaction."""

    @property
    def applied(self) -> bool | None:
        """Whether plain readers see all of a transaction by now."""

    @property
    def replicas(self) -> int | None:
        """So many replicas of each server, or of the node, are known to have a transaction."""

    @property
    def waiting(self) -> int | None:
        """How many wait in line for a lock of a server that does not answer."""

    @property
    def outage(self) -> int | None:
        """How long a server did not answer, in microseconds."""

    @property
    def unreadable(self) -> int | None:
        """So many records of transactions can be read by nobody, and a sweep has left them."""

    @property
    def outcome(
        self,
    ) -> Literal["committed", "aborted", "pending", "unheard", "forgotten"] | None:
        """What is known of a transaction."""

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
        """Gives a lock back. Raises `LockLost` for a lease that has ended, or `NotHeld`."""

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

    def counter(
        self,
        name: bytes,
        desk: Desk,
        now: int,
        *,
        durability: Literal["sync", "batched", "journaled"] | None = None,
        max_delay_us: int = 10_000,
        max_units: int | None = None,
        restore: bytes | None = None,
    ) -> Counter:
        """A counter that keeps its numbers itself, in a place that takes no lock. One that is open
        is that one; None for `durability` leaves it as it is. Raises `InvalidState` otherwise.
        """

    def counter_open(
        self,
        name: bytes,
        now: int,
        *,
        durability: Literal["sync", "batched", "journaled"] = "batched",
        max_delay_us: int = 10_000,
        max_units: int | None = None,
        restore: bytes | None = None,
    ) -> int:
        """Opens a counter whose numbers the core keeps. `restore`: the bytes of a journal or a
        snapshot. Raises `InvalidState` if it is open, `Corrupt`.
        """

    def counter_add(self, counter: int, n: int, now: int) -> None:
        """Counts, for `counter_open`. Raises `CounterOverflow`, `LimitExceeded`."""

    def counter_tell(self, counter: int, now: int) -> None:
        """A `Counter` has counted something: what its desk is asked to say."""

    def counter_value(self, counter: int, now: int) -> dict[str, Any]:
        """What it stands at as far as is known here: see `Event.value`."""

    def counter_read(self, counter: int, now: int, *, at_least: int | None = None) -> int:
        """Asks for a value as of now, or at least as of a token."""

    def counter_flush(self, counter: int, now: int) -> int:
        """Flushes at once."""

    def counter_reset(self, counter: int, now: int, *, epoch: int | None = None) -> int:
        """Lets the value be zero; with `epoch` only after so many resets."""

    def counter_audit(self, counter: int, now: int, *, prune_us: int | None = None) -> int:
        """Compares the totals with the slots, and retires who was silent for so long."""

    def counter_snapshot(self, counter: int, now: int) -> bytes:
        """What a later life has to restore."""

    def counter_journaled(self, counter: int, now: int) -> None:
        """The bytes of the last `counter_journal` are written down."""

    def counter_merge(self, counter: int, bytes: bytes, now: int) -> None:
        """Counts what a peer counter's replicas have counted. Raises `Corrupt`."""

    def counter_take_up(self, counter: int, bytes: bytes, now: int) -> None:
        """Restores into a counter that has just been opened. Raises `Corrupt`, `InvalidState`."""

    def counter_close(self, counter: int, now: int) -> int:
        """Flushes, ends the slot; answered by `counter_closed`. The same number again."""

    def transaction_execute(
        self,
        commands: Iterable[Iterable[bytes]],
        now: int,
        *,
        expectations: Iterable[tuple[Any, ...]] | None = None,
        ack: Literal["applied", "decided"] = "applied",
        timeout_us: int | None = None,
        patience_us: int | None = None,
        copy_elements: int | None = None,
        copy_bytes: int | None = None,
        replicas: tuple[int, int] | None = None,
    ) -> int:
        """Executes all of the commands or none, if every expectation is met: `("value", key,
        value)`, `("exists", key)`, `("absent", key)`, or `("unchanged", words, reply)` for a read.
        `timeout_us`: until when it is decided. `patience_us`: how long its keys stay locked after a
        vote before others may end it. `copy_elements`, `copy_bytes`: the largest value that is
        copied to be changed. `replicas`: how many of each server's are to have it, and for how many
        microseconds they are waited for. Raises `Unsupported`, `InvalidArgument`, `LimitExceeded`.
        """

    def transaction_cancel(self, transaction: int, now: int) -> None:
        """Gives a transaction up, unless it is decided. Its end is told all the same."""

    def transaction_status(self, id: bytes, now: int) -> int:
        """Asks the primary of a transaction, by its id, what has become of it."""

    def transaction_resolve(
        self, id: bytes, now: int, *, heuristic: Literal["commit", "abort"] | None = None
    ) -> int:
        """Ends a transaction whose client does not. `heuristic`: what every node that has voted yes
        is told where the primary does not answer; each is reported as damaged where that is not
        what their votes come to.
        """

    def transaction_sweep(self, now: int, *, shadows: bool = True) -> int:
        """Removes what transactions have left over on every node. `shadows`: the whole key space is
        searched for those that an accident has left. Fails with the first node that could not be
        swept, once all the others have been.
        """

    def orphan(self) -> None:
        """In the child of a fork: no `Counter` of this coordinator counts any more."""

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

    def handle_unreachable(
        self, node: int, reason: str, now: int, *, lasting: bool = False
    ) -> None:
        """No connection can be made, and why, which every `Unreachable` of the node then says until
        it is connected or answers; of a longer text the first 512 bytes. `lasting`: waiting does
        not help, so what fails for it ends at once. To be told before the requests that fail for
        it.
        """

    def handle_refused(self, node: int, text: bytes, now: int) -> None:
        """The server refuses a connection with this error reply, in its set-up: what fails for it
        then as "not_sent" is a `ServerRefused` with its words, until the node is connected or
        answers. Whether waiting helps is known here. To be told before the requests that fail for
        it.
        """

    def handle_message(self, node: int, channel: bytes, payload: bytes, now: int) -> None:
        """A push arrived."""

    def handle_clock_gap(self, now: int) -> None:
        """The host slept or its clock jumped."""

    def handle_timeout(self, now: int) -> None:
        """The time. Early, late or twice is harmless."""

    def poll_command(self) -> Command | None:
        """The next command to send. What is too late to be sent is not given out, which may be the
        end of what it was for: poll events after commands.
        """

    def poll_command_for(self, node: int) -> Command | None:
        """The next command to send to one node."""

    def poll_event(self) -> Event | None:
        """The next event."""

    def next_deadline(self) -> int | None:
        """When to call `handle_timeout`."""

    def poll(self, ready: _Ready) -> None:
        """All of that at once, put behind what is in `ready`: every command, with its node, its
        origin and whether its route is another than `node`; every event; and the deadline, 2**63
        for none. No other code of the program runs meanwhile, be it a finalizer or the handler of a
        signal.
        """

    def stats(self) -> dict[str, int]:
        """Counters since the start."""

    def close(self, now: int) -> None:
        """Begins the end, answered by `closed`; every later verb raises `Closed`."""

    @property
    def ring(self) -> Ring[str]:
        """The ring of the nodes, with ids as text; what is no UTF-8 in them as `os.fsdecode` has
        it.
        """

    def node_id(self, node: int) -> bytes:
        """The id of a node number, as it was given. In `ring`, a single node is `0`."""

    def inbox(self) -> bytes:
        """The one channel this coordinator subscribes to."""

@final
class Counter:
    """Counts each unit once, in Redis. Made by `comity.Coordinator.counter`.

    Counting is an addition in memory and takes no lock; what is counted is flushed in the
    background, as the counter's durability says. Thread-safe. `docs/counter.md` has the promises.
    Every verb but `name`, `id` raises `Closed` after the close, and `InvalidState` in the child of
    a fork, where what was counted before stays the parent's.
    """

    @property
    def name(self) -> str | bytes:
        """The name it was opened with; bytes where it is not UTF-8."""

    @property
    def id(self) -> int:
        """What `Event.counter` says."""

    def add(self, n: int = 1, /) -> None:
        """Counts `n`, up or down, of any size. Waits for nothing.

        Raises `CounterOverflow` beyond 2**64 - 1 increments or decrements since the opening,
        `LimitExceeded` where more than `max_units` would be unacknowledged, `InvalidArgument` for
        what is not an int; nothing is counted then.
        """

    def add_many(self, amounts: Iterable[int], /) -> None:
        """Counts all of them or, where one is refused, none. Raises as `add` does."""

    def value(self) -> int:
        """What it stands at as far as is known here, own counts included. Waits for nothing."""

    def read(
        self, mode: Literal["fresh", "local"] = "fresh", *, at_least: int | None = None
    ) -> CounterValue:
        """The value and how sure it is.

        `"fresh"`: as of this call, by one round trip; with `at_least`, a token of an earlier read
        anywhere, only if what is known here is older. `"local"`: what is known here, at once.
        Raises `Unreachable`, `NoAnswer`, `ServerRefused`, `WrongType`.
        """

    def flush(self) -> None:
        """Waits until all that was counted before is safe, as the durability has it.

        Raises as `read` does when that takes longer than the coordinator's `timeout`; what was
        counted is kept then, and tried again in the background.
        """

    def reset(self, *, epoch: int | None = None) -> int:
        """Lets the value be zero, once; how many resets there were by now, this one included.

        What reaches the server after it counts. `epoch`: only if there were so many resets
        before, otherwise `InvalidState`. Raises as `read` does.
        """

    def audit(self, *, prune: float | None = None) -> CounterAudit:
        """Compares the sums with all slots and corrects them.

        `prune`: seconds; slots that nobody has raised for so long are retired. New ones take their
        places when there are no others, and until then, for seven days, their owners are still
        counted when they come back. Raises as `read` does, if a part of it is not answered in time.
        """

    def close(self) -> None:
        """Flushes what is pending and gives the slot back.

        Raises `NoAnswer` if that was not acknowledged within the coordinator's `timeout`.
        """

    def snapshot(self) -> bytes:
        """What a later life has to restore to lose nothing, were this one to end now."""

    def merge(self, state: bytes, /) -> None:
        """Counts what the replicas of a `PNCounter` have counted, by its `snapshot`.

        Each unit once, however often it is merged. It shows in the value once the server has it,
        which `flush` waits for. Raises `Corrupt`.
        """

    def restore(self, state: bytes, /) -> None:
        """Takes up a snapshot of an earlier life, before anything is counted or read.

        Raises `Corrupt`; `InvalidState` later than that, or for a journaled counter: give
        `restore=` at its opening.
        """

@final
class PNCounter:
    """A counter without a server: replicas exchange bytes and merge them.

    In any order and any number of times. Every instance is a replica of its own, what comes of
    pickling or copying one too: it knows all that the other does. Thread-safe; in
    the child of a fork it goes on as another replica.
    """

    def __new__(cls, *, replica: bytes | None = None) -> PNCounter:
        """`replica`: 16 bytes that no other instance ever has; random by default."""

    @staticmethod
    def restore(state: bytes, /) -> PNCounter:
        """A new replica that knows all that a snapshot says. Raises `Corrupt`."""

    def add(self, n: int = 1, /) -> None:
        """Counts `n`, up or down. Raises `CounterOverflow` beyond 2**64 - 1 increments or
        decrements of this replica, `InvalidArgument`; nothing is counted then.
        """

    def add_many(self, amounts: Iterable[int], /) -> None:
        """Counts all of them or, where one is refused, none. Raises as `add` does."""

    def value(self) -> int:
        """The sum of all replicas known here."""

    def merge(self, state: bytes, /) -> None:
        """Takes in another replica's snapshot. Raises `Corrupt`, and `LimitExceeded` beyond 65,536
        replicas; nothing is changed then.
        """

    def snapshot(self) -> bytes:
        """All that is known here: the same bytes for the same counts, in every language."""

    @property
    def replica(self) -> bytes:
        """The id of this replica."""

    def slots(self) -> dict[bytes, tuple[int, int]]:
        """The increments and decrements of each replica."""

def forked() -> None:
    """In the child of a fork: every `PNCounter` goes on as another replica."""

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
class Ring(Generic[_Id]):
    """Which node each key belongs to. An immutable value, which can be pickled.

    Keys and ids are bytes, or str as UTF-8; an id comes back as it was given: `Ring[str]` has ids
    of text, `Ring[bytes]` of bytes. The same nodes give the same placement in every process and
    every language, whether their ids were text or bytes.
    """

    def __new__(
        cls,
        nodes: Iterable[_Id | tuple[_Id, int]] | Mapping[_Id, int] | None = None,
        *,
        seed: int = 0,
        points_per_weight: int = 512,
    ) -> Ring[_Id]:
        """`nodes`: ids, or ids with a weight, also as a dict; None is an empty ring. Raises
        `InvalidArgument`, also for a lone str or bytes, which is one id, and `LimitExceeded`.
        """

    def node(self, key: str | bytes) -> _Id | None:
        """The node a key belongs to; None on an empty ring."""

    def replicas(self, key: str | bytes, n: int) -> list[_Id]:
        """The first `n` different nodes for a key, the owner first."""

    def nodes(self) -> list[tuple[_Id, int]]:
        """Ids and weights, sorted by id."""

    def with_node(self, id: _Id, weight: int = 1) -> Ring[_Id]:
        """A ring with one node more. Raises `InvalidArgument` for one that it has."""

    def with_weight(self, id: _Id, weight: int) -> Ring[_Id]:
        """A ring with another weight for one node. Raises `InvalidArgument` where there is none of
        this id.
        """

    def without_node(self, id: _Id) -> Ring[_Id]:
        """A ring with one node less. Raises `InvalidArgument` where there is none of this id."""

    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def __copy__(self) -> Ring[_Id]: ...
    def __deepcopy__(self, _memo: Any) -> Ring[_Id]: ...
    def moved_share(self, other: Ring[Any]) -> float:
        """The share of all keys that `other` places elsewhere, 0.0..1.0."""

    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def fingerprint(self) -> int:
        """Equal for rings that place every key alike."""

@final
class Connection:
    """The commands and bytes of one connection. Each call is one step, as those of `Baton`.

    `core` is a coordinator, which is told what they answer without a Python object for any of it,
    or whatever has its methods.
    """

    def __new__(cls, now: int, *, messages: bool = False) -> Connection:
        """One that was made just now, and is logged in. `messages`: it is for a subscription and
        what follows.
        """

    @property
    def outstanding(self) -> int:
        """How many commands are not answered."""

    @property
    def unsent(self) -> bool:
        """Whether there is anything still to be written."""

    @property
    def deadline(self) -> int:
        """When an answer is late or, of one for messages, `check` is to be called; 2**63 for
        never.
        """

    @property
    def subscribed(self) -> bool:
        """Whether a command was answered, and not by an error: on a connection for messages,
        whether they come.
        """

    @property
    def doubtful(self) -> bool:
        """Whether the server has refused to write: a new connection may lead elsewhere."""

    @property
    def over(self) -> bool:
        """Whether it has ended."""

    def take(self, outbox: list[Command], core: Coordinator, now: int) -> int:
        """Takes all commands out of `outbox`, to be written. Those that are late are not: `core`
        is told so. How many that were. Takes nothing once it is over.
        """

    def transmit(self) -> _bytes:
        """The bytes to be written next, which count as written from now on."""

    def receive(self, data: _bytes, core: Coordinator, node: int, now: int) -> int:
        """Takes what has arrived, and `answer`s."""

    def answer(self, core: Coordinator, node: int, now: int) -> int:
        """Tells `core` what has arrived from `node`. How much that was. Raises `ValueError` where
        it is no reply, or none to anything that was asked: then the connection is to be ended.
        """

    def check(self, now: int) -> None:
        """To be called at `deadline`: a connection for messages that is silent is asked whether it
        lives, which is to be written. Raises `ValueError` if an answer is late.
        """

    def end(self, core: Coordinator, now: int) -> int:
        """Ends it: nothing is written or read any more, and `core` is told of each command that has
        no answer, `not_sent` where not a byte of it can have left. How many those are. The second
        time there are none.
        """

@final
class Exchange:
    """Moves the bytes of `connection` over `sock`. `plain`: it can be written and read by its
    descriptor; otherwise by its own methods, as those of TLS, and what interrupts these finds the
    connection to be of no more use. Each call is one step, as those of `Baton`.
    """

    def __new__(cls, connection: Connection, sock: Any, plain: bool) -> Exchange: ...
    def write(self) -> None:
        """Writes what the socket takes. Raises `BlockingIOError`, or what TLS has for it, if that
        is not all, and `OSError` if it is broken.
        """

    def read(self) -> bool:
        """Reads what has arrived. Whether there is anything for `Connection.answer`. Where TLS
        waits for something it raises what it has for that, and `OSError` where it is broken or has
        come to its end.
        """

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

def forward(thing: object, item: object, source: deque[Any], target: list[Any]) -> bool:
    """Whether `item` is the first of `source`; it is taken away then, and `thing` is put behind
    `target`. One step, as those of `Baton`.
    """

def refuse_late(outbox: list[Command], core: Coordinator, now: int) -> int:
    """Takes those commands out of `outbox` whose deadline is over, and tells `core` that they were
    not sent. The first deadline of the others, 2**63 if there are none. One step, as those of
    `Baton`.
    """

def refuse(outbox: list[Command], commands: list[Command], core: Coordinator, now: int) -> None:
    """Takes those of `commands` that are in `outbox` out of it, and tells `core` that they were not
    sent. One step.
    """

def hand_over(source: list[Command], target: list[Command], origin: int) -> int:
    """Moves what serves `origin` from one list to the other. How much that was. One step."""

def leave(object: Any) -> None:
    """Leaves `object` to what its `_left_to` is, unless that is None: puts it into the list
    `dropped` there, where it lives on, and calls `rouse`. To be its `__del__`: there Python
    swallows what the handler of a signal raises, so none runs before this is done; and what one
    raises in `rouse` is raised behind it.
    """
