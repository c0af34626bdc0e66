"""The buffer of a transaction: what is to be done and on what condition, until it is executed.

No I/O: what has to be asked is said step by step, and threads and tasks ask it, each in their way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from .bound import Bound
from .commands import AllCommands, Convert, as_it_came
from .errors import CommandFailed, ConflictError, InvalidArgument, InvalidState, Unsupported
from .lazy import lazy
from .units import MAX_TIMEOUT, MIN_TIMEOUT, seconds, shown, whole, word

if TYPE_CHECKING:
    from typing_extensions import Self

# Unions of one word each: mypy sees a literal of several as one, and looks for that at run time.
Ack: TypeAlias = Literal["applied"] | Literal["decided"]
"""When a transaction is done: when plain readers see all of it, or when it is certain."""
Outcome: TypeAlias = (
    Literal["committed"]
    | Literal["aborted"]
    | Literal["pending"]
    | Literal["unheard"]
    | Literal["forgotten"]
)
"""What a server knows of a transaction. `"unheard"`: nothing is recorded of it, and it may still
come; `"forgotten"`: it is over, and how is no longer recorded.
"""
Words: TypeAlias = list[bytes]
Expectation: TypeAlias = (
    tuple[Literal["value"], bytes, bytes]
    | tuple[Literal["exists", "absent"], bytes]
    | tuple[Literal["unchanged"], Words, Any]
)

_MAX_COPY: Final = 2**32 - 1
MAX_REPLICAS: Final = 64

READS: Final = frozenset(
    (
        b"BITCOUNT BITPOS EXISTS GEODIST GEOPOS GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS "
        b"HLEN HMGET HSTRLEN HVALS LINDEX LLEN LPOS LRANGE MGET SCARD SISMEMBER SMEMBERS "
        b"SMISMEMBER STRLEN SUBSTR TYPE XLEN XRANGE XREVRANGE ZCARD ZCOUNT ZLEXCOUNT ZMSCORE "
        b"ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE "
        b"ZREVRANK ZSCORE"
    ).split()
)
"""The commands that only read: those that are executed at once after `watch`."""

_ALL_OF: Final[dict[bytes, Callable[[bytes], tuple[bytes, ...]]]] = {
    b"none": lambda key: (b"EXISTS", key),
    b"string": lambda key: (b"GET", key),
    b"hash": lambda key: (b"HGETALL", key),
    b"list": lambda key: (b"LRANGE", key, b"0", b"-1"),
    b"set": lambda key: (b"SMEMBERS", key),
    b"zset": lambda key: (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"),
    b"stream": lambda key: (b"XRANGE", key, b"-", b"+"),
}
"""How all that a key of a type holds is read."""


@dataclass(frozen=True)
class Wait:
    """A transaction is to be had by `replicas` replicas of each of its servers, 1..64, before
    `execute` returns; they are waited for at most `timeout` seconds, 0.01..60, once it is applied.

    Where too few are known to have it by then it is committed all the same: `Transaction.replicas`
    says how many, and it is logged as a warning.
    """

    replicas: int = 1
    timeout: float = 1.0


@dataclass(frozen=True)
class Options:
    """How a transaction is executed, as the core takes it: spans are microseconds."""

    ack: Ack = "applied"
    timeout_us: int | None = None
    patience_us: int | None = None
    copy_elements: int | None = None
    copy_bytes: int | None = None
    replicas: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        ack: object = "applied",
        timeout: float | None = None,
        *,
        patience: float | None = None,
        copy_elements: int | None = None,
        copy_bytes: int | None = None,
        durability: Wait | None = None,
    ) -> Options:
        """From what a user gives. Raises `InvalidArgument`, naming the option and its range."""
        others = (timeout, patience, copy_elements, copy_bytes, durability)
        if ack == "applied" and others == (None,) * 5:
            return _USUAL
        if ack not in ("applied", "decided"):
            raise InvalidArgument(f'ack must be "applied" or "decided", not {shown(ack)}')
        return cls(
            "decided" if ack == "decided" else "applied",
            None if timeout is None else seconds("timeout", timeout, MIN_TIMEOUT, MAX_TIMEOUT),
            None if patience is None else seconds("patience", patience, MIN_TIMEOUT, MAX_TIMEOUT),
            _copies("copy_elements", copy_elements),
            _copies("copy_bytes", copy_bytes),
            None if durability is None else _replicas(durability, ack),
        )

    @lazy
    def given(self) -> dict[str, Any]:
        """Those that are set, as keywords."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in given.items() if value is not None}


_USUAL: Final = Options()


def _replicas(durability: object, ack: object) -> tuple[int, int]:
    if not isinstance(durability, Wait):
        raise InvalidArgument(f"durability must be None or Wait(...), not {shown(durability)}")
    if ack != "applied":
        raise InvalidArgument('durability=Wait(...) waits for what is applied: with ack="applied"')
    replicas = whole("replicas", durability.replicas, 1, MAX_REPLICAS)
    return replicas, seconds("timeout", durability.timeout, MIN_TIMEOUT, MAX_TIMEOUT)


def _copies(name: str, value: int | None) -> int | None:
    return None if value is None else whole(name, value, 0, _MAX_COPY)


class Request(NamedTuple):
    """One transaction for the core."""

    commands: list[Words]
    expectations: list[Expectation]
    options: Options

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.commands or self.expectations)


class Committed(NamedTuple):
    """What came of one."""

    id: bytes
    replies: list[Any] | None
    replicas: int | None = None


_T = TypeVar("_T")
Steps: TypeAlias = Generator[Request, Committed, _T]
"""Work that asks for transactions and goes on with what came of them."""


class Savepoint:
    """A place in the buffer of a transaction: see `Transaction.savepoint`."""

    __slots__ = ("checks", "commands")

    def __init__(self, commands: int, checks: int) -> None:
        """So much was buffered."""
        self.commands: Final = commands
        self.checks: Final = checks


class Builder(AllCommands, Bound):
    """The buffer of a transaction, without the verbs that wait.

    It is *buffering* until `watch`; then it is *watching*, and reads are executed at once; `multi`
    lets it buffer again.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._mode: Literal["buffering", "watching", "multi"] = "buffering"
        self._scope: Literal["none", "open", "committed"] = "none"
        self._commands: list[Words] = []
        self._converts: list[Convert] = []
        self._checks: list[Expectation] = []
        self._reads: dict[tuple[bytes, ...], Any] = {}
        self._savepoints: list[Savepoint] = []
        self._id: bytes | None = None
        self._results: list[Any] | None = None
        self._replicas: int | None = None

    def __len__(self) -> int:
        """How many commands are buffered."""
        return len(self._commands)

    def __bool__(self) -> bool:
        """A transaction is true, also where nothing is buffered."""
        return True

    def __repr__(self) -> str:
        home = type(self).__module__.rpartition(".")[0]
        return f"<{home}.Transaction {self._mode}: {len(self._commands)} commands>"

    @property
    def id(self) -> bytes | None:
        """Which transaction the last commit was; None before the first."""
        return self._id

    @property
    def results(self) -> list[Any] | None:
        """What `execute`, or the end of the `with` block, last returned; None before the first."""
        return self._results

    @property
    def replicas(self) -> int | None:
        """So many replicas of each of its servers are known to have the last commit; None where
        that was not asked for (`durability`), or where it only read.
        """
        return self._replicas

    def command(self, name: str | bytes, *args: Any) -> Any:
        """Any command that a transaction takes, by its name, its key and its arguments.

        The reply is as it comes from the server: bytes, int, list or None. `docs/transaction.md`
        has the list; what is not on it raises `Unsupported` on `execute`.
        """
        words = self._packed((name, *args))
        if self._mode == "watching":
            if words[0].upper() not in READS:
                raise InvalidState(
                    f"after watch() only reads run at once, not {name!r:.80}: call multi() first"
                )
            return self._now(self._read_steps(words, as_it_came))
        return self._put(words, as_it_came)

    def check(
        self,
        key: str | bytes | memoryview | int | float,
        *,
        value: str | bytes | memoryview | int | float | None = None,
        exists: bool = False,
        absent: bool = False,
    ) -> Self:
        """Has the transaction applied only if a key is as it should be, `ConflictError` otherwise.

        Exactly one of: `value`, the string that it holds; `exists=True`; `absent=True`.
        """
        self._usable()
        number = len(self._checks) + 1
        where = word(f"check # {number}: key", key)
        given = [value is not None, exists is True, absent is True]
        if given.count(True) != 1 or exists not in (True, False) or absent not in (True, False):
            raise InvalidArgument(
                f"check # {number} needs exactly one of value=..., exists=True, absent=True"
            )
        if value is not None:
            self._checks.append(("value", where, word(f"check # {number}: value", value)))
        else:
            self._checks.append(("exists" if exists else "absent", where))
        return self

    def multi(self) -> None:
        """After `watch`: from here on commands are buffered until `execute`."""
        self._usable()
        if self._mode == "multi":
            raise InvalidState("multi() was called already: transactions do not nest")
        if self._commands:
            raise InvalidState("multi() comes before the first command that is buffered")
        self._mode = "multi"

    def unwatch(self) -> bool:
        """Forgets what was read since `watch`; True, as in redis-py."""
        self._usable()
        if self._mode == "multi":
            raise InvalidState("unwatch() comes before multi(); reset() forgets all")
        self._reads.clear()
        self._mode = "buffering"
        return True

    def reset(self) -> None:
        """Forgets all that is buffered, checked and watched. Nothing was sent of it."""
        self._mode = "buffering"
        self._commands = []
        self._converts = []
        self._checks = []
        self._reads = {}
        self._savepoints = []

    discard = reset

    def savepoint(self) -> Savepoint:
        """Marks what is buffered and checked by now, for `rollback`."""
        self._usable()
        mark = Savepoint(len(self._commands), len(self._checks))
        self._savepoints.append(mark)
        return mark

    def rollback(self, to: Savepoint | None = None) -> None:
        """Forgets what was buffered and checked since a savepoint; without one, everything.

        The savepoint can be used again, later ones cannot. What was read after `watch` stays read
        and is validated. Raises `InvalidState` for a savepoint that is not one of this buffer.
        """
        if to is None:
            self.reset()
            return
        self._usable()
        if to not in self._savepoints:
            raise InvalidState("this savepoint was rolled back, committed, or is not one of these")
        del self._savepoints[self._savepoints.index(to) + 1 :]
        del self._commands[to.commands :]
        del self._converts[to.commands :]
        del self._checks[to.checks :]

    # How

    def _now(self, steps: Steps[Any]) -> Any:
        """Takes the steps: the value, or what to await for it."""
        raise NotImplementedError

    def _write(self, convert: Convert, *words: object) -> Self:
        packed = self._packed(words)
        if self._mode == "watching":
            raise InvalidState(
                f"after watch() only reads run at once, not {words[0]}: call multi() first"
            )
        self._commands.append(packed)
        self._converts.append(convert)
        return self

    def _read(self, convert: Convert, *words: object) -> Any:
        packed = self._packed(words)
        if self._mode == "watching":
            return self._now(self._read_steps(packed, convert))
        return self._put(packed, convert)

    def _put(self, words: Words, convert: Convert) -> Self:
        self._commands.append(words)
        self._converts.append(convert)
        return self

    def _packed(self, words: tuple[Any, ...]) -> Words:
        if self._scope == "committed":
            self._usable()
        packed: Words = []
        try:
            for each in words:  # the usual kinds here: a call for each would cost as much again
                kind = type(each)
                if kind is str:
                    packed.append(each.encode())
                elif kind is int:
                    packed.append(b"%d" % each)
                else:
                    packed.append(word("", each))
        except ValueError:  # once more, for words that say which
            who = f"Command # {len(self._commands) + 1} ({words[0]!s:.64})"
            return [word(f"{who}: argument {at}", each) for at, each in enumerate(words)]
        return packed

    def _usable(self) -> None:
        if self._scope == "committed":
            raise InvalidState("this block has committed its transaction: begin another")

    def _enter(self) -> None:
        if self._scope != "none":
            raise InvalidState("transactions do not nest: this one is in its `with` block already")
        self._scope = "open"

    def _leave(self) -> None:
        self._scope = "none"
        self.reset()

    # Steps

    def _read_steps(self, words: Words, convert: Convert) -> Steps[Any]:
        """A read that is executed at once, or was before: what was read once stays so."""
        name = words[0].upper()
        parts: list[tuple[bytes, ...]] = [(name, *words[1:])]
        if name in (b"MGET", b"EXISTS"):
            parts = [(name, key) for key in words[1:]]  # each is validated by itself
        unread = [part for part in dict.fromkeys(parts) if part not in self._reads]
        if unread or not parts:
            asked = [list(part) for part in unread] or [words]
            done = yield Request(asked, [], self._options)
            self._reads.update(zip(unread, replies_of(done, len(unread)), strict=True))
        replies = [self._reads[part] for part in parts]
        if name == b"MGET":
            return [reply[0] for reply in replies]
        if name == b"EXISTS":
            return sum(replies)
        return convert(_plain(replies[0]))

    def _watch_steps(self, keys: tuple[object, ...]) -> Steps[None]:
        self._usable()
        if self._mode == "multi" or self._commands:
            raise InvalidState("watch() comes before multi() and before commands are buffered")
        if not keys:
            raise InvalidArgument("watch: no key is given")
        names = [word(f"watch: key {at}", key) for at, key in enumerate(keys, 1)]
        names = list(dict.fromkeys(names))
        reads: list[tuple[bytes, ...]] = [(b"GET", name) for name in names]
        # With the ack of the whole: where that is "applied", the locks of the reads are gone before
        # the commands meet them.
        try:
            done = yield Request([list(read) for read in reads], [], self._options)
        except CommandFailed:  # some are no strings
            kinds = yield Request([[b"TYPE", name] for name in names], [], self._options)
            reads = []
            for name, kind in zip(names, replies_of(kinds, len(names)), strict=True):
                if (how := _ALL_OF.get(_plain(kind))) is None:
                    raise Unsupported(
                        f"watch: key {name!r:.80} is of a type that cannot be read as a whole"
                    ) from None
                reads.append(how(name))
            try:
                done = yield Request([list(read) for read in reads], [], self._options)
            except CommandFailed as error:
                raise ConflictError(f"a key was changed while it was read: {error}") from None
        for read, reply in zip(reads, replies_of(done, len(reads)), strict=True):
            self._reads.setdefault(read, reply)
        self._mode = "watching"

    # Execution, in two halves

    def _taken(self) -> tuple[Request, list[Convert]]:
        """All that is buffered, which is not any more, and what makes results of the replies."""
        self._usable()
        expectations = [*self._checks]
        if self._reads:
            expectations += [("unchanged", [*read], reply) for read, reply in self._reads.items()]
        request, converts = Request(self._commands, expectations, self._options), self._converts
        self.reset()
        return request, converts

    def _done(self, done: Committed | None, converts: list[Convert]) -> list[Any]:
        """The results; without anything that was done if there was nothing to do."""
        results: list[Any] = []
        if done is not None:
            self._id = done.id
            self._replicas = done.replicas
            if done.replies is None:
                results = [None] * len(converts)
            else:
                results = [
                    convert(reply if type(reply) is not str else _plain(reply))
                    for convert, reply in zip(converts, done.replies, strict=True)
                ]
            if self._scope == "open":
                self._scope = "committed"
        self._results = results
        return results


def replies_of(done: Committed, count: int) -> list[Any]:
    """The replies of reads. Raises `ConflictError` where they are gone."""
    if done.replies is None or len(done.replies) != count:
        raise ConflictError("another client had to finish the read, and its replies are gone")
    return done.replies


def _plain(reply: Any) -> Any:
    """A simple string as bytes; anything else as it is."""
    return reply.encode() if isinstance(reply, str) else reply
