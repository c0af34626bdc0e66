"""The daemon threads of a coordinator: background lanes, push connections, the timer.

Each starts when it is first needed and ends with `stop`. One that serves a node blocks only on
that node, so a node that hangs delays no other.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from _thread import start_new_thread
from typing import TYPE_CHECKING, Final

from . import callbacks
from .bell import Bell
from .clock import NAP, Gaps
from .lane import Lane
from .session import NEVER

if TYPE_CHECKING:
    from ._core import Command
    from .sending import Connector
    from .session import Session

log = logging.getLogger("comity")

_PAUSE: Final = 0.1
"""How many seconds a thread rests after something went wrong in it."""
_SOON_US: Final = 100_000
"""How long it takes until what no thread could be started for is tried again."""
_LINGER_US: Final = 10_000
"""How long replies that nobody waits for may lie unread."""


class Worker:
    """A daemon thread that starts when it is first rung for."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._thread: threading.Thread | None = None
        self._runner: threading.Thread | None = None
        self._claim = threading.Lock()
        self.stopped = False

    def ring(self) -> None:
        """Says that there is something to do. Never blocks. Call with the session's mutex held."""
        self.wake()
        if self._thread is None and not self.stopped:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                callbacks.start(thread)
            except RuntimeError as error:
                # A limit is reached, or the interpreter is about to end.
                if not self._session.hindered:
                    log.warning(
                        "no thread can be started (%s): until one can, leases are renewed only "
                        "while a thread is in a verb of comity's, check() among them",
                        error,
                    )
                self._session.hinder(self)
                return
            # Last: who is interrupted before leaves it to the next ring, and one of two runs.
            self._thread = thread
            self._session.hindered.discard(self)

    @property
    def running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def stop(self) -> None:
        """Has the thread end at its next turn."""
        self.stopped = True
        self.wake()
        if self._thread is None and self._runner is None:
            self.free()

    def join(self, timeout: float) -> None:
        """Waits for the end of the thread, at most `timeout` seconds."""
        thread = self._runner or self._thread
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

    def relieve(self) -> None:
        """The thread, which calls this, is held up by what has interrupted it: another takes its
        place.
        """
        del serving[threading.get_ident()]
        self._claim = threading.Lock()
        self._thread = self._runner = None
        self.ring()

    def _run(self) -> None:
        if not self._claim.acquire(blocking=False):
            return  # another that was started before runs after all: see `ring`
        me = threading.get_ident()
        self._runner = threading.current_thread()
        serving[me] = self
        try:
            while not self.stopped and me in serving:
                try:
                    self.turn()
                except Exception:
                    if not self.stopped:
                        log.exception("%s: what was to be done comes to nothing", self._name)
                        time.sleep(_PAUSE)
        finally:
            if serving.pop(me, None) is not None:
                self.free()


serving: Final[dict[int, Worker]] = {}
"""Each thread of comity's and what it is for."""


def relieve() -> None:
    """Called by who is about to wait: a finalizer may do so in a thread of comity's."""
    worker = serving.get(threading.get_ident())
    if worker is not None:
        worker.relieve()


@atexit.register
def _end() -> None:
    """No thread of comity's is left when the interpreter is taken apart, whoever began it."""
    for worker in list(serving.values()):
        worker.stop()
        worker.join(1.0)


class Background(Worker):
    """Sends the commands of one node that no thread waits for, and reads what they answer."""

    def __init__(
        self,
        session: Session,
        node: int,
        outbox: list[Command],
        connector: Connector,
        what: str = "background",
    ) -> None:
        super().__init__(session, f"comity-{what}-{node}")
        self._bell = Bell()
        self._outbox = outbox
        self.lane = Lane(session, node, outbox, connector, bell=self._bell)
        self.wake = self._bell.ring  # type: ignore[method-assign]

    def turn(self) -> None:
        """Moves bytes, then sleeps until there are more."""
        self._bell.clear()
        self.lane.run_dry()
        # Behind the clearing, which may have taken the ring of `stop` too.
        if not self._outbox and not self.stopped:
            self._bell.wait()

    def relieve(self) -> None:
        """See `Worker`."""
        self.lane.step_back(threading.get_ident())
        super().relieve()

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
        super().__init__(session, "comity-timer")
        self._bell = threading.Lock()
        self._gaps = Gaps()
        self._stirred = False
        self._unread: list[Lane] = []
        self._gleaning = NEVER
        session.alarm = NEVER
        session.wake_timer = self.ring
        session.stir = self._stir
        session.rouse = self._rouse

    def wake(self) -> None:
        """Ends the sleep."""
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:
                pass  # somebody else just did

    def glean(self, lane: Lane) -> None:
        """Has the thread read, in a while, what came on `lane` and nobody waits for: by then
        somebody else has as a rule, in passing. Called with the session's mutex held.
        """
        if lane not in self._unread:
            self._unread.append(lane)
        if self._gleaning == NEVER:
            self._gleaning = self._session.now() + _LINGER_US
            if self._gleaning < self._session.alarm:
                self.ring()

    def turn(self) -> None:
        """Sleeps until the core's deadline, or an earlier one comes up; then tells the time."""
        session = self._session
        with session.mutex:
            session.alarm = min(session.deadline, self._gleaning)
            if session.hindered or callbacks.waiting:
                session.alarm = min(session.alarm, session.now() + _SOON_US)
        left = session.alarm - session.now()
        if left > 0:
            self._bell.acquire(timeout=min(left / 1e6, NAP))
        if self.stopped:
            return
        if session.dropped:
            session.see_to_dropped()
        if session.hindered or callbacks.waiting:
            session.stand_in()
        if self._gaps.seen():
            session.gap()
        if self._gleaning <= session.now():
            with session.mutex:
                lanes, self._unread, self._gleaning = self._unread, [], NEVER
            for lane in lanes:
                lane.glean()
        if self._stirred or session.deadline <= session.now():
            self._stirred = False
            session.tick()

    def _rouse(self) -> None:
        """Has what was dropped seen to."""
        if self.running:
            self.wake()
        else:
            start_new_thread(self._session.see_to_dropped, ())

    def _stir(self) -> None:
        """Has the thread, which runs since there are counters, look at the core."""
        self._stirred = True
        self.wake()
