"""A lane: one connection to one node, shared by every thread that has something to say there.

Whoever finds commands ready sends all of them in one write, even while earlier replies are
outstanding. Of those who wait, one reads, for all, and hands over when it has what it came for.
The session's mutex guards all of a lane's state and is never held while bytes move.

A thread that is interrupted while it reads or writes here, by a signal handler or a finalizer that
needs the lane itself, keeps its connection for later: see `step_aside`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from ._core import Baton, ErrorReply
from .clock import now_us
from .operation import Operation
from .resp import Push
from .session import NEVER, SHIFT, remove, take_all, take_out
from .wire import NotConnected, Refused, Wire, WireBroken

if TYPE_CHECKING:
    from ._core import Command
    from .bell import Bell
    from .session import Session


SILENT: Final = "no answer in time"


class Connector(Protocol):
    """How a lane gets its connection."""

    def connect(self, deadline: int) -> Wire:
        """A ready connection by `deadline`. Raises `NotConnected` or `Refused`."""

    def refusal(self, text: bytes) -> object:
        """What the core is given for a server's refusal of the connection's set-up."""


class Watch(Protocol):
    """Where those who wait for a grant can listen for it themselves."""

    def enter(self, operation: Operation) -> None:
        """`operation` is about to park. Called with the session's mutex held."""

    def serve(self, operation: Operation) -> None:
        """`operation` was signalled: perhaps to listen, until it is signalled again."""

    def leave(self, operation: Operation) -> None:
        """The thread of `operation` goes, wherever it was."""


class _Unwatched:
    """The watch of a lane on which nobody waits for a grant."""

    def enter(self, operation: Operation) -> None:
        """Nothing to listen to."""

    def serve(self, operation: Operation) -> None:
        """Nothing to listen to."""

    def leave(self, operation: Operation) -> None:
        """Nothing to leave."""


_numbers = count(1)


class Turn:
    """One thread's turn to send on a lane."""

    __slots__ = ("batch", "number", "over", "returned", "thread")

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.batch: list[Command] = []
        self.over = False
        """Whether it ended before its time: see `step_aside`."""
        self.returned = False
        """Whether the batch was given back then: not a byte of it had been sent."""
        self.thread = threading.get_ident()


class Lane:
    """See the module. `outbox` is the session's list of commands for this lane."""

    __slots__ = (
        "_aside",
        "_bell",
        "_connector",
        "_current",
        "_glean",
        "_mutex",
        "_node",
        "_outbox",
        "_parked",
        "_pen",
        "_session",
        "_stopped",
        "_turns",
        "_watch",
    )

    def __init__(
        self,
        session: Session,
        node: int,
        outbox: list[Command],
        connector: Connector,
        *,
        bell: Bell | None = None,
        watch: Watch | None = None,
        glean: Callable[[Lane], object] | None = None,
    ) -> None:
        """`bell` rings when commands are ready, for a lane whose reader must see to them.
        `watch` is where a thread that waits for a grant listens. `glean` has somebody call this
        lane's `glean` in a while, for replies that nobody waits for.
        """
        self._session = session
        self._bell = bell
        self._watch: Watch = watch or _Unwatched()
        self._glean = glean
        self._mutex = session.mutex
        self._node = node
        self._outbox = outbox
        self._connector = connector
        self._pen = Baton()
        """Whose turn it is to write."""
        self._turns: dict[int, Turn] = {}
        self._aside: list[Wire] = []
        self._stopped = False
        self._parked: list[Operation] = []
        self._current: list[Wire] = []

    @property
    def wire(self) -> Wire | None:
        """The connection to send on, if there is one."""
        current = self._current
        try:
            return current[0] if current else None
        except IndexError:
            return None

    def drive(self, operation: Operation) -> None:
        """Moves bytes until `operation` is done, or has commands for other nodes as well. Anything
        raised in between (Ctrl-C) leaves the lane in order, and at worst without its connection.
        """
        mutex = self._mutex
        me = threading.get_ident()
        led: Wire | None = None
        try:
            while not (operation.done or operation.several):
                if self._outbox:
                    self.flush()
                with mutex:
                    if operation.done or operation.several:
                        break
                    wire = self.wire
                    if wire is not None and wire.outstanding:
                        led = wire  # first: who is interrupted behind the next step has it
                        if not wire.reader.take(me):
                            led = None
                    if led is None:
                        if self._outbox and not self._pen.holder:
                            continue
                        gate = self._park(operation)
                if led is not None:
                    self._read(led, operation)
                    self.follow(led)
                    led = None
                else:
                    self._wait(operation, gate)
            self.flush()  # what follows the end of the operation, and nobody waits for
        except BaseException:
            self._watch.leave(operation)
            with mutex:
                operation.gate = None
                self.unpark(operation)
            raise
        finally:
            if led is not None:
                self.follow(led)
            self.pass_on()

    def _wait(self, operation: Operation, gate: threading.Lock) -> None:
        hindered = self._session.hindered
        gate.acquire(timeout=SHIFT if hindered else -1)
        operation.gate = None
        if hindered:
            self._session.stand_in()
        self._watch.serve(operation)
        with self._mutex:
            self.unpark(operation)

    def step_aside(self, me: int, *, drop: bool = False) -> None:
        """What a frame further down in this thread, `me`, is in the middle of here is left to that
        frame: everybody else goes on without it, over another connection. With `drop` it comes to
        nothing.
        """
        if not self._held_by(me):
            return
        with self._mutex:
            turn, wire = self._turns.get(self._pen.holder), self.wire
            if wire is not None:
                self._aside.append(wire)
                remove(self._current, wire)
            if turn is not None and turn.thread == me:
                sent = set() if wire is None else {c.request for c in wire.outstanding.copy()}
                unsent = [c for c in turn.batch if c.request not in sent]
                turn.over = True
                turn.returned = bool(unsent)
                self._outbox[:0] = unsent
                self._pen.leave(turn.number)
            if self._aside and self._glean is not None and not drop:
                self._glean(self)
        if drop and wire is not None:
            self._drop(wire)

    def _held_by(self, me: int) -> bool:
        """Whether the thread `me` reads or writes here."""
        turn, wire = self._turns.get(self._pen.holder), self.wire
        return (turn is not None and turn.thread == me) or (
            wire is not None and wire.reader.holder == me
        )

    def _park(self, operation: Operation) -> threading.Lock:
        """What to acquire until `operation` is signalled. Called with the mutex held."""
        gate = threading.Lock()
        gate.acquire()
        operation.gate = gate.release
        self._parked.append(operation)
        if operation.rank is not None:
            self._watch.enter(operation)
        if operation.done or operation.several or self.ready():
            operation.signal()  # by what came to pass before there was a gate
        return gate

    # For one who waits for several nodes at once: see `several.py`

    def lead(self, led: dict[Lane, Wire]) -> None:
        """The caller reads here from now on, if there is something to read and nobody else does;
        the wire is then among `led`.
        """
        with self._mutex:
            wire = self.wire
            if wire is not None and wire.outstanding and self not in led:
                led[self] = wire  # first: who is interrupted behind the next step has it
                if not wire.reader.take(threading.get_ident()):
                    del led[self]

    def hear(self, wire: Wire) -> bool:
        """Takes what has arrived, and whether anything has. Called by who leads there."""
        try:
            replies = wire.take()
            if replies:
                self._take(wire, replies)
                return True
            if now_us() >= earliest(wire.outstanding):
                self._drop(wire, SILENT)
        except WireBroken as broken:
            self._drop(wire, str(broken))
        except BaseException:
            self._drop(wire)
            raise
        return False

    def silent(self, wire: Wire) -> bool:
        """Whether there is nothing to read there any more; the caller then reads there no more."""
        if wire.outstanding:
            return False
        self.follow(wire)
        return True

    def follow(self, wire: Wire) -> None:
        """The caller reads there no more."""
        me = threading.get_ident()
        while True:
            if wire is not self.wire and wire.outstanding:
                # It was stepped aside from: nobody else will read there.
                self._read(wire, Operation())
            wire.reader.leave(me)
            if wire is self.wire:
                return
            if not wire.outstanding:
                wire.close()
                remove(self._aside, wire)
                return
            if not wire.reader.take(me):
                return

    def pass_on(self) -> None:
        """The caller goes: somebody else looks after what is unsent or unread here."""
        if self._parked or self._loose():
            self._pass_on()

    def glean(self) -> None:
        """Takes what has arrived and nobody has read. Does not wait."""
        led: dict[Lane, Wire] = {}
        self.lead(led)
        for wire in led.values():
            try:
                self.hear(wire)
            finally:
                self.follow(wire)
                self.pass_on()
        # Whoever reads on a wire that was stepped aside from may be held up for long.
        now = now_us()
        for wire in self._aside.copy():
            if earliest(wire.outstanding) <= now:
                self._drop(wire)
            if wire.broken:
                remove(self._aside, wire)
        if self._aside and self._glean is not None:
            with self._mutex:
                self._glean(self)

    def ready(self) -> bool:
        """Whether something is to be sent or read, and nobody does. Called with the mutex held."""
        wire = self.wire
        unread = wire is not None and not wire.reader.holder and bool(wire.outstanding)
        return unread or (bool(self._outbox) and not self._pen.holder)

    def park(self, operation: Operation) -> None:
        """`operation` waits here for who leads, and may be asked to. Called with the mutex held."""
        self._parked.append(operation)

    def unpark(self, operation: Operation) -> None:
        """It does so no more. Called with the mutex held."""
        remove(self._parked, operation)

    def run_dry(self) -> None:
        """Moves bytes until nothing is outstanding and nothing is left to send."""
        nobody = Operation()
        while self._loose() and not self._stopped:
            self.flush()
            led: dict[Lane, Wire] = {}
            self.lead(led)
            if not led:
                return  # another thread has taken over, or there is nothing to read
            wire = led[self]
            try:
                self._read(wire, nobody)
            finally:
                self.follow(wire)

    def flush(self) -> None:
        """Sends all that is ready, unless another thread is about to."""
        outbox = self._outbox
        while outbox:
            turn = Turn()
            self._turns[turn.number] = turn
            try:
                with self._mutex:
                    if not outbox or not self._pen.take(turn.number):
                        return
                    take_all(outbox, turn.batch)
                    if turn.over:
                        if not turn.returned:
                            outbox[:0] = turn.batch
                        continue
                self._send(turn)
            except BaseException:
                if not turn.returned:
                    self._session.failures(turn.batch, "outcome_unknown")
                raise
            finally:
                self._pen.leave(turn.number)
                del self._turns[turn.number]

    def let_write(self) -> None:
        """Gives another thread that is about to send the time for it, a hundredth of a second."""
        for _ in range(100):
            if not self._pen.holder:
                return
            time.sleep(0.0001)

    def stop(self) -> None:
        """Closes the connection. What is outstanding comes to nothing. `_connect` looks at
        `_stopped` after it has made one.
        """
        self._stopped = True
        for wire in (*self._current, *self._aside):
            wire.close()

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        for wire in (*self._current, *self._aside):
            wire.forget()
        self._current.clear()

    def _loose(self) -> bool:
        """Whether something needs a thread: unsent commands, or unread replies."""
        wire = self.wire
        return bool(self._outbox) or (wire is not None and bool(wire.outstanding))

    def _pass_on(self) -> None:
        """Sees to it that somebody looks after what is unsent or unread here."""
        with self._mutex:
            wire = self.wire
            unread = wire is not None and not wire.reader.holder and bool(wire.outstanding)
            unsent = not self._pen.holder and bool(self._outbox)
            if self._stopped or not (unread or unsent):
                return
            for operation in self._parked:
                if operation.gate is not None:
                    operation.signal()
                    return
            if not unsent and self._glean is not None:
                self._glean(self)
                return
        try:
            threading.Thread(target=self.run_dry, name="comity-reader", daemon=True).start()
        except RuntimeError:
            self.run_dry()  # no thread can be started

    # Sending

    def _send(self, turn: Turn) -> None:
        session = self._session
        now = now_us()
        ready = turn.batch
        deadline = ready[0].deadline if len(ready) == 1 else min([c.deadline for c in ready])
        if deadline <= now:
            late = [c for c in ready if c.deadline <= now]
            turn.batch = ready = [c for c in ready if c.deadline > now]
            session.failures(late, "not_sent")
            if not ready:
                return
            deadline = min([c.deadline for c in ready])
        wire = self.wire
        if wire is not None and not wire.usable(now):
            self._drop(wire)
            wire = None
        if wire is None:
            try:
                wire = self._connect(turn, deadline)
            except NotConnected as failed:
                if not turn.returned:
                    session.unreachable(self._node, failed)
                    session.failures(ready, "not_sent")
                return
            except Refused as refused:
                if not turn.returned:
                    answer = self._connector.refusal(refused.text)
                    session.replies([(c.request, answer) for c in ready])
                return
            except BaseException:
                if not turn.returned:
                    session.failures(ready, "not_sent")
                raise
        self._write(wire, turn, deadline)

    def _write(self, wire: Wire, turn: Turn, deadline: int) -> None:
        ready = turn.batch
        with self._mutex:
            if turn.over:
                return
            wire.outstanding.extend(ready)
            if turn.returned:  # just before: nobody else writes on this wire any more
                for _ in ready:
                    wire.outstanding.pop()
                return
        data = ready[0].packed if len(ready) == 1 else b"".join([c.packed for c in ready])
        try:
            wire.send(data, deadline)
        except WireBroken as broken:
            self._drop(wire, str(broken), unsent=_behind(ready, broken.sent))
            return
        except BaseException:
            self._drop(wire)
            raise
        if wire is not self.wire and wire.reader.take(threading.get_ident()):
            # Stepped aside from while it was written to: nobody else reads the answers.
            self.follow(wire)

    def _connect(self, turn: Turn, deadline: int) -> Wire:
        wire = self._connector.connect(deadline)
        if self._bell is not None:
            wire.listen_to(self._bell.fileno())
        with self._mutex:
            self._current.append(wire)
            if turn.over:
                remove(self._current, wire)
        if turn.over or self._stopped:
            wire.close()
            raise NotConnected("closed" if self._stopped else "interrupted meanwhile")
        self._session.node(self._node, "connected")
        return wire

    def _drop(
        self, wire: Wire, why: str | None = None, *, unsent: list[Command] | None = None
    ) -> None:
        """Gives a connection up, and with it all that is outstanding there. `why` it broke."""
        session = self._session
        wire.broken = True
        with self._mutex:
            current = remove(self._current, wire)
            lost = list(wire.outstanding)
        wire.close()
        if unsent:
            keep = {c.request for c in lost}
            never = [c for c in unsent if c.request in keep]
            unknown = {c.request for c in never}
            lost = [c for c in lost if c.request not in unknown]
            session.failures(never, "not_sent")
        session.failures(lost, "outcome_unknown")
        take_out(wire.outstanding, lost)
        if current:
            session.node(self._node, "lost", why if lost or unsent else None)

    # Receiving

    def _read(self, wire: Wire, operation: Operation) -> None:
        """Reads for all until `operation` is done or nothing is outstanding. Called by the one
        thread that has set `_reading`.
        """
        session = self._session
        outstanding = wire.outstanding
        try:
            while outstanding and not (operation.done or operation.several):
                deadline = earliest(outstanding)
                timer = session.deadline
                replies = wire.receive(deadline if deadline < timer else timer)
                if self._bell is not None:
                    self._bell.clear()
                if replies:
                    self._take(wire, replies)
                elif now_us() >= deadline:
                    self._drop(wire, SILENT)
                elif now_us() >= timer:
                    session.tick()
                if self._outbox and not (operation.done or operation.several):
                    self.flush()
        except WireBroken as broken:
            self._drop(wire, str(broken))
        except BaseException:
            self._drop(wire)
            raise

    def _take(self, wire: Wire, replies: list[Any]) -> None:
        """Gives the core the replies to the oldest outstanding commands."""
        outstanding = wire.outstanding
        session = self._session
        handle_reply = session.core.handle_reply
        with self._mutex:
            now = wire.last = now_us()
            for reply in replies:
                if type(reply) is Push:
                    continue
                if not outstanding:
                    raise WireBroken("an answer to nothing")
                command = outstanding[0]
                handle_reply(command.request, reply, now)
                if not remove(outstanding, command):
                    return  # whoever called in the middle has given the connection up
                if type(reply) is ErrorReply and reply.text.startswith(b"READONLY"):
                    wire.doubtful = True
            if session.servers.missing:
                session.servers.back(self._node, now)
            session.drain()


def earliest(outstanding: deque[Command]) -> int:
    """The first deadline of what is outstanding; the thread that writes may drop it all."""
    try:
        if len(outstanding) == 1:
            return outstanding[0].deadline
        return min([command.deadline for command in outstanding.copy()], default=NEVER)
    except IndexError:
        return 0


def _behind(batch: list[Command], sent: int) -> list[Command]:
    """The commands of which not a byte is among the first `sent`."""
    at = 0
    for index, command in enumerate(batch):
        if at >= sent:
            return batch[index:]
        at += len(command.packed)
    return []
