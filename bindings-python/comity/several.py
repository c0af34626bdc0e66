"""How one thread waits for the answers of several nodes at once.

It sends what there is to send to each, and reads on every lane where nobody else does, on all of
them at a time. A bell wakes it for what others read for it, or made ready for it to be sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .bell import Bell, any_of
from .clock import now_us

if TYPE_CHECKING:
    from .lane import Lane
    from .session import Operation, Session


class Several:
    """What threads need that wait in this way. `lanes` are those of all nodes, in their order."""

    def __init__(self, session: Session, lanes: Sequence[Lane]) -> None:
        self._session = session
        self._lanes = lanes
        self._bells: list[Bell] = []
        self._stopped = False

    def drive(self, operation: Operation) -> None:
        """Moves bytes until `operation` is done. Anything raised in between (Ctrl-C) leaves the
        lanes in order.
        """
        lanes = self._lanes
        led: list[Lane] = []
        bell = self._bell()
        try:
            while not operation.done:
                mine = [lanes[node] for node in operation.nodes]
                for lane in mine:
                    lane.flush()
                    if lane not in led:
                        lane.lead(led)
                for lane in self._await(operation, mine, led, bell):
                    lane.hear()
                led[:] = [lane for lane in led if not lane.silent()]
                if now_us() >= self._session.deadline:
                    self._session.tick()
        except BaseException:
            with self._session.mutex:
                operation.gate = None
                for node in operation.nodes:
                    lanes[node].unpark(operation)
            raise
        finally:
            while led:
                led.pop().follow()
            self._bells.append(bell)
            if self._stopped:
                self.stop()

    def stop(self) -> None:
        """Closes what is not in use, now and later. Takes no lock."""
        self._stopped = True
        while self._bells:
            self._bells.pop().close()

    def _bell(self) -> Bell:
        try:
            return self._bells.pop()
        except IndexError:
            return Bell()

    def _await(
        self, operation: Operation, mine: list[Lane], led: list[Lane], bell: Bell
    ) -> list[Lane]:
        """Waits until there is something to do. Those of the led lanes that have something to
        read, or something that is late.
        """
        mutex = self._session.mutex
        others = [lane for lane in mine if lane not in led]
        with mutex:
            if operation.done or len(mine) < len(operation.nodes):
                return []
            if any(lane.ready() for lane in mine):
                return []
            operation.gate = bell.ring
            for lane in others:
                lane.park(operation)
        try:
            return self._listen(led, bell)
        finally:
            with mutex:
                operation.gate = None
                for lane in others:
                    lane.unpark(operation)
            bell.clear()

    def _listen(self, led: list[Lane], bell: Bell) -> list[Lane]:
        due = self._session.deadline
        waiting: dict[int, Lane] = {}
        ready: list[Lane] = []
        for lane in led:
            due = min(due, lane.due())
            wire = lane.wire
            if wire is None:
                continue
            fd = wire.fileno()
            if fd >= 0:
                waiting[fd] = lane
            if fd < 0 or wire.hidden:
                ready.append(lane)
        readable = any_of([*waiting, bell.fileno()], 0 if ready else max(0, due - now_us()))
        if now_us() >= due:
            return led
        return [*ready, *[lane for fd, lane in waiting.items() if fd in readable]]
