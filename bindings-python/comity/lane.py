"""A lane: one connection to one node, shared by every thread that has something to say there.

Whoever finds commands ready sends all of them in one write, even while earlier replies are
outstanding. Of those who wait, one reads, for all, and hands over when it has what it came for.
The session's mutex guards all of a lane's state and is never held while anybody waits.

Nobody owns what is on its way: commands are in the outbox or, from one step to the next, in the
`Connection`, and so are bytes and answers. Who reads for all, and who connects, only
says who waits: anybody else may do the same at any time, as a thread does that finds itself in the
middle of a call here that it has interrupted. See `step_back`.

Who waits for an operation leaves when that is over, whatever the server does. What takes as long as
the server likes and cannot be left in the middle, making a connection, is done by a thread of its
own, for all; and so is the rest of what a socket has not taken by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from .clock import now_us
from .outbox import remove
from .sending import LENT, SILENT, UNWRITTEN, Connector, Sender
from .session import SHIFT
from .wire import WireBroken

if TYPE_CHECKING:
    from ._core import Command
    from .bell import Bell
    from .operation import Operation
    from .session import Session
    from .wire import Wire


PATIENCE: Final = 0.1
"""How many seconds a thread that waits for an answer leaves the reading to another before it looks
itself: that one may be held up by what has interrupted it.
"""


class Watch(Protocol):
    """Where those who wait for a grant can listen for it themselves."""

    def enter(self, operation: Operation) -> None:
        """`operation` is about to park. Called with the session's mutex held."""

    def serve(self, operation: Operation, needed: Callable[[], bool]) -> None:
        """`operation` was signalled: perhaps to listen, until it is signalled again or its thread
        is `needed` elsewhere. That is asked with the session's mutex held.
        """

    def leave(self, operation: Operation) -> None:
        """The thread of `operation` goes, wherever it was."""


class _Unwatched:
    """The watch of a lane on which nobody waits for a grant."""

    def enter(self, operation: Operation) -> None:
        """Nothing to listen to."""

    def serve(self, operation: Operation, needed: Callable[[], bool]) -> None:
        """Nothing to listen to."""

    def leave(self, operation: Operation) -> None:
        """Nothing to leave."""


class Lane(Sender):
    """See the module. `outbox` is the session's list of commands for this lane."""

    __slots__ = ("_glean", "_parked", "_watch")

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
        super().__init__(session, node, outbox, connector, bell)
        self._watch: Watch = watch or _Unwatched()
        self._glean = glean
        self._parked: list[Operation] = []

    def drive(self, operation: Operation) -> None:
        """Moves bytes until `operation` is done, or has commands for other nodes as well. Anything
        raised in between (Ctrl-C) leaves the lane in order.
        """
        mutex = self._mutex
        me = threading.get_ident()
        wire: Wire | None = None
        try:
            while not (operation.done or operation.several):
                if self._outbox:
                    self.flush(operation)
                with mutex:
                    if operation.done or operation.several:
                        break
                    wire = self.wire
                    if wire is not None and not (
                        wire.connection.outstanding and wire.reader.take(me)
                    ):
                        wire = None
                    if wire is None:
                        if self._outbox and not self._pen.holder:
                            continue
                        gate = self._park(operation)
                if wire is not None:
                    self._read(wire, operation)
                    wire.reader.leave(me)
                else:
                    self._wait(operation, gate)
            if self._outbox:
                self.flush(operation)  # what follows its end, and nobody waits for
        except BaseException:
            self._watch.leave(operation)
            with mutex:
                operation.gate = None
                self.unpark(operation)
            raise
        finally:
            if wire is not None:
                wire.reader.leave(me)
            self.pass_on()

    def _wait(self, operation: Operation, gate: threading.Lock) -> None:
        hindered = self._session.hindered
        idle = operation.rank is not None and not self._loose()
        patience = SHIFT if hindered else -1 if idle else PATIENCE
        signalled = gate.acquire(timeout=patience)
        operation.gate = None
        if hindered:
            self._session.stand_in()
        elif not signalled:
            self.look()
        self._watch.serve(operation, self.ready)
        with self._mutex:
            self.unpark(operation)

    def step_back(self, me: int) -> None:
        """A frame further down in this thread, `me`, is interrupted: others do what it was to do
        here.
        """
        wire, maker = self.wire, self._maker
        reads = wire is not None and wire.reader.leave(me)
        lent = maker is not None and maker.ident == me and self._pen.leave(LENT)
        if (self._pen.leave(me) or lent or reads) and not self._stopped:
            with self._mutex:
                for operation in self._parked:
                    if operation.gate is not None:
                        operation.signal()
                        return
                if self._glean is not None:
                    self._glean(self)

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
        """Takes what has arrived, and whether anything has; what is still to be written is. Does
        not wait, and may be called by anybody.
        """
        session = self._session
        try:
            with self._mutex:
                if wire.connection.unsent:
                    wire.write()
                if wire.hear(session.core, self._node):
                    session.drain()
                    return True
            if now_us() >= wire.deadline:
                self._drop(wire, UNWRITTEN if wire.unsent else SILENT)
        except WireBroken as broken:
            self._drop(wire, str(broken))
        return False

    def silent(self, wire: Wire) -> bool:
        """Whether there is nothing to read there any more; the caller then reads there no more."""
        if wire.outstanding:
            return False
        self.follow(wire)
        return True

    def follow(self, wire: Wire) -> None:
        """The caller reads there no more."""
        wire.reader.leave(threading.get_ident())

    def pass_on(self) -> None:
        """The caller goes: somebody else looks after what is unsent or unread here."""
        if self._parked or self._loose():
            self._pass_on()

    def glean(self) -> None:
        """Takes what has arrived and nobody has read. Does not wait."""
        self.look()
        self.pass_on()

    def look(self) -> None:
        """Takes what has arrived, whoever is to read it. Does not wait."""
        wire = self.wire
        if wire is not None and wire.outstanding:
            self.hear(wire)

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
        while remove(self._parked, operation):
            pass

    def run_dry(self) -> None:
        """Moves bytes until nothing is outstanding and nothing is left to send."""
        while self._loose() and not self._stopped:
            self.flush(None)
            led: dict[Lane, Wire] = {}
            self.lead(led)
            if not led:
                return  # another thread has taken over, or there is nothing to read
            wire = led[self]
            try:
                self._read(wire, None)
            finally:
                self.follow(wire)

    def stop(self) -> None:
        """Closes the connection. What is outstanding comes to nothing. `_connect` looks at
        `_stopped` after it has made one.
        """
        self._stopped = True
        wire = self.wire
        if wire is not None:
            wire.close()

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.forget()

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
        self._aside(self.run_dry, "reader")

    # Receiving

    def _read(self, wire: Wire, operation: Operation | None) -> None:
        """Reads for all until `operation` is done or nothing is outstanding. None: see `flush`."""
        session, connection = self._session, wire.connection
        while connection.outstanding and not _is_over(operation):
            # A server that is near has answered by now as often as not: that saves a wait.
            if not self.hear(wire):
                timer = session.deadline
                wire.wait(min(wire.deadline, timer) - now_us())
                if self._bell is not None:
                    self._bell.clear()
                if now_us() >= timer:
                    session.tick()
            if self._outbox and not _is_over(operation):
                self.flush(operation)


def _is_over(operation: Operation | None) -> bool:
    """Whether who waits for `operation` has to leave a lane."""
    return operation is not None and (operation.done or operation.several)
