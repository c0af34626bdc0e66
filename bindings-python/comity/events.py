"""`co.events()`: what happened, for those who want to watch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final

from .units import MAX_WAIT, seconds, whole

if TYPE_CHECKING:
    from ._core import Event
    from .session import Session

DEFAULT_BUFFER: Final = 1024
MAX_BUFFER: Final = 1_048_576


class Buffer:
    """The buffer itself, whoever waits for it: threads or tasks."""

    def __init__(self, session: Session, buffer: int) -> None:
        whole("buffer", buffer, 1, MAX_BUFFER, f"1..{MAX_BUFFER} events")
        self._session = session
        self._limit = buffer
        self._buffer: deque[Event] = deque()
        self._dropped = 0
        self._closed = False
        session.listen(self)

    @property
    def dropped(self) -> int:
        """How many events this reader lost because its buffer was full."""
        return self._dropped

    def close(self) -> None:
        """Stops listening. What is buffered can still be read."""
        if self._session.foreign:
            self._closed = True
            return
        with self._session.mutex:
            if self in self._session.listeners:
                self._session.listeners.remove(self)
            self.end()

    # What the session calls, with its mutex held: it guards the buffer as well.

    def put(self, event: Event) -> None:
        """Takes an event in, at the expense of the oldest where there is no room; twice as once."""
        if self._buffer and self._buffer[-1] is event:
            return
        if len(self._buffer) >= self._limit:
            self._buffer.popleft()
            self._dropped += 1
        self._buffer.append(event)
        self._wake()

    def end(self) -> None:
        """No event will come any more."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        """Has those who wait look again."""
        raise NotImplementedError


class Events(Buffer):
    """A bounded buffer of `comity.core.Event`, from the moment it was made.

    A reader that is too slow loses the oldest events, never holds anything up, and finds in
    `dropped` how many it lost. Iterating waits for the next event and ends when the coordinator
    or this object is closed.
    """

    def __init__(self, session: Session, buffer: int) -> None:
        self._ready = threading.Condition(session.mutex)
        super().__init__(session, buffer)

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event. None if `timeout` seconds pass first, or none will ever come."""
        self._session.require_own()
        limit = None if timeout is None else seconds("timeout", timeout, 0, MAX_WAIT) / 1e6
        with self._ready:
            self._ready.wait_for(lambda: self._buffer or self._closed, limit)
            return self._buffer.popleft() if self._buffer else None

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wake(self) -> None:
        self._ready.notify_all()
