"""Commands on hashes, lists and streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidArgument
from . import words as w
from .words import Commands, Word

if TYPE_CHECKING:
    from typing_extensions import Self


class ListCommands(Commands):
    """See the module. The arguments are redis-py's."""

    # Hashes

    def hget(self, name: Word, key: Word) -> Any:
        """A field of a hash; None where there is none."""
        return self._read(w.as_it_came, "HGET", name, key)

    def hmget(self, name: Word, keys: Word | Iterable[Word], *args: Word) -> Any:
        """Several fields of a hash."""
        return self._read(w.as_it_came, "HMGET", name, *w.keys(keys, args))

    def hgetall(self, name: Word) -> Any:
        """A hash as a dict."""
        return self._read(w.fields, "HGETALL", name)

    def hexists(self, name: Word, key: Word) -> Any:
        """Whether a hash has a field."""
        return self._read(w.true, "HEXISTS", name, key)

    def hlen(self, name: Word) -> Any:
        """How many fields a hash has."""
        return self._read(w.as_it_came, "HLEN", name)

    def hkeys(self, name: Word) -> Any:
        """The fields of a hash."""
        return self._read(w.as_it_came, "HKEYS", name)

    def hvals(self, name: Word) -> Any:
        """The values of a hash."""
        return self._read(w.as_it_came, "HVALS", name)

    def hstrlen(self, name: Word, key: Word) -> Any:
        """How many bytes a field has."""
        return self._read(w.as_it_came, "HSTRLEN", name, key)

    def hset(
        self,
        name: Word,
        key: Word | None = None,
        value: Word | None = None,
        mapping: Mapping[Any, Word] | None = None,
        items: Sequence[Word] | None = None,
    ) -> Self:
        """Sets fields: one, those of a mapping, those of a flat list; the reply is how many are
        new.
        """
        words: list[Any] = list(items or ())
        if key is not None:
            words += [key, value]
        if mapping:
            words += w.pairs("hset: mapping", mapping)
        if not words:
            raise InvalidArgument("hset: no field is given")
        return self._write(w.as_it_came, "HSET", name, *words)

    def hsetnx(self, name: Word, key: Word, value: Word) -> Self:
        """Sets a field if it is new; the reply is 1 if it was."""
        return self._write(w.as_it_came, "HSETNX", name, key, value)

    def hdel(self, name: Word, *keys: Word) -> Self:
        """Deletes fields; the reply is how many there were."""
        return self._write(w.as_it_came, "HDEL", name, *keys)

    def hincrby(self, name: Word, key: Word, amount: int = 1) -> Self:
        """Adds to a field; the reply is the sum."""
        return self._write(w.as_it_came, "HINCRBY", name, key, amount)

    def hincrbyfloat(self, name: Word, key: Word, amount: float = 1.0) -> Self:
        """Adds to a field; the reply is the sum."""
        return self._write(w.number, "HINCRBYFLOAT", name, key, amount)

    # Lists

    def llen(self, name: Word) -> Any:
        """How many elements a list has."""
        return self._read(w.as_it_came, "LLEN", name)

    def lindex(self, name: Word, index: int) -> Any:
        """An element of a list; None where there is none."""
        return self._read(w.as_it_came, "LINDEX", name, index)

    def lrange(self, name: Word, start: int, end: int) -> Any:
        """The elements from `start` to `end`, both included."""
        return self._read(w.as_it_came, "LRANGE", name, start, end)

    def lpush(self, name: Word, *values: Word) -> Self:
        """Puts elements at the head; the reply is the length."""
        return self._write(w.as_it_came, "LPUSH", name, *values)

    def rpush(self, name: Word, *values: Word) -> Self:
        """Puts elements at the tail; the reply is the length."""
        return self._write(w.as_it_came, "RPUSH", name, *values)

    def lpushx(self, name: Word, *values: Word) -> Self:
        """Puts elements at the head of a list that exists."""
        return self._write(w.as_it_came, "LPUSHX", name, *values)

    def rpushx(self, name: Word, *values: Word) -> Self:
        """Puts elements at the tail of a list that exists."""
        return self._write(w.as_it_came, "RPUSHX", name, *values)

    def lpop(self, name: Word, count: int | None = None) -> Self:
        """Takes an element, or `count` of them, from the head."""
        return self._write(w.as_it_came, "LPOP", name, *_count(count))

    def rpop(self, name: Word, count: int | None = None) -> Self:
        """Takes an element, or `count` of them, from the tail."""
        return self._write(w.as_it_came, "RPOP", name, *_count(count))

    def lset(self, name: Word, index: int, value: Word) -> Self:
        """Replaces an element."""
        return self._write(w.done, "LSET", name, index, value)

    def lrem(self, name: Word, count: int, value: Word) -> Self:
        """Removes elements that equal `value`; the reply is how many."""
        return self._write(w.as_it_came, "LREM", name, count, value)

    def ltrim(self, name: Word, start: int, end: int) -> Self:
        """Removes all elements but those from `start` to `end`."""
        return self._write(w.done, "LTRIM", name, start, end)

    def linsert(
        self, name: Word, where: Literal["BEFORE", "AFTER"], refvalue: Word, value: Word
    ) -> Self:
        """Inserts an element beside another; the reply is the length, or -1."""
        return self._write(w.as_it_came, "LINSERT", name, where, refvalue, value)

    # Streams

    def xlen(self, name: Word) -> Any:
        """How many entries a stream has."""
        return self._read(w.as_it_came, "XLEN", name)

    def xadd(
        self,
        name: Word,
        fields: Mapping[Any, Word],
        id: Word = "*",
        maxlen: int | None = None,
        approximate: bool = True,
        nomkstream: bool = False,
    ) -> Self:
        """Appends an entry; the reply is its id."""
        words: list[Any] = ["NOMKSTREAM"] if nomkstream else []
        if maxlen is not None:
            words += ["MAXLEN", *(["~"] if approximate else []), maxlen]
        return self._write(w.as_it_came, "XADD", name, *words, id, *w.pairs("xadd: fields", fields))

    def xdel(self, name: Word, *ids: Word) -> Self:
        """Deletes entries; the reply is how many there were."""
        return self._write(w.as_it_came, "XDEL", name, *ids)


def _count(count: int | None) -> tuple[int, ...]:
    return () if count is None else (count,)
