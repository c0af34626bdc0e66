"""Commands on sets and sorted sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from . import words as w
from .words import Commands, Word

if TYPE_CHECKING:
    from typing_extensions import Self


class SetCommands(Commands):
    """See the module. The arguments are redis-py's."""

    # Sets

    def scard(self, name: Word) -> Any:
        """How many members a set has."""
        return self._read(w.as_it_came, "SCARD", name)

    def sismember(self, name: Word, value: Word) -> Any:
        """1 if a set has a member, 0 if not."""
        return self._read(w.as_it_came, "SISMEMBER", name, value)

    def smismember(self, name: Word, values: Word | Iterable[Word], *args: Word) -> Any:
        """The same for several."""
        return self._read(w.as_it_came, "SMISMEMBER", name, *w.keys(values, args))

    def smembers(self, name: Word) -> Any:
        """The members of a set."""
        return self._read(w.members, "SMEMBERS", name)

    def sadd(self, name: Word, *values: Word) -> Self:
        """Adds members; the reply is how many are new."""
        return self._write(w.as_it_came, "SADD", name, *values)

    def srem(self, name: Word, *values: Word) -> Self:
        """Removes members; the reply is how many there were."""
        return self._write(w.as_it_came, "SREM", name, *values)

    def spop(self, name: Word, count: int | None = None) -> Self:
        """Takes a member, or `count` of them, at random."""
        more = () if count is None else (count,)
        return self._write(w.as_it_came, "SPOP", name, *more)

    # Sorted sets

    def zcard(self, name: Word) -> Any:
        """How many members a sorted set has."""
        return self._read(w.as_it_came, "ZCARD", name)

    def zscore(self, name: Word, value: Word) -> Any:
        """The score of a member; None where there is none."""
        return self._read(w.number, "ZSCORE", name, value)

    def zmscore(self, key: Word, members: Iterable[Word]) -> Any:
        """The scores of several."""
        return self._read(w.numbers, "ZMSCORE", key, *members)

    def zrank(self, name: Word, value: Word) -> Any:
        """How many members lie before it; None if it is none."""
        return self._read(w.as_it_came, "ZRANK", name, value)

    def zrevrank(self, name: Word, value: Word) -> Any:
        """How many members lie behind it; None if it is none."""
        return self._read(w.as_it_came, "ZREVRANK", name, value)

    def zcount(self, name: Word, min: Word, max: Word) -> Any:
        """How many members have a score in between."""
        return self._read(w.as_it_came, "ZCOUNT", name, min, max)

    def zrange(
        self,
        name: Word,
        start: Word,
        end: Word,
        desc: bool = False,
        withscores: bool = False,
        byscore: bool = False,
        bylex: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Any:
        """The members from `start` to `end`: places, scores or members."""
        words: list[Any] = [
            each.upper() for each in w.at_most_one("zrange", byscore=byscore, bylex=bylex)
        ]
        words += ["REV"] if desc else []
        words += w.limit("zrange", offset, num)
        return self._range(withscores, "ZRANGE", name, start, end, *words)

    def zrevrange(self, name: Word, start: int, end: int, withscores: bool = False) -> Any:
        """The members from place `start` to `end`, from the highest score down."""
        return self._range(withscores, "ZREVRANGE", name, start, end)

    def zrangebyscore(
        self,
        name: Word,
        min: Word,
        max: Word,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
    ) -> Any:
        """The members with a score in between."""
        words = w.limit("zrangebyscore", start, num)
        return self._range(withscores, "ZRANGEBYSCORE", name, min, max, *words)

    def zrevrangebyscore(
        self,
        name: Word,
        max: Word,
        min: Word,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
    ) -> Any:
        """The members with a score in between, from the highest down."""
        words = w.limit("zrevrangebyscore", start, num)
        return self._range(withscores, "ZREVRANGEBYSCORE", name, max, min, *words)

    def zadd(
        self,
        name: Word,
        mapping: Mapping[Any, Word],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Self:
        """Adds members with scores: `{member: score}`; the reply is how many are new, with `ch`
        changed, with `incr` the score.
        """
        w.at_most_one("zadd", nx=nx, xx=xx)
        w.at_most_one("zadd", nx=nx, gt=gt, lt=lt)
        items = w.pairs("zadd: mapping", mapping)
        if incr and len(mapping) != 1:
            raise InvalidArgument("zadd: incr takes one member and its amount")
        options = {"NX": nx, "XX": xx, "GT": gt, "LT": lt, "CH": ch, "INCR": incr}
        words = [option for option, given in options.items() if given]
        words += [items[at ^ 1] for at in range(len(items))]
        return self._write(w.number if incr else w.as_it_came, "ZADD", name, *words)

    def zincrby(self, name: Word, amount: float, value: Word) -> Self:
        """Adds to the score of a member; the reply is the sum."""
        return self._write(w.number, "ZINCRBY", name, amount, value)

    def zrem(self, name: Word, *values: Word) -> Self:
        """Removes members; the reply is how many there were."""
        return self._write(w.as_it_came, "ZREM", name, *values)

    def zremrangebyrank(self, name: Word, min: int, max: int) -> Self:
        """Removes the members from place `min` to `max`."""
        return self._write(w.as_it_came, "ZREMRANGEBYRANK", name, min, max)

    def zremrangebyscore(self, name: Word, min: Word, max: Word) -> Self:
        """Removes the members with a score in between."""
        return self._write(w.as_it_came, "ZREMRANGEBYSCORE", name, min, max)

    def zpopmin(self, name: Word, count: int | None = None) -> Self:
        """Takes the members of the lowest scores, with their scores."""
        more = () if count is None else (count,)
        return self._write(w.scores, "ZPOPMIN", name, *more)

    def zpopmax(self, name: Word, count: int | None = None) -> Self:
        """Takes the members of the highest scores, with their scores."""
        more = () if count is None else (count,)
        return self._write(w.scores, "ZPOPMAX", name, *more)

    def _range(self, withscores: bool, *words: object) -> Any:
        if withscores:
            return self._read(w.scores, *words, "WITHSCORES")
        return self._read(w.as_it_came, *words)
