"""Drivers: how operations get done. This one over sockets; memory.py has the embedded store's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from .callbacks import hand_out, spawn
from .clock import now_us
from .lane import Lane
from .mutex import outside
from .operation import Operation
from .push import PushReader
from .sending import Connector
from .session import SHIFT, Session
from .several import Several
from .workers import Background, Timer, relieve


class Driver(Protocol):
    """What the friendly API needs of a driver."""

    def wait(self, operation: Operation) -> None:
        """Blocks until `operation` is done; Ctrl-C ends the wait."""

    def finish(self, timeout: float) -> None:
        """After the session was closed: until all it began is done, at most so many seconds."""

    def stop(self, *, join: bool = True) -> None:
        """Ends every thread and connection.

        Without `join` it waits for nothing and takes no lock: the garbage collector may call it.
        """

    def forget(self) -> None:
        """In the child of a fork: drops connections without a word to the server."""


def park(
    session: Session, operation: Operation, timeout: float = -1, *, until_sent: bool = False
) -> None:
    """Blocks until `operation` is signalled or done, at most `timeout` seconds, and not for long
    where this thread stands in for others. With `until_sent` not at all where it has commands that
    its thread has to send.
    """
    if session.hindered:
        timeout = SHIFT if timeout < 0 else min(timeout, SHIFT)
    gate = threading.Lock()
    gate.acquire()
    with session.mutex:
        # First the gate: who finds none rings for nobody.
        operation.gate = gate.release
        if operation.done or (until_sent and operation.attended and operation.node >= 0):
            operation.gate = None
            return
    try:
        outside(session.mutex, gate.acquire, True, timeout)
    finally:
        operation.gate = None


class SocketDriver:
    """Per node a lane for callers, a background thread and a push thread, and where it is needed
    another for what blocks; one timer.
    """

    def __init__(self, session: Session, connectors: Sequence[Connector]) -> None:
        self._session = session
        session.run_callback = spawn
        session.stand_in = self._stand_in
        self._lanes: list[Lane] = []
        self._background: list[Background] = []
        self._pushes: list[PushReader] = []
        self._timer = Timer(session)
        glean = self._timer.glean
        for node, connector in enumerate(connectors):
            box = session.boxes[node]
            push = PushReader(session, node, box.subscribe, connector)
            lane = Lane(session, node, box.foreground, connector, watch=push, glean=glean)
            self._lanes.append(lane)
            background = Background(session, node, box.background, connector)
            box.wake_background = background.ring
            box.wake_blocking = partial(self._block, node, connector)
            box.wake_subscribe = push.ring
            self._background.append(background)
            self._pushes.append(push)
        self._several = Several(session, self._lanes)
        self._stopped = False

    def _block(self, node: int, connector: Connector) -> None:
        """Has a thread of its own do what blocks the connection to a node."""
        if self._stopped:
            return
        box = self._session.boxes[node]
        blocking = Background(self._session, node, box.blocking, connector, "blocking")
        self._background.append(blocking)
        box.wake_blocking = blocking.ring
        blocking.ring()

    def wait(self, operation: Operation) -> None:
        """See `Driver`. An operation is driven by the lanes its commands go to, once it has any."""
        outside(self._session.mutex, self._wait, operation)

    def _wait(self, operation: Operation) -> None:
        relieve()
        self._step_back(operation)
        while not operation.done:
            if self._session.hindered:
                self._stand_in()
            if operation.attended and operation.several:
                self._several.drive(operation)
            elif operation.attended and operation.node >= 0:
                self._lanes[operation.node].drive(operation)
            else:
                park(self._session, operation, until_sent=True)
        if operation.fence and self._session.boxes[operation.node].background:
            # The lease of a hand-over is short: its renewal leaves before the caller's code runs,
            # which may keep every other thread from running.
            lane = self._background[operation.node].lane
            if lane.wire is not None:
                lane.flush(operation)
                with self._session.mutex:
                    pass  # what another thread has taken to be sent is written by then

    def _step_back(self, operation: Operation) -> None:
        """Whatever this thread was in the middle of when it came to wait for `operation`, others go
        on with it: those who wait and the background.
        """
        for call in self._session.calls.copy():
            if call is not operation:
                self._session.leave(call)
                with self._session.mutex:
                    for node in call.nodes:
                        self._lanes[node].unpark(call)
                        self._pushes[node].leave(call)
        me = threading.get_ident()
        for lane in self._lanes:
            lane.step_back(me)

    def finish(self, timeout: float) -> None:
        """See `Driver`. Late in the interpreter's life no thread can be started any more."""
        outside(self._session.mutex, self._finish, timeout)

    def _finish(self, timeout: float) -> None:
        relieve()
        self._step_back(self._session.drained)
        until = now_us() + round(timeout * 1e6)
        while not self._session.drained.done and (left := until - now_us()) > 0:
            if self._session.hindered:
                self._stand_in()
            park(self._session, self._session.drained, left / 1e6)

    def _stand_in(self) -> None:
        """Does in the caller's thread what no thread can be started for, and tries again to."""
        session = self._session
        with session.mutex:
            for worker in session.hindered.copy():
                worker.ring()
        session.see_to_dropped()
        for background in self._background:
            if not background.running:
                background.lane.run_dry()
        for push in self._pushes:
            if not push.running:
                push.refuse()
        if not self._timer.running:
            for lane in self._lanes:
                lane.glean()
            if session.deadline <= session.now():
                session.tick()
        hand_out()

    def stop(self, *, join: bool = True) -> None:
        """See `Driver`."""
        self._stopped = True
        workers = [*self._background, *self._pushes, self._timer]
        for worker in workers:
            worker.stop()
        for lane in self._lanes:
            lane.stop()
        self._several.stop()
        if join:
            for worker in workers:
                worker.join(1.0)

    def forget(self) -> None:
        """See `Driver`."""
        for lane in self._lanes:
            lane.forget()
        for background in self._background:
            background.forget()
        for push in self._pushes:
            push.forget()
        self._several.stop()
