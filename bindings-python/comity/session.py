"""Between the core and whatever moves bytes: no I/O, no threads, no decisions.

A `Session` owns the core and one mutex. Every call takes the mutex, calls the core, and books what
came of it: commands into the outboxes of their node, events into the operation they are about and
into the buffers of those who listen. Drivers, threads or tasks, take commands out of the outboxes
and hand replies back in.

The mutex excludes other threads, not the calling one: a signal handler or a finalizer may call in
the middle of any step here, and even wait, in which time the mutex is free. So every step leaves
what it has not done yet where others find it, and takes things away only after they are done:
done twice they do no harm.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from ._core import LAST_EVENTS, forward, hand_over
from .clock import now_us
from .errors import Closed, Error, InvalidState, LockLost
from .operation import Operation
from .outbox import Box, nobody, remove
from .servers import Servers
from .units import readable

if TYPE_CHECKING:
    from ._core import Command, Coordinator, Event
    from .dropped import Droppable
    from .wire import NotConnected
    from .workers import Worker

    _Ready = tuple[Command, int, int | None, bool]

log: Final = logging.getLogger("comity")

SHIFT: Final = 0.02
"""How many seconds a thread that stands in for others waits at a time."""
NEVER: Final = 1 << 63
"""A deadline that does not come."""

LONG_US: Final = 10_000_000
"""How long somebody must have waited for a lock for that to be said."""

_INHERITED: Final = (
    "this was begun before fork(), by the parent, whose it is: begin anew in the child"
)

_RELEASES: Final = frozenset(("lock_released", "lock_failed"))
"""What becomes of a lock that is given back."""

_OF_COUNTERS: Final = frozenset(
    (
        "counter_journal",
        "counter_lost",
        "counter_regressed",
        "counter_refused",
        "counter_closed",
    )
)
"""What befalls a counter, whoever called it."""

_TOLD: Final = frozenset(
    (
        "transaction_committed",
        "transaction_unknown",
        "transaction_ended",
        "transaction_damaged",
        "transaction_not_durable",
    )
)
"""What befalls a transaction that somebody must hear of."""

_BESIDES: Final = frozenset(("transaction_damaged", "transaction_not_durable"))
"""What is told of a transaction besides its outcome."""


class Listener(Protocol):
    """Who wants to see every event. Called with the session's mutex held; must not block."""

    def put(self, event: Event) -> None:
        """Takes an event in."""

    def end(self) -> None:
        """No event will come any more."""


def _unheard(event: Event) -> None:
    """The hook of a session without counters or transactions."""


def _ignored(callback: Callable[[], None]) -> None:
    """The hook of a session that no driver has taken over."""


class Session:
    """One coordinator's core, its outboxes, its operations and its listeners."""

    def __init__(
        self,
        core: Coordinator,
        nodes: int,
        clock: Callable[[], int] = now_us,
        *,
        attended: bool = True,
    ) -> None:
        """`clock` is what the core and everything else here take for the time. `attended` says
        that callers are threads, which send their own commands; tasks leave that to the driver.
        """
        self.core: Final = core
        self.now: Final = clock
        self.attended: Final = attended
        self.mutex = threading.RLock()
        self.commands: Final[deque[_Ready]] = deque()
        """Commands of the core that are in no outbox yet."""
        self.events: Final[deque[Event]] = deque()
        """Events that are not booked yet."""
        self._beginning: set[object] = set()
        """Whoever has asked the core for an id and not taken it in yet."""
        self._early: list[Event] = []
        """What was told of such ids."""
        self.boxes: Final = [Box() for _ in range(nodes)]
        self.operations: dict[int, Operation] = {}
        self.servers: Final = Servers(self._name)
        self.listeners: list[Listener] = []
        self.deadline = NEVER
        """When the core next wants to hear the time."""
        self.alarm = 0
        """When the driver's timer wakes next by itself; 0 while there is none to wake."""
        self.wake_timer: Callable[[], object] = nobody
        self.run_callback: Callable[[Callable[[], None]], object] = _ignored
        """Runs what the user wants to be told, away from every thread that matters."""
        self.stir: Callable[[], object] = nobody
        """Has somebody call `tick` soon. Takes no mutex and never blocks."""
        self.on_counter: Callable[[Event], None] = _unheard
        """Hears what befalls a counter. Called with the mutex held."""
        self.on_transaction: Callable[[Event], None] = _unheard
        """Hears what nobody who waits is told of a transaction. Called with the mutex held."""
        self.dropped: list[Droppable] = []
        """What nobody refers to any more, and is to be given back."""
        self.rouse: Callable[[], object] = nobody
        """Has somebody see to that soon. Takes no mutex and never blocks."""
        self.hindered: set[Worker] = set()
        """Those for which no thread could be started."""
        self.stand_in: Callable[[], object] = nobody
        """Does the work of those in the caller's thread."""
        self._calls = threading.local()
        self.closed = False
        self.drained = Operation()
        """Done once everything that `close` began is done."""
        self.foreign = False
        """Set in the child of a fork: nothing here belongs to this process."""

    # Verbs

    def begin(self, operation: Operation, verb: Callable[..., int], *args: Any, **kw: Any) -> None:
        """Calls a verb of the core that returns an id and makes `operation` stand for it."""
        with self.mutex:
            self.require_open()
            self._attend(operation)
            try:
                self._beginning.add(operation)
                operation.id = verb(*args, self.now(), **kw)
                self.operations[operation.id] = operation
            finally:
                self._beginning.discard(operation)
            self.drain()

    def resume(
        self, operation: Operation, verb: Callable[..., None], *args: Any, **kw: Any
    ) -> None:
        """Calls another verb on a running lock and has `operation` await its answer."""
        with self.mutex:
            if operation.ended and operation.error is not None:
                return  # which stays what is told of it
            if self.closed and operation.fence and not self.foreign:
                self.give_back(operation)
                return
            self.require_open()
            if operation.ended:
                return
            self._attend(operation)
            operation.done = False
            try:
                verb(operation.id, *args, self.now(), **kw)
            except Error:
                operation.done = True
                # The time that the verb brought may have ended the lock: then that is what is told.
                self.drain()
                if operation.ended:
                    return
                raise
            except BaseException:
                operation.done = True
                raise
            self.drain()

    def check_nodes(self) -> list[Operation]:
        """One operation per node. Attended only where the caller's thread can serve them all."""
        with self.mutex:
            self.require_open()
            operations: list[Operation] = []
            with self.asking(object()):
                for call in self.core.check_nodes(self.now()):
                    operation = Operation()
                    operation.id = call
                    if len(self.boxes) == 1:
                        self._attend(operation)
                    self.operations[call] = operation
                    operations.append(operation)
            self.drain()
            return operations

    @contextmanager
    def asking(self, who: object) -> Iterator[None]:
        """While this lasts, events of ids that nobody knows are kept: `who` may take them in."""
        try:
            self._beginning.add(who)
            yield
        finally:
            self._beginning.discard(who)

    def leave(self, operation: Operation) -> None:
        """The thread that waited for `operation` goes; its unsent commands go to the background."""
        operation.attended = False
        remove(self.calls, operation)
        for node in operation.nodes:
            box = self.boxes[node]
            if box.foreground:
                with self.mutex:
                    if hand_over(box.foreground, box.background, operation.id):
                        box.wake_background()

    def _attend(self, operation: Operation) -> None:
        """The calling thread will wait for `operation`, unless it is a task that will."""
        operation.attended = self.attended
        if self.attended:
            self.calls.append(operation)

    @property
    def calls(self) -> list[Operation]:
        """What the calling thread waits for: the last one, and what that has interrupted."""
        try:
            return self._calls.those  # type: ignore[no-any-return]
        except AttributeError:
            those: list[Operation] = []
            self._calls.those = those
            return those

    def failure(self, operation: Operation) -> Exception | None:
        """Why `operation` failed; it names the server it is about, where it is about one."""
        error = operation.error
        event = operation.event
        if error is not None:
            node = operation.node if len(operation.nodes) == 1 else -1
            if event is not None and event.node is not None:
                node = event.node
            self.servers.tell(error, node)
        return error

    def _name(self, node: int) -> str:
        return self.core.node_id(node).decode("utf-8", "backslashreplace")

    def say(self, text: str, *args: object) -> None:
        """Logs what happened, in the background. Called with the mutex held."""
        if not self.closed and log.isEnabledFor(logging.INFO):
            self.run_callback(partial(log.info, text, *args))

    def cancel(self, operation: Operation) -> None:
        """Whatever `operation` is in the middle of, it is over; a lock is released if held."""
        self.leave(operation)
        with self.mutex:
            if not self.foreign and operation.id >= 0:
                try:
                    self.core.lock_cancel(operation.id, self.now())
                except Error:
                    pass  # unknown by now, or the core is closed: nothing is left to cancel
            operation.ended = operation.done = True
            self.operations.pop(operation.id, None)
            if not self.foreign:
                self.drain()

    def see_to_dropped(self) -> None:
        """Gives back what nobody refers to any more."""
        with self.mutex:
            for one in self.dropped.copy():
                if not self.foreign:
                    one._dropped()
                remove(self.dropped, one)

    def warn(self, text: str) -> None:
        """Warns of something that was dropped, in the background."""
        self.run_callback(partial(warnings.warn, text, ResourceWarning))

    def give_up(self, operation: Operation) -> None:
        """Nobody waits for the transaction any more; what is decided of it stays."""
        self.leave(operation)
        with self.mutex:
            waited = self.operations.pop(operation.id, None)
            operation.ended = operation.done = True
            if waited is not None and not self.foreign:
                try:
                    self.core.transaction_cancel(operation.id, self.now())
                except Error:
                    pass  # the core is closed: it sees to the end by itself
                self.drain()

    def close(self) -> bool:
        """Begins the end. Returns whether this call did; `drained` is done when all is settled."""
        with self.mutex:
            if self.closed or self.foreign:
                return False
            self.closed = True
            self.core.close(self.now())
            self.drain()
            return True

    def abandon(self, why: Exception) -> None:
        """After `close`: whoever still waits is told `why`."""
        with self.mutex:
            for operation in list(self.operations.values()):
                if not operation.done:
                    operation.error = why
                elif operation.fence:
                    self.give_back(operation)
                operation.ended = operation.done = True
                operation.signal()
            self.operations.clear()
            for listener in self.listeners:
                listener.end()
            self.listeners = []
            self.drained.done = True
            self.drained.signal()

    def hinder(self, worker: Worker) -> None:
        """No thread can be started for `worker`: whoever waits stands in for it. Called with the
        mutex held.
        """
        self.hindered.add(worker)
        for operation in list(self.operations.values()):
            operation.signal()
        self.drained.signal()

    def listen(self, listener: Listener) -> None:
        """Has `listener` see every event from now on."""
        with self.mutex:
            self.require_open()
            self.listeners.append(listener)

    def orphan(self) -> None:
        """In the child of a fork: this session belongs to the parent, and so do its locks."""
        self.foreign = True
        self.mutex = threading.RLock()
        self.core.orphan()
        for operation in self.operations.values():
            operation.error = InvalidState(_INHERITED)
            operation.ended = operation.done = True
            operation.id = -1  # which may be another's, in the session that takes the place of this

    def require_open(self) -> None:
        """Raises `Closed`, or `InvalidState` in the child of a fork."""
        self.require_own()
        if self.closed:
            raise Closed("the coordinator is closed")

    def require_own(self) -> None:
        """Raises `InvalidState` in the child of a fork, where another session serves."""
        if self.foreign:
            raise InvalidState(_INHERITED)

    # Inputs

    def replies(self, pairs: Iterable[tuple[int, Any]]) -> None:
        """Answers that arrived: request and reply, in order."""
        with self.mutex:
            now = self.now()
            for request, reply in pairs:
                self.core.handle_reply(request, reply, now)
            self.drain()

    def failures(
        self, commands: Sequence[Command], failure: Literal["not_sent", "outcome_unknown"]
    ) -> None:
        """Commands that got no answer: none of their bytes left, or some may have."""
        if not commands:
            return
        with self.mutex:
            now = self.now()
            for command in commands:
                self.core.handle_failure(command.request, failure, now)
            self.drain()

    def node(
        self,
        node: int,
        change: Literal["connected", "lost", "push_ready", "push_lost"],
    ) -> None:
        """A connection to `node` came or went."""
        with self.mutex:
            self.core.handle_node(node, change, self.now())
            self.drain()

    def broken(self, node: int, why: str) -> None:
        """The connection to `node` broke under what was asked. To be told before that fails."""
        with self.mutex:
            self.core.handle_unreachable(node, why, self.now(), lasting=False)
            self.drain()

    def unreachable(self, node: int, failed: NotConnected) -> None:
        """No connection to `node` can be made. To be told before the commands fail for it."""
        cause = failed.cause
        if cause is None:
            return  # there was no time left to try
        with self.mutex:
            self.servers.away(node, cause)
            self.core.handle_unreachable(node, str(failed), self.now(), lasting=failed.lasting)
            self.drain()

    def refused(self, node: int, text: bytes) -> None:
        """The server refuses to connect, in these words. To be told before the commands fail."""
        with self.mutex:
            self.core.handle_refused(node, text, self.now())
            self.drain()

    def message(self, node: int, channel: bytes, payload: bytes) -> None:
        """A push arrived."""
        with self.mutex:
            self.core.handle_message(node, channel, payload, self.now())
            self.drain()

    def gap(self) -> None:
        """The clock stood still or jumped."""
        with self.mutex:
            self.core.handle_clock_gap(self.now())
            self.drain()

    def tick(self) -> None:
        """Tells the core the time. Early, late or twice is harmless."""
        with self.mutex:
            self.core.handle_timeout(self.now())
            self.drain()

    # Outputs

    def drain(self) -> None:
        """Books every command and event the core has ready. Call with the mutex held."""
        commands, events = self.commands, self.events
        while True:
            self.core.poll(self)
            # Commands first: who hears that an operation has ended takes along what follows it.
            try:
                while commands:
                    self._route(commands[0])
            except IndexError:
                pass  # whoever called in the middle has routed it
            unwanted = False
            try:
                while events:
                    event = events[0]
                    unwanted = self._book(event) or unwanted
                    events.remove(event)
            except LookupError:
                pass
            except ValueError:
                continue
            if not (self._early and self._taken_up()) and not unwanted:
                break
        if self.deadline < self.alarm:
            self.wake_timer()

    def _taken_up(self) -> bool:
        """Whether events are to be booked that came before their ids were taken in. Those of others
        wait on: a call that has interrupted one may be asking for its own.
        """
        found = False
        for event in self._early.copy():
            if not self._beginning or event.subject in self.operations:
                self.events.append(event)
                remove(self._early, event)
                found = True
        return found

    def _route(self, item: _Ready) -> None:
        command, node, origin, aside = item
        box = self.boxes[node]
        if aside:
            if command.route == "subscribe":
                forward(command, item, self.commands, box.subscribe)
                box.wake_subscribe()
            else:
                forward(command, item, self.commands, box.blocking)
                box.wake_blocking()
            return
        operation = None if origin is None else self.operations.get(origin)
        if operation is not None:
            if operation.node != node:
                operation.comes_to(node)
            if operation.attended:
                forward(command, item, self.commands, box.foreground)
                if not operation.attended:  # left by its thread in the middle of this
                    hand_over(box.foreground, box.background, operation.id)
                    box.wake_background()
                elif operation.gate is not None:
                    operation.signal()
                return
        forward(command, item, self.commands, box.background)
        box.wake_background()

    def _book(self, event: Event) -> bool:
        """Whether the core was told something by it."""
        kind, key = event.kind, event.subject
        operation = None if key is None else self.operations.get(key)
        unwanted = False
        if self._beginning and operation is None and (key is not None or kind in _OF_COUNTERS):
            self._early.append(event)
            return False
        if kind in _OF_COUNTERS:
            self.on_counter(event)
        elif kind in _TOLD and (operation is None or kind in _BESIDES):
            self.on_transaction(event)
        if operation is not None:
            self._settle(operation, kind, event)
        elif kind == "lock_granted" and key is not None:
            # The thread that asked was interrupted before it could take the id in. Before the event
            # is taken away: this may be interrupted as well.
            self.core.lock_cancel(key, self.now())
            unwanted = True
        elif kind in ("node_down", "node_up"):
            self._report_node(kind, event)
        elif kind == "closed":
            self.drained.done = True
            self.drained.signal()
        for listener in [*self.listeners]:
            listener.put(event)
        return unwanted

    @staticmethod
    def give_back(operation: Operation) -> None:
        """What is held at a close is lost to who goes on as if it were not."""
        operation.error = LockLost(
            f"lock {readable(operation.name)} was given back when the coordinator was closed"
        )
        operation.ended = operation.done = True

    def _report_node(self, kind: str, event: Event) -> None:
        node = event.node or 0
        name = self._name(node)
        if kind == "node_down":
            self.servers.lost(node, str(event.error))
        if kind == "node_up":
            self.servers.back(node)
            self.say("the server %s is back after %.3f s", name, (event.outage or 0) / 1e6)
        elif event.waiting:
            text = "the server %s is lost: %s; what waits for a lock there waits on (%d)"
            self.say(text, name, event.error, event.waiting)
        else:
            self.say("the server %s is lost: %s", name, event.error)

    def _settle(self, operation: Operation, kind: str, event: Event) -> None:
        if kind in _BESIDES:
            return
        operation.event = event
        if kind == "lock_granted":
            operation.rank = None  # it stands in no line any more
            operation.fence = event.fence or 0
            operation.valid_until = event.valid_until or 0
            operation.done = True
            waited = self.now() - operation.began
            if operation.began and waited >= LONG_US:
                text = "lock %s is granted after a wait of %.1f s"
                self.say(text, readable(operation.name), waited / 1e6)
        elif kind in ("lock_renewed", "lock_not_renewed"):
            operation.valid_until = event.valid_until or operation.valid_until
            operation.unrenewed = event.error
            # One by itself that was on its way before is not what was asked for.
            operation.done |= operation.renewing > 0 and event.accepted is not False
        elif kind == "lock_queued":
            operation.holder = event.holder
            operation.rank = event.rank
            return
        elif kind in LAST_EVENTS:
            self.operations.pop(operation.id, None)
            operation.error = event.error
            asked = not (operation.done or operation.renewing)
            if self.closed and kind in _RELEASES and operation.fence and not asked:
                self.give_back(operation)
            operation.ended = operation.done = True
            if event.holder is not None:
                operation.holder = event.holder
            if kind == "lock_lost":
                self.say("%s", operation.error)
                if operation.on_lost is not None:
                    self.run_callback(operation.on_lost)
            elif kind == "transaction_unknown":
                text = "transaction %s is in doubt: %s"
                self.say(text, (event.id or b"").decode("utf-8", "backslashreplace"), event.error)
        if operation.done:
            operation.signal()
