"""A storm of faults: what is done to the network, what the workers do, and how it is judged.

Drivers differ only in how they wait, so a storm decides and judges and leaves the waiting to them:

    while (turn := storm.turn(worker)) is not None:
        lock = co.lock(turn.name, ttl=TTL, label=turn.label, on_lost=...)
        storm.asks(turn); acquire; storm.enters(turn, lock) or storm.gives_up(turn)
        storm.looks(turn) every now and then; storm.leaves(turn); release

Every worker has a coordinator and a proxy of its own; all are in one process, so that what they
believe at one moment can be compared. A violation ends the storm; `verdict` raises it with the
seed and all that was done. With the same seed each proxy draws the same faults; which command a
fault meets is up to the machine.

Nothing is judged by what a busy machine could have done: what a coordinator makes of its answers
by its core's own times (`watched.py`), what it does in time only where the machine was seen to
have been awake.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import faults
import watched
from faults import Fault, Proxy
from locks import is_queue

import comity

WORKERS = 10
NAMES = ("one", "two", "three", "four", "five")
TTL = 1.0
TIMEOUT = 0.4
REQUEST = TIMEOUT / 2
"""When a driver gives a command up."""

RATE = 0.45
"""The part of the commands that something is done to, while it blows."""
SQUALL = (0.5, 3.0)
LULL = (0.2, 1.0)
"""How long it blows on one worker, and how long it then is calm there, in seconds."""
KINDS = {
    faults.SWALLOW: 3,
    faults.CUT_BEFORE: 3,
    faults.CUT_AFTER: 3,
    faults.REPEAT: 8,
    faults.STALL: 2,
    faults.DELAY_BEFORE: 3,
    faults.DELAY_AFTER: 3,
    "cut all": 2,
    "flush": 4,
    "straggler": 10,
}
"""What is done to commands, and how often in relation to the others."""
PUSH_KINDS = {
    faults.SWALLOW: 1,
    faults.CUT_BEFORE: 1,
    faults.REPEAT: 2,
    faults.DELAY_AFTER: 2,
}
"""The same for pushes."""

HEARTBEAT = 1.65
"""How often the next in line asks, where a push is lost."""
CLAIM = 2.0
"""How long a lease lasts that was handed to a waiter that has gone."""
BACKOFF = 0.5
"""The longest pause after a failure."""
BOUND = TTL + CLAIM + HEARTBEAT + 8 * (REQUEST + BACKOFF)
"""The longest that a name may lie free while somebody waits: its last lease was not given back but
ran out, the head of the line had died, the push to the next was lost, and so were eight commands in
a row; a longer run of losses has a probability of RATE ** 9, less than one in a thousand, and
would have to meet all of the others.
"""

SLACK = 0.25
"""What a thread may be late, in seconds, while the machine is awake."""
PATIENCE = 30.0
"""What it may be late where the machine was seen to have paused, however briefly."""
PULSE = 0.02
"""How often the machine is felt for pauses."""
STRAGGLE = 30.0
"""The oldest straggler: half of what tombstones allow for."""


class Held(Protocol):
    """What a storm asks of a lock's handle."""

    @property
    def held(self) -> bool: ...

    @property
    def fence(self) -> int: ...


@dataclass(eq=False)
class Turn:
    """One worker's next try at a lock."""

    worker: int
    number: int
    name: str
    wait: float | None
    stays: tuple[float, ...]
    """How long to stay: pauses with a look around after each."""
    guarded: bool
    """Whether to show the fence to the guard."""
    since: float = 0.0
    lock: Held | None = None
    fence: int = 0

    @property
    def label(self) -> bytes:
        return b"%d:%d" % (self.worker, self.number)


@dataclass
class Room:
    """What the lock on one name guards."""

    inside: list[Turn] = field(default_factory=list)
    waiting: list[Turn] = field(default_factory=list)
    free_since: float = 0.0
    fence: int = 0
    """The highest that has entered."""
    accepted: int = 0
    """The highest that the guard has accepted."""


@dataclass
class Lease:
    """What the proxies know of one request."""

    label: bytes
    honoured: int = 0
    """Until when, in microseconds of the server's clock, the server has said it holds."""
    returns: int = 0
    """How often it has been given back or withdrawn."""
    over: bool = False
    """Whether the server has said that this was done."""


@dataclass(frozen=True)
class Sent:
    """What was known of a request when a command of it was sent."""

    first: bool = False
    """This is the first to end it."""
    over: bool = False
    """It had ended."""


class Weather(Proxy):
    """One worker's network."""

    def __init__(self, storm: Storm, worker: int, back: int) -> None:
        self._storm = storm
        self._worker = worker
        self._random = random.Random(f"{storm.seed} network {worker}")
        self._turns_at = 0.0
        self._blows = False
        self._local = threading.local()
        super().__init__(back)

    def fault(self, words: list[bytes]) -> Fault | None:
        storm = self._storm
        if faults.is_push(words):
            storm.hears(words)
        with self._mutex:
            kind = self._draw(words)
            seconds = self._random.uniform(0.02, 2 * REQUEST)
        if kind is None or not storm.inject(self._worker, kind, words):
            return None
        if kind == "cut all":
            self.cut()
        elif kind == "flush":
            self.again([b"SCRIPT", b"FLUSH"])
        elif kind == "straggler":
            storm.straggle(self)
        else:
            delayed = kind in (faults.DELAY_BEFORE, faults.DELAY_AFTER)
            # What is answered in the end does not come again: that is what `clean` relies on.
            if kind != faults.REPEAT and not delayed and is_queue(words):
                storm.strand(words)
            return Fault(kind, seconds)
        return None

    def _draw(self, words: list[bytes]) -> str | None:
        now = time.monotonic()
        if now >= self._turns_at:
            self._blows = not self._blows
            self._turns_at = now + self._random.uniform(*(SQUALL if self._blows else LULL))
        if not self._blows or self._random.random() >= (RATE / 5 if is_set_up(words) else RATE):
            return None
        if faults.is_push(words):
            return self._choose(PUSH_KINDS)
        if words[0].upper() == b"SUBSCRIBE":
            return faults.CUT_BEFORE
        return self._choose(KINDS)

    def _choose(self, kinds: dict[str, int]) -> str:
        return self._random.choices([*kinds], [*kinds.values()])[0]

    def executing(self, words: list[bytes]) -> None:
        self._local.began = time.monotonic()
        if is_queue(words):
            self._local.sent_as = self._storm.sends(words)

    def executed(self, words: list[bytes], reply: bytes) -> None:
        self._storm.pauses(self._local.began)
        if is_queue(words):
            self._storm.answers(words, faults.words_of(reply), self._local.sent_as)


class Storm:
    """See the module. `count` faults from `seed`, on the way to the server behind `back`."""

    def __init__(self, seed: int, count: int, back: int) -> None:
        self.seed = seed
        self.count = count
        self.turns = self.losses = 0
        self.worst = 0.0
        """The longest that a name lay free while somebody waited."""
        self.done: dict[str, int] = {}
        """How often each kind of fault was injected."""
        self._began = time.monotonic()
        self._mutex = threading.RLock()
        self._log: list[str] = []
        self._broken: list[str] = []
        self._random = [random.Random(f"{seed} worker {worker}") for worker in range(WORKERS)]
        self._rooms = {name: Room() for name in NAMES}
        self._leases: dict[bytes, Lease] = {}
        self._struck = [0.0] * WORKERS
        self._stranded: deque[tuple[float, list[bytes]]] = deque(maxlen=200)
        self._woke = 0.0
        """When the machine was last seen to have paused."""
        self._beat = time.monotonic()
        self._over = threading.Event()
        self._pulse = threading.Thread(target=self._feel, daemon=True)
        self._pulse.start()
        self.proxies = [Weather(self, worker, back) for worker in range(WORKERS)]

    def close(self) -> None:
        self._over.set()
        self._pulse.join()
        for proxy in self.proxies:
            proxy.close()

    @property
    def blows(self) -> bool:
        return not self._broken and len(self._log) < self.count

    def fences(self) -> dict[str, int]:
        """The highest fence of each name."""
        return {name: room.fence for name, room in self._rooms.items()}

    def verdict(self) -> None:
        """Raises what was found, with all that led to it."""
        assert not self._broken, "\n".join(
            [*self._broken, f"seed {self.seed}, {len(self._log)} faults:", *self._log]
        )

    # What the workers do, and say that they did

    def turn(self, worker: int) -> Turn | None:
        """What `worker` does next; None when the storm is over."""
        if not self.blows:
            return None
        draw = self._random[worker]
        with self._mutex:
            self.turns += 1
            number = self.turns
        stays = draw.choices(
            [(), (0.002,), (0.01,) * 2, (0.02,) * 3, (0.05,) * 30], [3, 3, 3, 3, 1]
        )[0]
        return Turn(
            worker,
            number,
            draw.choice(NAMES),
            draw.choices([None, 0.3, 0.0], [6, 2, 1])[0],
            stays,
            draw.random() < 0.5,
        )

    def asks(self, turn: Turn) -> None:
        """`turn` begins to wait."""
        with self._mutex:
            turn.since = time.monotonic()
            self._rooms[turn.name].waiting.append(turn)

    def gives_up(self, turn: Turn) -> None:
        """`turn` was not granted."""
        with self._mutex:
            now = time.monotonic()
            room = self._rooms[turn.name]
            if not room.inside:
                self._lay_free(turn, room, now)
            room.waiting.remove(turn)
            if turn.wait is not None and now - turn.since > turn.wait + TIMEOUT + self._late(
                turn.since
            ):
                self._break(turn, f"waited {now - turn.since:.2f} s, not {turn.wait} s")

    def enters(self, turn: Turn, lock: Held) -> None:
        """`turn` was granted."""
        with self._mutex:
            room = self._rooms[turn.name]
            turn.lock, turn.fence = lock, lock.fence
            if not room.inside:
                self._lay_free(turn, room, time.monotonic())
            room.waiting.remove(turn)
            room.inside.append(turn)
            self.looks(turn)
            # While this lease is alive no other can have been granted after it.
            if turn.fence <= room.fence and lock.held:
                self._break(turn, f"fence {turn.fence} comes after {room.fence}")
            room.fence = max(room.fence, turn.fence)

    def looks(self, turn: Turn) -> None:
        """`turn` looks around: it is alone for as long as its lease is valid."""
        with self._mutex:
            for other in self._rooms[turn.name].inside:
                # In this order: a lease that is valid now was so a moment ago.
                if other is not turn and _held(other) and _held(turn):
                    self._break(turn, f"is not alone: {other.label!r} holds {other.fence}")

    def guards(self, turn: Turn) -> int:
        """The fence that the guard must refuse to see less of than of this, before it is asked."""
        with self._mutex:
            return self._rooms[turn.name].accepted

    def guarded(self, turn: Turn, before: int, accepted: bool) -> None:
        """What the guard said; `before` is from `guards`."""
        with self._mutex:
            room = self._rooms[turn.name]
            if accepted:
                room.accepted = max(room.accepted, turn.fence)
                if turn.fence < before:
                    self._break(turn, f"fence {turn.fence} was accepted after {before}")
            elif _held(turn):
                self._break(turn, f"holds {turn.fence} and was refused")

    def leaves(self, turn: Turn) -> None:
        """`turn` is about to give the lock back, if it has it."""
        with self._mutex:
            room = self._rooms[turn.name]
            if turn in room.inside:
                room.inside.remove(turn)
                if not room.inside:
                    room.free_since = time.monotonic()

    def lost(self, turn: Turn) -> None:
        """`turn` was told that its lease has ended."""
        with self._mutex:
            if _held(turn):
                self._break(turn, "was told that its lease has ended, and holds it")

    def failed(self, turn: Turn, what: BaseException) -> None:
        """Something was raised that nothing here can explain."""
        with self._mutex:
            self._break(turn, f"raised {what!r}")

    # What the network does

    def inject(self, worker: int, kind: str, words: list[bytes]) -> bool:
        """Whether a fault is injected; not when the storm is over."""
        with self._mutex:
            if not self.blows:
                return False
            now = time.monotonic()
            if kind not in ("flush", "straggler", faults.REPEAT):
                self._struck[worker] = now
            self.done[kind] = self.done.get(kind, 0) + 1
            what = " ".join(word.decode("ascii", "replace")[:24] for word in words[:1])
            if is_queue(words):
                what = f"{words[9].decode()} {words[3].decode()} {words[10].decode()}"
            self._log.append(f"{now - self._began:7.3f} worker {worker} {kind}: {what}")
            return True

    def strand(self, words: list[bytes]) -> None:
        """A command that may get no answer: it can come again from somewhere in the network."""
        with self._mutex:
            self._stranded.append((time.monotonic(), words))

    def straggle(self, proxy: Weather) -> None:
        """Has an unanswered command arrive again, however late."""
        with self._mutex:
            oldest = time.monotonic() - STRAGGLE
            while self._stranded and self._stranded[0][0] < oldest:
                self._stranded.popleft()
            if not self._stranded:
                return
            words = self._random[0].choice(self._stranded)[1]
        sent = self.sends(words)
        self.answers(words, faults.words_of(proxy.again(words)), sent)

    def sends(self, words: list[bytes]) -> Sent:
        """The server is about to be asked."""
        with self._mutex:
            lease = self._lease(words)
            if words[9] in (b"REL", b"CAN"):
                lease.returns += 1
            return Sent(first=lease.returns == 1, over=lease.over)

    def answers(self, words: list[bytes], reply: list[bytes], sent: Sent) -> None:
        """What the server said, whoever gets to hear it."""
        now = time.time_ns() // 1000
        with self._mutex:
            lease = self._lease(words)
            if reply[:1] in ([b"GRANTED"], [b"OK"]):
                lease.honoured = max(lease.honoured, int(reply[2]) + int(reply[3]))
            denied = reply[:1] == [b"LOST"] or (reply[:1] == [b"UNKNOWN"] and words[9] == b"REL")
            if reply[:1] in ([b"GRANTED"], [b"QUEUED"]) and sent.over:
                self._broken.append(f"{lease.label!r}: {reply[0]!r} after it was over")
            if words[9] in (b"REL", b"CAN") and reply:
                lease.over = True
            alive = sent.first if words[9] == b"REL" else lease.returns == 0
            if denied and alive and lease.honoured > now:
                left = (lease.honoured - now) / 1e6
                self._broken.append(f"{lease.label!r}: the server forgot a lease of {left:.2f} s")

    def hears(self, words: list[bytes]) -> None:
        """A grant is pushed."""
        kind, ident, _fence, now, left = words[2].split()[:5]
        with self._mutex:
            if kind == b"GRANT" and ident in self._leases:
                lease = self._leases[ident]
                lease.honoured = max(lease.honoured, int(now) + int(left))

    # What the coordinators make of it

    def watch(self, worker: int, coordinator: Any) -> None:
        """Before the first turn of this worker."""

        def judge(label: bytes, what: str) -> None:
            self._broken.append(f"{self._clock()} worker {worker}, {label!r}: {what}")

        def lost(label: bytes, told: int, left: int, ended: int) -> None:
            self._ends(worker, judge, label, *(each / 1e6 for each in (told, left, ended)))

        watched.watch(coordinator, judge, lost)

    def _ends(
        self,
        worker: int,
        judge: Callable[[bytes, str], object],
        label: bytes,
        told: float,
        left: float,
        ended: float,
    ) -> None:
        """A lease has ended that had been proven for `left` seconds at `told`, by a coordinator's
        clock. There is always a reason: the network lost its renewals, or the machine stood still.
        """
        with self._mutex:
            self.losses += 1
            told += time.monotonic() - comity.clock()
            # Shorter ones are renewed at once, and end before many can be tried.
            if left < TTL / 2 or self._struck[worker] > told - REQUEST:
                return
            if self._late(told) <= SLACK:
                judge(label, f"lost a lease after {ended - told:.2f} s with nothing in its way")

    # How

    def _lease(self, words: list[bytes]) -> Lease:
        lease = self._leases.get(words[10])
        if lease is None:
            label = words[15] if words[9] == b"ACQ" else b"?"
            lease = self._leases[words[10]] = Lease(label)
        return lease

    def _lay_free(self, turn: Turn, room: Room, now: float) -> None:
        since = max(room.free_since, min(one.since for one in room.waiting))
        self.worst = max(self.worst, now - since)
        if now - since > BOUND + self._late(since):
            self._break(turn, f"waited, and the name lay free for {now - since:.2f} s")

    def _late(self, since: float) -> float:
        """How late a thread may be that has run since then."""
        awake = time.monotonic() - self._beat < 2 * PULSE
        return SLACK if awake and self._woke < since - TTL else PATIENCE

    def _break(self, turn: Turn, what: str) -> None:
        self._broken.append(f"{self._clock()} worker {turn.worker}, lock {turn.name}: {what}")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:7.3f}"

    def pauses(self, began: float) -> None:
        """Something that takes no time by itself ends now: the machine stood still in between."""
        now = time.monotonic()
        if now - began > PULSE:
            with self._mutex:
                self._woke = now

    def _feel(self) -> None:
        """Notes when the machine stood still: nobody can renew then."""
        while not self._over.wait(PULSE):
            self.pauses(self._beat + PULSE)
            self._beat = time.monotonic()


def is_set_up(words: list[bytes]) -> bool:
    """Whether a command belongs to the making of a connection. Less is done to those: one that
    cannot be made spares all the others their faults.
    """
    return words[0] in (b"HELLO", b"CLIENT")


def _held(turn: Turn) -> bool:
    return turn.lock is not None and turn.lock.held


ALLOWED = (comity.Unreachable, comity.NoAnswer)
"""What a verb may raise in a storm: the network was away for longer than the timeout."""


def client(storm: Storm, worker: int, redis: Any) -> Any:
    """A client of the given kind behind this worker's proxy."""
    return redis(host="127.0.0.1", port=storm.proxies[worker].port)
