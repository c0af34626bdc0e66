"""A lane: one connection to one node, shared by every thread that has something to say there.

Whoever finds commands ready sends all of them in one write, even while earlier replies are
outstanding. Of those who wait, one reads, for all, and hands over when it has what it came for.
The session's mutex guards all of a lane's state and is never held while bytes move.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ._core import ErrorReply
from .clock import now_us
from .operation import Operation
from .resp import Push
from .session import NEVER
from .wire import NotConnected, Refused, Wire, WireBroken

if TYPE_CHECKING:
    from ._core import Command
    from .bell import Bell
    from .session import Session


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


class Lane:
    """See the module. `outbox` is the session's list of commands for this lane."""

    __slots__ = (
        "_bell",
        "_connector",
        "_glean",
        "_mutex",
        "_node",
        "_outbox",
        "_parked",
        "_reading",
        "_session",
        "_stopped",
        "_watch",
        "_writing",
        "wire",
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
        self._writing = False
        self._reading = False
        self._stopped = False
        self._parked: list[Operation] = []
        self.wire: Wire | None = None

    def drive(self, operation: Operation) -> None:
        """Moves bytes until `operation` is done, or has commands for other nodes as well. Anything
        raised in between (Ctrl-C) leaves the lane in order, and at worst without its connection.
        """
        mutex = self._mutex
        leading = False
        try:
            while not (operation.done or operation.several):
                if self._outbox:
                    self.flush()
                with mutex:
                    if operation.done or operation.several:
                        break
                    wire = self.wire
                    if not self._reading and wire is not None and wire.outstanding:
                        leading = self._reading = True
                    elif self._outbox and not self._writing:
                        continue
                    else:
                        gate = self._park(operation)
                if leading and wire is not None:
                    self._read(wire, operation)
                    leading = self._reading = False
                else:
                    gate.acquire()
                    self._watch.serve(operation)
                    with mutex:
                        self._parked.remove(operation)
            self.flush()  # what follows the end of the operation, and nobody waits for
        except BaseException:
            self._watch.leave(operation)
            with mutex:
                self._parked = [parked for parked in self._parked if parked is not operation]
            raise
        finally:
            if leading:
                self._reading = False
            self.pass_on()

    def _park(self, operation: Operation) -> threading.Lock:
        """What to acquire until `operation` is signalled. Called with the mutex held."""
        gate = threading.Lock()
        gate.acquire()
        operation.gate = gate.release
        self._parked.append(operation)
        if operation.rank is not None:
            self._watch.enter(operation)
        return gate

    # For one who waits for several nodes at once: see `several.py`

    def lead(self, led: list[Lane]) -> None:
        """The caller reads here from now on, if there is something to read and nobody else does;
        this lane is then among `led`.
        """
        with self._mutex:
            wire = self.wire
            if not self._reading and wire is not None and wire.outstanding:
                led.append(self)
                self._reading = True

    def hear(self) -> bool:
        """Takes what has arrived, and whether anything has. Called by who leads here."""
        wire = self.wire
        if wire is None:
            return False
        try:
            replies = wire.take()
            if replies:
                self._take(wire, replies)
                return True
            if now_us() >= _earliest(wire.outstanding):
                self._drop(wire)
        except WireBroken:
            self._drop(wire)
        except BaseException:
            self._drop(wire)
            raise
        return False

    def silent(self) -> bool:
        """Whether there is nothing to read here any more; the caller then reads here no more."""
        # As one step: who sends something in between has to find either a reader or none.
        with self._mutex:
            wire = self.wire
            if wire is not None and wire.outstanding:
                return False
            self._reading = False
            return True

    def due(self) -> int:
        """When the first of what is outstanding is late."""
        wire = self.wire
        return NEVER if wire is None else _earliest(wire.outstanding)

    def follow(self) -> None:
        """The caller reads here no more."""
        self._reading = False

    def pass_on(self) -> None:
        """The caller goes: somebody else looks after what is unsent or unread here."""
        if self._parked or self._loose():
            self._pass_on()

    def glean(self) -> None:
        """Takes what has arrived and nobody has read. Does not wait."""
        led: list[Lane] = []
        self.lead(led)
        if led:
            try:
                self.hear()
            finally:
                self.follow()
                self.pass_on()

    def ready(self) -> bool:
        """Whether something is to be sent or read, and nobody does. Called with the mutex held."""
        wire = self.wire
        unread = not self._reading and wire is not None and bool(wire.outstanding)
        return unread or (bool(self._outbox) and not self._writing)

    def park(self, operation: Operation) -> None:
        """`operation` waits here for who leads, and may be asked to. Called with the mutex held."""
        self._parked.append(operation)

    def unpark(self, operation: Operation) -> None:
        """It does so no more. Called with the mutex held."""
        self._parked = [parked for parked in self._parked if parked is not operation]

    def run_dry(self) -> None:
        """Moves bytes until nothing is outstanding and nothing is left to send."""
        nobody = Operation()
        while self._loose() and not self._stopped:
            self.flush()
            with self._mutex:
                wire = self.wire
                if self._reading or wire is None or not wire.outstanding:
                    return  # another thread has taken over, or there is nothing to read
                self._reading = True
            try:
                self._read(wire, nobody)
            finally:
                self._reading = False

    def flush(self) -> None:
        """Sends all that is ready, unless another thread is about to."""
        outbox = self._outbox
        while outbox:
            batch: list[Command] = []
            try:
                with self._mutex:
                    if self._writing or not outbox:
                        return
                    batch = outbox.copy()
                    self._writing = True
                    outbox.clear()
                self._send(batch)
            except BaseException:
                self._session.failures(batch, "outcome_unknown")
                raise
            finally:
                if batch:
                    self._writing = False

    def stop(self) -> None:
        """Closes the connection. What is outstanding comes to nothing.

        Takes no lock: the garbage collector may call it wherever a lock is held. `_connect` looks
        at `_stopped` after it has set `wire`.
        """
        self._stopped = True
        wire = self.wire
        if wire is not None:
            wire.close()

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        if self.wire is not None:
            self.wire.forget()
            self.wire = None

    def _loose(self) -> bool:
        """Whether something needs a thread: unsent commands, or unread replies."""
        wire = self.wire
        return bool(self._outbox) or (wire is not None and bool(wire.outstanding))

    def _pass_on(self) -> None:
        """Sees to it that somebody looks after what is unsent or unread here."""
        with self._mutex:
            wire = self.wire
            unread = not self._reading and wire is not None and bool(wire.outstanding)
            unsent = not self._writing and bool(self._outbox)
            if self._stopped or not (unread or unsent):
                return
            for operation in self._parked:
                if operation.gate is not None:
                    operation.signal()
                    return
            if not unsent and self._glean is not None:
                self._glean(self)
                return
        threading.Thread(target=self.run_dry, name="comity-reader", daemon=True).start()

    # Sending

    def _send(self, batch: list[Command]) -> None:
        session = self._session
        now = now_us()
        deadline = batch[0].deadline if len(batch) == 1 else min([c.deadline for c in batch])
        ready = batch
        if deadline <= now:
            ready = [c for c in batch if c.deadline > now]
            session.failures([c for c in batch if c.deadline <= now], "not_sent")
            if not ready:
                return
            deadline = min([c.deadline for c in ready])
        wire = self.wire
        if wire is not None and not wire.usable(now):
            self._drop(wire)
            wire = None
        if wire is None:
            try:
                wire = self._connect(deadline)
            except NotConnected:
                session.failures(ready, "not_sent")
                return
            except Refused as refused:
                answer = self._connector.refusal(refused.text)
                session.replies([(c.request, answer) for c in ready])
                return
            except BaseException:
                session.failures(ready, "not_sent")
                raise
        self._write(wire, ready, deadline)

    def _write(self, wire: Wire, ready: list[Command], deadline: int) -> None:
        with self._mutex:
            wire.outstanding.extend(ready)
        data = ready[0].packed if len(ready) == 1 else b"".join([c.packed for c in ready])
        try:
            wire.send(data, deadline)
        except WireBroken as broken:
            self._drop(wire, unsent=_behind(ready, broken.sent))
        except BaseException:
            self._drop(wire)
            raise

    def _connect(self, deadline: int) -> Wire:
        wire = self._connector.connect(deadline)
        if self._bell is not None:
            wire.listen_to(self._bell.fileno())
        self.wire = wire
        if self._stopped:
            wire.close()
            raise NotConnected("closed")
        self._session.node(self._node, "connected")
        return wire

    def _drop(self, wire: Wire, unsent: list[Command] | None = None) -> None:
        """Gives a connection up, and with it all that is outstanding there."""
        session = self._session
        wire.broken = True
        with self._mutex:
            current = self.wire is wire
            if current:
                self.wire = None
            lost = list(wire.outstanding)
            wire.outstanding.clear()
        wire.close()
        if unsent:
            keep = {c.request for c in lost}
            never = [c for c in unsent if c.request in keep]
            unknown = {c.request for c in never}
            lost = [c for c in lost if c.request not in unknown]
            session.failures(never, "not_sent")
        session.failures(lost, "outcome_unknown")
        if current:
            session.node(self._node, "lost")

    # Receiving

    def _read(self, wire: Wire, operation: Operation) -> None:
        """Reads for all until `operation` is done or nothing is outstanding. Called by the one
        thread that has set `_reading`.
        """
        session = self._session
        outstanding = wire.outstanding
        try:
            while outstanding and not (operation.done or operation.several):
                deadline = _earliest(outstanding)
                timer = session.deadline
                replies = wire.receive(deadline if deadline < timer else timer)
                if self._bell is not None:
                    self._bell.clear()
                if replies:
                    self._take(wire, replies)
                elif now_us() >= deadline:
                    self._drop(wire)
                elif now_us() >= timer:
                    session.tick()
                if self._outbox and not (operation.done or operation.several):
                    self.flush()
        except WireBroken:
            self._drop(wire)
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
                handle_reply(outstanding.popleft().request, reply, now)
                if type(reply) is ErrorReply and reply.text.startswith(b"READONLY"):
                    wire.doubtful = True
            session.drain()


def _earliest(outstanding: deque[Command]) -> int:
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
