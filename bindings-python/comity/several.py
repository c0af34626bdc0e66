"""How one thread waits for the answers of several nodes at once.

It sends what there is to send to each, and reads on every lane where nobody else does, on all of
them at a time. A bell wakes it for what others read for it, or made ready for it to be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .bell import Bell, any_of
from .clock import now_us
from .lane import PATIENCE
from .session import SHIFT

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
        led: dict[Lane, Wire] = {}
        seat = self._seat()
        try:
            while not operation.done:
                for node in operation.nodes:
                    lane = lanes[node]
                    lane.flush(operation)
                    lane.lead(led)
                if self._session.hindered:
                    self._session.stand_in()
                if not _hear(led):
                    self._wait(operation, led, seat)
                    if now_us() >= self._session.deadline:
                        self._session.tick()
            for node in operation.nodes:
                lanes[node].flush(operation)  # what follows the end of it, and nobody waits for
        except BaseException:
            with self._session.mutex:
                operation.gate = None
                for node in operation.nodes:
                    lanes[node].unpark(operation)
            raise
        finally:
            while led:
                lane, wire = led.popitem()
                lane.follow(wire)
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

    def _wait(self, operation: Operation, led: dict[Lane, Wire], seat: _Seat) -> None:
        """Waits until there is something to do, or something is late."""
        mutex = self._session.mutex
        with mutex:
            operation.gate = seat.bell.ring
            mine = [self._lanes[node] for node in operation.nodes]
            others = [lane for lane in mine if lane not in led]
            for lane in others:
                lane.park(operation)
            if operation.done or any(lane.ready() for lane in mine):
                seat.bell.ring()  # by what came to pass before there was a gate
        try:
            until = self._session.deadline
            patience = SHIFT if self._session.hindered else PATIENCE
            late = now_us() + round(patience * 1e6)
            seat.listen(led, min(until, late))
            if now_us() >= late:
                for lane in others:
                    lane.look()
        finally:
            with mutex:
                operation.gate = None
                for lane in others:
                    lane.unpark(operation)
            seat.bell.clear()


def _hear(led: dict[Lane, Wire]) -> bool:
    """Takes what has arrived on these wires, and whether anything has. Those that have nothing more
    to say are not led any more.
    """
    heard = False
    for lane, wire in list(led.items()):
        heard = lane.hear(wire) or heard
        if lane.silent(wire):
            del led[lane]
    return heard


class _Seat:
    """What one thread waits with: a bell that others ring, and how to hear it and some wires."""

    __slots__ = ("_await", "_wires", "bell")

    def __init__(self) -> None:
        self.bell = Bell()
        self._wires: list[Wire] = []
        self._await: Callable[[int], object] = any_of([self.bell.fileno()])

    def listen(self, led: dict[Lane, Wire], until: int) -> None:
        """Until the bell rings, something can be read on one of these wires, is late there, or is
        hidden from polling; at most until `until`.
        """
        wires = list(led.values())
        if any(wire.broken or wire.hidden for wire in wires):
            return
        if wires != self._wires:
            fds = [wire.fileno() for wire in wires]
            if any(fd < 0 for fd in fds):
                return
            self._wires = wires
            self._await = any_of([self.bell.fileno(), *fds])
        left = min([until, *[wire.deadline for wire in wires]]) - now_us()
        self._await(max(0, left))
