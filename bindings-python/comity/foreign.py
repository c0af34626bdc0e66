"""Options that other locks and clients have: what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOCK_OPTIONS: Final = "ttl, wait, renew, max_hold, label and on_lost"
CONNECT_OPTIONS: Final = "prefix, timeout, check, push and allow_eviction"

_TLS: Final = "settings of TLS go with the URL, as comity.tcp(url, tls=context)"

_HERE: Final = {
    "timeout": "how long the lease lasts is ttl=, how long to wait is wait=, both in seconds",
    "blocking": "wait=0 tries once, wait=None waits as long as it takes",
    "blocking_timeout": "how long to wait is wait=, in seconds",
    "expire": "how long the lease lasts is ttl=, in seconds",
    "expires": "how long the lease lasts is ttl=, in seconds",
    "lease_time": "how long the lease lasts is ttl=, in seconds",
    "auto_renewal": "renew=True, the default, keeps the lease alive",
    "sleep": "a waiter is told when it is its turn, and does not poll",
    "thread_local": "a lock belongs to its handle, whichever thread uses it",
    "token": "every grant has an identity of its own",
    "id": "who holds the lock is said by label=",
    "tls": _TLS,
    "ssl": _TLS,
    "ssl_context": _TLS,
}


def refuse(verb: str, given: Mapping[str, object], *, known: str) -> None:
    """Raises `TypeError` if anything is `given`, and says what it is called here if it is known
    from another lock or client. `known` are the options there are.
    """
    for option in given:
        advice = _HERE.get(option, f"its options are {known}")
        raise TypeError(f"{verb} has no option {option!r}: {advice}")
