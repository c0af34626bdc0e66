"""How a lane sends, and comes to its connection; see `lane.py` for who may do so when."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from ._core import Baton, refuse, refuse_late
from .callbacks import start
from .clock import now_us
from .wire import NotConnected, Refused, Wait, Wire, WireBroken

if TYPE_CHECKING:
    from ._core import Command
    from .bell import Bell
    from .operation import Operation
    from .session import Session

SILENT: Final = "no answer in time"
UNWRITTEN: Final = "not written in time"

LENT: Final = 1
"""No thread's number: that of one which is to make a connection, and does not run yet."""


class Connector(Protocol):
    """How a lane gets its connection."""

    def connect(self, deadline: int, *, messages: bool = False) -> Wire:
        """A ready connection by `deadline`, for commands or for `messages`. Raises `NotConnected`
        or `Refused`.
        """


class Sender(ABC):
    """The half of a lane that sends."""

    __slots__ = (
        "_bell",
        "_connector",
        "_maker",
        "_mutex",
        "_node",
        "_outbox",
        "_pen",
        "_session",
        "_stopped",
        "wire",
    )

    def __init__(
        self,
        session: Session,
        node: int,
        outbox: list[Command],
        connector: Connector,
        bell: Bell | None,
    ) -> None:
        self._session = session
        self._bell = bell
        self._mutex = session.mutex
        self._node = node
        self._outbox = outbox
        self._connector = connector
        self._pen = Baton()
        """Which thread makes a connection."""
        self._maker: threading.Thread | None = None
        """The last one that was started for that."""
        self._stopped = False
        self.wire: Wire | None = None
        """The connection to send on, if there is one."""

    @abstractmethod
    def pass_on(self) -> None:
        """The caller goes: somebody else looks after what is unsent or unread here."""

    def _aside(self, task: Callable[[], object], what: str) -> None:
        """Has a thread of its own do something, or does it where none can be started."""
        try:
            start(threading.Thread(target=task, name=f"comity-{what}", daemon=True))
        except RuntimeError:
            task()

    def flush(self, operation: Operation | None) -> None:
        """Sends all that is ready, as far as it goes until `operation` is done, for which the
        caller waits: the rest leaves without it. Where there is no connection, one is made
        meanwhile. None: the caller waits for nothing, and has the time for all of it.
        """
        outbox = self._outbox
        session = self._session
        while outbox:
            wire = self.wire
            if wire is None:
                if not (self._connect() if operation is None else self._have_connected()):
                    return
                continue
            if not wire.usable(now_us()):
                self._drop(wire)
                continue
            try:
                with self._mutex:
                    if wire.take(outbox, session.core):
                        session.drain()
                    wait = wire.write()
                if wait is not None:
                    self._write(wire, operation, wait)
            except WireBroken as broken:
                self._drop(wire, str(broken))

    def _write(self, wire: Wire, operation: Operation | None, wait: Wait | None) -> None:
        """Writes what is taken, as long as it takes or until `operation` is done. `wait` is how to
        wait for that.
        """
        session = self._session
        while wait is not None:
            now, timer = now_us(), session.deadline
            if now >= wire.deadline:
                raise WireBroken(UNWRITTEN)
            if operation is not None and operation.done:
                self._aside(partial(self._write_on, wire), "writer")
                return
            wait(max(0, min(wire.deadline, timer) - now))
            if now_us() >= timer:
                session.tick()
            with self._mutex:
                wait = wire.write()

    def _write_on(self, wire: Wire) -> None:
        """Writes the rest, which somebody has left."""
        try:
            with self._mutex:
                wait = wire.write()
            self._write(wire, None, wait)
        except WireBroken as broken:
            self._drop(wire, str(broken))

    def _have_connected(self) -> bool:
        """Has a thread make a connection, unless one does. Whether it is made already, or has
        failed: by this thread, where no other can be started.
        """
        if not self._pen.take(LENT):
            return False
        self._maker = maker = threading.Thread(
            target=self._make, name=f"comity-connect-{self._node}", daemon=True
        )
        try:
            start(maker)
        except RuntimeError:
            self._pen.leave(LENT)
            return self._connect()
        except BaseException:
            self._pen.leave(LENT)
            raise
        return False

    def _make(self) -> None:
        """What the thread does. Who waits sends, and reads."""
        self._pen.leave(LENT)
        self._connect()
        self.pass_on()

    def _connect(self) -> bool:
        """Makes a connection. False where there is nothing more to send, or another thread is about
        to.
        """
        session, outbox = self._session, self._outbox
        me = threading.get_ident()
        with self._mutex:
            deadline = refuse_late(outbox, session.core, now_us())
            due = outbox.copy()
            session.drain()
            if not due or self.wire is not None:
                return bool(outbox)
            if not self._pen.take(me):
                return False
        try:
            self._connected(self._connector.connect(deadline))
        except NotConnected as failed:
            if self._pen.holder == me:
                session.unreachable(self._node, failed)
                self._refuse(due)
        except Refused as refused:
            if self._pen.holder == me:
                session.refused(self._node, refused.text)
                self._refuse(due)
        finally:
            self._pen.leave(me)
        return True

    def _connected(self, wire: Wire) -> None:
        """There is a connection; it is not needed if somebody else has made one meanwhile."""
        if self._bell is not None:
            wire.listen_to(self._bell.fileno())
        with self._mutex:
            if self.wire is None:
                self.wire = wire
        if self.wire is not wire or self._stopped:
            wire.close()
        if self._stopped:
            raise NotConnected("closed")
        if self.wire is wire:
            self._session.node(self._node, "connected")

    def _refuse(self, due: list[Command]) -> None:
        session = self._session
        with self._mutex:
            refuse(self._outbox, due, session.core, now_us())
            session.drain()

    def _drop(self, wire: Wire, why: str | None = None) -> None:
        """Gives a connection up, and with it all that is outstanding there. `why` it broke."""
        session = self._session
        with self._mutex:
            if why not in (None, SILENT) and wire.outstanding:
                session.broken(self._node, str(why))
            wire.end(session.core)
            current = self.wire is wire
            if current:
                self.wire = None
                session.node(self._node, "lost")
            else:
                session.drain()
        wire.close()
