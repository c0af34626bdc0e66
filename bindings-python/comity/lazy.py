"""Attributes that are worked out when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

_T = TypeVar("_T")


class lazy(Generic[_T]):  # noqa: N801 - it is written like `property`
    """`functools.cached_property` without the lock that it has before Python 3.12, one for all
    objects of a class: the child of a fork would find it held for ever where another thread was in
    there. Two threads that read at once may both work it out.
    """

    def __init__(self, work: Callable[[Any], _T]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, one: None, owner: type) -> lazy[_T]: ...

    @overload
    def __get__(self, one: object, owner: type) -> _T: ...

    def __get__(self, one: object | None, owner: type) -> lazy[_T] | _T:
        if one is None:
            return self
        value = one.__dict__[self._name] = self._work(one)
        return value
