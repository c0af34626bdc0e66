"""Stands between a coordinator and its core, passes everything on, and keeps what passes.

Only here is it known when the core handed a command out and which answers it was given. Outside,
a command may have waited for a connection when it is seen, and the connection on which a reply is
passed on may have been given up already. All times are the core's own, so that what it makes of
an answer can be judged to the microsecond, however late threads are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INPUTS = (
    "close",
    "fence_check",
    "handle_clock_gap",
    "handle_failure",
    "handle_message",
    "handle_node",
    "handle_reply",
    "handle_timeout",
    "handle_unreachable",
    "handle_refused",
    "lock_acquire",
    "lock_cancel",
    "lock_inspect",
    "lock_release",
    "lock_renew",
)
"""What tells the core the time: the last of the arguments that are not named."""


@dataclass
class Proof:
    """What the core was told of one lock's lease."""

    label: bytes
    ident: bytes
    """Of the request that is on its way now."""
    granted: bool = False
    valid_until: int = 0
    at_most: int = 0
    """Until when the answers prove the lease, at the earliest and at the latest."""
    at: int = 0
    """When the last of them came."""


class Watched:
    """In the place of `core`. `judge` hears what is wrong, and `lost` of each lease that has ended:
    its label, when the last proof of it came, how long it was good for then, and when it ended.
    """

    def __init__(
        self,
        core: Any,
        judge: Callable[[bytes, str], object],
        lost: Callable[[bytes, int, int, int], object],
    ) -> None:
        self._core = core
        self._judge = judge
        self._lost = lost
        self._sent: dict[int, tuple[int, int, bytes]] = {}
        """By its request, a command: when it was handed out, at the earliest and at the latest, and
        for which lease.
        """
        self._proofs: dict[int, Proof] = {}
        """By the core's number of the lock."""
        self._first = self._now = 0
        """The time that the inputs since the last outputs brought, at the earliest and now."""
        self._heard = False
        """Whether a message was among them: a lease may be told there too."""

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._core, name)
        if name not in INPUTS:
            return verb

        def tell(*args: Any, **named: Any) -> Any:
            self._now = args[-1]
            self._first = self._first or self._now
            self._heard = self._heard or name == "handle_message"
            if name in ("handle_failure", "handle_reply"):
                sent = self._sent.pop(args[0], None)
                if sent is not None and name == "handle_reply":
                    self._answered(args[1], *sent)
            return verb(*args, **named)

        return tell

    def poll(self, session: Any) -> None:
        """The outputs. Called with the session's mutex held, as the inputs are."""
        commands, events = len(session.commands), len(session.events)
        self._core.poll(session)
        for command, _, lock, _ in list(session.commands)[commands:]:
            words = command.argv
            if len(words) > 10 and words[9] in (b"ACQ", b"REN"):
                self._sent[command.request] = (self._first, self._now, words[10])
                if words[9] == b"ACQ":
                    self._asks(lock, words[10], words[15])
        believes: dict[int, int] = {}
        for event in list(session.events)[events:]:
            if event.lock in self._proofs:
                self._told(event, self._proofs[event.lock])
                if event.valid_until is not None:
                    believes[event.lock] = event.valid_until
        for lock, valid_until in believes.items():
            self._check(valid_until, self._proofs[lock])
        self._first, self._heard = 0, False

    def _asks(self, lock: int | None, ident: bytes, label: bytes) -> None:
        if lock is not None and lock not in self._proofs:
            self._proofs[lock] = Proof(label, ident)
        for proof in self._proofs.values():
            if proof.label == label:
                proof.ident = ident  # a request that came too late is followed by another

    def _answered(self, reply: Any, first: int, last: int, ident: bytes) -> None:
        """An answer to a command that was handed out between `first` and `last`."""
        kind = reply[0] if isinstance(reply, list) and reply else None
        proof = next((one for one in self._proofs.values() if one.ident == ident), None)
        if proof is None or kind not in (b"GRANTED", b"OK"):
            return
        if kind == b"GRANTED" and proof.granted:
            return  # the answer to a question that was answered before
        # What is taken off for clocks that drift, and not more.
        left = int(reply[3]) - int(reply[3]) // 100 - 2000
        proof.at_most = max(proof.at_most, last + left)
        if first + left > self._now:
            proof.granted = True
            proof.valid_until = max(proof.valid_until, first + left)
            proof.at = self._now

    def _told(self, event: Any, proof: Proof) -> None:
        if event.valid_until is not None and self._heard:
            proof.granted = True
            proof.valid_until = max(proof.valid_until, event.valid_until)
            proof.at_most = max(proof.at_most, event.valid_until)
            proof.at = self._now
        elif event.kind == "lock_lost":
            if self._now < proof.valid_until:
                left = (proof.valid_until - self._now) / 1e6
                self._judge(proof.label, f"lost a lease {left:.6f} s before its end")
            self._lost(proof.label, proof.at, proof.valid_until - proof.at, self._now)

    def _check(self, valid_until: int, proof: Proof) -> None:
        """What the core believes is what it was told."""
        if not proof.valid_until <= valid_until <= proof.at_most:
            told = " to ".join(
                str(until - self._now) for until in (proof.valid_until, proof.at_most)
            )
            self._judge(
                proof.label, f"believes in {valid_until - self._now} us, and was told {told}"
            )


def watch(
    coordinator: Any,
    judge: Callable[[bytes, str], object],
    lost: Callable[[bytes, int, int, int], object],
) -> None:
    """Before the first verb, of a coordinator of either kind. See `Watched`."""
    session = getattr(coordinator, "_one", coordinator)._session
    session.core = Watched(session.core, judge, lost)
