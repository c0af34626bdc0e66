"""The daemon threads of a coordinator: background lanes, push connections, the timer.

Each starts when it is first needed and ends with `stop`. One that serves a node blocks only on
that node, so a node that hangs delays no other.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from .bell import Bell
from .clock import COUNTS_SUSPEND, now_us
from .lane import Lane
from .session import NEVER
from .wire import NotConnected, Refused, Wire, WireBroken

if TYPE_CHECKING:
    from ._core import Command
    from .lane import Connector
    from .session import Session

log = logging.getLogger("comity")

_PING: Final = b"*1\r\n$4\r\nPING\r\n"
_QUIET_US: Final = 10_000_000
"""How long a push connection may be silent before it is asked whether it still lives."""
_JUMP_US: Final = 1_000_000
"""How far wall clock and monotonic clock may part before a suspend is assumed."""
_NAP: Final = 3600.0
"""The longest sleep in seconds; waking for nothing is harmless."""


class Worker:
    """A daemon thread that starts when it is first rung for."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self.stopped = False

    def ring(self) -> None:
        """Says that there is something to do. Never blocks. Call with the session's mutex held."""
        self.wake()
        if self._thread is None and not self.stopped:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:
                self._thread = None  # the interpreter is about to end; see SocketDriver.finish

    @property
    def running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def stop(self) -> None:
        """Has the thread end at its next turn."""
        self.stopped = True
        self.wake()
        if self._thread is None:
            self.free()

    def join(self, timeout: float) -> None:
        """Waits for the end of the thread, at most `timeout` seconds."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def wake(self) -> None:
        """Ends the thread's sleep."""
        raise NotImplementedError

    def turn(self) -> None:
        """One round of what the thread is for."""
        raise NotImplementedError

    def free(self) -> None:
        """Gives back what the thread needed, once it has ended."""

    def _run(self) -> None:
        try:
            while not self.stopped:
                self.turn()
        except Exception:
            log.exception("%s ended by a bug in comity", self._name)
        finally:
            self.free()


class Background(Worker):
    """Sends the commands of one node that no thread waits for, and reads what they answer."""

    def __init__(
        self, session: Session, node: int, outbox: list[Command], connector: Connector
    ) -> None:
        super().__init__(f"comity-background-{node}")
        self._bell = Bell()
        self._outbox = outbox
        self.lane = Lane(session, node, outbox, connector, self._bell)
        self.wake = self._bell.ring  # type: ignore[method-assign]

    def turn(self) -> None:
        """Moves bytes, then sleeps until there are more."""
        self._bell.clear()
        self.lane.run_dry()
        if not self._outbox:
            self._bell.wait()

    def stop(self) -> None:
        """Has the thread end, and its connection with it."""
        self.lane.stop()
        super().stop()

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        self.lane.forget()
        self._bell.close()

    def free(self) -> None:
        """Closes the bell."""
        self._bell.close()


class Timer(Worker):
    """Tells the core the time when it wants to hear it, and so has it decide which leases and
    waits are over.
    """

    def __init__(self, session: Session) -> None:
        super().__init__("comity-timer")
        self._session = session
        self._bell = threading.Lock()
        self._offset = _offset()
        session.alarm = NEVER
        session.wake_timer = self.ring

    def wake(self) -> None:
        """Ends the sleep."""
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:
                pass  # somebody else just did

    def turn(self) -> None:
        """Sleeps until the core's deadline, or an earlier one comes up; then tells the time."""
        session = self._session
        with session.mutex:
            session.alarm = session.deadline
        left = session.alarm - now_us()
        if left > 0:
            self._bell.acquire(timeout=min(left / 1e6, _NAP))
        if self.stopped:
            return
        if not COUNTS_SUSPEND and abs(_offset() - self._offset) > _JUMP_US:
            self._offset = _offset()
            session.gap()
        if session.deadline <= now_us():
            session.tick()


def _offset() -> int:
    return time.time_ns() // 1000 - now_us()


class PushReader(Worker):
    """One node's push connection: subscribes when the core says so, and hands messages in."""

    def __init__(
        self, session: Session, node: int, inbox: list[Command], connector: Connector
    ) -> None:
        super().__init__(f"comity-push-{node}")
        self._session = session
        self._node = node
        self._inbox = inbox
        self._connector = connector
        self._bell = Bell()
        self._wire: Wire | None = None
        self._command: Command | None = None
        self._ready = False
        self._pinged = False
        self.wake = self._bell.ring  # type: ignore[method-assign]

    def stop(self) -> None:
        """Has the thread end, and its connection with it."""
        super().stop()
        wire = self._wire
        if wire is not None:
            wire.close()

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        if self._wire is not None:
            self._wire.forget()
            self._wire = None
        self._bell.close()

    def free(self) -> None:
        """Closes the bell, and the connection if it was made meanwhile."""
        self._bell.close()
        if self._wire is not None:
            self._wire.close()

    def turn(self) -> None:
        """Subscribes, sleeps, or hands in what arrived."""
        self._bell.clear()
        with self._session.mutex:
            command = self._inbox.pop(0) if self._inbox else None
        try:
            if command is not None:
                self._subscribe(command)
            elif self._wire is None:
                self._bell.wait()
            else:
                self._listen(self._wire)
        except WireBroken as broken:
            self._lose(str(broken))

    def _subscribe(self, command: Command) -> None:
        session = self._session
        if self._wire is None:
            try:
                self._wire = self._connector.connect(command.deadline)
            except NotConnected:
                session.failures([command], "not_sent")
                return
            except Refused as refused:
                session.replies([(command.request, self._connector.refusal(refused.text))])
                return
            self._wire.listen_to(self._bell.fileno())
            self._ready = False
        self._command = command
        self._wire.send(command.packed, command.deadline)

    def _listen(self, wire: Wire) -> None:
        command = self._command
        until = wire.last + _QUIET_US * (2 if self._pinged else 1)
        if command is not None:
            until = min(until, command.deadline)
        replies = wire.receive(until)
        now = now_us()
        if replies:
            wire.last = now
            self._pinged = False
            for reply in replies:
                self._hear(reply)
        elif command is not None and now >= command.deadline:
            raise WireBroken("the subscription was not confirmed in time")
        elif now >= until:
            if self._pinged:
                raise WireBroken("silent")
            self._pinged = True
            wire.send(_PING, now + _QUIET_US)

    def _hear(self, reply: Any) -> None:
        session = self._session
        if isinstance(reply, list):
            kind = reply[0] if reply else None
            if kind == b"message":
                session.message(self._node, reply[1], reply[2])
            elif kind == b"subscribe":
                self._command = None
                self._ready = True
                session.node(self._node, "push_ready")
        elif self._command is not None and not isinstance(reply, str):
            command, self._command = self._command, None
            session.replies([(command.request, reply)])
            raise WireBroken("the server refused the subscription")

    def _lose(self, why: str) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        command, self._command = self._command, None
        ready, self._ready = self._ready, False
        self._pinged = False
        if self.stopped:
            return
        if command is not None:
            self._session.failures([command], "outcome_unknown")
        if ready:
            log.debug("push connection to node %d lost: %s", self._node, why)
            self._session.node(self._node, "push_lost")
