"""How one thread waits for the answers of several nodes at once.

It sends what there is to send to each, and reads on every lane where nobody else does, on all of
them at a time. A bell wakes it for what others read for it, or made ready for it to be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .bell import Bell, any_of
from .clock import now_us

if TYPE_CHECKING:
    from .lane import Lane
    from .operation import Operation
    from .session import Session
    from .wire import Wire


class Several:
    """What threads need that wait in this way. `lanes` are those of all nodes, in their order."""

    def __init__(self, session: Session, lanes: Sequence[Lane]) -> None:
        self._session = session
        self._lanes = lanes
        self._seats: list[_Seat] = []
        self._stopped = False

    def drive(self, operation: Operation) -> None:
        """Moves bytes until `operation` is done. Anything raised in between (Ctrl-C) leaves the
        lanes in order.
        """
        lanes = self._lanes
        led: list[Lane] = []
        seat = self._seat()
        try:
            while not operation.done:
                for node in operation.nodes:
                    lane = lanes[node]
                    lane.flush()
                    if lane not in led:
                        lane.lead(led)
                if not _hear(led):
                    self._wait(operation, led, seat)
                    if now_us() >= self._session.deadline:
                        self._session.tick()
            for node in operation.nodes:
                lanes[node].flush()  # what follows the end of it, and nobody waits for
        except BaseException:
            with self._session.mutex:
                operation.gate = None
                for node in operation.nodes:
                    lanes[node].unpark(operation)
            raise
        finally:
            while led:
                led.pop().follow()
            for node in operation.nodes:
                lanes[node].pass_on()
            self._seats.append(seat)
            if self._stopped:
                self.stop()

    def stop(self) -> None:
        """Closes what is not in use, now and later. Takes no lock."""
        self._stopped = True
        while self._seats:
            self._seats.pop().bell.close()

    def _seat(self) -> _Seat:
        try:
            return self._seats.pop()
        except IndexError:
            return _Seat()

    def _wait(self, operation: Operation, led: list[Lane], seat: _Seat) -> None:
        """Waits until there is something to do, or something is late."""
        mutex = self._session.mutex
        with mutex:
            mine = [self._lanes[node] for node in operation.nodes]
            if operation.done or any(lane.ready() for lane in mine):
                return
            operation.gate = seat.bell.ring
            others = [lane for lane in mine if lane not in led]
            for lane in others:
                lane.park(operation)
        try:
            seat.listen(led, self._session.deadline)
        finally:
            with mutex:
                operation.gate = None
                for lane in others:
                    lane.unpark(operation)
            seat.bell.clear()


def _hear(led: list[Lane]) -> bool:
    """Takes what has arrived on these lanes, and whether anything has. Those that have nothing more
    to say are not led any more.
    """
    heard = False
    for lane in led:
        heard = lane.hear() or heard
    led[:] = [lane for lane in led if not lane.silent()]
    return heard


class _Seat:
    """What one thread waits with: a bell that others ring, and how to hear it and some wires."""

    __slots__ = ("_await", "_wires", "bell")

    def __init__(self) -> None:
        self.bell = Bell()
        self._wires: list[Wire] = []
        self._await: Callable[[int], object] = any_of([self.bell.fileno()])

    def listen(self, lanes: list[Lane], until: int) -> None:
        """Until the bell rings, something can be read on one of these lanes, is late there, or is
        hidden from polling; at most until `until`.
        """
        wires = [wire for lane in lanes if (wire := lane.wire) is not None]
        if any(wire.broken or wire.hidden for wire in wires):
            return
        if wires != self._wires:
            fds = [wire.fileno() for wire in wires]
            if any(fd < 0 for fd in fds):
                return
            self._wires = wires
            self._await = any_of([self.bell.fileno(), *fds])
        left = min([until, *[lane.due() for lane in lanes]]) - now_us()
        self._await(max(0, left))
