"""Commands on strings, and on keys of any type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from . import words as w
from .words import Commands, Moment, Seconds, Word

if TYPE_CHECKING:
    from typing_extensions import Self


class StringCommands(Commands):
    """See the module. The arguments are redis-py's."""

    def get(self, name: Word) -> Any:
        """The string at `name`; None where there is none."""
        return self._read(w.as_it_came, "GET", name)

    def mget(self, keys: Word | Iterable[Word], *args: Word) -> Any:
        """The strings at these keys, which lie on one server."""
        return self._read(w.as_it_came, "MGET", *w.keys(keys, args))

    def exists(self, *names: Word) -> Any:
        """How many of these keys, which lie on one server, exist."""
        return self._read(w.as_it_came, "EXISTS", *names)

    def type(self, name: Word) -> Any:
        """`b"string"`, `b"hash"` and so on; `b"none"` where there is none."""
        return self._read(w.as_it_came, "TYPE", name)

    def strlen(self, name: Word) -> Any:
        """How many bytes the string has."""
        return self._read(w.as_it_came, "STRLEN", name)

    def getrange(self, key: Word, start: int, end: int) -> Any:
        """The bytes from `start` to `end`, both included."""
        return self._read(w.as_it_came, "GETRANGE", key, start, end)

    def getbit(self, name: Word, offset: int) -> Any:
        """The bit at `offset`."""
        return self._read(w.as_it_came, "GETBIT", name, offset)

    def bitcount(self, key: Word, start: int | None = None, end: int | None = None) -> Any:
        """How many bits are set."""
        if (start is None) != (end is None):
            raise InvalidArgument("bitcount: start and end must both be given")
        span = () if start is None else (start, end)
        return self._read(w.as_it_came, "BITCOUNT", key, *span)

    def set(
        self,
        name: Word,
        value: Word,
        ex: Seconds | None = None,
        px: Seconds | None = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: Moment | None = None,
        pxat: Moment | None = None,
    ) -> Self:
        """Sets a string. `ex`, `px`, `exat`, `pxat`: when it ends; `keepttl`: as it was. `nx`,
        `xx`: only if the key is new, or is not; the reply is None otherwise. `get`: the reply is
        the old value.
        """
        words = w.expiry("set", ex=ex, px=px, exat=exat, pxat=pxat, keepttl=keepttl)
        words += w.at_most_one("set", nx=nx, xx=xx)
        if get:
            words.append("GET")
        return self._write(w.as_it_came if get else w.done, "SET", name, value, *words)

    def setnx(self, name: Word, value: Word) -> Self:
        """Sets a string if the key is new."""
        return self._write(w.true, "SETNX", name, value)

    def setex(self, name: Word, time: Seconds, value: Word) -> Self:
        """Sets a string that ends after `time` seconds."""
        return self._write(w.true, "SETEX", name, w.seconds(time), value)

    def psetex(self, name: Word, time_ms: Seconds, value: Word) -> Self:
        """Sets a string that ends after `time_ms` milliseconds."""
        return self._write(w.true, "PSETEX", name, w.milliseconds(time_ms), value)

    def mset(self, mapping: Mapping[Any, Word]) -> Self:
        """Sets several strings, whose keys lie on one server."""
        return self._write(w.done, "MSET", *w.pairs("mset: mapping", mapping))

    def getset(self, name: Word, value: Word) -> Self:
        """Sets a string; the reply is the old one."""
        return self._write(w.as_it_came, "GETSET", name, value)

    def getdel(self, name: Word) -> Self:
        """Deletes a string; the reply is what it was."""
        return self._write(w.as_it_came, "GETDEL", name)

    def getex(
        self,
        name: Word,
        ex: Seconds | None = None,
        px: Seconds | None = None,
        exat: Moment | None = None,
        pxat: Moment | None = None,
        persist: bool = False,
    ) -> Self:
        """The string at `name`, and from now on another end of it."""
        words = w.expiry("getex", ex=ex, px=px, exat=exat, pxat=pxat, persist=persist)
        return self._write(w.as_it_came, "GETEX", name, *words)

    def delete(self, *names: Word) -> Self:
        """Deletes keys that lie on one server; the reply is how many there were."""
        return self._write(w.as_it_came, "DEL", *names)

    def unlink(self, *names: Word) -> Self:
        """As `delete`."""
        return self._write(w.as_it_came, "UNLINK", *names)

    def incr(self, name: Word, amount: int = 1) -> Self:
        """Adds to an integer; the reply is the sum."""
        return self._write(w.as_it_came, "INCRBY", name, amount)

    def incrby(self, name: Word, amount: int = 1) -> Self:
        """As `incr`."""
        return self._write(w.as_it_came, "INCRBY", name, amount)

    def decr(self, name: Word, amount: int = 1) -> Self:
        """Subtracts from an integer; the reply is the difference."""
        return self._write(w.as_it_came, "DECRBY", name, amount)

    def decrby(self, name: Word, amount: int = 1) -> Self:
        """As `decr`."""
        return self._write(w.as_it_came, "DECRBY", name, amount)

    def incrbyfloat(self, name: Word, amount: float = 1.0) -> Self:
        """Adds to a number; the reply is the sum."""
        return self._write(w.number, "INCRBYFLOAT", name, amount)

    def append(self, key: Word, value: Word) -> Self:
        """Appends to a string; the reply is its length."""
        return self._write(w.as_it_came, "APPEND", key, value)

    def setrange(self, name: Word, offset: int, value: Word) -> Self:
        """Overwrites a part of a string; the reply is its length."""
        return self._write(w.as_it_came, "SETRANGE", name, offset, value)

    def setbit(self, name: Word, offset: int, value: int) -> Self:
        """Sets a bit; the reply is the old one."""
        return self._write(w.as_it_came, "SETBIT", name, offset, value)

    # Keys of any type

    def expire(
        self,
        name: Word,
        time: Seconds,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Self:
        """Lets a key end after `time` seconds; the reply is whether it will."""
        words = _when("expire", nx, xx, gt, lt)
        return self._write(w.true, "EXPIRE", name, w.seconds(time), *words)

    def pexpire(
        self,
        name: Word,
        time: Seconds,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Self:
        """Lets a key end after `time` milliseconds; the reply is whether it will."""
        words = _when("pexpire", nx, xx, gt, lt)
        return self._write(w.true, "PEXPIRE", name, w.milliseconds(time), *words)

    def expireat(
        self,
        name: Word,
        when: Moment,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Self:
        """Lets a key end at a time of day; the reply is whether it will."""
        words = _when("expireat", nx, xx, gt, lt)
        return self._write(w.true, "EXPIREAT", name, w.moment(when), *words)

    def pexpireat(
        self,
        name: Word,
        when: Moment,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Self:
        """Lets a key end at a time of day in milliseconds; the reply is whether it will."""
        words = _when("pexpireat", nx, xx, gt, lt)
        return self._write(w.true, "PEXPIREAT", name, w.moment_ms(when), *words)

    def persist(self, name: Word) -> Self:
        """Lets a key have no end; the reply is whether it had one."""
        return self._write(w.true, "PERSIST", name)


def _when(what: str, nx: bool, xx: bool, gt: bool, lt: bool) -> list[str]:
    """The conditions of a new end, as words."""
    w.at_most_one(what, nx=nx, xx=xx)
    w.at_most_one(what, nx=nx, gt=gt)
    w.at_most_one(what, nx=nx, lt=lt)
    w.at_most_one(what, gt=gt, lt=lt)
    options = {"NX": nx, "XX": xx, "GT": gt, "LT": lt}
    return [name for name, given in options.items() if given]
