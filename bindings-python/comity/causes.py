"""Why no connection could be made: in the client's words, and whether waiting can help."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from typing import Final

_NO_SUCH_NAME: Final = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAMILY", "EAI_SERVICE")
    if hasattr(socket, name)
)
_Kinds = tuple[type[Exception], ...]

_LASTING: Final = (errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT, errno.EINVAL)
_LATE: Final = "timed out"
_AT_WAIT: Final = "a server that does not speak TLS would be silent like this"
_AT_CUT: Final = "a server that wants TLS would do so"


def words(error: BaseException, *, tls: bool | None = None) -> str:
    """What went wrong, in the client's words. `tls`: whether it tried to speak TLS; None where that
    cannot be what is wrong.
    """
    text = str(error).strip() or _named(error)
    for cause in _chain(error):
        more = str(cause).strip()
        if isinstance(cause, OSError) and cause.strerror:
            more = cause.strerror
        if more and more not in text:
            text = f"{text.rstrip('.')}: {more}"
    if tls and any(_named(one) == _LATE for one in _all(error)):
        return f"{text} ({_AT_WAIT})"
    if tls is False and any(isinstance(one, ConnectionResetError) for one in _all(error)):
        return f"{text} ({_AT_CUT})"
    return text


def lasts(error: BaseException, *, path: str | None = None) -> bool:
    """Whether it will be the same however long is waited. `path`: of the socket it was to be."""
    network, nonsense = _of_redis()
    tls, cut = _of_tls()
    for one in _all(error):
        if isinstance(one, socket.gaierror):
            return one.errno in _NO_SUCH_NAME
        if isinstance(one, tls):
            return not isinstance(one, cut)
        if isinstance(one, FileNotFoundError):
            return path is None  # a certificate's file; a server's own socket may come yet
        if isinstance(one, nonsense):
            return True
        if isinstance(one, OSError) and one.errno is not None:
            return one.errno in _LASTING
    passing: _Kinds = (OSError, *network)
    return not any(isinstance(one, passing) or _named(one) == _LATE for one in _all(error))


def _of_redis() -> tuple[_Kinds, _Kinds]:
    """What redis-py raises where a server is away, and where it is no Redis; nothing without it."""
    redis = sys.modules.get("redis.exceptions")
    if redis is None:
        return (), ()
    return (redis.ConnectionError, redis.TimeoutError), (redis.InvalidResponse,)


def _of_tls() -> tuple[_Kinds, _Kinds]:
    """What TLS raises, and what of it is a connection that was cut, rather than a disagreement;
    nothing where nobody has spoken it.
    """
    ssl = sys.modules.get("ssl")
    if ssl is None:
        return (), ()
    return (ssl.SSLError,), (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def bare(error: BaseException) -> BaseException:
    """The same without the frames it came through, which would keep what they held."""
    for one in _all(error):
        one.__traceback__ = None
    return error


def _all(error: BaseException) -> Iterator[BaseException]:
    """The deepest first: what the system said says more than what was made of it."""
    return reversed([error, *_chain(error)])


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one = error.__cause__ or error.__context__
    while one is not None and one is not error and one not in found and len(found) < 8:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def _named(error: BaseException) -> str:
    # That of asyncio is another one before Python 3.11.
    if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
        return _LATE
    return type(error).__name__
